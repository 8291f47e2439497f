"""The rows of a label budget that are validated on; a budget that leaves none is refused."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import IncompatibleError


def validation_places(rows: int, fraction: float, *, width: int) -> npt.NDArray[np.bool_]:
    """Return which rows of a label budget are validated on: every k-th group of `width` consecutive ones."""
    group = np.arange(rows) // width
    chosen: npt.NDArray[np.bool_] = np.floor((group + 1) * fraction + 1e-9) > np.floor(
        group * fraction + 1e-9
    )
    return chosen


def check_validation_part(rows: int, validation: int, *, fraction: float) -> None:
    """Refuse a label budget of `rows` rows, `validation` of which are validated on, when these are none."""
    if validation == 0:
        raise IncompatibleError(
            f"no row of the budget is left for validation ({rows} rows, fraction {fraction}); raise "
            "data.budget or data.validation_fraction, or set early_stopping=null"
        )
