"""Density of the bank as a Gaussian mixture."""

from __future__ import annotations

import warnings
from typing import ClassVar

from pydantic import PositiveFloat, PositiveInt

from hepfm.core.config import Config as BaseConfig
from hepfm.core.log import logger
from hepfm.metrics.predictions import FloatArray
from hepfm.tasks.anomaly_scores.base import AnomalyScore, check_bank


class MixtureDensityConfig(BaseConfig):
    """Options of `MixtureDensity`.

    Attributes
    ----------
    components
        Number of Gaussians with full covariances; 4 in jBOT's public code (2601.11719).
    floor
        What is added to the diagonals of the covariances, as a part of the mean variance of the bank.
    seed
        Of the start of the fit.
    """

    components: PositiveInt = 4
    floor: PositiveFloat = 1e-4
    seed: int = 0


class MixtureDensity(AnomalyScore):
    """Negative logarithm of the density of a Gaussian mixture that is fitted to the bank."""

    Config: ClassVar[type[BaseConfig]] = MixtureDensityConfig
    config: MixtureDensityConfig

    def fit(self, bank_RD: FloatArray) -> None:
        """Fit the mixture."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture  # two seconds to import

        config = self.config
        check_bank(bank_RD, max(2, config.components), "components")
        floor = max(config.floor * float(bank_RD.var(axis=0).mean()), 1e-12)  # vectors may all be equal
        mixture = GaussianMixture(config.components, reg_covar=floor, random_state=config.seed, max_iter=300)
        with warnings.catch_warnings():  # the start warns of equal vectors, which a mixture can be fitted to
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.mixture = mixture.fit(bank_RD)
        if not mixture.converged_:
            logger.warning("the Gaussian mixture did not converge in %d iterations", mixture.max_iter)

    def __call__(self, x_RD: FloatArray) -> FloatArray:
        """Return the negative log density of each row, shape (R,)."""
        density: FloatArray = self.mixture.score_samples(x_RD)
        return -density
