"""Tables of a result with lists of constituents: ``constituents.arrow``, read back as it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from hepfm.core.errors import DataError
from hepfm.core.guards import member, reading
from hepfm.core.ragged import Array, Ragged
from hepfm.metrics.constituents import ConstituentPredictions
from hepfm.metrics.predictions import IntArray
from hepfm.tasks.result import ResultFile
from hepfm.tasks.result_folder import ROW_GROUP

CONSTITUENTS = "constituents.arrow"
_AGAIN = "run hepfm evaluate again"
_PREFIX, _WEIGHT = "score_", "weight"


def constituents_table(
    predictions: ConstituentPredictions, *, rows: IntArray, observers: Mapping[str, Array]
) -> pa.Table:
    """Return a table with a row for each jet, and lists of the true class and the scores of constituents."""
    offsets = predictions.labels.offsets
    scores = predictions.probabilities.values.astype(np.float32)
    lists = {"label": predictions.labels.values.astype(np.int16)} | {
        f"{_PREFIX}{name}": np.ascontiguousarray(scores[:, k]) for k, name in enumerate(predictions.classes)
    }
    optional = {_WEIGHT: predictions.weights, ROW_GROUP: predictions.groups}
    flat = {name: values for name, values in optional.items() if values is not None}
    return pa.table(
        {
            "row": pa.array(rows),
            **{
                name: pa.array(np.ascontiguousarray(values))
                for name, values in (flat | {**observers}).items()
            },
            **{
                name: pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))
                for name, values in lists.items()
            },
        }
    )


def read_constituents(
    folder: Path, result: ResultFile, classes: tuple[str, ...]
) -> tuple[ConstituentPredictions, IntArray]:
    """Return the predictions of a result directory, and the numbers of its rows in the store."""
    with reading(folder / CONSTITUENTS, what="scores of constituents", fix=_AGAIN):
        with pa.memory_map(str(member(folder, CONSTITUENTS))) as file:
            table = pa.ipc.open_file(file).read_all().combine_chunks()
        table.validate(full=True)
        if len(table) != result.data.rows:
            raise DataError(f"it has {len(table)} rows, the result says {result.data.rows}")
        labels = _lists(table, "label")
        scores = [_lists(table, f"{_PREFIX}{name}").values for name in classes]
        weights = None if result.data.weights is None else table[_WEIGHT].to_numpy()
        probabilities = labels.with_values(np.stack(scores, axis=1).astype(np.float64))
        groups = table[ROW_GROUP].to_numpy() if ROW_GROUP in table.column_names else None
        predictions = ConstituentPredictions(labels, probabilities, classes, weights, groups)
        return predictions, table["row"].to_numpy().astype(np.int64)


def _lists(table: pa.Table, name: str) -> Ragged:
    column = table[name].chunk(0) if table[name].num_chunks else pa.array([], pa.large_list(pa.int64()))
    return Ragged(column.flatten().to_numpy(), column.offsets.to_numpy().astype(np.int64))
