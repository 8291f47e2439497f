"""Loaders: batches of rows of similar length, cut to the longest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.core.batch import Batch
from hepfm.core.config import fingerprint
from hepfm.core.errors import DataError
from hepfm.data.content import Content
from hepfm.data.grouped_order import GroupedOrder
from hepfm.data.groups import read_groups
from hepfm.data.order import POOL_ROWS, Order
from hepfm.data.pool import RowPool
from hepfm.data.row_source import Rows, RowSource

Index = npt.NDArray[np.int64]


class TrainLoader:
    """Endless batches in seeded random order; goes on at the exact next batch after `restore`.

    Every row comes once an epoch, but for fewer than a step's batches, which differ from epoch to epoch.
    Draws depend on (seed, epoch) only: the ranks share the rows of each step, which are the same for any
    number of ranks. The next pool of rows is made in a thread of its own.

    Parameters
    ----------
    source
        The data: a store or a table.
    content
        What batches hold.
    rows
        Rows to draw from, e.g. ``store.split("train")`` or a label budget; a range costs no memory.
    batch_size
        Rows of a batch, of all ranks together; all rows if there are fewer.
    seed
        Of the order.
    rank, world_size
        This process and the number of processes that share the rows of each batch; their shares are disjoint
        and, where a batch cannot be divided evenly, differ by one row.
    batches_per_step
        Consecutive batches that are together a random draw, sorted by length among themselves. An optimizer
        step over all of them is unbiased. 1 makes batches of random lengths.
    members
        Rows of a group that stand together in a batch, at least, where the schema names a group; see
        `hepfm.data.grouped_order`. None deals rows one by one.

    Examples
    --------
    ::

        rows = store.split("train")
        loader = TrainLoader(store, Content(feature_set("kin")), rows=rows, batch_size=512, seed=1)
        batch = next(iter(loader))
    """

    def __init__(
        self,
        source: RowSource,
        content: Content,
        *,
        rows: Rows,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        batches_per_step: int = 8,
        members: int | None = None,
    ) -> None:
        content.check(source.schema)
        self.source = source
        self.content = content
        self._fingerprint = source.fingerprint
        self.rows = _rising(source, rows)
        if not 0 <= rank < world_size or batch_size < 1 or batches_per_step < 1:
            raise DataError(f"no loader with {rank=}, {world_size=}, {batch_size=}, {batches_per_step=}")
        if len(self.rows) < world_size:
            raise DataError(f"{len(self.rows)} rows are too few to train on with {world_size} processes")
        options = {
            "batch_size": batch_size,
            "seed": seed,
            "rank": rank,
            "world_size": world_size,
            "batches_per_step": batches_per_step,
        }
        self.order: Order | GroupedOrder = (
            Order(len(self.rows), **options)
            if members is None
            else GroupedOrder(read_groups(source, self.rows), members, **options)
        )
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
                "this loader's place belongs to other data, another batch size, number of parts or seed; "
                "resume with those of the run"
            )
        self._epoch, self._batch = int(state["epoch"]), int(state["batch"])

    def _identity(self) -> str:
        rows = str(self.rows) if isinstance(self.rows, range) else sha256(self.rows.tobytes()).hexdigest()
        return fingerprint([self._fingerprint, rows, *self.order.identity()])

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

    def _pool(self, epoch: int, number: int) -> RowPool:
        positions = self.order.positions(epoch, number)
        rows = positions + self.rows.start if isinstance(self.rows, range) else self.rows[positions]
        return RowPool(self.source, self.content, rows)

    def _batches(self, pool: RowPool, epoch: int, number: int) -> Iterator[Batch]:
        first = number * self.order.batches_per_pool
        done = self._batch - first if self._epoch == epoch else 0
        for batch, members in enumerate(self.order.members_of(epoch, number, pool.lengths)):
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
        source: RowSource,
        content: Content,
        *,
        rows: Rows,
        batch_size: int,
    ) -> None:
        content.check(source.schema)
        self.source = source
        self.content = content
        self.rows = source.index(rows)
        if batch_size < 1:
            raise DataError(f"batch_size must be at least 1, got {batch_size}")
        self.batch_size = batch_size
        self._pool_rows = batch_size * -(-POOL_ROWS // batch_size)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.rows), self._pool_rows):
            pool = RowPool(self.source, self.content, self.rows[start : start + self._pool_rows])
            for members in pool.by_length(np.arange(len(pool.rows)), self.batch_size):
                yield pool.batch(members)


def _rising(source: RowSource, rows: Rows) -> range | Index:
    index = source.index(rows)
    return index if isinstance(index, range) else np.sort(index)
