"""Tensors in safetensors files, with errors that say what is wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from hepfm.core.errors import HepfmError, ModelError
from hepfm.core.guards import regular_file, words


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors; problems of the disk raise `OSError` with their number."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        safetensors.torch.save_file(plain, path)
    except safetensors.SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


@torch.no_grad()
def rounded_to_half(module: nn.Module) -> dict[str, Tensor]:
    """Round the parameters of a module to float16, in place, and return them in that type by their names.

    Raises
    ------
    ModelError
        When one is beyond the range of float16.
    """
    halves = {name: parameter.half() for name, parameter in module.named_parameters()}
    beyond = [name for name, half in halves.items() if not torch.isfinite(half).all()]
    if beyond:
        raise ModelError(f"{', '.join(beyond[:4])}: beyond the range of float16; save in float32")
    for name, parameter in module.named_parameters():
        parameter.copy_(halves[name])
    return halves


def load_tensors(path: Path, error: type[HepfmError] = ModelError) -> dict[str, Tensor]:
    """Read tensors; a missing or damaged file raises `error` with its path."""
    regular_file(path, error)
    try:
        return safetensors.torch.load_file(path)
    except Exception as problem:
        raise error(f"{path} is damaged: {words(problem)}") from problem


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], *, where: Path) -> None:
    """Set every parameter and buffer of `module`; raise `ModelError` for a missing, extra or reshaped one."""
    expected = module.state_dict()
    problems = [f"{name} is missing" for name in expected if name not in tensors]
    problems += [f"{name} is not of this architecture" for name in tensors if name not in expected]
    problems += [
        f"{name} has shape {tuple(tensors[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    if problems:
        raise ModelError(f"{where} does not fit the network of its config: {'; '.join(problems[:8])}")
    module.load_state_dict(dict(tensors))
