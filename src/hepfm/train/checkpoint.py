"""Checkpoints: a directory per step with tensors as safetensors and the rest as JSON; never half-written."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hepfm.core.config import fingerprint
from hepfm.core.errors import HepfmError, TrainingError
from hepfm.core.files import atomic_path, read_json_object, sha256, write_json
from hepfm.core.guards import member
from hepfm.models.weights import load_tensors, save_tensors

_PREFIX = "step-"

SAME = "same"
"""What ``state.json`` calls the names of tensors that are written under another name."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step` optimizer steps: named tensors, and JSON-ready values."""

    step: int
    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with ``name.``, without that prefix."""
        prefix = f"{name}."
        return {
            key.removeprefix(prefix): tensor for key, tensor in self.tensors.items() if key.startswith(prefix)
        }


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return the directory of a step's checkpoint."""
    return folder / f"{_PREFIX}{step:08d}"


def checkpoint_steps(folder: Path) -> list[int]:
    """Return the steps that have a complete checkpoint, rising."""
    numbers = [path.name.removeprefix(_PREFIX) for path in folder.glob(f"{_PREFIX}*")]
    return sorted(int(number) for number in numbers if number.isdecimal())


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; when that fails, the earlier ones stay and the error names the last."""
    path = checkpoint_path(folder, checkpoint.step)
    try:
        with atomic_path(path) as temporary:
            temporary.mkdir()
            others = same_in_memory(checkpoint.tensors)
            once = {name: value for name, value in checkpoint.tensors.items() if name not in others}
            save_tensors(temporary / "state.safetensors", once)
            values = {
                "step": checkpoint.step,
                "sha256": sha256(temporary / "state.safetensors"),
                **({SAME: others} if others else {}),
                **checkpoint.values,
            }
            write_json(temporary / "state.json", {**values, "checksum": fingerprint(values)})
    except HepfmError as error:
        raise TrainingError(f"{error}. Kept: {describe_last(folder)}") from error


def load_checkpoint(folder: Path, step: int) -> Checkpoint:
    """Read a checkpoint; raise `TrainingError` when it is missing or altered."""
    path = checkpoint_path(folder, step)
    try:
        values = read_json_object(member(path, "state.json", TrainingError), TrainingError)
        if values.pop("checksum", None) != fingerprint(values):
            raise TrainingError(f"{path / 'state.json'} was altered: its checksum does not fit")
        file = member(path, "state.safetensors", TrainingError)
        if sha256(file) != values["sha256"]:
            raise TrainingError(f"{file} was altered: its SHA-256 is not the one in state.json")
    except TrainingError as error:
        raise TrainingError(f"{error}; delete {path} to go on from the one before it") from None
    tensors = load_tensors(file, TrainingError)
    again = {name: tensors[first] for name, first in values.get(SAME, {}).items()}
    return Checkpoint(values["step"], {**tensors, **again}, values)


def same_in_memory(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the names of tensors that are one with an earlier one, shared by networks, and the name of that.

    >>> weight = torch.zeros(2)
    >>> same_in_memory({"jets.weight": weight, "events.weight": weight, "events.bias": torch.zeros(2)})
    {'events.weight': 'jets.weight'}
    """
    first: dict[tuple[object, ...], str] = {}
    same: dict[str, str] = {}
    for name, tensor in tensors.items():
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and first.setdefault(place, name) != name:
            same[name] = first[place]
    return same


def prune_checkpoints(folder: Path, *, keep: int, also: Iterable[int]) -> None:
    """Delete all but the last `keep` checkpoints and those of the steps in `also`."""
    steps = checkpoint_steps(folder)
    for step in set(steps[:-keep]) - set(also):
        shutil.rmtree(checkpoint_path(folder, step))


def describe_last(folder: Path) -> str:
    """Return words for the last complete checkpoint."""
    steps = checkpoint_steps(folder)
    return (
        f"the checkpoint of step {steps[-1]}, {checkpoint_path(folder, steps[-1])}"
        if steps
        else "no checkpoint yet"
    )


def pack_optimizer(
    optimizer: torch.optim.Optimizer, whole: Callable[[Tensor, Tensor], Tensor]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return an optimizer's state as named tensors and JSON-ready values.

    `whole` makes of a weight, and of a tensor kept for it, that tensor for the whole weight; see
    `hepfm.train.replicas.LearnerReplicas.whole`.
    """
    state = optimizer.state_dict()
    weights = _weights(optimizer)
    tensors = {
        f"{index}.{name}": whole(weights[index], value)
        for index, entries in sorted(state["state"].items())
        for name, value in entries.items()
        if isinstance(value, Tensor)
    }
    return tensors, {"groups": state["param_groups"]}


def unpack_optimizer(
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, Tensor],
    values: Mapping[str, Any],
    part: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Set an optimizer's state from what `pack_optimizer` returned; `part` undoes its `whole`."""
    weights = _weights(optimizer)
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = part(weights[int(index)], tensor)
    optimizer.load_state_dict({"state": state, "param_groups": values["groups"]})


def _weights(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return the weights in the order of the numbers that an optimizer's state gives them."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]
