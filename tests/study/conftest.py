"""Stores of the studies under test."""

from __future__ import annotations

import numpy as np
import pytest

from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store


@pytest.fixture(scope="session")
def tops(tmp_path_factory: pytest.TempPathFactory, jet_columns) -> Store:
    """Two classes, 120 training and 150 test jets."""
    path = tmp_path_factory.mktemp("tops") / "top"
    parts = []
    for split, count, seed in (("train", 120, 11), ("test", 150, 12)):
        columns = jet_columns(count, seed=seed)
        columns["jet_label"] = (columns["jet_label"] % 2).astype(np.int16)
        parts.append((split, columns))
    write_store(path, jet_schema(("QCD", "Tbqq")), parts, provenance={"source": "test"})
    return Store.open(path)
