"""Where a network computes."""

from __future__ import annotations

import torch

from hepfm.core.errors import ConfigError


def pick_device(name: str, local_rank: int = 0, *, option: str = "train.device") -> torch.device:
    """Return the device called ``"auto"`` (CUDA where there is one), ``"cpu"`` or ``"cuda"``.

    Parameters
    ----------
    name
        The name.
    local_rank
        Number of the CUDA device.
    option
        What the name was given as, for messages.

    Raises
    ------
    ConfigError
        For another name, and for CUDA where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"{option} is {name!r}; expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"{option} is 'cuda' and torch finds no CUDA device here; use {option}=cpu or {option}=auto"
        )
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", local_rank)
