"""Nearest codes of many vectors, and codes fitted by k-means; memory does not grow with vectors x codes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array

_BLOCK = 4_000_000
"""Distances held at once (16 MB)."""

_TREE_DIMS = 6
"""Up to so many dimensions a k-d tree beats all distances on a processor, by far with thousands of codes."""

_TREE_CODES = 256
"""Fewer codes are searched faster by all distances."""

_CAREFUL = 8192
"""Up to so many codes the fit starts from spread-out points (k-means++), beyond from random ones."""


@torch.no_grad()
def nearest(points_TK: Tensor, codes_CK: Tensor) -> Tensor:
    """Return the number of the nearest code (Euclidean) of each vector, int64 (T,)."""
    points, codes = points_TK.detach().float(), codes_CK.detach().float()
    low = codes.shape[1] <= _TREE_DIMS and codes.shape[0] >= _TREE_CODES
    if low and points.device.type == "cpu" and bool(codes.isfinite().all() & points.isfinite().all()):
        return _by_tree(points, codes)
    half_C = 0.5 * codes.square().sum(-1)
    rows = max(_BLOCK // len(codes), 1)
    with torch.autocast(points.device.type, enabled=False):
        parts = [
            torch.addmm(half_C, part, codes.T, alpha=-1).argmin(-1) for part in torch.split(points, rows)
        ]
    return torch.cat(parts)


def _by_tree(points: Tensor, codes: Tensor) -> Tensor:
    from scipy.spatial import cKDTree

    _, index = cKDTree(codes.numpy()).query(points.numpy(), workers=torch.get_num_threads())
    return torch.from_numpy(np.asarray(index, np.int64))


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
        init="k-means++" if codes <= _CAREFUL else "random",
        random_state=seed,
        batch_size=max(4096, codes),
        n_init=1,
        max_iter=5,
    )
    return np.asarray(fit.fit(points).cluster_centers_, np.float32)
