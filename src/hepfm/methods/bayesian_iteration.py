"""Binned iterative unfolding after D'Agostini (Nucl. Instrum. Meth. A 362 (1995) 487), which is Richardson
and Lucy's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Response:
    """What the simulation says of a detector, in bins.

    Attributes
    ----------
    migration
        Weights of events at both levels, (detector bins, particle bins).
    generated
        Weights of all events at particle level, (particle bins,).
    fakes
        Weights of events at detector level alone, (detector bins,).
    """

    migration: Floats
    generated: Floats
    fakes: Floats

    @classmethod
    def of(
        cls,
        detector_bin: Index,
        particle_bin: Index,
        weights: Floats,
        *,
        bins: tuple[int, int],
        detected: npt.NDArray[np.bool_],
        generated: npt.NDArray[np.bool_],
    ) -> Response:
        """Count events; bins of a level at which an event does not exist are not looked at."""
        both = detected & generated
        migration = np.zeros(bins)
        np.add.at(migration, (detector_bin[both], particle_bin[both]), weights[both])
        fake = detected & ~generated
        return cls(
            migration,
            np.asarray(np.bincount(particle_bin[generated], weights[generated], bins[1]), np.float64),
            np.asarray(np.bincount(detector_bin[fake], weights[fake], bins[0]), np.float64),
        )


def bayesian_iteration(data: Floats, response: Response, *, iterations: int) -> Floats:
    """Return the unfolded numbers of events in the particle bins, starting from the simulation's.

    Parameters
    ----------
    data
        Events in the detector bins. What the simulation expects of fakes is part of the model that is
        compared with them.
    response
        The simulation.
    iterations
        Number of iterations.
    """
    truth = response.generated
    # P(detector bin | particle bin); its sum over detector bins is the efficiency.
    share = response.migration / np.where(truth > 0, truth, 1.0)
    efficiency = share.sum(axis=0)
    estimate = truth.astype(float)
    for _ in range(iterations):
        expected = share @ estimate + response.fakes
        ratio = np.divide(data, expected, out=np.zeros_like(expected), where=expected > 0)
        estimate = estimate * np.divide(
            share.T @ ratio, efficiency, out=np.zeros_like(estimate), where=efficiency > 0
        )
    return estimate
