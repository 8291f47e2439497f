"""Label budgets: small, class-balanced sets of labelled rows, each contained in the larger ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array
from hepfm.core.rng import numpy_generator


def label_budget(labels: Array, n: int, *, seed: int, num_classes: int) -> npt.NDArray[np.int64]:
    """Choose `n` labelled rows, as many of each class as of any other (but for one).

    The rows of a budget are the first rows of every larger budget with the same seed, so that curves over
    budgets compare like with like. The choice is random over the whole data: published files come in blocks
    of one class, a front slice of them is no fair sample.

    Parameters
    ----------
    labels
        Class numbers, whole numbers of shape (rows,).
    n
        Size of the budget.
    seed
        Of the draw.
    num_classes
        Number of classes K; each gets ``n // K`` rows or one more.

    Returns
    -------
    rows
        Positions in `labels`, int64, shape (n,); the classes take turns.

    Raises
    ------
    DataError
        When some class has too few rows.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 1, 1, 1])
    >>> sorted(labels[label_budget(labels, 4, seed=1, num_classes=2)].tolist())
    [0, 0, 1, 1]
    """
    if n < 0:
        raise DataError(f"a label budget is a number of rows, got {n}")
    turns = numpy_generator(seed, "label_budget.classes").permutation(num_classes)
    chosen = np.empty(n, np.int64)
    for turn, number in enumerate(turns):
        places = np.arange(turn, n, num_classes)
        chosen[places] = _draw(labels, int(number), len(places), n, seed)
    return chosen


def _draw(labels: Array, number: int, count: int, n: int, seed: int) -> npt.NDArray[np.int64]:
    rows = np.flatnonzero(labels == number)
    if len(rows) < count:
        raise DataError(
            f"a budget of {n} needs {count} rows of class {number}, the data have {len(rows)}; "
            "choose a smaller budget or simulate more"
        )
    return numpy_generator(seed, "label_budget.rows", number).permutation(rows)[:count]
