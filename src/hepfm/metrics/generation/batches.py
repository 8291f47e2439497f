"""JetNet's way of quoting W1: batches drawn with replacement, mean and standard deviation over batches.

W1M, W1P and W1EFP of R. Kansal et al., 2106.11535, as the package jetnet computes them: five batches of
50,000 jets, drawn with replacement from each sample. A jet drawn k times has weight k. The standard deviation
over batches says how far the draw moves the number; it is not the error of the test set.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.rng import numpy_generator
from hepfm.metrics.bootstrap import Statistic
from hepfm.metrics.generation.efp import FOUR_NODES
from hepfm.metrics.generation.jets import JetSample
from hepfm.metrics.generation.two_sample import with_error
from hepfm.metrics.generation.wasserstein import w1_statistic
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.physics.kinematics import four_momentum, mass_of

BATCHES, BATCH_SIZE = 5, 50_000
INTERVAL = f"spread of {BATCHES} batches of {BATCH_SIZE} drawn with replacement (standard deviation)"


def relative_mass(jets: JetSample) -> FloatArray:
    """Return the mass of the sum of massless constituents with relative coordinates, in units of jet pT."""
    eta, phi, pt = jets.relative.T
    return mass_of(jets.sum(four_momentum(pt, eta, phi, pt * np.cosh(eta)))).astype(np.float64)


def w1m(reference: JetSample, other: JetSample, *, seed: int = 0) -> Measurement:
    """Measure W1 of the relative mass."""
    masses = relative_mass(reference), relative_mass(other)
    return _over_batches([w1_statistic(*masses)], (reference, other), "w1m.jetnet.v1", seed)


def w1p(reference: JetSample, other: JetSample, *, seed: int = 0) -> Measurement:
    """Measure the mean W1 of eta_rel, phi_rel and pt_rel of constituents, padding left out."""
    statistics = [_of_constituents(reference, other, column) for column in range(3)]
    return _over_batches(statistics, (reference, other), "w1p.jetnet.v1", seed)


def w1efp(
    reference: Mapping[str, FloatArray], other: Mapping[str, FloatArray], *, seed: int = 0
) -> Measurement:
    """Measure the mean W1 of the five connected polynomials of four nodes and four edges.

    Parameters
    ----------
    reference, other
        What `hepfm.metrics.generation.efp.connected_efps` returns.
    """
    statistics = [w1_statistic(reference[name], other[name]) for name in FOUR_NODES]
    samples = reference[FOUR_NODES[0]], other[FOUR_NODES[0]]
    return _over_batches(statistics, samples, "w1efp.jetnet.v1", seed)


def _of_constituents(reference: JetSample, other: JetSample, column: int) -> Statistic:
    """Return W1 of one constituent feature as a function of the weights of jets."""
    inner = w1_statistic(reference.relative[:, column], other.relative[:, column])
    lengths = np.concatenate([reference.lengths, other.lengths])
    return lambda weights: inner(np.repeat(weights, lengths))


def _over_batches(
    statistics: list[Statistic],
    samples: tuple[JetSample | FloatArray, JetSample | FloatArray],
    definition: str,
    seed: int,
) -> Measurement:
    sizes = len(samples[0]), len(samples[1])
    if min(sizes) == 0:
        raise DataError("a sample without jets: nothing to measure")
    rng = numpy_generator(seed, f"metrics.{definition}")
    values = []
    for _ in range(BATCHES):
        weights = np.concatenate([draw_counts(rng, size, BATCH_SIZE) for size in sizes]).astype(np.float64)
        values.append(float(np.mean([statistic(weights) for statistic in statistics])))
    mean, std = float(np.mean(values)), float(np.std(values))
    return with_error(mean, std, n=min(sizes), definition=definition, interval=INTERVAL)


def draw_counts(rng: np.random.Generator, n: int, size: int) -> IntArray:
    """Return how often each of n rows is drawn when `size` are drawn with replacement, shape (n,)."""
    return np.bincount(rng.integers(0, n, size), minlength=n).astype(np.int64)
