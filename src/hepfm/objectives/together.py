"""Terms of a loss that are made of all rows of a step together, and are no sum over them.

A similarity matrix has an entry for every pair of rows: no sum over the rows of a part says what it
contributes. Here the rows' vectors themselves are kept, those of all parts and processes put one after the
other, and the number is computed of all of them at once. How a step is cut, and in which order its parts
come, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as differentiable
from torch import Tensor


@dataclass(frozen=True)
class StepRows:
    """V vectors of rows; a row has one for each of its views.

    Attributes
    ----------
    vectors_VE
        The vectors.
    identity_V
        What a vector stands for, int64: those of one number belong together.
    branch_V
        Which view it is of, int64.
    weights_V
        Weight of its row, at least 0.
    """

    vectors_VE: Tensor
    identity_V: Tensor
    branch_V: Tensor
    weights_V: Tensor

    @classmethod
    def of(cls, vectors_VE: Tensor, weights_V: Tensor) -> StepRows:
        """Return rows of one vector each, none of which belongs to another."""
        number_V = torch.arange(len(weights_V), device=weights_V.device)
        return cls(vectors_VE, number_V, torch.zeros_like(number_V), weights_V)

    def __len__(self) -> int:
        return len(self.identity_V)

    def __add__(self, other: StepRows) -> StepRows:
        return StepRows(
            *(torch.cat((getattr(self, x.name), getattr(other, x.name))) for x in fields(StepRows))
        )

    def counting(self) -> StepRows:
        """Return the vectors of rows that count, those whose weight is not 0, with a mean weight of 1."""
        kept = self.weights_V != 0
        weights_V = self.weights_V[kept]
        mean = weights_V.mean() if len(weights_V) else 1.0
        return StepRows(self.vectors_VE[kept], self.identity_V[kept], self.branch_V[kept], weights_V / mean)

    def detached(self) -> StepRows:
        """Return the vectors without their graph."""
        return replace(self, vectors_VE=self.vectors_VE.detach())

    def over_processes(self, processes: int) -> StepRows:
        """Return the vectors of all processes; the gradient finds its way back to each."""
        if processes == 1:
            return self
        sizes = torch.zeros(processes, dtype=torch.int64, device=self.identity_V.device)
        sizes[dist.get_rank()] = len(self)
        dist.all_reduce(sizes)
        ends = sizes.cumsum(0).tolist()
        place = slice(ends[dist.get_rank()] - len(self), ends[dist.get_rank()])
        return StepRows(*(_laid_out(getattr(self, x.name), place, ends[-1]) for x in fields(StepRows)))


@dataclass(frozen=True)
class Together:
    """One named number of a loss that is made of all rows of a step together.

    Attributes
    ----------
    rows
        The vectors of a part of the step, or of all of it.
    count
        The sum of the weights of its rows; nothing is divided by it.
    statistic
        The number; it is given vectors of rows that count, see `StepRows.counting`, and there may be none.
    weight
        Factor in what is minimised; 0 for a number that is only logged.
    """

    rows: StepRows
    count: Tensor
    statistic: Callable[[StepRows], Tensor]
    weight: float = 1.0

    def number(self, count: Tensor | None = None) -> Tensor:
        """Return the number, in single precision at least."""
        with torch.autocast(self.count.device.type, enabled=False):
            return self.statistic(self.rows.counting())

    def __add__(self, other: Together) -> Together:
        return replace(self, rows=self.rows + other.rows, count=self.count + other.count)

    def share(self, count: Tensor, processes: int) -> Tensor:
        """Return a scalar whose gradient is this part's share of the whole step's; see `Loss.share`."""
        return replace(self, rows=self.rows.over_processes(processes)).number()

    def detached(self) -> Together:
        """Return the term without its graph."""
        return replace(self, rows=self.rows.detached(), count=self.count.double())

    def over_processes(self, processes: int) -> Together:
        """Return the term of the rows of all processes, for the log."""
        return replace(self, rows=self.rows.over_processes(processes))


def _laid_out(column: Tensor, place: slice, total: int) -> Tensor:
    """Return the column of all processes: each puts its own at its place among zeros, and all are added."""
    buffer = column.new_zeros(total, *column.shape[1:])
    buffer = torch.cat((buffer[: place.start], column, buffer[place.stop :]))
    if column.is_floating_point():
        return differentiable.all_reduce(buffer)  # type: ignore[no-untyped-call]
    dist.all_reduce(buffer)
    return buffer
