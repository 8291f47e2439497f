"""k-means target: which of many centroids a removed constituent is nearest to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

import numpy as np
import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.core.config import Config
from hepfm.core.errors import ConfigError, DataError
from hepfm.core.ragged import Array
from hepfm.objectives.masked_targets.base import KINEMATICS, MaskedTarget, columns
from hepfm.objectives.masked_targets.regression import Features

_BLOCK = 4_000_000
"""Distances held at once (16 MB): memory does not grow with the batch times the codes."""


class KMeansConfig(Config):
    """Options of `KMeans`.

    Attributes
    ----------
    codes
        Number of centroids; 8192 in 2606.14870.
    label_smoothing
        Share of the target spread evenly over all codes; 0.1 in 2409.12589 and 2606.14870.
    features
        The features that centroids live in.
    scale
        Factor of a standardised feature before distances are taken, by name; 1 for one that is not named.
    seed
        Of the fit.
    """

    codes: Annotated[int, pydantic.Field(ge=2)] = 8192
    label_smoothing: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.1
    features: Features = KINEMATICS
    scale: Mapping[str, Annotated[float, pydantic.Field(gt=0)]] = {}
    seed: int = 0


class KMeans(MaskedTarget):
    """Cross-entropy of the nearest centroid, fitted before the first step (2401.13537, 2409.12589)."""

    Config: ClassVar[type[Config]] = KMeansConfig
    centroids_CK: Tensor
    fitted: Tensor
    scale_K: Tensor

    def __init__(self, config: KMeansConfig, *, feature_names: tuple[str, ...]) -> None:
        super().__init__()
        self.config = config
        self.columns = columns(config.features, feature_names)
        self.num_outputs = config.codes
        unknown = sorted(set(config.scale) - set(config.features))
        if unknown:
            raise ConfigError(
                f"objective.target.scale names {', '.join(unknown)}, not among the features "
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
        distinct = len(np.unique(points, axis=0))
        if distinct < self.config.codes:
            raise DataError(
                f"codebook larger than the data: objective.target.codes={self.config.codes}, and the sample "
                f"has {distinct} different constituents; use fewer codes or more training rows"
            )
        self.centroids_CK.copy_(torch.from_numpy(_centroids(points, self.config.codes, self.config.seed)))
        self.fitted.fill_(True)

    def loss(self, output_BMK: Tensor, x_BMF: Tensor) -> Tensor:
        """Return the cross-entropy of each constituent, (B, M)."""
        code_BM = self.assign(x_BMF)
        smoothing = self.config.label_smoothing
        loss_T = F.cross_entropy(
            output_BMK.float().flatten(0, 1), code_BM.flatten(), reduction="none", label_smoothing=smoothing
        )
        return loss_T.view(code_BM.shape)

    @torch.no_grad()
    def assign(self, x_BMF: Tensor) -> Tensor:
        """Return the number of the nearest centroid of each constituent, (B, M)."""
        if not self.fitted:
            raise ValueError("k-means targets: fit the centroids before the first loss")
        points_TK = self._space(x_BMF).flatten(0, -2)
        rows = max(_BLOCK // self.config.codes, 1)
        half_C = 0.5 * self.centroids_CK.square().sum(-1)
        with torch.autocast(points_TK.device.type, enabled=False):
            parts = [
                (half_C - part @ self.centroids_CK.T).argmin(-1) for part in torch.split(points_TK, rows)
            ]
        return torch.cat(parts).view(x_BMF.shape[:-1])

    def _space(self, x: Tensor) -> Tensor:
        return x[..., self.columns].float() * self.scale_K


def _centroids(points: Array, codes: int, seed: int) -> Array:
    from sklearn.cluster import MiniBatchKMeans

    fit = MiniBatchKMeans(codes, random_state=seed, batch_size=max(4096, codes), n_init=1, max_iter=5)
    return np.asarray(fit.fit(points).cluster_centers_, np.float32)
