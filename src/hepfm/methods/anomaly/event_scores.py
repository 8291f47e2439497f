"""A Parquet file of what a search says of each event of the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.core.files import atomic_path
from hepfm.methods.anomaly.base import Scores, SearchProblem

FILE = "scores.parquet"
"""Name of the file in the folder of a run."""


def write_scores(path: Path, problem: SearchProblem, scores: Scores) -> None:
    """Write the rank of each event in its fold, with its (first) row in its store and its resonant field."""
    data = problem.data
    (store,) = data.stores  # data of unknown truth are of one store
    write_columns(
        path,
        {
            "row": store.of_parts[data.order, 0],
            problem.regions.field: data.mass,
            "fold": scores.fold,
            "rank": scores.rank,
        },
    )


def write_columns(path: Path, columns: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write columns by name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic_path(path) as temporary:
        pq.write_table(pa.table(dict(columns)), temporary)


def read_columns(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of such a file."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return {name: np.asarray(table[name]) for name in table.column_names}
