"""Frechet ParticleNet distance of JetNet's gluon, top and light-quark jets (R. Kansal et al., 2106.11535).

``fpnd.jetnet30.v1``: the 30 hardest constituents, scaled as the package jetnet does, give 256 activations of
its ParticleNet; the Frechet distance of their Gaussian fit to that of 50,000 real jets, which the package
carries. It is biased upwards for small samples: 256 means and 32,896 covariances are estimated from them.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from hepfm.core.errors import DataError
from hepfm.core.rng import numpy_generator
from hepfm.metrics.generation.batches import draw_counts
from hepfm.metrics.generation.frechet import Gaussian, frechet_distance
from hepfm.metrics.generation.jets import JetSample
from hepfm.metrics.generation.particlenet import CONSTITUENTS, FpndNetwork, load_particlenet, resources
from hepfm.metrics.generation.two_sample import with_error
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray

DEFINITION = "fpnd.jetnet30.v1"
CLASSES = ("g", "q", "t")
"""Classes whose statistics the package carries."""
MAX_JETS = 50_000
MIN_JETS = 300
RESAMPLES = 20
_LARGEST = (1.6211985349655151, 0.520724892616272, 0.8934717178344727)
_SHIFT = (0.0, 0.0, -0.5)
_BATCH = 64


def fpnd(jets: JetSample, name: str, *, seed: int = 0) -> Measurement:
    """Measure the distance of at most the first 50,000 jets to JetNet's real jets of class `name`.

    The error is the standard deviation over 20 resamples with replacement.

    Raises
    ------
    DataError
        When the package has no statistics of the class, or there are fewer than 300 jets.
    MissingExtraError
        When the package jetnet is not installed.
    """
    if name not in CLASSES:
        raise DataError(f"FPND exists for the JetNet classes {', '.join(CLASSES)}, not for {name!r}")
    if len(jets) < MIN_JETS:
        raise DataError(f"FPND of {len(jets)} jets has no meaning; generate at least {MIN_JETS}")
    activations_JA = activations(load_particlenet(), jets.take(np.arange(min(len(jets), MAX_JETS))))
    n = len(activations_JA)
    real = Gaussian.of(*real_moments(name))
    rng = numpy_generator(seed, "metrics.fpnd")
    draws = [
        frechet_distance(real, Gaussian.fit(activations_JA, draw_counts(rng, n, n))) for _ in range(RESAMPLES)
    ]
    value = frechet_distance(real, Gaussian.fit(activations_JA))
    interval = f"bootstrap of generated jets, standard deviation ({RESAMPLES})"
    return with_error(value, float(np.std(draws, ddof=1)), n=n, definition=DEFINITION, interval=interval)


def activations(network: FpndNetwork, jets: JetSample) -> FloatArray:
    """Return the activations of jets, shape (J, 256), of a network that is in evaluation mode."""
    scaled = jets.padded(CONSTITUENTS) / np.array(_LARGEST) + np.array(_SHIFT)
    with torch.inference_mode():
        parts = [network(part) for part in torch.split(torch.from_numpy(scaled).float(), _BATCH)]
    return torch.cat(parts).double().numpy()


@functools.cache
def real_moments(name: str) -> tuple[FloatArray, FloatArray]:
    """Return mean and covariance of the activations of JetNet's real jets, from the package jetnet."""
    folder = resources()
    return np.loadtxt(folder / f"{name}_mu.txt"), np.loadtxt(folder / f"{name}_sigma.txt")
