"""Loaders: batches of rows of similar length, cut to the longest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.core.batch import Batch
from hepfm.core.config import fingerprint
from hepfm.core.errors import DataError
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureSet
from hepfm.data.order import POOL_ROWS, Order
from hepfm.data.pool import Content, Pool
from hepfm.data.store import Rows, Store

Index = npt.NDArray[np.int64]


class TrainLoader:
    """Endless batches in seeded random order; goes on at the exact next batch after `restore`.

    Every row comes once an epoch, but for less than a group of batches a rank, which differs from epoch to
    epoch. Draws depend on (seed, epoch, rank) only. The next pool of rows is made in a thread of its own.

    Parameters
    ----------
    store
        The data.
    features
        The feature set.
    rows
        Rows to draw from, e.g. ``store.split("train")`` or a label budget; a range costs no memory.
    batch_size
        Rows of a batch, on each rank; all rows if there are fewer.
    seed
        Of the order.
    labels
        Row-level fields that become ``Batch.labels``.
    max_constituents
        Longer rows keep their first constituents, which are the hardest.
    rank, world_size
        This process and the number of processes that share the rows; their shares are disjoint.
    weights
        Row-level field that becomes ``Batch.weights_B``.
    group
        Consecutive batches that are together a random draw, sorted by length among themselves. An optimizer
        step over a whole group is unbiased. 1 makes batches of random lengths.
    context
        What becomes ``Batch.context_BC``.

    Examples
    --------
    ::

        rows = store.split("train")
        loader = TrainLoader(store, feature_set("kin"), rows=rows, batch_size=512, seed=1)
        batch = next(iter(loader))
    """

    def __init__(
        self,
        store: Store,
        features: FeatureSet,
        *,
        rows: Rows,
        batch_size: int,
        seed: int,
        labels: Sequence[str] = (),
        max_constituents: int = 128,
        rank: int = 0,
        world_size: int = 1,
        weights: str | None = None,
        group: int = 8,
        context: ContextSet | None = None,
    ) -> None:
        self.store = store
        self.content = Content(features, tuple(labels), weights, max_constituents, context)
        self.content.check(store.schema)
        self.rows = _rising(store, rows)
        if not 0 <= rank < world_size or batch_size < 1 or group < 1:
            raise DataError(f"no loader with {rank=}, {world_size=}, {batch_size=}, {group=}")
        if len(self.rows) < world_size:
            raise DataError(f"{len(self.rows)} rows are too few to train on with {world_size} processes")
        self.order = Order(len(self.rows), batch_size, seed, rank, world_size, group)
        self._epoch = self._batch = 0

    @property
    def batches_per_epoch(self) -> int:
        """Batches after which every row was seen."""
        return self.order.batches

    def state(self) -> dict[str, Any]:
        """Return where the loader stands (the next batch), JSON-ready."""
        return {"epoch": self._epoch, "batch": self._batch, "order": self._identity()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a place that `state` returned; raise `DataError` if data or options were others."""
        if state.get("order") != self._identity():
            raise DataError(
                "this loader's place belongs to other data, batch size, seed or number of processes; "
                "resume with those of the run"
            )
        self._epoch, self._batch = int(state["epoch"]), int(state["batch"])

    def _identity(self) -> str:
        order = self.order
        rows = str(self.rows) if isinstance(self.rows, range) else sha256(self.rows.tobytes()).hexdigest()
        options = [order.batch_size, order.seed, order.world_size, order.group]
        return fingerprint([self.store.fingerprint, rows, *options])

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches from where the loader stands, without end."""
        epoch, number = self._epoch, self._batch // self.order.batches_per_pool
        with ThreadPoolExecutor(1, thread_name_prefix="hepfm-loader") as executor:
            waiting = executor.submit(self._pool, epoch, number)
            while True:
                pool = waiting.result()
                following = (epoch, number + 1) if number + 1 < self.order.pools else (epoch + 1, 0)
                waiting = executor.submit(self._pool, *following)
                yield from self._batches(pool, epoch, number)
                epoch, number = following

    def _pool(self, epoch: int, number: int) -> Pool:
        positions = self.order.positions(epoch, number)
        rows = positions + self.rows.start if isinstance(self.rows, range) else self.rows[positions]
        return Pool(self.store, self.content, rows)

    def _batches(self, pool: Pool, epoch: int, number: int) -> Iterator[Batch]:
        first = number * self.order.batches_per_pool
        done = self._batch - first if self._epoch == epoch else 0
        for batch, members in enumerate(self.order.members(epoch, number, pool.lengths)):
            if batch < done:
                continue
            following = first + batch + 1
            last = following == self.order.batches
            self._epoch, self._batch = (epoch + 1, 0) if last else (epoch, following)
            yield pool.batch(members)


class EvalLoader:
    """Each row once, in batches of similar length; ``Batch.rows_B`` says which row stands where.

    Parameters are those of `TrainLoader`.
    """

    def __init__(
        self,
        store: Store,
        features: FeatureSet,
        *,
        rows: Rows,
        batch_size: int,
        labels: Sequence[str] = (),
        max_constituents: int = 128,
        weights: str | None = None,
        context: ContextSet | None = None,
    ) -> None:
        self.store = store
        self.content = Content(features, tuple(labels), weights, max_constituents, context)
        self.content.check(store.schema)
        self.rows = store.index(rows)
        if batch_size < 1:
            raise DataError(f"batch_size must be at least 1, got {batch_size}")
        self.batch_size = batch_size
        self._pool_rows = batch_size * -(-POOL_ROWS // batch_size)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.rows), self._pool_rows):
            pool = Pool(self.store, self.content, self.rows[start : start + self._pool_rows])
            for members in pool.by_length(np.arange(len(pool.rows)), self.batch_size):
                yield pool.batch(members)


def _rising(store: Store, rows: Rows) -> range | Index:
    index = store.index(rows)
    return index if isinstance(index, range) else np.sort(index)
