"""The one call of functions with a gradient of their own: torch does not annotate it."""

from __future__ import annotations

from typing import Any

from torch.autograd import Function


def call(function: type[Function], *arguments: Any) -> Any:
    """Return what a function makes of its arguments, with its own gradient."""
    return function.apply(*arguments)  # type: ignore[no-untyped-call]
