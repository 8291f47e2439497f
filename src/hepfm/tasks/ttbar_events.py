"""Dileptonic top pairs of a store: what is true of them, and what was reconstructed, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.ragged import Array, Columns, Ragged, lists
from hepfm.data.event_features import OBJECT_MOMENTA, is_reconstructed, is_reconstructed_or_final, is_type
from hepfm.data.row_source import RowSource
from hepfm.data.schemas.events import OBJECT_ROLES
from hepfm.metrics.predictions import IntArray
from hepfm.physics.kinematics import four_momentum
from hepfm.physics.ttbar import DileptonEvents

FIELDS = (*OBJECT_MOMENTA, "object_type", "object_level", "object_charge", "object_b_tag", "object_role")
TOPS, DAUGHTERS = ("t", "tbar"), ("b", "l", "nu")
_ROLE = {name: number for number, name in enumerate(OBJECT_ROLES)}

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TopPairEvents:
    """R events in which the generator has a b quark, a lepton (no tau) and a neutrino of each top, once.

    Attributes
    ----------
    rows
        Their numbers in the store.
    truth
        Momenta of `DAUGHTERS` of `TOPS`, (R, 2, 3, 4).
    place
        Where they stand among the final particles of the generator, (R, 2, 3).
    final
        How many of these there are, (R,).
    seen
        The two jets with the greatest b tag (of equal ones those of greater pt), the hardest electron or muon
        of each charge, and the missing momentum.
    seen_jets
        Which of the jets the two are, (R, 2).
    jets, jet_mask
        All jets, (R, J, 4), and which are real.
    bottom_jets
        The jets that the truth matches with the b quarks of top and antitop, (R, 2); -1 for none.
    matched
        Whether both b quarks have a jet of their own and both leptons of `seen` are those of the tops.
    """

    rows: IntArray
    truth: Array
    place: IntArray
    final: IntArray
    seen: DileptonEvents
    seen_jets: IntArray
    jets: Array
    jet_mask: Bools
    bottom_jets: IntArray
    matched: Bools

    @classmethod
    def read(cls, source: RowSource, rows: IntArray) -> TopPairEvents:
        """Return those of some rows that are such events."""
        columns = source.read(FIELDS, rows)
        generator = is_reconstructed_or_final(columns) & ~is_reconstructed(columns)
        numbers = np.array([[_ROLE[f"{top}_{what}"] for what in DAUGHTERS] for top in TOPS])
        once = np.logical_and.reduce(
            [_count(columns, generator & _has(columns, int(n))) == 1 for n in numbers.flat]
        )
        kept = np.flatnonzero(once)
        columns = {
            name: column.take(kept) if isinstance(column, Ragged) else column[kept]
            for name, column in columns.items()
        }
        return cls._of(columns, np.asarray(rows)[kept], numbers)

    @classmethod
    def _of(cls, columns: Columns, rows: IntArray, numbers: IntArray) -> TopPairEvents:
        momenta = four_momentum(*(lists(columns, name).values.astype(np.float64) for name in OBJECT_MOMENTA))
        reconstructed = is_reconstructed(columns)
        final = is_reconstructed_or_final(columns) & ~reconstructed
        which = np.stack([np.flatnonzero(final & _has(columns, int(n))) for n in numbers.flat], axis=1)
        first = lists(columns, "object_pt").offsets[:-1, None]
        before: IntArray = np.cumsum(final) - final
        place = before[which] - np.concatenate([[0], np.cumsum(final)])[first]
        jets = _Padded.of(columns, reconstructed & is_type(columns, ("jet",)))
        leptons, of_tops = hardest_leptons(columns, reconstructed, momenta)
        missing, has_missing = missing_momentum(columns, reconstructed, momenta)
        seen_jets = _tagged(columns, jets)
        bottom_jets = np.stack([jets.first_of(columns, _ROLE[f"{top}_b"]) for top in TOPS], axis=1)
        complete = (seen_jets >= 0).all(1) & np.isfinite(leptons).all((1, 2)) & has_missing
        every = jets.values(momenta)
        return cls(
            rows,
            momenta[which].reshape(-1, 2, 3, 4),
            place.reshape(-1, 2, 3),
            _count(columns, final),
            DileptonEvents(
                np.take_along_axis(every, np.maximum(seen_jets, 0)[..., None], 1), leptons, missing, complete
            ),
            seen_jets,
            every,
            jets.mask,
            bottom_jets,
            (bottom_jets >= 0).all(1) & of_tops,
        )


@dataclass(frozen=True)
class _Padded:
    """Chosen entries of lists in slots: (R, J) indices, at least two, and which are real."""

    index: IntArray
    mask: Bools

    @classmethod
    def of(cls, columns: Columns, chosen: Bools) -> _Padded:
        count = _count(columns, chosen)
        mask = np.arange(max(2, int(count.max(initial=0)))) < count[:, None]
        index = np.zeros(mask.shape, np.int64)
        index[mask] = np.flatnonzero(chosen)
        return cls(index, mask)

    def values(self, of_entries: Array) -> Array:
        """Return values of entries in slots; arbitrary where there is none."""
        return (
            of_entries[self.index]
            if len(of_entries)
            else np.zeros((*self.index.shape, *of_entries.shape[1:]))
        )

    def first_of(self, columns: Columns, role: int) -> IntArray:
        """Return the first slot of a role, (R,); -1 for none."""
        has = self.mask & (self.values(lists(columns, "object_role").values) == role)
        return np.where(has.any(1), has.argmax(1), -1)


def _has(columns: Columns, role: int) -> Bools:
    return np.asarray(lists(columns, "object_role").values == role)


def _count(columns: Columns, chosen: Bools) -> IntArray:
    """Return how many entries of each row are chosen."""
    column = lists(columns, "object_pt")
    return np.bincount(column.row_index()[chosen], minlength=len(column))


def _tagged(columns: Columns, jets: _Padded) -> IntArray:
    """Return the slots of the two jets with the greatest b tag, (R, 2); -1 for events with fewer."""
    tag = np.where(jets.mask, jets.values(lists(columns, "object_b_tag").values), -np.inf)
    # Jets stand in falling order of pt, which a stable sort keeps.
    best = np.argsort(-tag, axis=1, kind="stable")[:, :2]
    return np.where(jets.mask.sum(1)[:, None] >= 2, best, -1)


def hardest_leptons(columns: Columns, reconstructed: Bools, momenta: Array) -> tuple[Array, Bools]:
    """Return the hardest lepton of each charge, NaN for none, and whether both are those of the tops."""
    light = reconstructed & is_type(columns, ("electron", "muon"))
    charge = lists(columns, "object_charge").values
    found, right = [], []
    for sign, top in zip((1, -1), TOPS, strict=True):
        leptons = _Padded.of(columns, light & (charge * sign > 0))
        there = leptons.mask[:, 0]
        found.append(np.where(there[:, None], leptons.values(momenta)[:, 0], np.nan))
        roles = leptons.values(lists(columns, "object_role").values)[:, 0]
        right.append(there & (roles == _ROLE[f"{top}_l"]))
    return np.stack(found, axis=1), right[0] & right[1]


def missing_momentum(columns: Columns, reconstructed: Bools, momenta: Array) -> tuple[Array, Bools]:
    """Return the missing transverse momentum (px, py), (R, 2), and which events have any."""
    met = _Padded.of(columns, reconstructed & is_type(columns, ("met",)))
    return met.values(momenta)[:, 0, 1:3], met.mask[:, 0]
