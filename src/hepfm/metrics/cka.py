"""Linear centred kernel alignment: how alike two representations of the same rows are (1905.00414, eq. 4).

``CKA(X, Y) = HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y))`` with linear kernels. It does not change when one
representation is rotated, shifted or scaled. The usual estimate of HSIC is biased: with few rows, or more
features than rows, even unrelated representations look alike. Here it is the unbiased one, of batches of
rows, averaged over these before the ratio is taken (2010.15327, eq. 2 and 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array
from hepfm.metrics.predictions import FloatArray

DEFINITION = "cka.debiased.v1"
LEAST_BATCH = 4
"""Fewest rows that have an unbiased estimate."""


@dataclass(frozen=True)
class BatchHsic:
    """Unbiased HSIC of the representations of two networks, of each of B batches.

    Attributes
    ----------
    across_BLM
        Of L representations of the first network with M of the second.
    first_BL, second_BM
        Of each with itself.
    """

    across_BLM: FloatArray
    first_BL: FloatArray
    second_BM: FloatArray

    @classmethod
    def of(cls, first: Sequence[Array], second: Sequence[Array], batches: Sequence[Array]) -> BatchHsic:
        """Measure representations, (N, D) each, on batches of row numbers.

        Raises
        ------
        DataError
            When a batch has fewer than four rows.
        """
        if min(map(len, batches), default=0) < LEAST_BATCH:
            raise DataError(f"CKA needs batches of {LEAST_BATCH} rows or more; give more rows")
        parts = []
        for rows in batches:
            ours, theirs = (np.stack([gram(x[rows]) for x in some]) for some in (first, second))
            across = np.array([[unbiased_hsic(a, b) for b in theirs] for a in ours])
            parts.append((across, [unbiased_hsic(a, a) for a in ours], [unbiased_hsic(b, b) for b in theirs]))
        return cls(*(np.array([part[k] for part in parts]) for k in range(3)))

    def cka(self, weights_B: FloatArray | None = None) -> FloatArray:
        """Return the alignment of all pairs, (L, M), by weights of batches; NaN where one does not vary."""
        weights = np.ones(len(self.first_BL)) if weights_B is None else weights_B
        across, first, second = (
            np.tensordot(weights, values, 1) for values in (self.across_BLM, self.first_BL, self.second_BM)
        )
        scale = np.outer(first, second)
        varies = (first[:, None] > 0) & (second > 0)
        out: FloatArray = np.full(across.shape, np.nan)
        np.divide(across, np.sqrt(scale, where=varies, out=np.ones_like(scale)), out=out, where=varies)
        return out


def gram(x_NP: Array) -> FloatArray:
    """Return the products of all pairs of rows, (N, N), with zeros on the diagonal.

    Rows are taken relative to their mean, which changes no HSIC and loses no digits where they lie far out.
    """
    centred = x_NP.astype(np.float64) - x_NP.mean(axis=0, dtype=np.float64)
    products: FloatArray = centred @ centred.T
    np.fill_diagonal(products, 0.0)
    return products


def unbiased_hsic(first_NN: FloatArray, second_NN: FloatArray) -> float:
    """Return the unbiased estimate of HSIC from kernels with zeros on the diagonal (2010.15327, eq. 3)."""
    n = len(first_NN)
    sums = first_NN.sum(0), second_NN.sum(0)
    together = (first_NN * second_NN).sum()
    apart = sums[0].sum() * sums[1].sum() / ((n - 1) * (n - 2))
    shared = 2 * (sums[0] @ sums[1]) / (n - 2)
    return float((together + apart - shared) / (n * (n - 3)))
