"""``hepfm predict``: scores or embeddings of a store's rows as a file, in row order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hepfm.core.errors import ConfigError, DataError, did_you_mean
from hepfm.core.files import output_path, refuse_existing
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.data.hypothesis import Hypothesis
from hepfm.data.row_source import RowSource
from hepfm.data.store import open_rows
from hepfm.inference.tables import WRITERS, check_lists, write_table
from hepfm.inference.withhold import withhold as withheld
from hepfm.models.device import pick_device
from hepfm.models.directory import Model
from hepfm.models.fixture import EMBEDDING
from hepfm.models.hidden import MOMENTUM
from hepfm.models.scores import APART, score


def predict(
    model: str | Path,
    store: str | Path | RowSource,
    *,
    output: str | Path,
    split: str | None = None,
    observers: Sequence[str] = (),
    embeddings: bool = False,
    withhold: Sequence[str] = (),
    assume: Mapping[str, float] | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> list[str]:
    """Write what a model says of each row.

    Columns are ``row`` (row number in the store), the observers, and per head ``FIELD_CLASS`` (probability)
    or ``FIELD_predicted`` (value in its own unit); ``embedding`` if asked for. Columns of a head of
    constituents hold lists, of the constituents that the model reads.

    Parameters
    ----------
    model, store
        The model directory, or the run directory with one in it; the store, or a table in memory.
    output
        The file to write; its ending, ``.arrow``, ``.parquet``, ``.h5`` or ``.root``, decides the format.
    split
        Rows to predict; all when None.
    observers
        Fields of the store to copy beside the scores; those of constituents are lists, of all constituents.
    embeddings
        Write the row's summary vector too.
    withhold
        Groups of features that the model reads as zero, e.g. ``["identity"]``; see
        `hepfm.inference.withhold.withhold`.
    assume
        Fields of the rows that the model reads as one given number, e.g. the mass of a resonance that is
        searched for, ``{"event_resonance_mass": 1000}``; observers are copied as they are.
    device
        ``"auto"`` (CUDA where there is one), ``"cpu"`` or ``"cuda"``.
    overwrite
        Replace a file that is there already.

    Returns
    -------
    list
        Names of the columns.

    Raises
    ------
    IncompatibleError
        When the store lacks fields that the model reads.
    ConfigError
        When groups are withheld that the model's feature set does not have.
    HepfmError
        When the file exists and is not to be replaced.
    """
    path = output_path(output)
    if path.suffix not in WRITERS:
        raise ConfigError(f"cannot write {path.name!r}; the file must end in {', '.join(WRITERS)}")
    refuse_existing(path, overwrite=overwrite)
    where = str(pick_device(device, option="--device"))
    source, data = withheld(Model.load(model), withhold), open_rows(store)
    source.content(data)
    _check_observers(observers, data, path, [*_own_columns(source), *([EMBEDDING] if embeddings else [])])
    rows = np.asarray(data.split(split) if split else data.index(None))
    check_lists(path, [name for name, spec in source.outputs.items() if spec.head.cls.level != "row"])
    shown = Hypothesis(data, assume) if assume else data
    said = score(source, shown, rows=rows, device=where, with_embedding=embeddings)
    vectors = {EMBEDDING: said.pop(EMBEDDING)} if embeddings else {}
    own = {"row": rows, **_score_columns(source, said), **vectors}
    table = {"row": rows, **_observed(observers, data, rows), **own}
    write_table(path, table)
    return list(table)


def _own_columns(model: Model) -> list[str]:
    """Return the names of the columns that are not copied, but for embeddings."""
    names = ["row"]
    for field, output in model.outputs.items():
        if output.head.cls.level in APART:
            continue
        names += [f"{field}_{name}" for name in model.classes.get(field, ("predicted",))]
    return names


def _check_observers(observers: Sequence[str], data: RowSource, path: Path, own: Sequence[str]) -> None:
    for name in observers:
        if name not in data.schema:
            raise DataError(f"{data.name} has no field {name!r}{did_you_mean(name, data.schema.names())}")
    taken = sorted(set(observers) & set(own))
    if taken:
        raise DataError(
            f"{', '.join(taken)} of {data.name} would have the name of a column of the predictions; leave it "
            "out of the observers"
        )
    check_lists(path, [name for name in observers if data.schema[name].level is not data.schema.row])


def _observed(observers: Sequence[str], data: RowSource, rows: Array) -> Columns:
    return data.read(observers, rows) if observers else {}


def _score_columns(model: Model, said: Columns) -> dict[str, Array | Ragged]:
    columns: dict[str, Array | Ragged] = {}
    for field, scores in said.items():
        for k, name in enumerate(model.classes.get(field, ())):
            of_class = scores.values[:, k] if isinstance(scores, Ragged) else scores[:, k]
            columns[f"{field}_{name}"] = (
                scores.with_values(of_class) if isinstance(scores, Ragged) else of_class
            )
        if isinstance(scores, Ragged) and scores.values.ndim > 1 and field not in model.classes:
            for k, name in enumerate(MOMENTUM):
                columns[f"{field}_{name}"] = scores.with_values(scores.values[:, k])
        elif field not in model.classes:
            columns[f"{field}_predicted"] = scores
    return columns
