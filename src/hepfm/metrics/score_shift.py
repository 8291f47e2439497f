"""How far the scores of a classifier shift between simulations of the same events (RS3L, 2403.07066)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]


def score_shifts(
    scores: Floats,
    variation: Ints,
    names: Sequence[str],
    *,
    nominal: str = "nominal",
    weights: Floats | None = None,
) -> dict[str, float]:
    """Return the Wasserstein distance of the scores of each variation from those of the nominal simulation.

    It is the mean distance by which scores have to be moved, in the unit of the scores. Take the rows of one
    class: what is asked is whether a selection on the score would keep as many of them. Two samples of n rows
    of the same distribution are some 1 / sqrt(n) apart; the variation ``seed``, which differs by chance
    alone, shows it.

    Parameters
    ----------
    scores
        Score of each row, shape (n,).
    variation
        Number of its variation, as in a store's field ``jet_variation``.
    names
        Names of the variations, by number.
    nominal
        That which the others are compared with.
    weights
        Weight of each row; None for equal ones.

    Raises
    ------
    ValueError
        When there is no row of the nominal simulation.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.array([0.1, 0.5, 0.2, 0.6])
    >>> shifts = score_shifts(scores, np.array([0, 0, 1, 1]), ("nominal", "fsr_up"))
    >>> round(shifts["fsr_up"], 6)
    0.1
    """
    from scipy.stats import wasserstein_distance  # a second to import, and needed here only

    weights = np.ones(len(scores)) if weights is None else weights
    reference = variation == tuple(names).index(nominal)
    if not reference.any():
        raise ValueError(f"no row of the variation {nominal!r}; it is what the others are compared with")
    shifts = {}
    for number, name in enumerate(names):
        rows = variation == number
        if name != nominal and rows.any():
            distance = wasserstein_distance(
                scores[rows], scores[reference], u_weights=weights[rows], v_weights=weights[reference]
            )
            shifts[name] = float(distance)
    return shifts
