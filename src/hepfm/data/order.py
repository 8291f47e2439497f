"""The order of training rows: seeded, the same for any number of processes, and never held whole.

An epoch puts blocks of neighbouring rows into random order and cuts them into pools of some hundred blocks.
The rows of a pool are shuffled and dealt to optimizer steps. The rows of a step are a random draw; within it
they are sorted by length before they are cut into batches. A step is therefore unbiased, though each of its
batches holds rows of similar length and so of similar classes.

Several processes share the rows of each step: which rows a step has does not depend on their number, so that
a run may go on with another one. Of every step a process takes the rows that lie next to each other in the
store, and reads only these.
Only the order of blocks is in memory, one number per `BLOCK` rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.ragged import gather_index
from hepfm.core.rng import numpy_generator

BLOCK = 64
"""Rows read together; small enough that the blocks of a pool mix files sorted by class."""

POOL_ROWS = 8192
"""Least number of rows of a pool, of all processes."""

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """How one rank walks through `num_rows` rows.

    Attributes
    ----------
    num_rows
        Rows of all ranks.
    batch_size
        Rows of a batch as asked for, over all ranks; `batch` is smaller when there are fewer rows.
    seed
        Of every draw.
    rank, world_size
        Which of how many.
    batches_per_step
        Consecutive batches that are together a random draw, sorted by length among themselves: 1 makes
        batches of random lengths.
    rows_each
        Rows for which each number stands: more than one where rows stand together.

    Raises
    ------
    DataError
        When there are fewer rows in a batch than ranks.
    """

    num_rows: int
    batch_size: int
    seed: int
    rank: int = 0
    world_size: int = 1
    batches_per_step: int = 8
    rows_each: int = 1

    def __post_init__(self) -> None:
        if self.batch < self.world_size:
            raise DataError(
                f"a batch of {self.batch} (of {self.num_rows} in all, {self.batch_size} asked for) cannot be "
                f"shared by {self.world_size} processes; take fewer processes, more data or larger batches"
            )

    @property
    def block(self) -> int:
        """Rows of a block: fewer than `BLOCK` where there are few."""
        return max(1, min(-(-BLOCK // self.rows_each), self.num_rows // 8))

    @property
    def batch(self) -> int:
        """Rows of a batch of all ranks."""
        return min(self.batch_size, self.num_rows)

    @property
    def batches(self) -> int:
        """Batches of an epoch: only whole steps; fewer batches make one short step.

        Rows left over differ from epoch to epoch.
        """
        whole = self.num_rows // self.batch
        return whole - whole % self.batches_per_step if whole >= self.batches_per_step else whole

    @property
    def batches_per_pool(self) -> int:
        """Batches of a pool: whole steps, at least `POOL_ROWS` rows."""
        rows_per_step = self.batches_per_step * self.batch * self.rows_each
        return self.batches_per_step * -(-POOL_ROWS // rows_per_step)

    @property
    def pools(self) -> int:
        """Pools of an epoch."""
        return -(-self.batches // self.batches_per_pool)

    def identity(self) -> list[int]:
        """Return the numbers on which the order depends; the ranks are not among them."""
        return [self.num_rows, self.batch_size, self.seed, self.batches_per_step]

    def positions(self, epoch: int, pool: int) -> Index:
        """Return this rank's rows of a pool, as rising positions in ``[0, num_rows)``."""
        return self._pool(epoch, pool)[self._mine(self._deal(epoch, pool)[0])]

    def members_of(self, epoch: int, pool: int, lengths: Index) -> list[Index]:
        """Return this rank's batches of a pool as numbers within its rows, given their lengths."""
        steps, cuts = self._deal(epoch, pool)
        mine = self._mine(steps)
        batches = []
        for step, order in zip(steps, cuts, strict=True):
            members = np.searchsorted(mine, step)
            members = members[np.argsort(lengths[members], kind="stable")]
            parts = np.array_split(members, len(order))
            batches += [parts[part] for part in order]
        return batches

    def _pool(self, epoch: int, pool: int) -> Index:
        """Return the rows of a pool, of all ranks, as rising positions."""
        blocks, short_place = _block_order(self.seed, epoch, self._blocks)
        low, high = self._bounds(pool)
        first, skipped = self._place(low, short_place)
        last, _ = self._place(high - 1, short_place)
        mine = blocks[first : last + 1]
        lengths = np.minimum(self.block, self.num_rows - mine * self.block)
        index, _ = gather_index(mine * self.block, lengths)
        return np.sort(index[skipped : skipped + high - low])

    def _bounds(self, pool: int) -> tuple[int, int]:
        """Return the numbers, in the order of an epoch, between which the rows of a pool are."""
        low = pool * self.batches_per_pool * self.batch
        return low, min(low + self.batches_per_pool * self.batch, self.batches * self.batch)

    def _place(self, number: int, short_place: int) -> tuple[int, int]:
        """Return in which of the shuffled blocks the row of a number is, and where in it."""
        short = self._blocks * self.block - self.num_rows
        block = number // self.block
        if block >= short_place:
            block = (number + short) // self.block
        return block, number - block * self.block + (short if block > short_place else 0)

    def _deal(self, epoch: int, pool: int) -> tuple[list[Index], list[Index]]:
        """Return this rank's share of each step, as numbers within the pool, and the order of its batches."""
        # The last number stands for the only rank of a run of one process: more ranks share the same steps.
        rng = numpy_generator(self.seed, "loader.batches", epoch, pool, 0)
        low, high = self._bounds(pool)
        shuffled = rng.permutation(high - low)
        size = self.batches_per_step * self.batch
        steps = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
        cuts = [rng.permutation(len(step) // self.batch) for step in steps]
        return [self._share(step) for step in steps], cuts

    def _share(self, step: Index) -> Index:
        """Return the rows of a step that are this rank's: neighbours in the store, in shuffled order."""
        if self.world_size == 1:
            return step
        ends = [len(step) * rank // self.world_size for rank in (self.rank, self.rank + 1)]
        lower, upper = np.sort(step)[[ends[0], ends[1] - 1]]
        return step[(step >= lower) & (step <= upper)]

    @staticmethod
    def _mine(steps: list[Index]) -> Index:
        return np.sort(np.concatenate(steps))

    @property
    def _blocks(self) -> int:
        return -(-self.num_rows // self.block)


@lru_cache(maxsize=2)
def _block_order(seed: int, epoch: int, blocks: int) -> tuple[Index, int]:
    """Return the numbers of the blocks of an epoch in their order, and the place of the last, short one."""
    order = numpy_generator(seed, "loader.blocks", epoch).permutation(blocks)
    return order, int(np.flatnonzero(order == blocks - 1)[0])
