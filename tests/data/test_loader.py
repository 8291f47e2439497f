"""Loaders: every row once, little padding, exact resume, disjoint ranks."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hepfm.core.batch import Batch
from hepfm.core.errors import DataError
from hepfm.core.ragged import Ragged
from hepfm.core.schema import Field, Level
from hepfm.data import feature_set
from hepfm.data.content import Content
from hepfm.data.features import four_momenta
from hepfm.data.loader import EvalLoader, TrainLoader
from hepfm.data.order import Order
from hepfm.data.row_source import RowSource
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.table import Table
from hepfm.data.writer import write_store

FULL = feature_set("full")
CONTENT = ("labels", "weights", "max_constituents")


def epoch(loader: TrainLoader) -> list[Batch]:
    return list(itertools.islice(loader, loader.batches_per_epoch))


def rows_of(batches: list[Batch]) -> list[int]:
    return [int(row) for batch in batches for row in batch.rows_B]


def train_loader(source: RowSource, **options: Any) -> TrainLoader:
    content = Content(FULL, **{name: options.pop(name) for name in CONTENT if name in options})
    return TrainLoader(
        source, content, **{"rows": source.split("train"), "batch_size": 50, "seed": 1, **options}
    )


def same(first: Batch, second: Batch) -> bool:
    return torch.equal(first.rows_B, second.rows_B) and torch.equal(first.features_BNF, second.features_BNF)


def test_batches_hold_what_the_store_holds(jet_store: Store) -> None:
    content = Content(FULL, ("jet_label", "jet_pt"))
    for batch in EvalLoader(jet_store, content, rows=None, batch_size=64):
        columns = jet_store.read(jet_store.schema.names(), batch.rows_B.numpy())
        pt = columns["part_pt"]
        assert isinstance(pt, Ragged)
        mask = batch.mask_BN
        np.testing.assert_array_equal(mask.sum(1), pt.lengths)
        assert not (mask[:, 1:] & ~mask[:, :-1]).any()
        np.testing.assert_array_equal(batch.features_BNF[mask], FULL.compute(columns))
        assert batch.p4_BN4 is not None
        np.testing.assert_array_equal(batch.p4_BN4[mask], four_momenta(columns))
        assert (batch.features_BNF[~mask] == 0).all()
        assert (batch.p4_BN4[~mask] == 0).all()
        assert batch.labels["jet_label"].dtype == torch.int64
        assert batch.labels["jet_pt"].dtype == torch.float32
        np.testing.assert_array_equal(batch.labels["jet_label"], columns["jet_label"])
        np.testing.assert_array_equal(batch.labels["jet_pt"], columns["jet_pt"])


@settings(deadline=None, max_examples=25)
@given(
    num_rows=st.integers(1, 3000),
    batch_size=st.integers(1, 400),
    world_size=st.integers(1, 4),
    batches_per_step=st.integers(1, 8),
    seed=st.integers(0, 3),
)
def test_ranks_share_the_steps_of_one_rank(
    num_rows: int, batch_size: int, world_size: int, batches_per_step: int, seed: int
) -> None:
    """The rows of a step do not depend on the number of ranks, and few are left over in an epoch."""
    one = Order(num_rows, batch_size, seed, batches_per_step=batches_per_step)
    if one.batch < world_size:
        return
    ranks = [
        Order(num_rows, batch_size, seed, rank, world_size, batches_per_step) for rank in range(world_size)
    ]
    assert len({tuple(order.identity()) for order in (one, *ranks)}) == 1
    seen = []
    for pool in range(one.pools):
        (whole,) = steps_of([one], pool)
        shares = steps_of(ranks, pool)
        for step, rows in enumerate(whole):
            parts = [share[step] for share in shares]
            assert sorted(np.concatenate(parts).tolist()) == sorted(rows.tolist())
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
            seen.append(rows)
    together = np.concatenate(seen)
    assert len(np.unique(together)) == len(together) == one.batches * one.batch
    assert together.min() >= 0
    assert together.max() < num_rows
    assert num_rows - len(together) < max(batches_per_step, 2) * one.batch


def steps_of(orders: list[Order], pool: int, *, epoch: int = 2) -> list[list[npt.NDArray[np.int64]]]:
    """Return the rows of each step of a pool, of each rank."""
    found = []
    for order in orders:
        positions = order.positions(epoch, pool)
        assert (np.diff(positions) > 0).all()
        lengths = np.random.default_rng(order.rank).integers(1, 100, len(positions))
        batches = [positions[members] for members in order.members_of(epoch, pool, lengths)]
        size = order.batches_per_step
        found.append([np.concatenate(batches[i : i + size]) for i in range(0, len(batches), size)])
    return found


def test_a_rank_reads_neighbours() -> None:
    """Of a pool each of eight ranks reads about an eighth of the blocks, not some rows of each."""
    orders = [Order(1_000_000, 512, 1, rank, 8, 4) for rank in range(8)]
    blocks = [len(np.unique(order.positions(0, 3) // order.block)) for order in orders]
    assert sum(blocks) < 1.5 * 8192 / 64
    assert {len(order.positions(0, 3)) for order in orders} == {orders[0].batches_per_pool * 512 // 8}


def test_a_batch_of_fewer_rows_than_ranks_is_refused() -> None:
    with pytest.raises(DataError, match=r"a batch of 3 \(of 3 in all, 512 asked for\) cannot be shared by 4"):
        Order(3, 512, 1, 0, 4)
    with pytest.raises(DataError, match="take fewer processes, more data or larger batches"):
        Order(1000, 2, 1, 0, 4)


@pytest.mark.parametrize("done", [1, 4, 12, 13])
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 4), (4, 2)])
def test_another_number_of_ranks_goes_on_with_the_same_rows(
    jet_store: Store, done: int, before: int, after: int
) -> None:
    def loaders(size: int) -> list[TrainLoader]:
        return [
            train_loader(jet_store, rank=rank, world_size=size, batches_per_step=1) for rank in range(size)
        ]

    expected = list(itertools.islice(train_loader(jet_store, batches_per_step=1), done + 15))[done:]
    started = loaders(before)[-1]
    list(itertools.islice(started, done))
    resumed = loaders(after)
    for loader in resumed:
        loader.restore(started.state())
    parts = [list(itertools.islice(loader, 15)) for loader in resumed]
    for number, batch in enumerate(expected):
        rows = rows_of([part[number] for part in parts])
        assert sorted(rows) == sorted(batch.rows_B.tolist())


def test_an_epoch_on_one_rank_is_every_row_once(jet_store: Store) -> None:
    loader = train_loader(jet_store, batches_per_step=4)
    rows = rows_of(epoch(loader))
    assert sorted(rows) == list(range(600))
    assert rows_of(epoch(loader)) != rows


def test_rows_left_over_differ_between_epochs(jet_store: Store) -> None:
    loader = train_loader(jet_store, batch_size=170, batches_per_step=1)
    missed = [set(range(600)) - set(rows_of(epoch(loader))) for _ in range(6)]
    assert all(len(rows) == 600 - 3 * 170 for rows in missed)
    assert len(set.intersection(*missed)) == 0


def test_rows_are_mixed_even_when_the_store_is_sorted() -> None:
    order = Order(100_000, 256, seed=1)
    batches = order.members_of(0, 0, np.ones(order.batches_per_pool * order.batch, np.int64))
    positions = order.positions(0, 0)
    classes = [np.bincount(positions[members] // 10_000, minlength=10) for members in batches]
    assert np.mean([(counts > 8).all() for counts in classes]) > 0.9


def test_batches_are_of_similar_length(jet_store: Store) -> None:
    def padding(**options: Any) -> float:
        masks = [batch.mask_BN for batch in epoch(train_loader(jet_store, **options))]
        return 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)

    assert padding(batch_size=20) < 0.12 < 0.3 < padding(batch_size=20, batches_per_step=1)


def test_a_step_is_a_random_draw_though_its_batches_are_not() -> None:
    lengths = np.random.default_rng(1).integers(1, 101, 8 * 64 * 16)
    batches = Order(len(lengths), 64, seed=1).members_of(0, 0, lengths)
    means = np.array([lengths[members].mean() for members in batches]).reshape(-1, 8)
    assert means.std(axis=1).min() > 25, "batches of a step differ in length"
    error = lengths.std() / np.sqrt(8 * 64)
    assert np.abs(means.mean(axis=1) - lengths.mean()).max() < 4 * error, "steps do not"


def test_order_of_batches_does_not_follow_length(jet_store: Store) -> None:
    lengths = [batch.mask_BN.shape[1] for batch in epoch(train_loader(jet_store, batch_size=20))]
    assert abs(np.corrcoef(lengths, np.arange(len(lengths)))[0, 1]) < 0.5


def test_seed_and_nothing_else_decides(jet_store: Store) -> None:
    first, again, other = (epoch(train_loader(jet_store, seed=seed)) for seed in (1, 1, 2))
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert rows_of(first) != rows_of(other)


def test_feature_set_does_not_change_the_order(jet_store: Store) -> None:
    kin = TrainLoader(
        jet_store, Content(feature_set("kin")), rows=jet_store.split("train"), batch_size=50, seed=1
    )
    assert rows_of(epoch(kin)) == rows_of(epoch(train_loader(jet_store)))


@pytest.mark.parametrize("done", [0, 1, 5, 11, 12, 13, 30])
def test_resume_at_the_exact_next_batch(jet_store: Store, done: int) -> None:
    loader = train_loader(jet_store)
    batches: Iterator[Batch] = iter(loader)
    for _ in range(done):
        next(batches)
    state = json.loads(json.dumps(loader.state()))
    resumed = train_loader(jet_store)
    resumed.restore(state)
    for expected, found in itertools.islice(zip(batches, resumed, strict=False), 15):
        assert same(expected, found)


def test_resume_across_pools(jet_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hepfm.data.order.POOL_ROWS", 40)
    loader = train_loader(jet_store, batch_size=20, batches_per_step=2)
    assert loader.order.pools == 15
    expected = list(itertools.islice(loader, 70))
    for done in (1, 2, 3, 29, 30, 31):
        again = train_loader(jet_store, batch_size=20, batches_per_step=2)
        list(itertools.islice(again, done))
        resumed = train_loader(jet_store, batch_size=20, batches_per_step=2)
        resumed.restore(again.state())
        assert all(
            same(a, b) for a, b in zip(expected[done:], itertools.islice(resumed, 70 - done), strict=True)
        )


@pytest.mark.parametrize(
    "change", [{"seed": 2}, {"batch_size": 51}, {"rows": range(10, 500)}, {"batches_per_step": 3}]
)
def test_resume_with_other_options_is_refused(jet_store: Store, change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="belongs to other data"):
        train_loader(jet_store, **change).restore(train_loader(jet_store).state())


def test_subset_of_rows(jet_store: Store) -> None:
    rows = np.array([700, 3, 999, 12, 500])
    loader = train_loader(jet_store, rows=rows, batch_size=2)
    assert loader.batches_per_epoch == 2
    assert set(rows_of(epoch(loader)) + rows_of(epoch(loader)) + rows_of(epoch(loader))) == set(rows.tolist())


def test_fewer_rows_than_a_batch_make_one_batch_of_all(jet_store: Store) -> None:
    loader = train_loader(jet_store, rows=[4, 8, 15], batch_size=512)
    assert [sorted(batch.rows_B.tolist()) for batch in itertools.islice(loader, 3)] == [[4, 8, 15]] * 3


def test_eval_loader_gives_each_row_once(jet_store: Store) -> None:
    rows = jet_store.split("test")
    loader = EvalLoader(jet_store, Content(FULL), rows=rows, batch_size=64)
    batches = list(loader)
    assert len(batches) == len(loader) == 4
    assert sorted(rows_of(batches)) == list(rows)


def test_eval_loader_over_many_pools(jet_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hepfm.data.loader.POOL_ROWS", 100)
    rows = np.arange(999, -1, -1)
    loader = EvalLoader(jet_store, Content(FULL), rows=rows, batch_size=30)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert sorted(rows_of(batches)) == list(range(1000))


@pytest.fixture
def odd_jets(jet_columns: Any) -> Table:
    """Rows without constituents, with one, and with more than the limit."""
    return Table.from_dict(jet_columns(6, lengths=[0, 1, 200, 0, 3, 129]), jet_schema(JETCLASS_CLASSES))


def test_empty_single_and_long_jets(odd_jets: Table) -> None:
    batch = next(iter(EvalLoader(odd_jets, Content(FULL), rows=None, batch_size=6)))
    lengths = dict(zip(batch.rows_B.tolist(), batch.mask_BN.sum(1).tolist(), strict=True))
    assert lengths == {0: 0, 1: 1, 2: 128, 3: 0, 4: 3, 5: 128}
    assert batch.mask_BN.shape == (6, 128)
    assert torch.isfinite(batch.features_BNF).all()


def test_long_jets_keep_the_hardest(odd_jets: Table) -> None:
    batch = next(iter(EvalLoader(odd_jets, Content(FULL, max_constituents=10), rows=[2], batch_size=1)))
    pt = odd_jets.read(["part_pt"], [2])["part_pt"]
    assert isinstance(pt, Ragged)
    np.testing.assert_allclose(batch.features_BNF[0, :, 0], np.log(np.sort(pt.values)[::-1][:10]), rtol=1e-5)


def test_only_empty_jets(odd_jets: Table) -> None:
    batch = next(iter(EvalLoader(odd_jets, Content(FULL), rows=[0, 3], batch_size=2)))
    assert batch.mask_BN.shape == (2, 1)
    assert not batch.mask_BN.any()
    assert (batch.features_BNF == 0).all()


def test_unlabelled_and_kinematic_data(jet_columns: Any) -> None:
    schema = jet_schema(identity=False, tracks=False, substructure=False)
    table = Table.from_dict(jet_columns(30), schema, split="train")
    batch = next(iter(TrainLoader(table, Content(feature_set("kin")), rows=None, batch_size=8, seed=0)))
    assert batch.labels == {}
    assert batch.features_BNF.shape[2] == 7
    with pytest.raises(DataError, match="'full' needs fields that this store lacks: part_charge"):
        train_loader(table)


def test_weights(jet_columns: Any) -> None:
    schema = jet_schema(JETCLASS_CLASSES, extra=(Field("weight", Level.OBJECT),))
    columns = {**jet_columns(30), "weight": np.arange(30, dtype=np.float32)}
    table = Table.from_dict(columns, schema, split="train")
    batch = next(iter(train_loader(table, weights="weight")))
    assert batch.weights_B is not None
    np.testing.assert_array_equal(batch.weights_B, batch.rows_B)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ("jet_lable",)}, "did you mean 'jet_label'"),
        ({"rank": 2, "world_size": 2}, "rank=2"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"rows": []}, "too few to train on"),
        ({"rows": [1], "world_size": 2}, "too few to train on with 2 processes"),
        ({"rows": [1000]}, "rows 1000 to 1000 asked for"),
        ({"max_constituents": 0}, "max_constituents must be at least 1"),
    ],
)
def test_bad_options(jet_store: Store, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        train_loader(jet_store, **options)


def test_errors_of_the_reading_thread_reach_the_caller(tmp_path: Path, jet_columns: Any) -> None:
    path = write_store(
        tmp_path / "s", jet_schema(JETCLASS_CLASSES), [("train", jet_columns(30))], provenance={}
    )
    loader = train_loader(Store.open(path))
    (path / "train-00000.arrow").unlink()
    with pytest.raises(DataError, match="lacks its file"):
        next(iter(loader))
