"""Nearest codes of many vectors, and codes fitted by k-means; memory does not grow with vectors x codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array
from hepfm.nn.tracing import is_traced

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

_BLOCK = 4_000_000
"""Distances held at once (16 MB)."""

_TREE_DIMS = 6
"""Up to this number of dimensions a k-d tree is faster on a processor than computing all distances."""

_TREE_CODES = 256
"""For fewer codes computing all distances is faster."""

_MAX_SPREAD_START = 8192
"""Up to this number of codes the fit starts from spread-out points (k-means++), else from random ones."""


class CodeSearch:
    """Search for the nearest of many codes (Euclidean).

    On a processor codes of few dimensions are put into a tree, which is kept for as long as they stay the
    same.
    """

    def __init__(self) -> None:
        self._tree: tuple[Tensor, cKDTree] | None = None

    @torch.no_grad()
    def nearest(self, points_TK: Tensor, codes_CK: Tensor) -> Tensor:
        """Return the number of the nearest code of each vector, int64 (T,)."""
        points, codes = points_TK.detach().float(), codes_CK.detach().float()
        if is_traced():
            return _distances(points, codes).argmin(-1)
        low = codes.shape[1] <= _TREE_DIMS and codes.shape[0] >= _TREE_CODES
        if low and points.device.type == "cpu" and bool(codes.isfinite().all() & points.isfinite().all()):
            _, index = self._tree_of(codes).query(points.numpy(), workers=torch.get_num_threads())
            return torch.from_numpy(np.asarray(index, np.int64))
        return _by_distances(points, codes)

    def _tree_of(self, codes: Tensor) -> cKDTree:
        from scipy.spatial import cKDTree

        tree = self._tree  # read once: threads may search side by side
        if tree is None or not torch.equal(tree[0], codes):
            tree = self._tree = (codes.clone(), cKDTree(codes.numpy()))
        return tree[1]


def _by_distances(points: Tensor, codes: Tensor) -> Tensor:
    rows = max(_BLOCK // len(codes), 1)
    with torch.autocast(points.device.type, enabled=False):
        parts = [_distances(part, codes).argmin(-1) for part in torch.split(points, rows)]
    return torch.cat(parts)


def _distances(points: Tensor, codes: Tensor) -> Tensor:
    """Return half the squared distances to all codes, (T, C), without the term that all codes share."""
    return torch.addmm(0.5 * codes.square().sum(-1), points, codes.T, alpha=-1)


def fit_codes(points: Array, codes: int, *, seed: int, where: str) -> Array:
    """Return centroids of mini-batch k-means, float32 (codes, K).

    Parameters
    ----------
    points
        Shape (T, K).
    codes
        Number of centroids.
    seed
        Of the fit.
    where
        The option that sets their number, for the message.

    Raises
    ------
    DataError
        When there are more centroids than different points.
    """
    from sklearn.cluster import MiniBatchKMeans

    distinct = len(np.unique(points, axis=0))
    if distinct < codes:
        raise DataError(
            f"codebook larger than the data: {where}={codes}, and the sample has {distinct} different "
            "constituents; use fewer codes or more training rows"
        )
    fit = MiniBatchKMeans(
        codes,
        init="k-means++" if codes <= _MAX_SPREAD_START else "random",
        random_state=seed,
        batch_size=max(4096, codes),
        n_init=1,
        max_iter=5,
    )
    return np.asarray(fit.fit(points).cluster_centers_, np.float32)
