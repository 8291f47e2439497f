"""Coverage and minimum matching distance of generated jets by the energy mover's distance.

P. Komiske, E. Metodiev, J. Thaler, 1902.02346, with R = 1 and pT not normalised: the least cost of turning
one jet into the other plus the difference of their sums of pT_rel. It is an optimal transport with one more
constituent on the lighter side, at distance R from all others; POT solves it. Coverage and MMD as in
R. Kansal et al., 2106.11535: between equally many jets of both samples, MMD is the mean over reference jets
of the distance to the nearest generated one, coverage the fraction of reference jets that are the nearest one
of some generated jet. Both depend on how many jets are compared, which the identifier therefore names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.errors import DataError, missing_extra
from hepfm.core.rng import numpy_generator
from hepfm.metrics.generation.jets import JetSample
from hepfm.metrics.generation.two_sample import with_error
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray

RADIUS = 1.0


@dataclass(frozen=True)
class EmdBatches:
    """How many jets are compared with how many.

    Attributes
    ----------
    jets
        Jets of each sample in a batch, drawn with replacement; 100 in JetNet's tables.
    batches
        Number of batches; 10 in JetNet's tables. The error is the standard deviation over them.
    """

    jets: int = 100
    batches: int = 10


def coverage_and_mmd(
    reference: JetSample, other: JetSample, *, batches: EmdBatches, seed: int = 0
) -> tuple[Measurement, Measurement]:
    """Measure coverage and minimum matching distance.

    Raises
    ------
    DataError
        When a sample has fewer jets than a batch.
    """
    rng = numpy_generator(seed, "metrics.emd")
    smaller = min(len(reference), len(other))
    if smaller < batches.jets:
        raise DataError(
            f"coverage compares {batches.jets} jets with {batches.jets}, "
            f"a sample has only {smaller}; generate more"
        )
    values = []
    for _ in range(batches.batches):
        drawn = [sample.take(rng.choice(len(sample), size=batches.jets)) for sample in (reference, other)]
        values.append(of_distances(emd_matrix(drawn[1], drawn[0])))
    means, errors = np.mean(values, axis=0), np.std(values, axis=0)
    size = f"{batches.jets}x{batches.batches}"
    interval = f"spread of {batches.batches} batches of {batches.jets} (standard deviation)"
    coverage, mmd = (
        with_error(
            float(mean),
            float(error),
            n=batches.jets,
            definition=f"{name}.emd_r1.{size}.v1",
            interval=interval,
            maximum=maximum,
        )
        for name, mean, error, maximum in zip(("coverage", "mmd"), means, errors, (1.0, np.inf), strict=True)
    )
    return coverage, mmd


def of_distances(distances: FloatArray) -> tuple[float, float]:
    """Return coverage and MMD of a matrix of distances, shape (generated, reference)."""
    nearest = np.unique(distances.argmin(axis=1))
    return len(nearest) / distances.shape[1], float(distances.min(axis=0).mean())


def emd_matrix(a: JetSample, b: JetSample) -> FloatArray:
    """Return the distance of every jet of `a` to every jet of `b`, shape (len(a), len(b))."""
    ot = _import_pot()
    left = [a.relative[i:j] for i, j in zip(a.offsets[:-1], a.offsets[1:], strict=True)]
    right = [b.relative[i:j] for i, j in zip(b.offsets[:-1], b.offsets[1:], strict=True)]
    return np.array([[_emd(ot, x, y) for y in right] for x in left])


def _emd(ot: Any, x: FloatArray, y: FloatArray) -> float:
    """Return the distance of two jets of (eta_rel, phi_rel, pt_rel)."""
    excess = x[:, 2].sum() - y[:, 2].sum()
    if excess < 0:
        x, y, excess = y, x, -excess
    cost = np.full((len(x), len(y) + 1), RADIUS)
    difference = x[:, None, :2] - y[None, :, :2]
    cost[:, :-1] = np.sqrt((difference**2).sum(axis=-1)) / RADIUS
    sums_x, sums_y = x[:, 2].copy(), np.append(y[:, 2], excess)
    # Both sums are equal by construction; POT's check of it takes a fifth of the time.
    return float(ot.emd2(sums_x, sums_y, cost, center_dual=False, check_marginals=False))


def _import_pot() -> Any:
    try:
        import ot
    except ImportError:
        raise missing_extra("POT", "eval") from None
    return ot
