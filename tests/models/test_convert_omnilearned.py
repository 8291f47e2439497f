"""Checkpoints of OmniLearned become model directories; nothing in them is executed."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from hepfm.cli.main import group
from hepfm.core.batch import Batch
from hepfm.core.errors import ModelError
from hepfm.data.store import Store
from hepfm.inference.generate import generate
from hepfm.models.convert import convert
from hepfm.models.directory import Model

State = dict[str, Tensor]
FIXTURE = Path(__file__).parents[1] / "backbones" / "omnilearned_pet.npz"


@pytest.fixture(scope="module")
def stored() -> State:
    with np.load(FIXTURE) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def part(stored: State, prefix: str) -> State:
    return {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}


@pytest.fixture
def checkpoint(stored: State) -> dict[str, Any]:
    """A checkpoint in the layout of the package's own."""
    return {
        "body": part(stored, "body/"),
        "classifier_head": part(stored, "classifier/"),
        "generator_head": {"out.weight": torch.zeros(4, 16)},
        "ema_body": part(stored, "body/"),
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4}]},
        "sched": {"last_epoch": 3},
        "epoch": 3,
        "loss": 0.5,
    }


@pytest.fixture
def save(tmp_path: Path) -> Callable[[object], Path]:
    def write(value: object) -> Path:
        path = tmp_path / "best_model_test.pt"
        torch.save(value, path)
        return path

    return write


def batch(stored: State) -> Batch:
    """The fixture's jets in this package's columns."""
    number_to_columns = {  # charge and the flags h, h0, photon, e, mu
        0: (-1, 1, 0, 0, 0, 0),
        8: (1, 1, 0, 0, 0, 0),
        7: (0, 0, 1, 0, 0, 0),
        6: (0, 0, 0, 1, 0, 0),
        4: (-1, 0, 0, 0, 1, 0),
        2: (1, 0, 0, 0, 1, 0),
        5: (-1, 0, 0, 0, 0, 1),
        1: (1, 0, 0, 0, 0, 1),
        3: (0, 0, 0, 0, 0, 0),
    }
    table = torch.tensor([number_to_columns[number] for number in range(9)], dtype=torch.float32)
    mask = stored["input/mask"]
    identity = table[stored["input/pid"]] * mask[..., None]
    features = torch.cat((stored["input/x"], identity, stored["input/add"]), dim=-1)
    context = stored["input/cond"] * torch.tensor([1.0, 1.0, 1.0, 100.0])
    return Batch(features_BNF=features, mask_BN=mask, rows_B=torch.arange(len(mask)), context_BC=context)


def test_loaded_model_gives_the_package_s_logits(
    stored: State, checkpoint: dict[str, Any], save: Callable[[object], Path], tmp_path: Path
) -> None:
    convert(
        "omnilearned", checkpoint=save(checkpoint), output=tmp_path / "model", classes=["QCD", "W", "top"]
    )
    model = Model.load(tmp_path / "model")
    assert model.features.name == "petfull"
    assert model.context is not None
    assert model.classes == {"jet_label": ("QCD", "W", "top")}
    with torch.no_grad():
        found = model.network(batch(stored))["jet_label"]
    torch.testing.assert_close(found, stored["single/clean/logits"], atol=1e-5, rtol=0)


def test_parts_that_are_absent(
    checkpoint: dict[str, Any], save: Callable[[object], Path], tmp_path: Path
) -> None:
    absent = ("add_embed", "pid_embed", "cond_embed", "time_embed", "MPFourier")
    body = {name: value for name, value in checkpoint["body"].items() if not name.startswith(absent)}
    model = convert("omnilearned", checkpoint=save({"body": body}), output=tmp_path / "model")
    assert model.features.name == "pet"
    assert model.context is None
    assert model.outputs == {}
    state = Model.load(tmp_path / "model").network.state_dict()
    assert torch.equal(state["backbone.registers"], body["token"])


def test_command(checkpoint: dict[str, Any], save: Callable[[object], Path], tmp_path: Path) -> None:
    arguments = ["convert", "omnilearned", str(save(checkpoint)), "-o", str(tmp_path / "model")]
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == 0, result.output
    assert "feature set petfull" in result.output
    assert "generator head was left out: it is given particle types and impact" in " ".join(
        result.output.split()
    )
    assert Model.load(tmp_path / "model").classes == {"jet_label": ("class_0", "class_1", "class_2")}


@pytest.fixture
def generating(stored: State) -> dict[str, Any]:
    """A checkpoint of a network that generates the four kinematic columns."""
    names = ("body", "classifier_head", "generator_head")
    return {name: part(stored, f"flow/pretrain/{name}/") for name in names}


@pytest.mark.parametrize("name", ["pretrain", "unlabelled"])
def test_generator_refuses_to_draw_kinematics(
    stored: State, save: Callable[[object], Path], tmp_path: Path, name: str
) -> None:
    parts = {key: part(stored, f"flow/{name}/{key}/") for key in ("body", "generator_head")}
    path = tmp_path / "model"
    made = convert("omnilearned", checkpoint=save(parts), output=path)
    assert "--like STORE" in made.provenance["converted_from"]["note"]
    assert "untrained" in (path / "card.md").read_text()
    with pytest.raises(ModelError, match=r"never learned what kinematics.*--like STORE"):
        generate(path, n=4, output=tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_generator_takes_kinematics_from_a_store(
    stored: State, save: Callable[[object], Path], tmp_path: Path, jet_store: Store
) -> None:
    parts = {key: part(stored, f"flow/unlabelled/{key}/") for key in ("body", "generator_head")}
    convert("omnilearned", checkpoint=save(parts), output=tmp_path / "model")
    path = generate(tmp_path / "model", n=4, output=tmp_path / "made", like=jet_store.path, steps=2)
    numbers = jet_store.lengths("constituent", jet_store.split("test"))[:4]
    assert (Store.open(path).lengths("constituent") == numbers).all()


def test_conversion_is_the_same_every_time(
    generating: dict[str, Any], save: Callable[[object], Path], tmp_path: Path
) -> None:
    file = save(generating)
    states = [
        convert("omnilearned", checkpoint=file, output=tmp_path / name).network.state_dict() for name in "ab"
    ]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda c: {
                **c,
                "body": {k: v for k, v in c["body"].items() if "time" not in k and "MPF" not in k},
            },
            "knows no time",
        ),
        (
            lambda c: {**c, "generator_head": {**c["generator_head"], "out.weight": torch.zeros(7, 8)}},
            "makes 7 features",
        ),
    ],
)
def test_other_generators_are_left_out(
    generating: dict[str, Any],
    save: Callable[[object], Path],
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
    reason: str,
) -> None:
    model = convert("omnilearned", checkpoint=save(change(generating)), output=tmp_path / "model")
    assert "head was left out" in model.provenance["converted_from"]["note"]
    assert reason in (tmp_path / "model" / "card.md").read_text()
    assert Model.load(tmp_path / "model").network.generator is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda head: {k: v for k, v in head.items() if "fc.0" not in k}, "not a generator head"),
        (
            lambda head: {**head, "extra.weight": torch.zeros(1)},
            "(?s)generator head is not of OmniLearned.*Unexpected key",
        ),
        (
            lambda head: {**head, "pid_embed.0.weight": torch.zeros(5, 8)},
            "classifier head of this checkpoint has 3 classes and its generator head 5",
        ),
    ],
)
def test_damaged_generators(
    generating: dict[str, Any],
    save: Callable[[object], Path],
    tmp_path: Path,
    change: Callable[[State], object],
    message: str,
) -> None:
    changed = {**generating, "generator_head": change(generating["generator_head"])}
    with pytest.raises(ModelError, match=message):
        convert("omnilearned", checkpoint=save(changed), output=tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_nothing_is_executed(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "touched",))

    path = tmp_path / "best_model_test.pt"
    path.write_bytes(pickle.dumps({"body": Harmful()}))
    with pytest.raises(ModelError, match="never done here"):
        convert("omnilearned", checkpoint=path, output=tmp_path / "model")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {"state_dict": c["body"]}, "expected a checkpoint of OmniLearned.*it holds state_dict"),
        (lambda c: [1], "it holds no dict"),
        (lambda c: {"body": {"token": c["body"]["token"]}}, "lacks embed.mlp.fc1.weight"),
        (lambda c: {**c, "body": {**c["body"], "embed.mlp.fc1.weight": torch.zeros(32, 7)}}, "7 kinematic"),
        (
            lambda c: {**c, "body": {**c["body"], "add_embed.0.fc1.weight": torch.zeros(32, 17)}},
            "17 additional",
        ),
        (
            lambda c: {**c, "body": {**c["body"], "pid_embed.0.weight": torch.zeros(6, 16)}},
            "6 particle types",
        ),
        (lambda c: {**c, "body": {**c["body"], "extra.weight": torch.zeros(1)}}, "Unexpected key"),
        (
            lambda c: {**c, "body": {k: v for k, v in c["body"].items() if "interaction" not in k}},
            "do not tell the number of heads",
        ),
        (
            lambda c: {**c, "body": {k: v for k, v in c["body"].items() if "pid_embed" not in k}},
            "no particle",
        ),
        (
            lambda c: {**c, "body": {**c["body"], "cond_embed.0.fc1.weight": torch.zeros(16, 3)}},
            "3 global features",
        ),
    ],
)
def test_other_files(
    checkpoint: dict[str, Any],
    save: Callable[[object], Path],
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
    message: str,
) -> None:
    with pytest.raises(ModelError, match=message):
        convert("omnilearned", checkpoint=save(change(checkpoint)), output=tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_wrong_number_of_names(
    checkpoint: dict[str, Any], save: Callable[[object], Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="3 classes, but 2 names"):
        convert("omnilearned", checkpoint=save(checkpoint), output=tmp_path / "model", classes=["a", "b"])
