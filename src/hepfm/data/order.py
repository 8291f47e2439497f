"""The order of training rows: seeded, dealt to the ranks without overlap, and never held whole.

An epoch deals blocks of neighbouring rows to the ranks in random order. Each rank fills its pool with some
hundred blocks, shuffles the rows in it and deals them to optimizer steps. The rows of a step are a random
draw; within it they are sorted by length before they are cut into batches. A step is therefore unbiased,
though each of its batches holds rows of similar length and so of similar classes.
Only the order of blocks is in memory, one number per `BLOCK` rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.ragged import gather_index
from hepfm.core.rng import numpy_generator

BLOCK = 64
"""Rows read together; small enough that the blocks of a pool mix files sorted by class."""

POOL_ROWS = 8192
"""Least number of rows of a pool."""

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """How one rank walks through `num_rows` rows.

    Attributes
    ----------
    num_rows
        Rows of all ranks.
    batch_size
        Rows of a batch as asked for; `batch` is smaller when a rank has fewer rows.
    seed
        Of every draw.
    rank, world_size
        Which of how many.
    batches_per_step
        Consecutive batches that are together a random draw, sorted by length among themselves: 1 makes
        batches of random lengths.
    rows_each
        Rows for which each number stands: more than one where rows stand together.
    """

    num_rows: int
    batch_size: int
    seed: int
    rank: int = 0
    world_size: int = 1
    batches_per_step: int = 8
    rows_each: int = 1

    @property
    def block(self) -> int:
        """Rows of a block: fewer than `BLOCK` where ranks would otherwise get unlike shares."""
        return max(1, min(-(-BLOCK // self.rows_each), self.num_rows // (8 * self.world_size)))

    @property
    def _blocks(self) -> int:
        return -(-self.num_rows // self.block)

    @property
    def share(self) -> int:
        """Rows that every rank is sure to get in an epoch."""
        short = self._blocks * self.block - self.num_rows
        return (self._blocks // self.world_size) * self.block - short

    @property
    def batch(self) -> int:
        """Rows of a batch."""
        return min(self.batch_size, self.share)

    @property
    def batches(self) -> int:
        """Batches of an epoch, the same for every rank: only whole steps; fewer batches make one short step.

        Rows left over differ from epoch to epoch.
        """
        whole = self.share // self.batch
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
        """Return the numbers on which the order depends; the rank is not among them."""
        return [self.num_rows, self.batch_size, self.seed, self.world_size, self.batches_per_step]

    def positions(self, epoch: int, pool: int) -> Index:
        """Return the rows of a pool, as rising positions in ``[0, num_rows)``."""
        blocks = numpy_generator(self.seed, "loader.blocks", epoch).permutation(self._blocks)
        mine = blocks[self.rank :: self.world_size]
        lengths = np.minimum(self.block, self.num_rows - mine * self.block)
        ends = np.cumsum(lengths)
        low = pool * self.batches_per_pool * self.batch
        high = min(low + self.batches_per_pool * self.batch, self.batches * self.batch)
        first, last = np.searchsorted(ends, low, side="right"), np.searchsorted(ends, high, side="left") + 1
        index, _ = gather_index(mine[first:last] * self.block, lengths[first:last])
        skipped = low - (ends[first] - lengths[first])
        return np.sort(index[skipped : skipped + high - low])

    def members_of(self, epoch: int, pool: int, lengths: Index) -> list[Index]:
        """Return the batches of a pool as numbers within it, given the lengths of its rows."""
        rng = numpy_generator(self.seed, "loader.batches", epoch, pool, self.rank)
        shuffled = rng.permutation(len(lengths))
        batches = []
        for start in range(0, len(shuffled), self.batches_per_step * self.batch):
            step = shuffled[start : start + self.batches_per_step * self.batch]
            step = step[np.argsort(lengths[step], kind="stable")]
            cuts = rng.permutation(np.arange(0, len(step), self.batch))
            batches += [step[cut : cut + self.batch] for cut in cuts]
        return batches
