"""Checkpoints of weaver-core become model directories; nothing in them is executed."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from hepfm.cli.main import group
from hepfm.core.errors import ModelError
from hepfm.models.convert import convert
from hepfm.models.convert.weaver import map_weights, read_checkpoint
from hepfm.models.directory import Model

State = dict[str, Tensor]
FIXTURE = Path(__file__).parents[1] / "backbones" / "weaver_particle_transformer.npz"


@pytest.fixture
def state() -> State:
    """A small weaver state dict with seven features and three classes."""
    with np.load(FIXTURE) as arrays:
        names = [name for name in arrays.files if name.startswith("state/")]
        state = {name.removeprefix("state/"): torch.from_numpy(arrays[name]) for name in names}
    generator = torch.Generator().manual_seed(0)
    for name in [name for name in state if name.startswith(("embed.input_bn", "embed.embed.0."))]:
        state[name] = torch.rand(7, generator=generator) if state[name].ndim else state[name]
    state["embed.embed.1.weight"] = torch.randn(16, 7, generator=generator)
    return state


@pytest.fixture
def save(tmp_path: Path) -> Callable[[object], Path]:
    """Write an object as a checkpoint file."""

    def write(value: object) -> Path:
        path = tmp_path / "network.pt"
        torch.save(value, path)
        return path

    return write


@pytest.mark.parametrize("prefix", ["", "mod.", "module.mod."])
def test_convert(state: State, save: Callable[[object], Path], tmp_path: Path, prefix: str) -> None:
    path = save({prefix + name: value for name, value in state.items()})
    written = convert("weaver", checkpoint=path, output=tmp_path / "model", classes=["QCD", "W", "top"])
    model = Model.load(tmp_path / "model")
    assert model.features.name == "kin"
    assert model.classes == {"jet_label": ("QCD", "W", "top")}
    assert model.backbone.config == map_weights(state).config
    weights = model.network.state_dict()
    assert torch.equal(weights["heads.jet_label.linear.weight"], state["fc.0.weight"])
    assert torch.equal(weights["backbone.blocks.1.feedforward.contract.weight"], state["blocks.1.fc2.weight"])
    assert all(torch.equal(value, weights[name]) for name, value in written.network.state_dict().items())


def test_old_names_of_the_projections(state: State) -> None:
    old = {
        name.replace("in_proj.weight", "in_proj_weight").replace("in_proj.bias", "in_proj_bias"): value
        for name, value in state.items()
    }
    assert old.keys() != state.keys()
    assert map_weights(old).backbone.keys() == map_weights(state).backbone.keys()


def test_command(state: State, save: Callable[[object], Path], tmp_path: Path) -> None:
    arguments = [
        "convert",
        "weaver",
        str(save(state)),
        "-o",
        str(tmp_path / "model"),
        "--classes",
        "QCD,W,top",
    ]
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == 0, result.output
    assert f"next: hepfm check {tmp_path / 'model'}" in result.output
    Model.load(tmp_path / "model")


class Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return Path.touch, (self.path,)


def test_pickles_are_not_executed(save: Callable[[object], Path], tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    with pytest.raises(ModelError, match="never done here"):
        read_checkpoint(save({"weight": Trap(trace)}))
    bare = tmp_path / "bare.pt"
    bare.write_bytes(pickle.dumps(Trap(trace)))
    with pytest.raises(ModelError, match="not a plain file of weights"):
        read_checkpoint(bare)
    assert not trace.exists()


def test_unreadable_files(save: Callable[[object], Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no checkpoint file"):
        read_checkpoint(tmp_path / "absent.pt")
    with pytest.raises(ModelError, match="is a directory"):
        read_checkpoint(tmp_path)
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(ModelError, match="not a plain file of weights"):
        read_checkpoint(tmp_path / "text.pt")
    path = save({"weight": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ModelError, match="not a plain file of weights"):
        read_checkpoint(path)
    with pytest.raises(ModelError, match="a dict with epoch: int"):
        read_checkpoint(save({"epoch": 3}))
    with pytest.raises(ModelError, match="got a list"):
        read_checkpoint(save([torch.zeros(1)]))


def test_other_networks_are_refused(state: State) -> None:
    with pytest.raises(ModelError, match="lacks cls_token"):
        map_weights({"conv.weight": torch.zeros(1)})
    with pytest.raises(ModelError, match="version 2 or 3"):
        map_weights({**state, "blocks.0.fc1_g.weight": torch.zeros(1)})
    with pytest.raises(ModelError, match="surprise"):
        map_weights({**state, "surprise": torch.zeros(1)}).build()
    state.pop("blocks.1.fc2.bias")
    with pytest.raises(ModelError, match=r"feedforward\.contract\.bias"):
        map_weights(state).build()


def test_wrong_classes_or_features(state: State, save: Callable[[object], Path], tmp_path: Path) -> None:
    output = tmp_path / "model"
    with pytest.raises(ModelError, match="has 3 classes, but 10 names"):
        convert("weaver", checkpoint=save(state), output=output)
    for name in [name for name in state if name.startswith(("embed.input_bn", "embed.embed.0."))]:
        state[name] = torch.rand(5) if state[name].ndim else state[name]
    state["embed.embed.1.weight"] = torch.randn(16, 5)
    with pytest.raises(ModelError, match="no feature set has the checkpoint's 5 features; kin has 7"):
        convert("weaver", checkpoint=save(state), output=output, classes=["a", "b", "c"])
    assert not output.exists()
