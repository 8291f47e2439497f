"""A file of learned weights: a column for each replica, and what they are the weights of, which others can
read.

Parquet, so that pandas, polars, Arrow and awkward read it as it is. Columns are ``row`` (row number in the
store), ``event`` (its group, where the store has groups), ``weight`` (the result) and ``weight_KIND_NUMBER``
(replicas). The file's metadata has one JSON text under the key ``hepfm_weights``; see `WeightsInfo`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

import hepfm
from hepfm.core.config import Config, validate
from hepfm.core.errors import DataError
from hepfm.core.files import atomic_path
from hepfm.core.guards import reading
from hepfm.data.row_source import Index, RowSource

FILE = "weights.parquet"
"""What the file is called in the directories of runs and analyses."""
KEY = b"hepfm_weights"
FORMAT = 1
ROW, EVENT, WEIGHT = "row", "event", "weight"
Floats = npt.NDArray[np.float64]


class WeightsInfo(Config):
    """What the weights are.

    Attributes
    ----------
    format
        Version of this layout.
    method
        How they were learned, e.g. ``omnifold``.
    store, level
        Fingerprint of the store whose rows they weigh, and the level of these rows where there are several.
    observables
        What was looked at to learn them; none where only networks were, which read whole rows.
    iterations
        Of the method; None for one that has none.
    normalisation
        What the sum of the weights means.
    replicas
        Number of columns of each kind, e.g. ``{"training": 3, "bootstrap": 20}``.
    options
        Everything else that was set.
    made_by
        Package and version.
    """

    format: int = FORMAT
    method: str
    store: str
    level: str = ""
    observables: tuple[str, ...] = ()
    iterations: int | None = None
    normalisation: str = ""
    replicas: dict[str, int] = pydantic.Field(default_factory=dict)
    options: dict[str, Any] = pydantic.Field(default_factory=dict)
    made_by: str = ""


@dataclass(frozen=True)
class LearnedWeights:
    """Weights of rows of a store.

    Attributes
    ----------
    rows
        Row numbers, (R,).
    weight
        The result, (R,).
    replicas
        By column name, (R,) each.
    info
        What they are.
    events
        Group of each row; None where rows have none.
    """

    rows: Index
    weight: Floats
    replicas: Mapping[str, Floats]
    info: WeightsInfo
    events: Index | None = None

    def write(self, path: str | Path) -> Path:
        """Write the file; return its path."""
        info = self.info.model_copy(update={"made_by": f"hepfm {hepfm.__version__}"})
        columns = {
            ROW: self.rows,
            **({} if self.events is None else {EVENT: self.events}),
            WEIGHT: self.weight,
        }
        table = pa.table({**columns, **self.replicas})
        table = table.replace_schema_metadata({KEY: json.dumps(info.model_dump(mode="json")).encode()})
        with atomic_path(Path(path)) as temporary:
            pq.write_table(table, temporary)
        return Path(path)

    @classmethod
    def read(cls, path: str | Path) -> LearnedWeights:
        """Read a file; raise `DataError` when it is none, of a newer format, or weights are no numbers."""
        with reading(path, what="Parquet"):
            table = pq.read_table(path)
        text = (table.schema.metadata or {}).get(KEY)
        if text is None:
            raise DataError(f"{path} is no file of weights: its metadata lack the key {KEY.decode()!r}")
        values = json.loads(text)
        if values.get("format") != FORMAT:
            raise DataError(
                f"{path} has format {values.get('format')!r} of weights, this hepfm reads {FORMAT}; use a "
                "newer hepfm"
            )
        columns = {name: table.column(name).to_numpy() for name in table.column_names}
        weights = {name: column for name, column in columns.items() if name.startswith(WEIGHT)}
        for name, column in weights.items():
            bad = int((~np.isfinite(column)).sum())
            if bad:
                raise DataError(f"{path}: {bad} of {len(column)} values of {name!r} are NaN or infinite")
        return cls(
            columns[ROW],
            weights.pop(WEIGHT),
            weights,
            validate(WeightsInfo, values, where=str(path)),
            columns.get(EVENT),
        )

    def check(self, source: RowSource) -> None:
        """Raise `DataError` unless these are weights of rows of the source."""
        if source.fingerprint != self.info.store:
            raise DataError(
                f"the weights are of a store with fingerprint {self.info.store}, {source.name} has "
                f"{source.fingerprint}: rows of one are not rows of the other"
            )
