"""The rows of two domains that are compared class by class: two stores, or two classes of a field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.log import logger
from hepfm.core.ragged import Array
from hepfm.data.groups import read_groups
from hepfm.data.store import Store
from hepfm.data.weights import read_weights
from hepfm.metrics.predictions import FloatArray, IntArray

Bools = npt.NDArray[np.bool_]

LEAST_GROUPS = 20
"""Fewest independent rows (groups, where rows have them) of a class in each domain."""


@dataclass(frozen=True)
class Domain:
    """Rows of one domain.

    Attributes
    ----------
    store
        Where they are.
    rows
        Their numbers.
    label
        Number of the class of each in `classes`.
    classes
        Names of the classes; one empty name where rows are compared all together.
    groups
        Number of the group of each row.
    """

    store: Store
    rows: IntArray
    label: IntArray
    classes: tuple[str, ...]
    groups: IntArray

    @classmethod
    def of(cls, store: Store, rows: IntArray, field: str | None) -> Domain:
        """Return some rows of a store with their classes by a field; all of one class if it is None."""
        groups = rows if store.schema.group is None else read_groups(store, rows)
        if field is None:
            return cls(store, rows, np.zeros(len(rows), np.int64), ("",), groups)
        label = np.asarray(store.read([field], rows)[field]).astype(np.int64)
        return cls(store, rows, label, store.schema[field].classes, groups)

    @property
    def weights(self) -> FloatArray:
        """Weights of the rows; ones without event weights."""
        weights = read_weights(self.store, self.rows)
        return np.ones(len(self.rows)) if weights is None else weights

    def counts(self) -> dict[str, int]:
        """Return the number of independent rows, those of different groups, of each class."""
        return {
            name: len(np.unique(self.groups[self.label == number]))
            for number, name in enumerate(self.classes)
        }

    def draw(self, classes: tuple[str, ...], limit: int, rng: np.random.Generator) -> Domain:
        """Return at most `limit` rows of each of some classes, in the order of the store, with their numbers
        in these classes."""
        chosen = [np.flatnonzero(self.label == self.classes.index(name)) for name in classes]
        drawn = [rng.choice(rows, limit, replace=False) if len(rows) > limit else rows for rows in chosen]
        label = np.repeat(np.arange(len(classes)), [len(rows) for rows in drawn])
        place = np.concatenate(drawn)
        order = np.argsort(self.rows[place], kind="stable")
        place = place[order]
        return replace(
            self, rows=self.rows[place], label=label[order], classes=classes, groups=self.groups[place]
        )


@dataclass(frozen=True)
class Domains:
    """Two domains of the same classes.

    Attributes
    ----------
    first, second
        The domains; the groups of rows of different stores are different.
    """

    first: Domain
    second: Domain

    @classmethod
    def drawn(
        cls, first: Domain, second: Domain, *, limit: int, rng: Callable[[str], np.random.Generator]
    ) -> Domains:
        """Return a draw of the classes that both have.

        Parameters
        ----------
        first, second
            All rows of the domains.
        limit
            Most rows of a class in each of them.
        rng
            Generators of the draws by purpose.

        Raises
        ------
        DataError
            When no class has `LEAST_GROUPS` independent rows in both.
        """
        counts = first.counts(), second.counts()
        shared = [name for name in first.classes if name in second.classes]
        kept = tuple(name for name in shared if min(of[name] for of in counts) >= LEAST_GROUPS)
        if not kept:
            raise DataError(
                f"no class has {LEAST_GROUPS} independent test rows in both domains: "
                f"{_words(counts[0])} in the first, {_words(counts[1])} in the second; take larger stores, "
                "or compare rows of all classes together: by_class=false (--by-class false)"
            )
        few = [name for name in shared if name not in kept and any(of[name] for of in counts)]
        if few:
            logger.warning(
                "fewer than %s independent test rows of %s in a domain: left out",
                LEAST_GROUPS,
                " and ".join(few),
            )
        one, two = first.draw(kept, limit, rng("first")), second.draw(kept, limit, rng("second"))
        if one.store is not two.store:
            two = replace(two, groups=two.groups - two.groups.min() + one.groups.max() + 1)
        return cls(one, two)

    def each(self) -> Iterator[Domain]:
        """Yield the domains."""
        yield from (self.first, self.second)

    @property
    def is_second(self) -> Bools:
        """Whether a row is of the second domain, for the rows of both."""
        return np.repeat([False, True], [len(one.rows) for one in self.each()])

    @property
    def label(self) -> IntArray:
        """Number of the class of each row in `classes`."""
        return np.concatenate([one.label for one in self.each()])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.first.classes

    @property
    def groups(self) -> IntArray:
        """Number of the group of each row."""
        return np.concatenate([one.groups for one in self.each()])

    @property
    def weights(self) -> FloatArray:
        """Weight of each row."""
        return np.concatenate([one.weights for one in self.each()])

    def vectors(self, of: Callable[[Store, IntArray], Array]) -> FloatArray:
        """Return what is compared of each row, shape (N, D)."""
        return np.concatenate([np.asarray(of(one.store, one.rows)) for one in self.each()])


def halves(groups: IntArray, rng: np.random.Generator) -> Bools:
    """Tell for each row whether it is of the second half of a random cut that tears no group."""
    names, member = np.unique(groups, return_inverse=True)
    second: Bools = (rng.permutation(len(names)) % 2 == 1)[member]
    return second


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} of {name}" if name else str(count) for name, count in counts.items())
