"""FPD and KPD of the high-level features of showers, on their own scale.

``fpd.showers.v1`` and ``kpd.showers.v1``: the extrapolation of `hepfm.metrics.generation.frechet` and the
batches of `hepfm.metrics.generation.kernel`, without their division by the largest value of the reference,
which for the last layers is that of a few showers.
"""

from __future__ import annotations

from hepfm.core.rng import numpy_generator
from hepfm.metrics.generation import frechet, kernel
from hepfm.metrics.generation.two_sample import with_error
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.showers.sample import Showers


def fpd(reference: Showers, other: Showers, *, seed: int = 0) -> Measurement:
    """Measure the Frechet physics distance of two samples."""
    features = reference.features(), other.features()
    frechet.check_features(*features)
    value, error = frechet.fpd_of(*features, rng=numpy_generator(seed, "metrics.fpd"))
    n = min(len(reference), len(other))
    return with_error(value, error, n=n, definition="fpd.showers.v1", interval=frechet.INTERVAL)


def kpd(reference: Showers, other: Showers, *, seed: int = 0) -> Measurement:
    """Measure the kernel physics distance of two samples."""
    features = reference.features(), other.features()
    frechet.check_features(*features)
    value, error = kernel.kpd_of(*features, rng=numpy_generator(seed, "metrics.kpd"))
    n = min(len(reference), len(other))
    return Measurement(value, value - error, value + error, n, "kpd.showers.v1", kernel.INTERVAL)
