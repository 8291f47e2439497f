"""The file of learned weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hepfm.core.errors import DataError
from hepfm.data.learned_weights import KEY, LearnedWeights, WeightsInfo


def weights() -> LearnedWeights:
    info = WeightsInfo(
        method="omnifold",
        store="abc",
        observables=("x",),
        iterations=3,
        replicas={"bootstrap": 1},
        options={"a": 1},
    )
    rows = np.array([4, 1, 9])
    return LearnedWeights(
        rows, np.array([0.5, 2.0, 1.0]), {"weight_bootstrap_1": np.ones(3)}, info, rows * 10
    )


def test_a_file_comes_back(tmp_path: Path) -> None:
    path = weights().write(tmp_path / "weights.parquet")
    back = LearnedWeights.read(path)
    np.testing.assert_array_equal(back.rows, [4, 1, 9])
    np.testing.assert_array_equal(back.weight, [0.5, 2.0, 1.0])
    np.testing.assert_array_equal(back.replicas["weight_bootstrap_1"], 1.0)
    np.testing.assert_array_equal(back.events, [40, 10, 90])
    assert back.info.model_copy(update={"made_by": ""}) == weights().info
    assert back.info.made_by.startswith("hepfm ")


def test_others_can_read_it(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = weights().write(tmp_path / "weights.parquet")
    frame = pandas.read_parquet(path)
    assert list(frame.columns) == ["row", "event", "weight", "weight_bootstrap_1"]
    assert json.loads(pq.read_schema(path).metadata[KEY])["iterations"] == 3


def test_a_file_without_metadata_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"row": [1], "weight": [1.0]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="no file of weights"):
        LearnedWeights.read(tmp_path / "other.parquet")


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "newer.parquet"
    table = pa.table({"row": [1], "weight": [1.0]}).replace_schema_metadata({KEY: json.dumps({"format": 99})})
    pq.write_table(table, path)
    with pytest.raises(DataError, match="format 99"):
        LearnedWeights.read(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = replace(weights(), weight=np.array([1.0, np.nan, np.inf])).write(tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=r"2 of 3 values of 'weight'"):
        LearnedWeights.read(path)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"broken\.parquet"):
        LearnedWeights.read(tmp_path / "broken.parquet")
