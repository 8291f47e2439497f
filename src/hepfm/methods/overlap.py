"""Whether two samples overlap: where they share no value of an observable no weight makes one of the
other."""

from __future__ import annotations

import numpy as np

from hepfm.core.errors import DataError
from hepfm.methods.observables import Values
from hepfm.methods.ratio.base import Floats

LEAST_OVERLAP = 0.01
"""Share of the target's weight that must lie in bins where the other sample has rows."""
_BINS = 200
_TAILS = (0.001, 0.999)


def check_overlap(
    names: tuple[str, ...], rows: Values, target: Values, target_weights: Floats, *, what: str
) -> None:
    """Raise `DataError` where an observable shows that the samples are disjoint.

    Parameters
    ----------
    names
        Of the observables.
    rows, target
        Observables of the sample that is to be weighted and of that which it is to resemble.
    target_weights
        Of the target's rows.
    what
        The two samples, for the message.
    """
    for place, name in enumerate(names):
        share = covered(rows[:, place], target[:, place], target_weights)
        if share < LEAST_OVERLAP:
            low, high = (float(f(rows[:, place])) for f in (np.min, np.max))
            target_low, target_high = (float(f(target[:, place])) for f in (np.min, np.max))
            raise DataError(
                f"{what} do not overlap in {name}: {low:.4g} to {high:.4g} against {target_low:.4g} to "
                f"{target_high:.4g}; no weights make one of the other. Look at units and selections"
            )


def covered(rows: Values, target: Values, target_weights: Floats) -> float:
    """Return the share of the target's weight in bins in which the other sample has rows.

    Bins are of equal width, between the ends of both samples without their tails.
    """
    ends = np.concatenate([np.quantile(values, _TAILS) for values in (rows, target)])
    if np.ptp(ends) == 0:
        return 1.0
    edges = np.linspace(ends.min(), ends.max(), _BINS + 1)
    occupied = np.histogram(np.clip(rows, edges[0], edges[-1]), edges)[0] > 0
    within = np.clip(target, edges[0], edges[-1])
    weight = np.histogram(within, edges, weights=np.abs(target_weights))[0]
    return float(weight[occupied].sum() / weight.sum()) if weight.sum() else 1.0
