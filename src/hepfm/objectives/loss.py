"""The loss of a part of a step: sums and what they are divided by, so that parts add up to the whole step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
import torch.distributed
import torch.distributed.nn.functional as differentiable
from torch import Tensor

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

    def over_processes(self, processes: int) -> Term:
        """Return the term with what all processes hold of it, where it is a statistic of the whole step."""
        total = self.total if processes == 1 else differentiable.all_reduce(self.total)  # type: ignore[no-untyped-call]
        return replace(self, total=total)

    def detached(self) -> Term:
        """Return the term without its graph, in double precision: many parts are added up."""
        return replace(self, total=self.total.detach().double(), count=self.count.double())


@dataclass(frozen=True)
class Joined(Term):
    """A statistic that needs each row of the whole step, not their sum: `total` has one entry per row.

    `statistic` is given all entries, (R, ...) in any order, and the count.
    """

    def number(self, count: Tensor | None = None) -> Tensor:
        """Return the statistic; see `Term.number`."""
        assert self.statistic is not None
        return self.statistic(self.total, self.count if count is None else count)

    def __add__(self, other: Term) -> Joined:
        return replace(self, total=torch.cat([self.total, other.total]), count=self.count + other.count)

    def over_processes(self, processes: int) -> Joined:
        """Return the term with the rows of all processes, of which each may hold another number."""
        if processes == 1:
            return self
        own = torch.tensor(len(self.total), device=self.total.device)
        lengths = [torch.zeros_like(own) for _ in range(processes)]
        torch.distributed.all_gather(lengths, own)
        longest = max(int(length) for length in lengths)
        padding = self.total.new_zeros(longest - len(self.total), *self.total.shape[1:])
        parts = differentiable.all_gather(torch.cat([self.total, padding]))  # type: ignore[no-untyped-call]
        rows = [part[: int(length)] for part, length in zip(parts, lengths, strict=True)]
        return replace(self, total=torch.cat(rows))


@dataclass(frozen=True)
class Loss:
    """The terms of a loss by name; what is minimised is the sum of their numbers times their weights."""

    terms: Mapping[str, Term]

    def __add__(self, other: Loss) -> Loss:
        return Loss({name: term + other.terms[name] for name, term in self.terms.items()})

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
        shares = []
        for name, term in self.terms.items():
            if term.weight and term.statistic is None:
                shares.append(term.weight * processes * term.number(counts[name]))
            elif term.weight:
                whole = term.over_processes(processes)
                shares.append(term.weight * whole.number(counts[name]))
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
