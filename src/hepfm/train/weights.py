"""Event weights of a training: refused before it starts where nothing sensible can be learned with them."""

from __future__ import annotations

from hepfm.core.errors import DataError, IncompatibleError
from hepfm.data.row_source import Rows
from hepfm.data.store import Store
from hepfm.data.weights import WeightSums, check_usable, sum_weights, weight_field

LEAST_EFFECTIVE_ROWS = 10
"""Effective rows below which a training is refused; half of the rows where there are fewer than 20."""
LEAST_EFFECTIVE_SHARE = 0.01
"""Effective rows over rows below which a training is refused: a few rows have most of the weight."""


def check_weights(store: Store, rows: Rows, weights: str | None, *, signed: bool, objective: str) -> None:
    """Refuse event weights that an objective cannot train with on these rows.

    Parameters
    ----------
    store, rows
        The training rows.
    weights
        The setting ``data.weights``: a field, ``"auto"`` for the one with the role, None for equal weights.
    signed
        Whether the objective's loss may be weighed with negative numbers, e.g. those of generators of
        next-to-leading order or sWeights.
    objective
        Its name, for messages.

    Raises
    ------
    DataError
        When weights are not finite, all zero, sum to nothing above 0 in all rows or in those of a class, or
        when a few rows have most of the weight.
    IncompatibleError
        When there are negative weights and the objective takes none.
    """
    field = weight_field(weights, store.schema)
    if field is None:
        return
    sums, where = sum_weights(store, field, rows), f"training rows of {store.path}"
    check_usable(sums, field, where=where)
    if sums.negative and not signed:
        raise IncompatibleError(
            f"{where}: {sums.negative} of {sums.rows} weights {field!r} are negative, and the objective "
            f"{objective!r} takes none below 0; set data.weights=null, or choose another objective or mode"
        )
    _check_sums(sums, field, where)
    _check_spread(sums, field, where)


def _check_sums(sums: WeightSums, field: str, where: str) -> None:
    by_class = {f" of class {name}": rows_and_sum for name, rows_and_sum in sums.classes.items()}
    groups = {"": (sums.rows, sums.total), **by_class}
    for group, (rows, total) in groups.items():
        if total <= 0:
            raise DataError(
                f"{where}: weights {field!r}{group} sum to {total:.4g} over {rows} rows, which must be "
                "above 0; take more rows, drop the class, or set data.weights=null"
            )


def _check_spread(sums: WeightSums, field: str, where: str) -> None:
    required = max(min(LEAST_EFFECTIVE_ROWS, sums.rows / 2), LEAST_EFFECTIVE_SHARE * sums.rows)
    if sums.effective_rows < required:
        raise DataError(
            f"{where}: weights {field!r} leave {sums.effective_rows:.1f} effective rows of {sums.rows}, "
            f"fewer than {required:g}: a few rows have most of the weight; cap it, or set data.weights=null"
        )
