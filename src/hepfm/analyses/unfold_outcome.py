"""The result of an unfolding: means over trainings, covariances from replicas, compared with what is
known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.analyses.unfold import BOOTSTRAP, FEWEST, NOMINAL, SYSTEMATIC
from hepfm.metrics.binned import ChiSquared, replica_chi_squared, triangular_discriminator

Floats = npt.NDArray[np.float64]
Projection = Mapping[str, Any]
"""What `hepfm.methods.unfolding.projections` returns."""


@dataclass(frozen=True)
class UnfoldedSpectrum:
    """One observable at particle level.

    Attributes
    ----------
    name, edges
        The observable and its K bins.
    unfolded, prior, bayesian
        Sums of weights: the result, the simulation before, D'Agostini's iteration.
    truth
        Of simulated data; None for real ones.
    replicas
        By kind the results of single runs, (n, K); of bootstrap replicas the truth is ``truths``.
    truths
        Of each bootstrap replica, (n, K); None without truth.
    bayesian_replicas
        D'Agostini's iteration in each bootstrap replica.
    data, folded, expected
        At detector level: the data, the simulation with and without the learned weights.
    """

    name: str
    edges: tuple[float, ...]
    unfolded: Floats
    prior: Floats
    bayesian: Floats
    truth: Floats | None
    replicas: Mapping[str, Floats]
    truths: Floats | None
    bayesian_replicas: Floats
    systematics: Mapping[str, Floats]
    data: Floats
    folded: Floats
    expected: Floats
    by_iteration: Floats

    @classmethod
    def of(
        cls, name: str, edges: tuple[float, ...], runs: Mapping[tuple[str, str], Projection]
    ) -> UnfoldedSpectrum:
        """Collect an observable from the projections of all runs."""
        kinds: dict[str, list[Projection]] = {NOMINAL: [], BOOTSTRAP: []}
        for (kind, _), projection in runs.items():
            kinds.setdefault(kind, []).append(projection)
        nominal, drawn = kinds[NOMINAL], kinds[BOOTSTRAP]
        first = nominal[0]
        unfolded = _stack(nominal, lambda one: one["unfolded"][-1][name])
        known = first["truth"] is not None
        depth = min(len(one["unfolded"]) for one in nominal)
        return cls(
            name=name,
            edges=edges,
            unfolded=unfolded.mean(axis=0),
            prior=np.asarray(first["prior"][name]),
            bayesian=np.asarray(first["bayesian"][name]),
            truth=np.asarray(first["truth"][name]) if known else None,
            replicas={
                NOMINAL: unfolded,
                BOOTSTRAP: _stack(drawn, lambda one: one["unfolded"][-1][name], len(edges) - 1),
            },
            truths=_stack(drawn, lambda one: one["truth"][name], len(edges) - 1) if known else None,
            bayesian_replicas=_stack(drawn, lambda one: one["bayesian"][name], len(edges) - 1),
            systematics={
                key: np.asarray(one["unfolded"][-1][name])
                for (kind, key), one in runs.items()
                if kind == SYSTEMATIC
            },
            data=np.asarray(first["data"][name]),
            folded=_stack(nominal, lambda one: one["folded"][-1][name]).mean(axis=0),
            expected=np.asarray(first["expected"][name]),
            by_iteration=np.mean(
                [[one["unfolded"][place][name] for place in range(depth)] for one in nominal], axis=0
            ),
        )

    @property
    def bootstrap_replicas(self) -> Floats:
        """The result in each bootstrap replica, (n, K)."""
        return self.replicas[BOOTSTRAP]

    @property
    def statistical(self) -> Floats | None:
        """Standard deviations over bootstrap replicas, (K,); None with too few."""
        drawn = self.bootstrap_replicas
        return drawn.std(axis=0, ddof=1) if len(drawn) >= FEWEST else None

    @property
    def training(self) -> Floats:
        """Standard deviations of the mean over trainings, (K,); 0 of a single one."""
        trained = self.replicas[NOMINAL]
        if len(trained) < 2:
            return np.zeros(trained.shape[1])
        return np.asarray(trained.std(axis=0, ddof=1) / np.sqrt(len(trained)))

    @property
    def systematic(self) -> Floats:
        """Root of the summed squares of the changes with other simulations, (K,)."""
        changes = [one - self.replicas[NOMINAL][0] for one in self.systematics.values()]
        return (
            np.asarray(np.sqrt(np.sum(np.square(changes), axis=0)))
            if changes
            else np.zeros(len(self.edges) - 1)
        )

    @property
    def total(self) -> Floats | None:
        """All uncertainties in quadrature, (K,)."""
        if self.statistical is None:
            return None
        return np.asarray(np.sqrt(self.statistical**2 + self.training**2 + self.systematic**2))

    def distance(self, result: Floats) -> float | None:
        """Return the triangular discriminator of a result and the truth."""
        return None if self.truth is None else triangular_discriminator(result, self.truth)

    @property
    def chi_squared(self) -> ChiSquared | None:
        """Of result and truth; the covariance is that of their difference over bootstrap replicas."""
        return self._compare(self.unfolded, self.bootstrap_replicas, self.training**2)

    @property
    def bayesian_chi_squared(self) -> ChiSquared | None:
        """The same of D'Agostini's iteration."""
        return self._compare(self.bayesian, self.bayesian_replicas, np.zeros(len(self.bayesian)))

    def _compare(self, result: Floats, replicas: Floats, known: Floats) -> ChiSquared | None:
        if self.truth is None or self.truths is None or len(replicas) < FEWEST:
            return None
        # Data and truth are the same events: what they have in common does not fluctuate between them.
        return replica_chi_squared(
            result - self.truth, np.zeros_like(self.truth), replicas - self.truths, known
        )


def _stack(projections: Sequence[Projection], pick: Any, bins: int = 0) -> Floats:
    if not projections:
        return np.zeros((0, bins))
    return np.asarray([pick(one) for one in projections], np.float64)
