"""The evenet backbone gives evenet-core's outputs with evenet-core's weights."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.backbones.evenet import EveNet, EveNetConfig
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import IncompatibleError, ModelError
from hepfm.data import feature_set
from hepfm.models.convert import convert
from hepfm.models.directory import Model
from hepfm.nn.gated import GatedEmbedding
from hepfm.nn.neighbours import nearest_neighbours
from hepfm.nn.packing import Packing

FILE = Path(__file__).with_name("evenet.npz")
HEADS = ("num_heads=4", "encoder_heads=2")
CLASSES = ("QCD", "TT", "ttW", "ttZ")
PRECISIONS = {"single": (torch.float32, 2e-5), "double": (torch.float64, 1e-6)}
"""Of double precision the constants of the inputs and the published ranks are single all the same."""


@pytest.fixture(scope="module")
def stored() -> dict[str, Tensor]:
    """Weights, inputs and outputs of evenet-core 0.3.0; see make_evenet_fixture.py."""
    with np.load(FILE) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def state(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[6:]: value for name, value in stored.items() if name.startswith("state/")}


@pytest.fixture
def checkpoint(stored: dict[str, Tensor], tmp_path: Path) -> Path:
    path = tmp_path / "checkpoints.ckpt"
    torch.save({"state_dict": {f"model.{name}": value for name, value in state(stored).items()}}, path)
    return path


def batch(stored: dict[str, Tensor], dtype: torch.dtype = torch.float32) -> Batch:
    return Batch(
        features_BNF=stored["input/x"].to(dtype),
        mask_BN=stored["input/mask"],
        rows_B=torch.arange(len(stored["input/x"])),
        context_BC=stored["input/conditions"].to(dtype),
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_outputs(stored: dict[str, Tensor], checkpoint: Path, tmp_path: Path, precision: str) -> None:
    dtype, tolerance = PRECISIONS[precision]
    model = convert(
        "evenet", checkpoint=checkpoint, output=tmp_path / "model", classes=CLASSES, options=HEADS
    )
    network = model.network.to(dtype).eval()
    with torch.no_grad():
        features = network.features(batch(stored, dtype))
        logits = network.heads["event_label"](features, stored["input/mask"])
    close = {"atol": tolerance, "rtol": tolerance}
    mask = stored["input/mask"]
    torch.testing.assert_close(features.tokens_BND[mask], stored[f"{precision}/objects"][mask], **close)
    torch.testing.assert_close(features.pooled_BD, stored[f"{precision}/event"], **close)
    torch.testing.assert_close(logits, stored[f"{precision}/logits"], **close)
    # The outputs depend on what they are compared for: other heads, other neighbours, other logits.
    assert stored[f"{precision}/logits"].std() > 0.05
    backbone = network.backbone
    for change in ({"num_neighbours": 2}, {"standardised_neighbours": False}, {"normal_scores": ()}):
        other = EveNet(backbone.config.model_copy(update=change), feature_names=network.feature_names)
        other.load_state_dict(backbone.state_dict())
        network.backbone = other.to(dtype).eval()
        with torch.no_grad():
            changed = network.features(batch(stored, dtype)).tokens_BND[mask]
        assert (changed - features.tokens_BND[mask]).abs().max() > 1e-3, change
        network.backbone = backbone


def test_a_converted_model_is_a_model_directory(
    stored: dict[str, Tensor], checkpoint: Path, tmp_path: Path
) -> None:
    convert("evenet", checkpoint=checkpoint, output=tmp_path / "model", classes=CLASSES, options=HEADS)
    model = Model.load(tmp_path / "model")
    assert model.schema["event_label"].classes == CLASSES
    assert "left out" in model.provenance["converted_from"]["note"]
    with torch.no_grad():
        logits = model.network.eval()(batch(stored))["event_label"]
    torch.testing.assert_close(logits, stored["single/logits"], atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("size", ["20M", "100M"])
def test_numbers_of_parameters(stored: dict[str, Tensor], size: str) -> None:
    component = resolve_component(BACKBONES, {"name": "evenet", "size": size}, where="test")
    with torch.device("meta"):
        backbone = component.cls(component.config, feature_names=feature_set("evenet").names)
        context = backbone.context_network(10)
    width = component.config.width
    # The embedding of time is the conditioning's here, and one gate of the package is never used.
    time = 64 * 2 * width + 2 * width * width + width * 2 * width
    gate = 6 * width * width + 4 * width
    body = sum(int(stored[f"count/{size}/{part}"]) for part in ("PET", "ObjectEncoder")) - time - gate
    assert sum(weight.numel() for weight in backbone.parameters()) == body
    affine = 10 * 10 + 10
    expected = int(stored[f"count/{size}/GlobalEmbedding"]) + affine
    assert sum(weight.numel() for weight in context.parameters()) == expected


def damaged(name: str, values: dict[str, Tensor]) -> dict[str, Tensor]:
    if name == "no body":
        return {key: value for key, value in values.items() if not key.startswith("PET.")}
    if name == "other inputs":
        return {**values, "PET.feature_embedding.0.weight": torch.zeros(32, 9)}
    if name == "a layer more":
        return {**values, "ObjectEncoder.encoder.extra.weight": torch.zeros(3)}
    mean = values["sequential_normalizer.mean"].clone()
    mean[3] = 3.0
    return {**values, "sequential_normalizer.mean": mean}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no body", "it lacks PET"),
        ("other inputs", "reads 9 features of an object"),
        ("a layer more", "not of evenet-core"),
        ("no azimuth", "not those of a uniform phi"),
    ],
)
def test_other_checkpoints_are_refused(
    stored: dict[str, Tensor], tmp_path: Path, name: str, message: str
) -> None:
    path = tmp_path / "other.ckpt"
    torch.save(damaged(name, state(stored)), path)
    with pytest.raises(ModelError, match=message):
        convert("evenet", checkpoint=path, output=tmp_path / "model", options=HEADS)
    assert not (tmp_path / "model").exists()


def test_heads_and_classes_must_be_told(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="num_heads=N and encoder_heads=N"):
        convert("evenet", checkpoint=checkpoint, output=tmp_path / "model")
    with pytest.raises(ModelError, match="options of an EveNet"):
        convert("evenet", checkpoint=checkpoint, output=tmp_path / "model", options=("num_heads=4",))
    with pytest.raises(ModelError, match="has 4 classes, but 2 names"):
        convert("evenet", checkpoint=checkpoint, output=tmp_path / "m", options=HEADS, classes=("a", "b"))


def test_first_neighbours_are_near_around_the_beam() -> None:
    eta, phi = torch.tensor([[0.0, 0.0, 0.3]]), torch.tensor([[math.pi - 0.1, -math.pi + 0.1, 2.0]])
    points, packing = torch.stack((eta, phi), dim=-1), Packing.of(torch.ones(1, 3, dtype=torch.bool))
    around = nearest_neighbours(points, packing, 1, periodic=True).slot_TK[:3, 0]
    assert around.tolist() == [1, 0, 0]
    assert nearest_neighbours(points, packing, 1).slot_TK[:3, 0].tolist() == [2, 2, 0]


def test_features_do_not_change_when_an_event_is_turned_past_the_seam() -> None:
    names = ("eta", "phi", "log_pt")
    torch.manual_seed(0)
    backbone = EveNet(
        EveNetConfig(width=16, depth=1, local_depth=2, num_heads=2, encoder_heads=2), feature_names=names
    )
    backbone.double().eval()
    eta, phi, log_pt = torch.randn(3, 1, 8, dtype=torch.float64)
    mask = torch.ones(1, 8, dtype=torch.bool)
    x = torch.stack((eta, 0 * phi, log_pt), dim=-1)  # what is embedded does not tell phi; neighbours do
    turned = (phi + 2.0 + math.pi) % (2 * math.pi) - math.pi

    def tokens(phi: Tensor) -> Tensor:
        physical = torch.stack((eta, phi, log_pt), dim=-1)
        found: Tensor = backbone(x, mask, physical_BNF=physical).tokens_BND
        return found

    torch.testing.assert_close(tokens(turned), tokens(phi))
    assert not torch.allclose(tokens(phi * 0.1), tokens(phi))


def test_the_azimuth_may_be_sine_and_cosine() -> None:
    config = EveNetConfig(width=16, depth=1, local_depth=1, num_heads=2, encoder_heads=2)
    with pytest.raises(IncompatibleError, match="no eta or deta with phi or dphi or sin_phi and cos_phi"):
        EveNet(config, feature_names=("eta", "sin_phi"))
    with pytest.raises(IncompatibleError, match="no feature 'fi'; choose from"):
        EveNet(config.model_copy(update={"normal_scores": ("fi",)}), feature_names=("eta", "phi"))
    phi = torch.linspace(-3, 3, 7)[None]
    plain = EveNet(config, feature_names=("eta", "phi"))
    both = EveNet(config, feature_names=("eta", "sin_phi", "cos_phi"))
    points = plain._points(torch.stack((phi, phi), dim=-1))
    torch.testing.assert_close(both._points(torch.stack((phi, phi.sin(), phi.cos()), dim=-1)), points)


def test_the_first_layer_of_the_globals_starts_as_the_identity() -> None:
    embedding = GatedEmbedding(3, 64)
    x = torch.randn(4, 3)
    torch.testing.assert_close(embedding[0](x), x)
    assert [layer.contract.out_features for layer in list(embedding)[1:]] == [16, 32, 64, 64]


def test_neighbours_of_another_batch_entry_do_not_count(stored: dict[str, Tensor]) -> None:
    backbone = EveNet(
        EveNetConfig(width=16, depth=1, local_depth=2, num_heads=2, encoder_heads=2),
        feature_names=feature_set("evenet").names,
    ).eval()
    given = batch(stored)
    with torch.no_grad():
        alone = backbone(given.features_BNF[1:2, :4], given.mask_BN[1:2, :4]).tokens_BND
        together = backbone(given.features_BNF, given.mask_BN).tokens_BND[1:2, :4]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
