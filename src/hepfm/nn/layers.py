"""A list of layers of one kind that says which."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from torch import nn

L = TypeVar("L", bound=nn.Module)


class Layers(nn.ModuleList, Generic[L]):
    """A `torch.nn.ModuleList` whose entries are known to be of one class."""

    def __iter__(self) -> Iterator[L]:
        return super().__iter__()  # type: ignore[return-value]
