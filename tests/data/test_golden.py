"""Features, inverses, orders of training rows and simulated showers are what an earlier version gave.

The numbers of ``golden.json`` were written before feature sets got their inverse and loaders their content.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.data import feature_set, invertible_sets
from hepfm.data.order import Order
from hepfm.data.store import Store
from hepfm.simulate.run import simulate

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden.json").read_text())
RELATIVE = 1e-5
"""Mathematical functions differ in the last bits between processors; sums alternate in sign."""


def checksum(column: Array | Ragged) -> float:
    """Return the sum of all values, each with a weight of its own, so that no two can change places."""
    values = np.asarray(column.values if isinstance(column, Ragged) else column, np.float64).ravel()
    return float(values @ np.cos(np.arange(len(values))))


def checksums(columns: Columns) -> dict[str, float]:
    return {name: checksum(column) for name, column in columns.items()}


def assert_golden(found: dict[str, float], expected: dict[str, float]) -> None:
    assert found == pytest.approx(expected, rel=RELATIVE, abs=1e-2 * RELATIVE)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, jet_columns: Any) -> dict[str, Columns]:
    recipe = {"kind": "showers", "showers": {"test": 40}, "energy": {"min": 1, "max": 2}, "chunk_showers": 20}
    path = tmp_path_factory.mktemp("golden") / "showers"
    store = Store.open(simulate(recipe, output=path, processes=1).path)
    return {"jets": jet_columns(200, seed=7), "showers": store.read(store.schema.names())}


def test_simulated_showers(rows: dict[str, Columns]) -> None:
    assert_golden(checksums(rows["showers"]), GOLDEN["simulated_showers"])


@pytest.mark.parametrize("name", list(GOLDEN["features"]))
def test_features(rows: dict[str, Columns], name: str) -> None:
    features = feature_set(name)
    assert_golden(checksums(features.named(features.compute(rows[features.rows]))), GOLDEN["features"][name])


@pytest.mark.parametrize("name", invertible_sets())
def test_inverses(rows: dict[str, Columns], name: str) -> None:
    features = feature_set(name)
    columns = rows[features.rows]
    entries = columns[features.entries]
    assert isinstance(entries, Ragged)
    values = features.named(features.compute(columns).astype(np.float64))
    needed = features.require_inverse().needs
    row_fields = {field: np.asarray(columns[field]) for field in needed}
    made = features.invert(values, lengths=entries.lengths, row_fields=row_fields)
    assert_golden(checksums(made), GOLDEN["inverse"][name])


@pytest.mark.parametrize(
    ("name", "order"), [("one", Order(20_000, 50, 1)), ("two", Order(20_000, 50, 1, 1, 2, 4))]
)
def test_orders_of_training_rows(name: str, order: Order) -> None:
    digest = hashlib.sha256()
    for epoch in (0, 1):
        for pool in range(order.pools):
            positions = order.positions(epoch, pool)
            lengths = np.random.default_rng(3).integers(1, 100, len(positions))
            for members in order.members_of(epoch, pool, lengths):
                digest.update(positions[members].astype("<i8").tobytes())
    assert digest.hexdigest() == GOLDEN["order"][name]
