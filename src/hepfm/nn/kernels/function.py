"""What functions with a gradient of their own share: the call, which torch leaves untyped, and the output."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def call(function: type[Function], *arguments: Any) -> Any:
    """Return what a function makes of its arguments, with its own gradient."""
    return function.apply(*arguments)  # type: ignore[no-untyped-call]


def as_output(x: Tensor) -> Tensor:
    """Return a tensor that a function has just made, no longer as a view of another.

    torch refuses to change in place what a function returns as a view, and callers of layers may do so.
    """
    own: Tensor = torch.ops.aten._unsafe_view(x, x.shape)
    return own
