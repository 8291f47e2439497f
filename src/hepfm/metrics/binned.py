"""Histograms compared: chi-squared with covariances, and the triangular discriminator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2 as chi2_distribution
from scipy.stats import f as f_distribution

Floats = npt.NDArray[np.float64]

_RELATIVE_RANK = 1e-10
"""Eigenvalues below this, relative to the largest, are directions in which nothing fluctuates."""


@dataclass(frozen=True)
class ChiSquared:
    """A chi-squared with its degrees of freedom and the probability of one at least as large."""

    value: float
    degrees: int
    p: float


def chi_squared(first: Floats, second: Floats, covariance: Floats) -> ChiSquared:
    """Compare two histograms, ``chi_squared.covariance.v1``: d^T C^-1 d.

    Parameters
    ----------
    first, second
        Contents of K bins.
    covariance
        Of their difference, (K, K). Directions without variance are left out, and so are their degrees of
        freedom: normalised histograms have one less than bins.
    """
    values, vectors = np.linalg.eigh(covariance)
    kept = values > _RELATIVE_RANK * max(float(values.max(initial=0.0)), np.finfo(float).tiny)
    degrees = int(kept.sum())
    if not degrees:
        return ChiSquared(float("nan"), 0, float("nan"))
    projected = vectors[:, kept].T @ (first - second)
    value = float((projected**2 / values[kept]).sum())
    return ChiSquared(value, degrees, float(chi2_distribution.sf(value, degrees)))


def replica_chi_squared(
    first: Floats, second: Floats, replicas: Floats, known: Floats | None = None
) -> ChiSquared:
    """Compare two histograms with a covariance that is estimated from n replicas,
    ``chi_squared.replicas.v1``.

    The p-value is that of Hotelling's T^2 = d^T S^-1 d, of which T^2 (n - K)/(K (n - 1)) follows the F
    distribution with K and n - K degrees of freedom: the fluctuation of the covariance S is in it. The value
    is T^2 (n - K - 2)/(n - 1), whose mean is that of a chi-squared (Hartlap et al., astro-ph/0608064, Eq.
    17). With fewer than K + 3 replicas only the variances of the bins are used: their correlations are not
    known.

    Parameters
    ----------
    first, second
        Contents of K bins.
    replicas
        Of the first, (n, K).
    known
        Further variances of the bins, that no replica estimates. The p-value is then approximate.
    """
    count, bins = replicas.shape
    covariance = np.cov(replicas, rowvar=False).reshape(bins, bins)
    if known is not None:
        covariance = covariance + np.diag(known)
    if count <= bins + 2:
        return chi_squared(first, second, np.diag(np.diag(covariance)))
    found = chi_squared(first, second, covariance)
    degrees = found.degrees
    if not degrees:
        return found
    p = f_distribution.sf(found.value * (count - degrees) / (degrees * (count - 1)), degrees, count - degrees)
    return ChiSquared(found.value * (count - degrees - 2) / (count - 1), degrees, float(p))


def triangular_discriminator(first: Floats, second: Floats) -> float:
    """Return half the sum of (p - q)^2/(p + q) over bins of two histograms that are normalised to 1.

    ``triangular_discriminator.v1``: 0 for equal ones, 1 where they share no bin (2009.03796, Eq. 15); papers
    on unfolding print a thousand times this.

    >>> triangular_discriminator(np.array([1.0, 0.0]), np.array([0.0, 2.0]))
    1.0
    """
    p, q = first / first.sum(), second / second.sum()
    total = p + q
    return float(0.5 * ((p - q) ** 2 / np.where(total > 0, total, 1.0)).sum())
