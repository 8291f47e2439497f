"""A result directory: what one model scored on one task, and the scores themselves.

Beside ``results.json``, a `hepfm.tasks.result.ResultFile`, lie the tables of the task, which any Arrow reader
opens:

- ``scores.arrow`` of a task with classes: for each test row its number in the store, the true class, the
  class probabilities, its event weight and the number of its group if it has one, and some observers;
- ``predictions.arrow`` of a regression: the same with the true and the predicted number, what is measured of
  both (residual or response), and the group;
- ``constituents.arrow`` of classes of constituents: the same as ``scores.arrow`` with lists, see
  `hepfm.tasks.constituent_tables`; ``vertices.arrow``: pairs of tracks of each jet;
- ``spectra.arrow`` of generated rows: binned spectra, see `hepfm.tasks.spectra`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from hepfm.core.config import validate
from hepfm.core.errors import ConfigError, DataError
from hepfm.core.files import atomic_path, read_json, refuse_other_folder, write_json
from hepfm.core.guards import member, reading
from hepfm.core.ragged import Array
from hepfm.metrics.predictions import IntArray, Predictions
from hepfm.tasks.result import FORMAT_VERSION, ResultFile

RESULTS, SCORES, PREDICTIONS = "results.json", "scores.arrow", "predictions.arrow"
_PREFIX, _WEIGHT = "score_", "weight"
ROW_GROUP = "row_group"
"""Column of the tables: number of the group of rows that are resampled together, where there are groups."""
_NUMBERS = ("truth", "predicted", "error", "group")
_AGAIN = "run hepfm evaluate again"


def scores_table(predictions: Predictions, *, rows: IntArray, observers: Mapping[str, Array]) -> pa.Table:
    """Return ``scores.arrow``; see `read_scores`."""
    scores = {
        f"{_PREFIX}{name}": predictions.probabilities[:, index].astype(np.float32)
        for index, name in enumerate(predictions.classes)
    }
    labels = {"label": predictions.labels.astype(np.int16)}
    more = _given({_WEIGHT: predictions.weights, ROW_GROUP: predictions.groups})
    return rows_table(rows, {**labels, **more, **scores, **observers})


@dataclass(frozen=True)
class PredictedNumbers:
    """Predicted numbers of test rows.

    Attributes
    ----------
    rows
        Numbers of the rows in their store.
    truth, predicted
        True and predicted number.
    error
        Their residual or response, whichever the task measures.
    group
        Name of each row's group; empty without groups.
    weights
        Event weights; None for equal ones.
    row_groups
        Numbers of the groups of rows that are resampled together; None without.
    """

    rows: IntArray
    truth: Array
    predicted: Array
    error: Array
    group: Array
    weights: Array | None
    row_groups: IntArray | None = None


def predictions_table(numbers: PredictedNumbers, *, observers: Mapping[str, Array]) -> pa.Table:
    """Return ``predictions.arrow`` of a regression; see `read_predictions`."""
    columns = {name: getattr(numbers, name) for name in _NUMBERS}
    more = _given({_WEIGHT: numbers.weights, ROW_GROUP: numbers.row_groups})
    return rows_table(numbers.rows, {**columns, **more, **observers})


def rows_table(rows: IntArray, columns: Mapping[str, Array]) -> pa.Table:
    """Return a table of columns of test rows, their numbers in the store first."""
    arrays = {"row": rows, **columns}
    return pa.table({name: pa.array(np.ascontiguousarray(values)) for name, values in arrays.items()})


def _given(columns: Mapping[str, Array | None]) -> dict[str, Array]:
    return {name: values for name, values in columns.items() if values is not None}


def write_result(folder: Path, result: ResultFile, tables: Mapping[str, pa.Table]) -> None:
    """Write a result directory with its tables; nothing appears at `folder` before it is complete."""
    refuse_other_folder(folder, mark=RESULTS, what="result directory")
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        write_json(temporary / RESULTS, result.model_dump(mode="json"))
        for name, table in tables.items():
            with (
                pa.OSFile(str(temporary / name), "wb") as file,
                pa.ipc.new_file(file, table.schema) as writer,
            ):
                writer.write_table(table)


def read_result(folder: Path) -> ResultFile:
    """Read ``results.json``; raise `DataError` when it is missing, damaged or of another format."""
    if not folder.is_dir():
        raise DataError(f"no result directory {folder}; make one with `hepfm evaluate`")
    path = folder / RESULTS
    values = read_json(member(folder, RESULTS), DataError)
    if not isinstance(values, dict) or values.get("format") != "hepfm-result":
        raise DataError(f"{path} is not a result of hepfm evaluate")
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise DataError(
            f"{path} has format version {version!r}, this hepfm reads {FORMAT_VERSION}; run "
            "hepfm evaluate again"
        )
    try:
        return validate(ResultFile, values, where=str(path))
    except ConfigError as error:
        raise DataError(f"{error}; run hepfm evaluate again") from None


def read_scores(folder: Path, result: ResultFile) -> tuple[Predictions, IntArray]:
    """Read the scores of a result: predictions in the task's class order, and the store's row numbers."""
    with reading(folder / SCORES, what="scores", fix=_AGAIN):
        table = _read_rows(folder, SCORES, result)
        columns = [table[f"{_PREFIX}{name}"] for name in result.task.classes]
        scores = np.stack(columns, axis=1).astype(np.float64)
        labels = table["label"].astype(np.int64)
        weights, groups = table.get(_WEIGHT), table.get(ROW_GROUP)
        predictions = Predictions(labels, scores, result.task.classes, weights, groups)
        return predictions, table["row"].astype(np.int64)


def read_observers(folder: Path, result: ResultFile, names: Sequence[str]) -> dict[str, Array]:
    """Read columns that a task wrote beside the scores."""
    with reading(folder / SCORES, what="scores", fix=_AGAIN):
        table = _read_rows(folder, SCORES, result)
        return {name: table[name] for name in names}


def read_predictions(folder: Path, result: ResultFile) -> PredictedNumbers:
    """Read the predicted numbers of a regression's result."""
    with reading(folder / PREDICTIONS, what="predictions", fix=_AGAIN):
        table = _read_rows(folder, PREDICTIONS, result)
        columns = {name: table[name] for name in _NUMBERS}
        return PredictedNumbers(
            rows=table["row"].astype(np.int64),
            **columns,
            weights=table.get(_WEIGHT),
            row_groups=table.get(ROW_GROUP),
        )


def read_columns(folder: Path, name: str, result: ResultFile) -> dict[str, Array]:
    """Read a table of numbers of test rows, its columns by name."""
    with reading(folder / name, what="a table of rows", fix=_AGAIN):
        return _read_rows(folder, name, result)


def _read_rows(folder: Path, name: str, result: ResultFile) -> dict[str, Array]:
    """Return the columns of a table of test rows; with weights just where the result was measured so."""
    with pa.memory_map(str(member(folder, name))) as file:
        table = pa.ipc.open_file(file).read_all()
    table.validate(full=True)
    if len(table) != result.data.rows:
        raise DataError(f"{folder / name} has {len(table)} rows, {RESULTS} says {result.data.rows}; {_AGAIN}")
    columns = {key: table.column(key).to_numpy(zero_copy_only=False) for key in table.column_names}
    if result.data.weights is None:
        columns.pop(_WEIGHT, None)
    elif _WEIGHT not in columns:
        raise DataError(f"{folder / name} has no weights, {RESULTS} says there are; {_AGAIN}")
    return columns
