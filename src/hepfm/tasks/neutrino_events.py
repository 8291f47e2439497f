"""Events with neutrinos of a store: what is true of them and what was reconstructed, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.core.ragged import Array, Columns, lists
from hepfm.data.event_features import OBJECT_MOMENTA, is_generator, is_reconstructed, is_type
from hepfm.data.row_source import RowSource
from hepfm.data.schemas.events import OBJECT_ROLES
from hepfm.data.targets import NEUTRINOS
from hepfm.metrics.predictions import IntArray
from hepfm.physics.kinematics import four_momentum, mass_of
from hepfm.tasks.ttbar_events import FIELDS as PAIR_FIELDS
from hepfm.tasks.ttbar_events import Bools, TopPairEvents, hardest_leptons, missing_momentum

FIELDS = tuple(dict.fromkeys((*PAIR_FIELDS, *NEUTRINOS.columns)))

_PARENTS = ("t", "tbar", "w", "w2")
"""What has a lepton and a neutrino of one W among its daughters."""
_SIGNS = (1, -1)
"""Charge of the lepton that comes from a W with the neutrino, and with the antineutrino."""


@dataclass(frozen=True)
class NeutrinoEvents:
    """R events with a neutrino or an antineutrino in their hard process, and no two of a kind.

    Attributes
    ----------
    rows
        Their numbers in the store.
    there
        Which of neutrino and antineutrino there are, boolean (R, 2).
    truth
        Their momenta (px, py, pz), (R, 2, 3); NaN for those that are not there.
    missing
        Missing transverse momentum that was reconstructed, (R, 2); NaN for events without.
    leptons
        The hardest reconstructed electron or muon of positive and negative charge, (R, 2, 4); NaN for none.
    partners
        The reconstructed electron or muon of the same W, by the truth, (R, 2, 4); NaN for none.
    w_mass
        Mass of the W of each neutrino that has an electron or a muon for a partner, (R, 2).
    pairs
        Those of the events that are dileptonic top pairs.
    of_pairs
        Which of the R events they are.
    """

    rows: IntArray
    there: Bools
    truth: Array
    missing: Array
    leptons: Array
    partners: Array
    w_mass: Array
    pairs: TopPairEvents
    of_pairs: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def read(cls, source: RowSource, rows: IntArray) -> NeutrinoEvents:
        """Return those of some rows that are such events."""
        targets = NEUTRINOS.compute(source.read(NEUTRINOS.columns, rows)).astype(np.float64)
        kept = np.flatnonzero((targets[..., 0] == 1).any(1))
        rows, targets = np.asarray(rows)[kept], targets[kept]
        there = targets[..., 0] == 1
        columns = source.read(FIELDS, rows)
        momenta = four_momentum(*(lists(columns, name).values.astype(np.float64) for name in OBJECT_MOMENTA))
        seen = is_reconstructed(columns)
        missing, has_missing = missing_momentum(columns, seen, momenta)
        partners = _partners(columns, momenta, seen)
        true_leptons = _partners(columns, momenta, is_generator(columns))
        truth = np.where(there[..., None], targets[..., 1:], np.nan)
        pairs = TopPairEvents.read(source, rows)
        return cls(
            rows,
            there,
            truth,
            np.where(has_missing[:, None], missing, np.nan),
            hardest_leptons(columns, seen, momenta)[0],
            partners,
            mass_of(true_leptons + with_energy(truth)),
            pairs,
            np.flatnonzero(np.isin(rows, pairs.rows)),
        )


def with_energy(momenta: Array) -> Array:
    """Return (E, px, py, pz) of massless particles, (..., 4), from (px, py, pz)."""
    energy = np.linalg.norm(momenta, axis=-1, keepdims=True)
    return np.concatenate([energy, momenta], axis=-1)


def _partners(columns: Columns, momenta: Array, among: Bools) -> Array:
    """Return the lepton of the W of each neutrino, (R, 2, 4), by role and charge; NaN for none."""
    role = lists(columns, "object_role").values
    charge = lists(columns, "object_charge").values
    light = among & is_type(columns, ("electron", "muon"))
    found = []
    for sign in _SIGNS:
        whose = {parent: _first(columns, role == OBJECT_ROLES.index(f"{parent}_nu")) for parent in _PARENTS}
        of_sign = np.full((len(lists(columns, "object_role")), 4), np.nan)
        for parent, neutrino in whose.items():
            lepton = light & (role == OBJECT_ROLES.index(f"{parent}_l")) & (charge * sign > 0)
            place = _first(columns, lepton)
            both = (place >= 0) & (neutrino >= 0)
            of_sign[both] = momenta[place[both]]
        found.append(of_sign)
    return np.stack(found, axis=1)


def _first(columns: Columns, chosen: Bools) -> IntArray:
    """Return the place of the first chosen object of each row among all objects, (R,); -1 for none."""
    column = lists(columns, "object_role")
    places = np.flatnonzero(chosen)[::-1]
    out = np.full(len(column), -1, np.int64)
    out[column.row_index()[places]] = places
    return out
