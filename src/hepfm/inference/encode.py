"""Codes of a store's rows."""

from __future__ import annotations

from hepfm.core.batch import Batch
from hepfm.core.errors import IncompatibleError
from hepfm.core.ragged import Columns, Ragged, lists
from hepfm.data.row_source import Rows, RowSource
from hepfm.models.directory import Model
from hepfm.models.over_rows import of_constituents, over_rows

_BATCH_ROWS = 256


def encode(model: Model, source: RowSource, *, rows: Rows = None, device: str = "cpu") -> Ragged:
    """Return the codes of the constituents of each row, int64, in the order of `rows`.

    Parameters
    ----------
    model
        A model with a tokenizer.
    source
        The data, a store or a table; rows with more constituents than the model reads keep the leading ones.
    rows
        Which rows; all when None.
    device
        Where the network runs; on a processor batches are worked on side by side by torch's threads.

    Raises
    ------
    IncompatibleError
        When the model has no tokenizer, or the data lack its features.
    """
    if model.network.tokenizer is None:
        raise IncompatibleError("this model has no tokenizer; train one with `hepfm tokenize RECIPE`")

    def work(batch: Batch) -> Columns:
        return {"codes": of_constituents(model.network.encode(batch), batch.mask_BN)}

    columns = over_rows(work, model, source, rows=rows, batch_size=_BATCH_ROWS, device=device)
    return lists(columns, "codes")
