"""The Point Edge Transformer gives OmniLearned's outputs with OmniLearned's weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hepfm.backbones.base import Features
from hepfm.backbones.pet import IDENTITY
from hepfm.core.batch import Batch
from hepfm.generators.flow import Flow
from hepfm.models.convert import convert
from hepfm.models.convert.omnilearned_generator import NOISE_CENTRE, NOISE_SPREAD
from hepfm.models.convert.omnilearned_weights import TYPE_NUMBERS, OmniLearnedWeights, map_omnilearned
from hepfm.models.directory import Model
from hepfm.nn.conditioning import Conditioning

FILE = Path(__file__).with_name("omnilearned_pet.npz")
COLUMNS = {"h": 1, "h0": 2, "photon": 3, "e": 4, "mu": 5}
TOLERANCE = {"single": 1e-5, "double": 1e-12}


@pytest.fixture(scope="module")
def stored() -> dict[str, Tensor]:
    """Weights, inputs and outputs of omnilearned 0.2.0; see make_omnilearned_fixture.py."""
    with np.load(FILE) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def part(arrays: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


@pytest.fixture(scope="module")
def weights(stored: dict[str, Tensor]) -> OmniLearnedWeights:
    return map_omnilearned(part(stored, "body/"), part(stored, "classifier/"))


def identity(pid_BN: Tensor, mask_BN: Tensor) -> Tensor:
    """Return charge and flags of OmniLearned's type numbers."""
    table = torch.zeros(9, len(IDENTITY))
    for name, number in TYPE_NUMBERS.items():
        table[number, 0] = name.endswith("+") - float(name.endswith("-"))
        table[number, COLUMNS.get(name) or COLUMNS[name[:-1]]] = 1
    return table[pid_BN] * mask_BN[..., None]


def run(
    weights: OmniLearnedWeights, inputs: dict[str, Tensor], dtype: torch.dtype, mode: str
) -> tuple[Features, Tensor]:
    backbone, head = weights.build()
    assert head is not None
    mask = inputs["mask"]
    x = torch.cat((inputs["x"], identity(inputs["pid"], mask), inputs["add"]), dim=-1).to(dtype)
    conditioning = Conditioning(backbone.width, num_context=4, time=True)
    assert conditioning.context is not None
    assert conditioning.time is not None
    conditioning.context.load_state_dict(dict(weights.context))
    conditioning.time.load_state_dict(dict(weights.time))
    conditioning.to(dtype)
    time = inputs["time"].to(dtype) if mode == "noised" else None
    condition = conditioning(inputs["cond"].to(dtype), time)
    features = backbone.to(dtype).eval()(x, mask, prefix_BKD=condition)
    return features, head.to(dtype).eval()(features, mask)


@pytest.mark.parametrize("mode", ["clean", "noised"])
@pytest.mark.parametrize("precision", ["single", "double"])
def test_outputs(stored: dict[str, Tensor], weights: OmniLearnedWeights, precision: str, mode: str) -> None:
    dtype = {"single": torch.float32, "double": torch.float64}[precision]
    with torch.no_grad():
        features, logits = run(weights, part(stored, "input/"), dtype, mode)
    # OmniLearned's time features are computed in single precision always.
    close = {"atol": 1e-5 if mode == "noised" else TOLERANCE[precision], "rtol": 0.0}
    body = stored[f"{precision}/{mode}/body"]
    first = body.shape[1] - features.tokens_BND.shape[1]
    assert features.registers_BKD is not None
    torch.testing.assert_close(features.tokens_BND, body[:, first:], **close)
    torch.testing.assert_close(features.registers_BKD[:, :4], body[:, :4], **close)
    torch.testing.assert_close(features.pooled_BD, body[:, :4].mean(1), **close)
    torch.testing.assert_close(logits, stored[f"{precision}/{mode}/logits"], **close)
    assert float(logits.std()) > 1e-2


def test_every_weight_takes_part(stored: dict[str, Tensor], weights: OmniLearnedWeights) -> None:
    expected, _ = run(weights, part(stored, "input/"), torch.float64, "noised")
    state = dict(weights.backbone)
    for name, value in state.items():
        changed = OmniLearnedWeights(**{**vars(weights), "backbone": {**state, name: value + 0.1}})
        found, _ = run(changed, part(stored, "input/"), torch.float64, "noised")
        assert not torch.allclose(found.tokens_BND, expected.tokens_BND), name


def converted(stored: dict[str, Tensor], mode: str, folder: Path) -> Model:
    """Return the model of a stored network; that of mode "generator" is "pretrain" without classifier."""
    name = "pretrain" if mode == "generator" else mode
    parts = ["body", "generator_head", *(["classifier_head"] if mode == "pretrain" else [])]
    torch.save({key: part(stored, f"flow/{name}/{key}/") for key in parts}, folder / "best_model_test.pt")
    convert("omnilearned", checkpoint=folder / "best_model_test.pt", output=folder / "model")
    return Model.load(folder / "model")


def velocity(model: Model, inputs: dict[str, Tensor]) -> Tensor:
    """Return the velocity of physical features, as the package's is."""
    mask = inputs["mask"]
    batch = Batch(
        features_BNF=inputs["x"],
        mask_BN=mask,
        rows_B=torch.arange(len(mask)),
        context_BC=inputs["cond"] * torch.tensor([1.0, 1.0, 1.0, 100.0]),
    )
    assert isinstance(model.network.generator, Flow)
    with torch.no_grad():
        features = model.network.features(batch, time_B=inputs["time"])
        found = model.network.generator.velocity(features, mask, inputs["label"])
    return found * torch.tensor(NOISE_SPREAD)


@pytest.mark.parametrize("mode", ["generator", "pretrain", "unlabelled"])
def test_velocity(stored: dict[str, Tensor], tmp_path: Path, mode: str) -> None:
    inputs, expected = part(stored, "input/"), stored[f"flow/{mode}/velocity"]
    model = converted(stored, mode, tmp_path)
    assert bool(model.outputs) == (mode == "pretrain")
    torch.testing.assert_close(velocity(model, inputs), expected, atol=1e-5, rtol=0.0)
    assert float(expected[inputs["mask"]].std(0).min()) > 1e-2
    # Controls: class (where there is one) and time matter by far more than the tolerance.
    other = {**inputs, "label": (inputs["label"] + 1) % 3}
    apart = float((velocity(model, other) - expected).abs().max())
    assert apart == pytest.approx(0.0, abs=1e-5) if mode == "unlabelled" else apart > 1e-3
    other = {**inputs, "time": 0.5 * inputs["time"]}
    assert float((velocity(model, other) - expected).abs().max()) > 1e-3


def test_noise_is_standard_normal_in_standardised_features(stored: dict[str, Tensor], tmp_path: Path) -> None:
    network = converted(stored, "generator", tmp_path).network
    noise = torch.tensor(NOISE_CENTRE) + torch.tensor([[-1.0], [2.0]]) * torch.tensor(NOISE_SPREAD)
    found = network.standardize(noise, torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close(found, torch.tensor([[-1.0], [2.0]]).expand(2, 4))


def test_every_weight_of_the_generator_takes_part(stored: dict[str, Tensor], tmp_path: Path) -> None:
    model = converted(stored, "generator", tmp_path)
    inputs, generator = part(stored, "input/"), model.network.generator
    assert generator is not None
    before = velocity(model, inputs)
    for name, parameter in generator.named_parameters():
        if not name.startswith("sampler."):
            with torch.no_grad():
                parameter += 0.1
                assert not torch.allclose(velocity(model, inputs), before), name
                parameter -= 0.1
