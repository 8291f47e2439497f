"""How far apart two samples of vectors are: kernel MMD and the proxy A-distance.

Both are functions of row weights, so that resamples cost one pass: W weightings of N rows, shape (W, N). Rows
of one group (simulations of one event) are not independent: pairs of them do not count in the MMD, and a
classifier never judges a row of a group that it was fitted to.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hepfm.metrics.predictions import FloatArray, IntArray

Bools = npt.NDArray[np.bool_]

MMD, A_DISTANCE = "mmd.rbf_median.v1", "a_distance.logistic.v1"
FOLDS = 5
"""Parts of the rows of which each is judged by a classifier that was fitted to the others."""
STRENGTH = 1.0
"""C of the logistic regression."""
MEDIAN_ROWS = 1_000
"""Most rows between which the median distance is taken."""
_BLOCK = 500
"""Rows of the kernel matrix made at a time."""


def median_distance(x_ND: FloatArray, *, rng: np.random.Generator) -> float:
    """Return the median distance between different rows of a draw; 1 where it is 0.

    It is the usual width of a Gaussian kernel (the median heuristic; A. Gretton et al., JMLR 13 (2012) 723,
    section 8).
    """
    rows = rng.choice(len(x_ND), min(len(x_ND), MEDIAN_ROWS), replace=False)
    squares = _squared_distances(x_ND[rows], x_ND[rows])[np.triu_indices(len(rows), 1)]
    return float(np.sqrt(np.median(squares))) or 1.0


def rbf_mmd(
    x_ND: FloatArray, second_N: Bools, weights_WN: FloatArray, *, groups_N: IntArray, width: float
) -> FloatArray:
    """Return the unbiased estimate of the squared MMD of two samples for each weighting, shape (W,).

    The kernel is exp(-d^2 / (2 width^2)). With k averaged over pairs of rows of different groups, weighted by
    the product of their weights, it is <k> within the first sample, plus <k> within the second, less twice
    <k> across (A. Gretton et al., JMLR 13 (2012) 723, equation 3). It can be negative; NaN where a sample has
    no pair.

    Parameters
    ----------
    x_ND
        Vectors of both samples.
    second_N
        Whether a row is of the second sample.
    weights_WN
        Weights of the rows.
    groups_N
        Number of each row's group; all different for independent rows.
    width
        Of the kernel.
    """
    first_WN, second_WN = weights_WN * ~second_N, weights_WN * second_N
    sums = _kernel_sums(x_ND, first_WN, second_WN, groups_N, width)
    pairs = ((first_WN, first_WN), (second_WN, second_WN), (first_WN, second_WN))
    numbers = [_pairs_of_groups(left, right, groups_N) for left, right in pairs]
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two, across = (
            np.where(number > 0, total / number, np.nan) for total, number in zip(sums, numbers, strict=True)
        )
    estimate: FloatArray = one + two - 2 * across
    return estimate


def held_out_correct(
    x_ND: FloatArray, second_N: Bools, weights_N: FloatArray, *, groups_N: IntArray, rng: np.random.Generator
) -> Bools:
    """Tell for each row whether a linear classifier that has not seen its group says the right sample.

    A logistic regression is fitted to four fifths of the groups and judges the last fifth, in turn. Both
    samples have the same total weight in a fit; rows of negative weight do not enter it.

    Parameters
    ----------
    x_ND
        Standardised vectors of both samples.
    second_N
        Whether a row is of the second sample.
    weights_N
        Weights of the rows.
    groups_N
        Number of each row's group.
    rng
        Of the parts.
    """
    from sklearn.linear_model import LogisticRegression  # two seconds that nothing else need wait for

    names, member_N = np.unique(groups_N, return_inverse=True)
    fold_N = (rng.permutation(len(names)) % FOLDS)[member_N]
    weights_N = np.maximum(weights_N, 0.0)
    correct_N = np.zeros(len(x_ND), bool)
    for fold in range(FOLDS):
        fitted = (fold_N != fold) & (weights_N > 0)
        totals = [weights_N[fitted & (second_N == side)].sum() for side in (False, True)]
        even = weights_N / np.where(second_N, totals[1], totals[0]) * fitted.sum() / 2
        model = LogisticRegression(C=STRENGTH, max_iter=1000)
        model.fit(x_ND[fitted], second_N[fitted], sample_weight=even[fitted])
        judged = fold_N == fold
        if judged.any():
            correct_N[judged] = model.predict(x_ND[judged]) == second_N[judged]
    return correct_N


def a_distance(correct_N: Bools, second_N: Bools, weights_WN: FloatArray) -> FloatArray:
    """Return the proxy A-distance 2 (1 - 2e) for each weighting, shape (W,).

    The error e is the mean of those of the two samples: 0.5 for a classifier that cannot tell them apart,
    however many rows each has (S. Ben-David et al., Mach. Learn. 79 (2010) 151). NaN for a sample without
    weight.
    """
    errors = []
    for side in (False, True):
        weights = weights_WN * (second_N == side)
        total = weights.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            errors.append(np.where(total > 0, weights @ ~correct_N / total, np.nan))
    distance: FloatArray = 2 - 2 * (errors[0] + errors[1])
    return distance


def _squared_distances(x_ND: FloatArray, y_MD: FloatArray) -> FloatArray:
    squares = (x_ND**2).sum(axis=1)[:, None] + (y_MD**2).sum(axis=1) - 2 * x_ND @ y_MD.T
    return np.maximum(squares, 0.0)


def _kernel_sums(
    x_ND: FloatArray, first_WN: FloatArray, second_WN: FloatArray, groups_N: IntArray, width: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the sums of the kernel over rows of different groups within and across samples, each (W,)."""
    one, two, across = (np.zeros(len(first_WN)) for _ in range(3))
    for start in range(0, len(x_ND), _BLOCK):
        part = slice(start, start + _BLOCK)
        kernel = np.exp(_squared_distances(x_ND[part], x_ND) / (-2 * width**2))
        kernel[groups_N[part, None] == groups_N] = 0.0
        of_first_WB, of_second_WB = first_WN @ kernel.T, second_WN @ kernel.T
        one += (first_WN[:, part] * of_first_WB).sum(axis=1)
        two += (second_WN[:, part] * of_second_WB).sum(axis=1)
        across += (first_WN[:, part] * of_second_WB).sum(axis=1)
    return one, two, across


def _pairs_of_groups(left_WN: FloatArray, right_WN: FloatArray, groups_N: IntArray) -> FloatArray:
    """Return the sum of the products of weights over pairs of rows of different groups, shape (W,)."""
    names, member_N = np.unique(groups_N, return_inverse=True)
    left, right = (
        np.stack([np.bincount(member_N, one, len(names)) for one in weights])
        for weights in (left_WN, right_WN)
    )
    pairs: FloatArray = left.sum(axis=1) * right.sum(axis=1) - (left * right).sum(axis=1)
    return pairs
