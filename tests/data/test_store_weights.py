"""Event weights in stores: the role, the sums, files that hold them, rows drawn by them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from scipy.stats import ks_2samp

from hepfm.cli.data import command
from hepfm.core.errors import DataError
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data import feature_set
from hepfm.data.content import Content
from hepfm.data.exporters.export import export_store
from hepfm.data.ingest import ingest
from hepfm.data.loader import EvalLoader, TrainLoader
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.weights import AUTO, sum_weights, unweighted, weight_field
from hepfm.data.writer import write_store

MakeStore = Callable[..., Store]

FIELDS = (
    Field("w", Level.OBJECT),
    Field("code", Level.OBJECT, Kind.CATEGORICAL, dtype="int16", classes=("a", "b")),
    Field("azimuth", Level.OBJECT, Kind.ANGLE, "rad"),
    Field("flag", Level.OBJECT, Kind.FLAG, dtype="bool"),
    Field("number", Level.OBJECT, dtype="int64"),
    Field("part_pt", Level.CONSTITUENT, unit="GeV"),
)


@pytest.fixture
def weighted(jet_columns: Any, tmp_path: Path) -> MakeStore:
    """Return a function that writes 300 jets with the given weights, in the splits train and test."""

    def make(weights: Any, name: str = "weighted") -> Store:
        weight = {"jet_weight": np.asarray(weights, np.float32)}
        parts = [
            (split, {**jet_columns(300, seed=seed), **weight}) for seed, split in ((7, "train"), (8, "test"))
        ]
        schema = jet_schema(JETCLASS_CLASSES, weight=True)
        return Store.open(write_store(tmp_path / name, schema, parts, provenance={}))

    return make


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("code", "kind categorical"),
        ("azimuth", "kind angle"),
        ("flag", "kind flag"),
        ("number", "whole numbers"),
        ("part_pt", "lists"),
    ],
)
def test_what_cannot_weigh_rows_is_refused_and_the_message_names_what_can(name: str, why: str) -> None:
    with pytest.raises(DataError, match=rf"{name}.*{why}.*Fields that fit: w;"):
        Schema(FIELDS, Level.OBJECT, weight=name)
    with pytest.raises(DataError, match=why):
        weight_field(name, Schema(FIELDS, Level.OBJECT))


def test_the_role_is_written_to_the_manifest_and_read_from_it(weighted: MakeStore) -> None:
    store = weighted(np.ones(300))
    assert store.schema.weight == "jet_weight"
    assert Schema.from_dict(store.schema.to_dict()) == store.schema
    assert "weight" not in jet_schema().to_dict()  # data without weights keep their fingerprint


def test_the_setting_is_automatic_none_or_a_field() -> None:
    with_role, without = Schema(FIELDS, Level.OBJECT, weight="w"), Schema(FIELDS, Level.OBJECT)
    assert weight_field(AUTO, with_role) == "w"
    assert weight_field(AUTO, without) is None
    assert weight_field(None, with_role) is None
    assert weight_field("w", without) == "w"
    with pytest.raises(DataError, match="no field 'weigth'"):
        weight_field("weigth", without)


def test_both_loaders_give_the_weights_of_their_rows(weighted: MakeStore) -> None:
    weights = np.arange(1, 301)
    store, content = weighted(weights), Content(feature_set("kin"), weights="jet_weight")
    rows = store.split("train")
    options: dict[str, Any] = {"rows": rows, "batch_size": 50}
    batches = [*EvalLoader(store, content, **options)]
    endless = iter(TrainLoader(store, content, seed=1, **options))
    for batch in [*batches, next(endless)]:
        assert batch.weights_B is not None
        np.testing.assert_array_equal(batch.weights_B, weights[batch.rows_B])
    assert sum(len(batch) for batch in batches) == 300


def test_sums_of_weights(weighted: MakeStore) -> None:
    weights = np.where(np.arange(300) % 4 == 0, -1.0, 3.0)
    store = weighted(weights)
    sums = sum_weights(store, "jet_weight", store.split("test"))
    labels = np.asarray(store.read(["jet_label"], store.split("test"))["jet_label"])
    assert (sums.rows, sums.negative_share, sums.total) == (300, 0.25, weights.sum())
    assert sums.effective_rows == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert sums.classes == {
        name: ((labels == k).sum(), pytest.approx(weights[labels == k].sum()))
        for k, name in enumerate(JETCLASS_CLASSES)
    }


def test_info_names_the_role_and_check_prints_the_sums(weighted: MakeStore) -> None:
    store = weighted(np.where(np.arange(300) < 30, -1.0, 1.0))
    info = CliRunner().invoke(command, ["info", str(store.path)])
    assert "event weight: jet_weight" in info.output
    check = CliRunner().invoke(command, ["check", str(store.path)])
    assert check.exit_code == 0
    assert (
        "test weights (jet_weight): sum 240, effective rows 192.0 of 300, negative weights 10.0 %"
        in check.output
    )


def test_a_check_refuses_weights_that_are_all_zero(weighted: MakeStore) -> None:
    check = CliRunner().invoke(command, ["check", str(weighted(np.zeros(300)).path)])
    assert check.exit_code == 2
    assert "all 300 weights 'jet_weight' are zero" in check.output


def test_weights_that_are_not_finite_never_enter_a_store(weighted: MakeStore) -> None:
    with pytest.raises(DataError, match="'jet_weight', row 3: nan must be finite"):
        weighted(np.where(np.arange(300) == 3, np.nan, 1.0))


@pytest.mark.parametrize("ending", ["parquet", "root"])
def test_jetclass_files_give_their_weights_back(weighted: MakeStore, tmp_path: Path, ending: str) -> None:
    weights = np.linspace(-1, 2, 300).astype(np.float32)
    file = export_store(weighted(weights), tmp_path / f"jets.{ending}", split="test")
    options = {"weight": "jet_weight"}
    again = Store.open(ingest("jetclass", [file], output=tmp_path / "again", options=options))
    assert again.schema.weight == "jet_weight"
    np.testing.assert_array_equal(again.read(["jet_weight"])["jet_weight"], weights)
    plain = Store.open(ingest("jetclass", [file], output=tmp_path / "plain"))
    assert plain.schema.weight is None


def test_another_branch_can_hold_the_weights_and_a_wrong_one_is_named(
    jet_store: Store, tmp_path: Path
) -> None:
    file = export_store(jet_store, tmp_path / "jets.parquet", split="test")
    table = pq.read_table(file)
    pq.write_table(table.append_column("mc_weight", table["jet_pt"]), file)
    options = {"weight": "mc_weight"}
    store = Store.open(ingest("jetclass", [file], output=tmp_path / "s", options=options))
    columns = store.read(["jet_weight", "jet_pt"])
    np.testing.assert_array_equal(columns["jet_weight"], columns["jet_pt"])
    with pytest.raises(DataError, match=r"no branch 'mcweight'.*did you mean 'mc_weight'"):
        ingest("jetclass", [file], output=tmp_path / "a", options={"weight": "mcweight"})
    with pytest.raises(DataError, match="'part_charge' holds no event weights"):
        ingest("jetclass", [file], output=tmp_path / "b", options={"weight": "part_charge"})


def test_omnilearned_files_give_their_weights_back(weighted: MakeStore, tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="h5py is not installed")
    weights = np.linspace(-1, 2, 300).astype(np.float32)
    file = export_store(weighted(weights), tmp_path / "jets.h5", split="test", format_name="omnilearned")
    again = Store.open(ingest("omnilearned", [file], output=tmp_path / "again"))
    np.testing.assert_array_equal(again.read([str(again.schema.weight)])["jet_weight"], weights)
    with pytest.raises(DataError, match="no data set 'w'"):
        ingest("omnilearned", [file], output=tmp_path / "bad", options={"weight": "w"})


def test_a_format_without_a_place_for_weights_says_that_they_are_dropped(
    weighted: MakeStore, jet_store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("h5py", reason="h5py is not installed")
    with caplog.at_level(logging.WARNING, "hepfm"):
        export_store(jet_store, tmp_path / "plain", format_name="jetnet")
        assert not caplog.messages
        export_store(weighted(np.ones(300)), tmp_path / "dropped", format_name="jetnet")
    assert caplog.messages == ["jetnet has no place for event weights: jet_weight is not written"]


def test_unweighted_rows_follow_the_weighted_distribution() -> None:
    rng = numpy_generator(0, "test.unweighted")
    flat, target = rng.uniform(0, 1, 20_000), rng.beta(3, 1, 20_000)
    kept = unweighted(3 * flat**2, rng=rng, where="test")  # the density of beta(3, 1) over the flat one
    assert len(np.unique(kept)) == len(kept) == pytest.approx(20_000 / 3, rel=0.05)
    assert ks_2samp(flat[kept], target).pvalue > 1e-3
    assert ks_2samp(flat, target).pvalue < 1e-9
    np.testing.assert_array_equal(unweighted(np.ones(9), rng=rng, where="test"), np.arange(9))


def test_rows_cannot_be_drawn_by_negative_or_zero_weights() -> None:
    rng = numpy_generator(0, "test.unweighted")
    with pytest.raises(DataError, match="here: 1 of 2 weights are negative"):
        unweighted(np.array([1.0, -1.0]), rng=rng, where="here")
    with pytest.raises(DataError, match="all 2 weights are zero"):
        unweighted(np.zeros(2), rng=rng, where="here")
