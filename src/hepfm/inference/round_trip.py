"""Rows through a tokenizer and back: features before, codes, features after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.batch import Batch
from hepfm.core.ragged import Array, Columns, lists
from hepfm.data.row_source import RowSource
from hepfm.models.directory import Model
from hepfm.models.over_rows import of_constituents, over_rows
from hepfm.nn.momenta import relative_momenta

_BATCH_ROWS = 256
_MOMENTA = ("original_p4", "decoded_p4")


@dataclass
class RoundTrip:
    """Rows that were encoded and decoded, in the order asked for.

    Attributes
    ----------
    original_TF, decoded_TF
        Physical features of the constituents before and after.
    codes_T
        Codes.
    lengths_R, rows_R
        Constituents of each row, and its number in the store.
    clipped, outside
        Constituents with a feature beyond the network's clip, and beyond the tokenizer's fitted range.
    momenta
        Four-momenta of the constituents before and after, (T, 4), as massless ones; None where the features
        do not tell.
    """

    original_TF: npt.NDArray[np.float64]
    decoded_TF: npt.NDArray[np.float64]
    codes_T: npt.NDArray[np.int64]
    lengths_R: npt.NDArray[np.int64]
    rows_R: npt.NDArray[np.int64]
    clipped: int
    outside: int
    momenta: tuple[Array, Array] | None


def round_trip(model: Model, source: RowSource, rows: npt.NDArray[np.int64]) -> RoundTrip:
    """Encode and decode rows with the tokenizer of a model, which must have one."""

    def work(batch: Batch) -> Columns:
        return _columns(model, batch)

    columns = over_rows(work, model, source, rows=rows, batch_size=_BATCH_ROWS)
    codes = lists(columns, "codes")
    values = {name: lists(columns, name).values.astype(np.float64) for name in ("original", "decoded")}
    momenta = None
    if _MOMENTA[0] in columns:
        original_T4, decoded_T4 = (lists(columns, name).values.astype(np.float64) for name in _MOMENTA)
        momenta = (original_T4, decoded_T4)
    return RoundTrip(
        original_TF=values["original"],
        decoded_TF=values["decoded"],
        codes_T=codes.values,
        lengths_R=codes.lengths,
        rows_R=rows,
        clipped=int(np.asarray(columns["clipped"]).sum()),
        outside=int(np.asarray(columns["outside"]).sum()),
        momenta=momenta,
    )


def _columns(model: Model, batch: Batch) -> Columns:
    """Return what comes of a batch: lists of its constituents, and counts of each row."""
    network, mask_BN = model.network, batch.mask_BN
    if network.tokenizer is None:
        raise ValueError("this network has no tokenizer")
    codes_BN = network.encode(batch)
    features_BNF = {
        "original": batch.features_BNF,
        "decoded": network.standardize.inverse(network.decode(codes_BN), mask_BN),
    }
    standardised_BNF = network.standardize(batch.features_BNF, mask_BN)
    of_rows = {
        "clipped": network.standardize.clips(batch.features_BNF, mask_BN),
        "outside": network.tokenizer.outside(standardised_BNF, mask_BN),
    }
    momenta_BN4 = {
        f"{name}_p4": relative_momenta(x_BNF, mask_BN, network.feature_names)
        for name, x_BNF in features_BNF.items()
    }
    of_lists = {"codes": codes_BN, **features_BNF, **momenta_BN4}
    return {
        **{name: flag_BN.sum(1).cpu().numpy() for name, flag_BN in of_rows.items()},
        **{name: of_constituents(x, mask_BN) for name, x in of_lists.items() if x is not None},
    }
