"""How often intervals of an unfolding cover the truth, over toys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.analyses.unfold_outcome import UnfoldedSpectrum
from hepfm.metrics.binned import replica_chi_squared
from hepfm.metrics.bootstrap import ONE_SIGMA
from hepfm.metrics.intervals import clopper_pearson

Floats = npt.NDArray[np.float64]

LEVELS = (ONE_SIGMA, 0.95)
"""Of the intervals whose coverage is measured."""
FALSE = 0.05
"""The p-value that a toy is counted below."""
LEAST = 10.0
"""Expected events of a bin in a toy below which symmetric intervals are not asked to cover."""
METHODS = ("OmniFold", "binned")


@dataclass(frozen=True)
class Coverage:
    """Intervals of one method in one observable, of T toys and K bins.

    Attributes
    ----------
    observable, method
        Which; ``binned`` is D'Agostini's iteration.
    edges
        Of all bins of the observable.
    used
        Bins with enough events, (all bins,); K of them.
    pulls
        (result - truth) / uncertainty, (T, K).
    replicas
        Bootstrap replicas of each toy: the uncertainty is estimated from so many.
    p
        Of the joint chi-squared of each toy, (T,).
    bias
        Mean over toys of result - truth, relative to the truth, (K,).
    """

    observable: str
    method: str
    edges: tuple[float, ...]
    used: npt.NDArray[np.bool_]
    pulls: Floats
    replicas: int
    p: Floats
    bias: Floats

    def covers(self, level: float) -> npt.NDArray[np.bool_]:
        """Tell whether the interval of each toy and bin has the truth in it, (T, K).

        Intervals are those of Student's t: the uncertainty is estimated from few replicas.
        """
        from scipy.stats import t

        inside: npt.NDArray[np.bool_] = np.abs(self.pulls) < t.ppf((1 + level) / 2, self.replicas - 1)
        return inside

    def share(self, level: float) -> tuple[float, float]:
        """Return the share of intervals that cover, over all bins, and its standard error.

        Bins of a toy go together: the error is that of the mean of toys.
        """
        by_toy = self.covers(level).mean(axis=1)
        return float(by_toy.mean()), float(by_toy.std(ddof=1) / np.sqrt(len(by_toy)))

    def by_bin(self, level: float) -> tuple[Floats, Floats, Floats]:
        """Return the share of toys that cover in each bin, with the ends of its 68 % interval, (K,) each."""
        covered = self.covers(level)
        ends = np.array([clopper_pearson(count, len(covered)) for count in covered.sum(axis=0)])
        return covered.mean(axis=0), ends[:, 0], ends[:, 1]

    @property
    def offset(self) -> float:
        """Root mean square over bins of the mean pull, less what T toys fluctuate by: 0 without bias."""
        noise = self.pulls.var(axis=0, ddof=1) / len(self.pulls)
        return float(np.sqrt(max((self.pulls.mean(axis=0) ** 2 - noise).mean(), 0.0)))

    @property
    def width(self) -> float:
        """Root mean square over bins of the standard deviation of pulls over toys."""
        return float(np.sqrt(self.pulls.var(axis=0, ddof=1).mean()))

    @property
    def expected_width(self) -> float:
        """What `width` is where uncertainties are right: that of Student's t."""
        degrees = self.replicas - 1
        return float(np.sqrt(degrees / (degrees - 2))) if degrees > 2 else float("nan")

    @property
    def rejected(self) -> int:
        """Toys whose joint p-value is below `FALSE`."""
        return int((self.p < FALSE).sum())


def coverage(toys: Mapping[int, Mapping[str, UnfoldedSpectrum]], observable: str) -> list[Coverage]:
    """Return the coverage of each method in an observable.

    The truth of each toy is the mean of the truths of all: toys are equal parts of one sample.

    Parameters
    ----------
    toys
        The spectra of each toy by observable; all with bootstrap replicas and a truth.
    observable
        Which.
    """
    spectra = [one[observable] for one in toys.values()]
    truth = np.mean([one.truth for one in spectra if one.truth is not None], axis=0)
    used = truth >= LEAST
    found = []
    for method in METHODS:
        results = [_result(one, method) for one in spectra]
        errors = np.array([np.sqrt(replicas.var(axis=0, ddof=1) + known) for _, replicas, known in results])
        values = np.array([result for result, _, _ in results])
        kept = used & (errors > 0).all(axis=0)
        if not kept.any():
            continue
        p = [
            replica_chi_squared(result[kept], truth[kept], replicas[:, kept], known[kept]).p
            for result, replicas, known in results
        ]
        found.append(
            Coverage(
                observable,
                method,
                spectra[0].edges,
                kept,
                (values - truth)[:, kept] / errors[:, kept],
                min(len(replicas) for _, replicas, _ in results),
                np.asarray(p),
                (values.mean(axis=0) - truth)[kept] / truth[kept],
            )
        )
    return found


def _result(spectrum: UnfoldedSpectrum, method: str) -> tuple[Floats, Floats, Floats]:
    """Return result, bootstrap replicas, and the variance of training, of a method."""
    if method == "binned":
        return spectrum.bayesian, spectrum.bayesian_replicas, np.zeros(len(spectrum.bayesian))
    return spectrum.unfolded, spectrum.bootstrap_replicas, spectrum.training**2
