"""Rows that belong together: one field says so, no split tears them, batches hold several of each group."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hepfm.core.batch import Batch
from hepfm.core.errors import ConfigError, DataError
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data import feature_set
from hepfm.data.content import Content
from hepfm.data.grouped_order import GroupedOrder
from hepfm.data.loader import EvalLoader, TrainLoader
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.table import Table
from hepfm.data.writer import write_store
from hepfm.train.distributed import World
from hepfm.train.pretraining import Pretraining
from hepfm.train.recipe import read_pretrain_recipe

EVENT = Field("event", Level.OBJECT, Kind.COUNT, dtype="int64", description="number of the simulated event")
JETS = jet_schema(JETCLASS_CLASSES, extra=(EVENT,))
SCHEMA = Schema(JETS.fields, JETS.row, JETS.label, group="event")
CONTENT = Content(feature_set("kin"))


def groups_of(sizes: list[int], seed: int = 0) -> np.ndarray:
    """Return scattered group numbers, which are not 0 to the number of groups."""
    numbers = np.random.default_rng(seed).permutation(1000)[: len(sizes)] - 500
    return np.random.default_rng(seed).permutation(np.repeat(numbers, sizes))


@pytest.fixture(scope="module")
def table(jet_columns: Any) -> Table:
    """300 jets in groups of 1 to 9, scattered, but for one group of 25."""
    sizes = [1 + k % 9 for k in range(55)] + [25]
    groups = groups_of(sizes)
    return Table(SCHEMA, {"train": {**jet_columns(len(groups), seed=3), "event": groups}})


def epoch_of(order: GroupedOrder, epoch: int) -> list[np.ndarray]:
    """Return the rows of each batch of an epoch, at lengths that differ."""
    batches = []
    for pool in range(order.pools):
        positions = order.positions(epoch, pool)
        assert (np.diff(positions) > 0).all()
        lengths = np.random.default_rng(epoch).integers(1, 100, len(positions))
        batches += [positions[members] for members in order.members_of(epoch, pool, lengths)]
    return batches


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=8, max_size=80),
    members=st.integers(1, 5),
    world_size=st.integers(1, 3),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 2),
)
def test_members_stand_together_and_every_row_comes_at_most_once(
    sizes: list[int], members: int, world_size: int, seed: int, epoch: int
) -> None:
    """Over all ranks: whole units only, groups never more often than they should, few rows left over."""
    if 10 // members < world_size:
        return
    groups = groups_of(sizes, seed)
    size_of = Counter(groups.tolist())
    seen: list[int] = []
    left = []
    for rank in range(world_size):
        order = GroupedOrder(
            groups, members, batch_size=10, seed=seed, rank=rank, world_size=world_size, batches_per_step=2
        )
        batches = epoch_of(order, epoch)
        assert len(batches) == order.batches
        left.append(order.units.num_rows - order.batches * order.units.batch)
        for rows in batches:
            assert len(rows) <= (10 // members) * (2 * members - 1)
            for group, run in itertools.groupby(groups[rows].tolist()):
                # Two units of a group that follow each other make one run.
                assert len(list(run)) >= min(members, size_of[group])
        seen += [int(row) for rows in batches for row in rows]
    assert len(set(seen)) == len(seen)
    units = Counter({group: max(1, size // members) for group, size in size_of.items()})
    missing = Counter(groups.tolist()) - Counter(groups[seen].tolist())
    assert sum(missing.values()) <= max(left) * (2 * members - 1)
    assert set(left) == {left[0]}
    assert sum(units.values()) == order.units.num_rows


@pytest.mark.parametrize("members", [1, 2, 3, 4])
def test_an_epoch_of_whole_batches_is_every_row_once(members: int) -> None:
    """64 groups of 12: units of exactly `members`; each group comes 12 / members times."""
    groups = groups_of([12] * 64)
    order = GroupedOrder(groups, members, batch_size=members * 8, seed=1, batches_per_step=4)
    batches = epoch_of(order, 0)
    assert {len(rows) for rows in batches} == {members * 8}
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(groups)))
    for rows in batches:
        assert (groups[rows].reshape(8, members) == groups[rows].reshape(8, members)[:, :1]).all()


def test_who_stands_together_differs_between_epochs_and_seeds() -> None:
    groups = groups_of([6] * 40)

    def pairs(seed: int, epoch: int) -> set[frozenset[int]]:
        batches = epoch_of(GroupedOrder(groups, 2, batch_size=20, seed=seed, batches_per_step=1), epoch)
        return {frozenset(pair) for rows in batches for pair in rows.reshape(-1, 2).tolist()}

    first = pairs(1, 0)
    assert len(first) == 120
    assert pairs(1, 0) == first
    # A pair is chosen again with probability 1/5.
    for other in (pairs(1, 1), pairs(2, 0)):
        assert len(first & other) < 60


def test_every_pair_of_a_group_is_as_likely() -> None:
    groups = np.zeros(4, np.int64).repeat(1)
    groups = np.concatenate([groups, 1 + np.arange(8).repeat(4)])
    order = GroupedOrder(groups, 2, batch_size=2, seed=3, batches_per_step=1)
    counts: Counter[frozenset[int]] = Counter()
    for epoch in range(600):
        counts.update(frozenset(rows.tolist()) for rows in epoch_of(order, epoch) if (rows < 4).all())
    assert len(counts) == 6
    assert max(counts.values()) < 1.35 * min(counts.values())


def train(table: Table, **options: Any) -> TrainLoader:
    return TrainLoader(table, CONTENT, **{"rows": None, "batch_size": 24, "seed": 1, "members": 3, **options})


def test_batches_tell_the_groups_of_their_rows(table: Table) -> None:
    sizes = Counter(np.asarray(table.read(["event"])["event"]).tolist())
    for batch in itertools.islice(train(table), 30):
        assert batch.group_B is not None
        assert batch.group_B.dtype == torch.int64
        np.testing.assert_array_equal(batch.group_B, table.read(["event"], batch.rows_B.numpy())["event"])
        for group, count in Counter(batch.group_B.tolist()).items():
            assert count >= min(3, sizes[group])
        assert batch.to("cpu").group_B is not None
    for batch in EvalLoader(table, CONTENT, rows=None, batch_size=50):
        np.testing.assert_array_equal(batch.group_B, table.read(["event"], batch.rows_B.numpy())["event"])


def same(first: Batch, second: Batch) -> bool:
    return torch.equal(first.rows_B, second.rows_B) and torch.equal(first.features_BNF, second.features_BNF)


@pytest.mark.parametrize("done", [0, 1, 7, 8, 9, 25])
def test_resume_at_the_exact_next_batch(table: Table, monkeypatch: pytest.MonkeyPatch, done: int) -> None:
    monkeypatch.setattr("hepfm.data.order.POOL_ROWS", 90)
    loader = train(table, batches_per_step=2)
    assert loader.order.pools > 1
    batches = iter(loader)
    list(itertools.islice(batches, done))
    state = json.loads(json.dumps(loader.state()))
    resumed = train(table, batches_per_step=2)
    resumed.restore(state)
    following = list(itertools.islice(zip(batches, resumed, strict=False), 20))
    assert len(following) == 20
    assert all(same(*pair) for pair in following)


@pytest.mark.parametrize(
    "change", [{"members": 2}, {"members": None}, {"batch_size": 25}, {"seed": 2}], ids=str
)
def test_resume_with_other_options_is_refused(table: Table, change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="belongs to other data"):
        train(table, **change).restore(train(table).state())


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_share_the_batches_of_one(table: Table, world_size: int) -> None:
    ranks = [
        itertools.islice(train(table, rank=rank, world_size=world_size, batches_per_step=1), 25)
        for rank in range(world_size)
    ]
    for whole, *parts in zip(train(table, batches_per_step=1), *ranks, strict=False):
        rows = [int(row) for part in parts for row in part.rows_B]
        assert sorted(rows) == sorted(whole.rows_B.tolist())


def test_ranks_never_share_a_unit(table: Table) -> None:
    loaders = [train(table, rank=rank, world_size=2) for rank in (0, 1)]
    rows = [
        {int(row) for batch in itertools.islice(loader, loader.batches_per_epoch) for row in batch.rows_B}
        for loader in loaders
    ]
    assert not rows[0] & rows[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": 25}, "25 members of a group are to stand together in batches of 24 rows"),
        ({"members": 0}, "choose members from 1 to that number"),
        ({"rows": [0, 1], "world_size": 3, "rank": 1}, "too few"),
    ],
)
def test_impossible_options(table: Table, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        train(table, **options)


def test_fewer_units_than_processes() -> None:
    with pytest.raises(DataError, match="4 rows in 1 groups make 1 units of 3 members: too few"):
        GroupedOrder(np.zeros(4, np.int64), 3, batch_size=3, seed=1, world_size=2)


def test_groups_must_be_known(jet_store: Store) -> None:
    with pytest.raises(DataError, match=r"no field of .* says which rows belong together"):
        TrainLoader(jet_store, CONTENT, rows=None, batch_size=24, seed=1, members=2)
    assert next(iter(EvalLoader(jet_store, CONTENT, rows=None, batch_size=24))).group_B is None


@pytest.mark.parametrize("name", ["jet_pt", "part_pid", "jet_label"])
def test_fields_that_cannot_be_a_group(name: str) -> None:
    with pytest.raises(DataError, match=f"{name!r} cannot say which rows belong together"):
        Schema(JETS.fields, JETS.row, group=name)


def test_the_role_is_kept(tmp_path: Path, jet_columns: Any) -> None:
    assert Schema.from_dict(json.loads(json.dumps(SCHEMA.to_dict()))) == SCHEMA
    assert SCHEMA.having(["event", "jet_pt"]).group == "event"
    assert SCHEMA.having(["jet_pt"]).group is None
    columns = {**jet_columns(4), "event": np.array([1, 1, 2, 2])}
    store = Store.open(write_store(tmp_path / "s", SCHEMA, [("train", columns)], provenance={}))
    assert store.schema == SCHEMA
    assert len(list(store.verify())) == 1


def test_no_group_may_lie_in_two_splits(tmp_path: Path, jet_columns: Any) -> None:
    parts = {
        "train": {**jet_columns(4), "event": np.array([1, 1, 2, 7])},
        "val": {**jet_columns(2), "event": np.array([3, 3])},
        "test": {**jet_columns(2), "event": np.array([7, 8])},
    }
    message = "1 groups have rows in both splits 'train' and 'test', e.g. event=7"
    with pytest.raises(DataError, match=message):
        Table(SCHEMA, parts)
    with pytest.raises(DataError, match=message):
        write_store(tmp_path / "s", SCHEMA, list(parts.items()), provenance={})
    assert not (tmp_path / "s").exists()


def test_a_recipe_draws_members_of_a_group_together(jet_columns: Any, tmp_path: Path) -> None:
    groups = groups_of([4] * 60)
    splits = [("train", {**jet_columns(len(groups), seed=3), "event": groups})]
    store = write_store(tmp_path / "twins", SCHEMA, splits, provenance={})
    values = {
        "data": {"store": str(store), "features": "kin", "validation": None, "members": 4},
        "backbone": {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2},
        "train": {"steps": 1, "batch_size": 32, "accumulate": 2, "device": "cpu"},
    }
    work = Pretraining.check(read_pretrain_recipe(values))
    batch = next(iter(work.job(World(0, 1, torch.device("cpu"))).train))
    assert batch.group_B is not None
    assert set(Counter(batch.group_B.tolist()).values()) == {4}
    few = {**values, "train": {**values["train"], "batch_size": 4}}
    with pytest.raises(ConfigError, match=r"data\.members=4 rows of a group do not fit into the 2 rows"):
        Pretraining.check(read_pretrain_recipe(few)).job(World(0, 1, torch.device("cpu")))
