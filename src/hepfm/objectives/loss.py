"""The loss of a part of a step: sums and what they are divided by, so that parts add up to the whole step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.distributed
import torch.distributed.nn.functional as differentiable
from torch import Tensor

if TYPE_CHECKING:
    from hepfm.objectives.together import Together

Statistic = Callable[[Tensor, Tensor], Tensor]
"""From the mean of what was summed, and the count, to a number."""


@dataclass(frozen=True)
class Term:
    """One named number of a loss.

    Attributes
    ----------
    total
        The sum over rows, or constituents, times their weights: a scalar, or what `statistic` needs of it.
    count
        The sum of the weights' magnitudes. With weights of both signs it stays away from zero, which the
        sum of the weights need not.
    weight
        Factor in what is minimised; 0 for a number that is only logged.
    statistic
        What the number is of the mean of the whole step, where it is not the mean itself.
    """

    total: Tensor
    count: Tensor
    weight: float = 1.0
    statistic: Statistic | None = None

    def number(self, count: Tensor | None = None) -> Tensor:
        """Return the number with a given count in place of its own; 0 where nothing counts."""
        count = self.count if count is None else count
        mean = self.total / count.clamp(min=torch.finfo(count.dtype).tiny)
        return mean if self.statistic is None else self.statistic(mean, count)

    def __add__(self, other: Term) -> Term:
        return replace(self, total=self.total + other.total, count=self.count + other.count)

    def share(self, count: Tensor, processes: int) -> Tensor:
        """Return a scalar whose gradient is this part's share of the whole step's; see `Loss.share`."""
        if self.statistic is None:
            return processes * self.number(count)
        return replace(self, total=_over_processes(self.total, processes)).number(count)

    def detached(self) -> Term:
        """Return the term without its graph, in double precision: many parts are added up."""
        return replace(self, total=self.total.detach().double(), count=self.count.double())


@dataclass(frozen=True)
class Loss:
    """The terms of a loss by name; what is minimised is the sum of their numbers times their weights."""

    terms: Mapping[str, Term | Together]

    def __add__(self, other: Loss) -> Loss:
        """Add up term by term; one that a part lacks, having no rows of its domain, is that of the other."""
        both = {name: term + other.terms[name] for name, term in self.terms.items() if name in other.terms}  # type: ignore[operator]
        return Loss({**self.terms, **other.terms, **both})

    @property
    def total(self) -> Tensor:
        """What is minimised, where this is all of the step."""
        return self.share({name: term.count for name, term in self.terms.items()})

    def share(self, counts: Mapping[str, Tensor], *, processes: int = 1) -> Tensor:
        """Return a scalar whose gradient is this part's share of the whole step's.

        Parameters
        ----------
        counts
            Count of the whole step by the name of each term that is minimised.
        processes
            Number of processes that hold parts of the step, whose gradients are averaged.
        """
        shares = [
            term.weight * term.share(counts[name], processes)
            for name, term in self.terms.items()
            if term.weight
        ]
        return torch.stack(shares).sum()

    def detached(self) -> Loss:
        """Return the loss without its graph, in double precision."""
        return Loss({name: term.detached() for name, term in self.terms.items()})

    def numbers(self) -> dict[str, float]:
        """Return ``"loss"`` and the number of every term, of detached terms."""
        numbers = {name: term.number() for name, term in self.terms.items()}
        loss = sum(term.weight * float(numbers[name]) for name, term in self.terms.items() if term.weight)
        return {"loss": float(loss), **{name: float(number) for name, number in numbers.items()}}


def mean(values: Tensor, weights: Tensor, *, weight: float = 1.0) -> Term:
    """Return the weighted mean of values as a term; entries of weight 0 may be arbitrary, even infinite."""
    values = torch.where(weights == 0, 0.0, values)
    return Term((values * weights).sum(), weights.abs().sum(), weight)


def logged(values: Tensor, weights: Tensor) -> Term:
    """Return the weighted mean of values as a term that is only logged."""
    return mean(values.detach(), weights, weight=0.0)


def added(losses: Iterable[Loss]) -> Loss:
    """Return the sum of the losses of parts; there must be one at least."""
    first, *others = losses
    for other in others:
        first = first + other
    return first


def _over_processes(total: Tensor, processes: int) -> Tensor:
    return total if processes == 1 else differentiable.all_reduce(total)  # type: ignore[no-untyped-call]
