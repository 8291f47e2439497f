"""Splits: how they are called, and random ones, drawn by row or by group."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.log import logger
from hepfm.core.ragged import Array, Columns
from hepfm.core.rng import uniform_of

KNOWN = ("train", "val", "test")
"""The splits that recipes and tasks ask for."""

_ROUNDING = 1e-6
"""By how much the sum of fractions may differ from 1."""


def check_split_name(name: str) -> None:
    """Raise `DataError` for what cannot be a split, or looks like a mistyped known one.

    Names of a user's own are accepted with a log line; so are those that begin with a known one and ``_``,
    e.g. ``test_high_pt``.
    """
    if name in KNOWN:
        return
    close = difflib.get_close_matches(name.lower(), KNOWN, n=1, cutoff=0.6)
    meant = close or [known for known in KNOWN if name.lower().startswith(known)]
    if meant and not name.startswith(f"{meant[0]}_"):
        raise DataError(
            f"no split is called {name!r}; did you mean {meant[0]!r}? A split of your own needs a name that "
            f"is not so close, e.g. {meant[0]}_2"
        )
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise DataError(f"split {name!r}: a split is named with small letters, digits and _")
    logger.info("split %s: a name of your own; recipes and tasks ask for %s by default", name, _or(KNOWN))


@dataclass(frozen=True)
class SplitDraw:
    """A random division into splits that depends only on the seed and the numbers of rows or groups.

    Rows are drawn independently, so that the number in a split differs from its fraction of all by a
    statistical fluctuation.

    Attributes
    ----------
    fractions
        Of the rows (or groups), by split; they sum to 1.
    seed
        Of the draw.
    earlier
        How many draws these rows have gone through; another one with the same seed is independent of them.

    Raises
    ------
    DataError
        When a split cannot be called so, or the fractions are not positive or do not sum to 1.

    Examples
    --------
    >>> SplitDraw({"train": 0.8, "test": 0.2}).codes(np.arange(12)).tolist()
    [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    """

    fractions: Mapping[str, float]
    seed: int = 0
    earlier: int = 0

    def __post_init__(self) -> None:
        given = format_fractions(self.fractions)
        for name, fraction in self.fractions.items():
            check_split_name(name)
            if not 0 < fraction <= 1:
                raise DataError(f"split {given}: the fraction of {name!r} must be above 0 and at most 1")
        total = math.fsum(self.fractions.values())
        if abs(total - 1) > _ROUNDING:
            raise DataError(f"split {given or 'without names'}: the fractions sum to {total:g}, not to 1")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self.fractions)

    def codes(self, numbers: Array) -> Array:
        """Return the place in `names` of each row, int8, by the number of the row or of its group."""
        ends = np.cumsum(list(self.fractions.values()))[:-1]
        drawn = uniform_of(numbers, self.seed, "splits", self.earlier)
        return np.searchsorted(ends, drawn, side="right").astype(np.int8)


class Dealer:
    """Deals rows that come in pieces to the splits of a draw.

    Parameters
    ----------
    draw
        The draw.
    group
        Field that says which rows belong together; they stay in one split.
    """

    def __init__(self, draw: SplitDraw, group: str | None) -> None:
        self.draw = draw
        self.group = group
        self._counts = np.zeros(len(draw.names), np.int64)

    def codes(self, columns: Columns) -> Array:
        """Return the split of each row of the next piece by its place in the names of the draw, int8."""
        if self.group is not None:
            numbers = np.asarray(columns[self.group])
        else:
            rows = len(next(iter(columns.values())))
            numbers = np.arange(rows) + self._counts.sum()
        codes = self.draw.codes(numbers)
        self._counts += np.bincount(codes, minlength=len(self._counts))
        return codes

    def check(self) -> None:
        """Raise `DataError` when a split got no rows."""
        for name, count in zip(self.draw.names, self._counts, strict=True):
            if not count:
                by = f"groups of {self.group}" if self.group else "rows"
                raise DataError(
                    f"no row of {self._counts.sum()} fell into the split {name!r} (drawn by {by}); give it a "
                    "larger fraction, or take another seed"
                )

    def provenance(self) -> dict[str, Any]:
        """Return what a store says of the draw, JSON-ready."""
        return {"fractions": dict(self.draw.fractions), "seed": self.draw.seed, "by": self.group or "row"}


def parse_fractions(text: str) -> dict[str, float]:
    """Return the fractions of a text such as ``train=0.8,val=0.1,test=0.1``; raise `DataError` for others."""
    fractions: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        try:
            fraction = float(number)
        except ValueError:
            fraction = math.nan
        if not name or math.isnan(fraction) or name in fractions:
            raise DataError(f"cannot read the split {text!r}; write it as train=0.8,val=0.1,test=0.1")
        fractions[name] = fraction
    return fractions


def format_fractions(fractions: Mapping[str, float]) -> str:
    """Return fractions as a text that `parse_fractions` reads."""
    return ",".join(f"{name}={fraction:g}" for name, fraction in fractions.items())


def _or(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
