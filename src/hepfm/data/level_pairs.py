"""Jets at particle and detector level, paired: what unfolding starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.ragged import Array, Columns
from hepfm.core.schema import Schema
from hepfm.data.row_source import Index, RowSource
from hepfm.data.schemas.jets import EVENT_ID
from hepfm.data.schemas.levels import JET_LEVEL, LEVELS, PASSES
from hepfm.physics.angularities import ln_rho, tau21

PAIR_FIELDS = (EVENT_ID.name, JET_LEVEL.name, *(field.name for field in PASSES.values()))
"""Fields that `pair_levels` needs."""

MOMENTUM_FIELDS = ("jet_pt", "jet_eta", "jet_energy")
OBSERVABLE_FIELDS = (
    "omnifold_multiplicity",
    "omnifold_width",
    "omnifold_tau2",
    "omnifold_softdrop_mass",
    "omnifold_zg",
)
SIX_FIELDS = (*MOMENTUM_FIELDS, *OBSERVABLE_FIELDS)
"""Fields that `six_observables` needs."""


@dataclass(frozen=True)
class LevelPairs:
    """P pairs of a jet at particle level and one at detector level, of which one may be missing.

    Attributes
    ----------
    event_id
        Event of each pair, int64, shape (P,). Two pairs are of one event where its jets do not match.
    passes
        By level: whether the pair has a jet there, bool, shape (P,).
    rows
        By level: the rows of these jets, in the order of the pairs; as many as pairs pass.
    """

    event_id: Index
    passes: Mapping[str, Array]
    rows: Mapping[str, Index]

    def __len__(self) -> int:
        return len(self.event_id)

    def of(self, kept: Array) -> LevelPairs:
        """Return some of the pairs, by a mask of shape (P,)."""
        rows = {level: index[kept[self.passes[level]]] for level, index in self.rows.items()}
        return LevelPairs(
            self.event_id[kept], {level: flags[kept] for level, flags in self.passes.items()}, rows
        )

    def values(self, level: str, column: Array, *, missing: float) -> Array:
        """Return the values of a column at a level for each pair, shape (P, ...).

        Parameters
        ----------
        level
            ``particle`` or ``detector``.
        column
            Values of the rows that were paired, shape (R, ...).
        missing
            What stands where the pair has no jet at the level; `passes` says where.
        """
        laid = np.full((len(self), *column.shape[1:]), missing, column.dtype)
        laid[self.passes[level]] = column[self.rows[level]]
        return laid


def pair_levels(columns: Columns) -> LevelPairs:
    """Pair jets of one event at both levels; pairs come in the order of their first row.

    Parameters
    ----------
    columns
        The fields `PAIR_FIELDS` of R rows, both levels of all events among them.

    Raises
    ------
    DataError
        Where a row's flags contradict its level, or the other jet of a pair is not among the rows.
    """
    event, level = (np.asarray(columns[name]) for name in PAIR_FIELDS[:2])
    flags = {name: np.asarray(columns[field.name], bool) for name, field in PASSES.items()}
    at = {name: level == number for number, name in enumerate(LEVELS)}
    both = flags["particle"] & flags["detector"]
    for name in LEVELS:
        _check(at[name] & ~flags[name], event, f"a jet at {name} level with {PASSES[name].name} false")
    paired = {name: _by_event(event, np.flatnonzero(both & at[name]), name) for name in LEVELS}
    alone = {name: np.flatnonzero(~both & at[name]) for name in LEVELS}
    one, other = (event[paired[name]] for name in LEVELS)
    if not np.array_equal(one, other):
        lonely = np.setxor1d(one, other)
        raise DataError(
            f"event {lonely[0]} has a jet whose pair is not among the rows ({len(lonely)} such events); give "
            "the rows of both levels of a whole split"
        )
    # Pairs first, then jets without another: -1 for the row that is not there, within this function only.
    rows = {
        "detector": np.concatenate(
            [paired["detector"], alone["detector"], np.full(len(alone["particle"]), -1)]
        ),
        "particle": np.concatenate(
            [paired["particle"], np.full(len(alone["detector"]), -1), alone["particle"]]
        ),
    }
    last = len(event)
    first = np.minimum(*(np.where(index < 0, last, index) for index in rows.values()))
    order = np.argsort(first, kind="stable")
    passes = {name: index[order] >= 0 for name, index in rows.items()}
    return LevelPairs(event[first[order]], passes, {name: rows[name][order][passes[name]] for name in LEVELS})


def check_levels(schema: Schema, *, where: str) -> None:
    """Raise `IncompatibleError` unless rows say at which levels their pair has a jet."""
    lacking = [name for name in PAIR_FIELDS if name not in schema]
    if lacking:
        raise IncompatibleError(
            f"{where} has no field {lacking[0]!r}: unfolding needs jets of both levels, as `hepfm simulate "
            "zjets_fast` and `hepfm ingest omnifold` make them"
        )


def level_rows(source: RowSource, rows: Index, level: str) -> Index:
    """Return those of some rows that are at a level."""
    check_levels(source.schema, where=source.name)
    return rows[np.asarray(source.read([JET_LEVEL.name], rows)[JET_LEVEL.name]) == LEVELS.index(level)]


def pair_rows(source: RowSource, rows: Index) -> LevelPairs:
    """Return the pairs of some rows of a source, as `pair_levels` does; `LevelPairs.rows` are its row
    numbers."""
    check_levels(source.schema, where=source.name)
    pairs = pair_levels(source.read(PAIR_FIELDS, rows))
    return replace(pairs, rows={level: rows[places] for level, places in pairs.rows.items()})


def six_observables(columns: Columns) -> dict[str, Array]:
    """Return the six observables that OmniFold's paper unfolds (1911.09107), float64, shape (R,) each.

    ``mass`` in GeV, ``width``, ``multiplicity``, ``ln_rho`` = 2 ln(soft-drop mass / pT), ``zg`` and
    ``tau21`` = tau2 / width, which is 0 for jets of width 0. ``ln_rho`` is `SMALLEST_LN_RHO` at least: jets
    that are groomed down to one constituent have a soft-drop mass of 0, which has no logarithm.

    Parameters
    ----------
    columns
        The fields `SIX_FIELDS` of R jets, of any level.
    """
    pt, eta, energy = (np.asarray(columns[name], np.float64) for name in MOMENTUM_FIELDS)
    count, width, tau2, groomed, zg = (np.asarray(columns[name], np.float64) for name in OBSERVABLE_FIELDS)
    return {
        "mass": np.sqrt(np.maximum(energy**2 - (pt * np.cosh(eta)) ** 2, 0)),
        "width": width,
        "multiplicity": count,
        "ln_rho": ln_rho(groomed, pt),
        "zg": zg,
        "tau21": tau21(tau2, width),
    }


def _by_event(event: Array, rows: Index, level: str) -> Index:
    """Return the rows of jets that have another by rising number of their event."""
    rows = rows[np.argsort(event[rows], kind="stable")]
    twice = np.zeros(len(event), bool)
    twice[rows[1:][np.diff(event[rows]) == 0]] = True
    _check(twice, event, f"two jets at {level} level that are one of a pair")
    return rows


def _check(bad: Array, event: Array, what: str) -> None:
    if bad.any():
        raise DataError(f"event {event[bad][0]} has {what} ({int(bad.sum())} such rows)")
