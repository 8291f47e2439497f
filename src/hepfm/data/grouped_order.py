"""The order of training rows where rows belong together: members of one group stand side by side in a batch.

A group of n rows, e.g. n simulations of one event, is cut into ``max(1, n // members)`` units of nearly
equal size, anew in every epoch. Units take the part that single rows have in `hepfm.data.order.Order`: they
are dealt to ranks, pools, steps and batches whole. So every row comes once an epoch, a group as often as it
has units, and at least `members` of its rows, or all that it has, are together whenever it comes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, gather_index
from hepfm.core.rng import numpy_generator
from hepfm.data.order import Index, Order


class GroupedOrder:
    """How one rank walks through rows in groups.

    It holds three numbers a row, unlike `hepfm.data.order.Order`.

    Parameters
    ----------
    groups
        Number of the group of each row, whole numbers of shape (rows,); in any order.
    members
        Rows of a group that stand together, at least; a smaller group stands together whole.
    batch_size
        Rows of a batch of all ranks. Batches hold ``batch_size // members`` units, and so more rows where
        group sizes are no multiples of `members`: each unit has fewer than ``2 * members``.
    seed, rank, world_size, batches_per_step
        As for `hepfm.data.order.Order`.

    Raises
    ------
    DataError
        When a batch does not hold `members`, no group has two rows, or there are fewer units than processes.
    """

    def __init__(
        self,
        groups: Array,
        members: int,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        batches_per_step: int = 8,
    ) -> None:
        if not 1 <= members <= batch_size:
            raise DataError(
                f"{members} members of a group are to stand together in batches of {batch_size} rows (of one "
                "part of a step); choose members from 1 to that number"
            )
        self._rows, self._group = _by_group(groups)
        sizes = np.bincount(self._group)
        if members > 1 and sizes.max() == 1:
            raise DataError(
                f"{members} members of a group are to stand together, and each of the {len(sizes)} groups "
                "has one row only; give data with more rows of a group, or set members=None"
            )
        self.batch_size, self.members = batch_size, members
        self._sizes = _unit_sizes(sizes, members)
        self._starts = np.cumsum(self._sizes) - self._sizes
        if len(self._sizes) < world_size:
            raise DataError(
                f"{len(groups)} rows in {len(sizes)} groups make {len(self._sizes)} units of {members} "
                f"members: too few to train on with {world_size} processes"
            )
        units = batch_size // members
        self.units = Order(len(self._sizes), units, seed, rank, world_size, batches_per_step, members)
        self._shuffled = lru_cache(maxsize=2)(self._shuffle)

    @property
    def batches(self) -> int:
        """Batches of an epoch, the same for every rank."""
        return self.units.batches

    @property
    def batches_per_pool(self) -> int:
        """Batches of a pool."""
        return self.units.batches_per_pool

    @property
    def pools(self) -> int:
        """Pools of an epoch."""
        return self.units.pools

    def identity(self) -> list[int]:
        """Return the numbers on which the order depends, beside the rows; the ranks are not among them."""
        return [self.batch_size, self.members, *self.units.identity()]

    def positions(self, epoch: int, pool: int) -> Index:
        """Return this rank's rows of a pool, as rising positions."""
        return np.sort(self._entries(epoch, pool)[0])

    def members_of(self, epoch: int, pool: int, lengths: Index) -> list[Index]:
        """Return this rank's batches of a pool as numbers within its rows, given their lengths."""
        rows, starts, sizes = self._entries(epoch, pool)
        place = np.empty(len(rows), np.int64)
        place[np.argsort(rows)] = np.arange(len(rows))
        longest = np.maximum.reduceat(lengths[place], starts)
        batches = self.units.members_of(epoch, pool, longest)
        return [place[gather_index(starts[units], sizes[units])[0]] for units in batches]

    def _entries(self, epoch: int, pool: int) -> tuple[Index, Index, Index]:
        """Return the rows of a pool unit by unit, where each unit starts among them, and its size."""
        units = self.units.positions(epoch, pool)
        index, offsets = gather_index(self._starts[units], self._sizes[units])
        return self._shuffled(epoch)[index], offsets[:-1], self._sizes[units]

    def _shuffle(self, epoch: int) -> Index:
        """Return all rows group by group, in random order within each."""
        rng = numpy_generator(self.units.seed, "loader.members", epoch)
        return self._rows[np.lexsort((rng.random(len(self._rows)), self._group))]


def _by_group(groups: Array) -> tuple[Index, Index]:
    """Return rows group by group, and the number of the group of each; groups in the order of first rows."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    of_rows = number[inverse]
    rows = np.argsort(of_rows, kind="stable")
    return rows, of_rows[rows]


def _unit_sizes(sizes: Index, members: int) -> Index:
    """Return the sizes of the units of groups, group after group; those of a group differ by one at most."""
    units = np.maximum(1, sizes // members)
    number = np.arange(units.sum()) - np.repeat(np.cumsum(units) - units, units)
    return np.repeat(sizes // units, units) + (number < np.repeat(sizes % units, units))
