"""k-means target: which of many centroids a hidden constituent is nearest to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

import numpy as np
import pydantic
import torch
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.core.errors import ConfigError
from hepfm.data.feature_names import KINEMATICS
from hepfm.networks.network import Network
from hepfm.objectives.masked_targets.base import (
    FeatureNames,
    Hidden,
    MaskedTarget,
    Shown,
    code_loss,
    columns,
)
from hepfm.tokenizers.codebook import CodeSearch, fit_codes


class KMeansConfig(Config):
    """Options of `KMeans`.

    Attributes
    ----------
    codes
        Number of centroids; 8192 in 2606.14870.
    label_smoothing
        Fraction of the target spread evenly over all codes; 0.1 in 2409.12589 and 2606.14870.
    features
        The features that centroids live in.
    scale
        Factor of a standardised feature before distances are taken, by name; 1 for one that is not named.
    seed
        Of the fit.
    """

    codes: Annotated[int, pydantic.Field(ge=2)] = 8192
    label_smoothing: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.1
    # As in 2606.14870: types and impact parameters are seen, and not asked for.
    features: FeatureNames = KINEMATICS
    scale: Mapping[str, Annotated[float, pydantic.Field(gt=0)]] = {}
    seed: int = 0


class KMeans(MaskedTarget):
    """Cross-entropy of the nearest centroid, fitted before the first step (2401.13537, 2409.12589).

    Features that a constituent does not have are zero in the fit and where the nearest is looked for, so that
    those of neutral constituents tell them from charged ones and nothing else.
    """

    Config: ClassVar[type[Config]] = KMeansConfig
    centroids_CK: Tensor
    fitted: Tensor
    scale_K: Tensor

    def __init__(self, config: KMeansConfig, network: Network, *, width: int) -> None:
        super().__init__()
        self.config = config
        self.columns = columns(config.features, network.feature_set)
        self.linear = nn.Linear(width, config.codes)
        self.search = CodeSearch()
        unknown = sorted(set(config.scale) - set(config.features))
        if unknown:
            raise ConfigError(
                f"objective.targets: scale names {', '.join(unknown)}, not among the features "
                f"{', '.join(config.features)}"
            )
        scale = [float(config.scale.get(name, 1.0)) for name in config.features]
        self.register_buffer("scale_K", torch.tensor(scale), persistent=False)
        self.register_buffer("centroids_CK", torch.zeros(config.codes, len(scale)))
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, parts: Iterable[Tensor]) -> None:
        """Place the centroids by mini-batch k-means; raise `DataError` for more codes than constituents."""
        points = np.concatenate([self._space(part).cpu().numpy() for part in parts])
        codes, seed = self.config.codes, self.config.seed
        fitted = fit_codes(points, codes, seed=seed, where="objective.targets: kmeans: codes")
        self.centroids_CK.copy_(torch.from_numpy(fitted))
        self.fitted.fill_(True)

    def loss(self, hidden: Hidden, shown: Shown) -> Tensor:
        """Return the cross-entropy of each constituent, (B, M)."""
        codes_BM = self.assign(hidden.x_BMF)
        return code_loss(self.linear(shown.vectors), codes_BM, smoothing=self.config.label_smoothing)

    @torch.no_grad()
    def assign(self, x_BMF: Tensor) -> Tensor:
        """Return the number of the nearest centroid of each constituent, (B, M)."""
        if not self.fitted:
            raise ValueError("k-means targets: fit the centroids before the first loss")
        return self.search.nearest(self._space(x_BMF).flatten(0, -2), self.centroids_CK).view(
            x_BMF.shape[:-1]
        )

    def _space(self, x: Tensor) -> Tensor:
        return x[..., self.columns].float() * self.scale_K
