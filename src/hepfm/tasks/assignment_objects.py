"""Objects of test events as candidates for the daughters of resonances, and what was said of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from hepfm.core.errors import ModelError
from hepfm.core.ragged import Array, Ragged, lists
from hepfm.data.event_features import OBJECT_MOMENTA, is_reconstructed
from hepfm.data.store import Store
from hepfm.metrics.assignments import AssignmentCounts
from hepfm.metrics.predictions import IntArray
from hepfm.physics.topology import MEASURED_AS, Topology

ROLE, TYPE, B_TAG = "object_role", "object_type", "object_b_tag"
_LEVEL = "object_level"
_IMPOSSIBLE = 1e6
"""Cost of an object that cannot be a daughter, beyond any sum of costs that can."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RoleRows:
    """Objects of events, reconstructed ones only; lists are those of the store, cut behind the last of them.

    Attributes
    ----------
    topology
        What is to be found.
    roles
        Numbers of the roles, by resonance and daughter.
    classes
        Names of all roles.
    truth
        True role of each object, 0 for one that is not of the type of its role.
    may
        By the name of a daughter, which objects are of the types as which it is measured.
    columns
        Momenta, and b tags if there are any.
    """

    topology: Topology
    roles: Mapping[str, Mapping[str, int]]
    classes: tuple[str, ...]
    truth: Ragged
    may: Mapping[str, Ragged]
    columns: Mapping[str, Ragged]

    @classmethod
    def read(cls, store: Store, rows: IntArray, topology: Topology) -> RoleRows:
        """Read the objects of some rows."""
        schema = store.schema
        optional = [name for name in (*OBJECT_MOMENTA, B_TAG, _LEVEL) if name in schema]
        columns = store.read([ROLE, TYPE, *optional], rows)
        if _LEVEL in schema:
            seen = is_reconstructed(columns)
            columns = {name: lists(columns, name).keep(seen) for name in columns}
        classes = schema[TYPE].classes
        kinds = lists(columns, TYPE)
        may = {
            name: kinds.with_values(
                np.isin(kinds.values, [classes.index(kind) for kind in MEASURED_AS[name]])
            )
            for name in MEASURED_AS
        }
        roles = topology.roles(schema[ROLE].classes)
        role = lists(columns, ROLE)
        right = np.zeros(len(role.values), bool)
        for daughters in roles.values():
            for name, number in daughters.items():
                right |= (role.values == number) & may[name].values
        return cls(
            topology=topology,
            roles=roles,
            classes=schema[ROLE].classes,
            truth=role.with_values(np.where(right, role.values, 0)),
            may=may,
            columns={name: lists(columns, name) for name in (*OBJECT_MOMENTA, B_TAG) if name in columns},
        )

    def __len__(self) -> int:
        return len(self.truth)

    def counts(self, found: Ragged) -> AssignmentCounts:
        """Return what is right of the roles that objects were given."""
        return AssignmentCounts.of(self.topology, self.roles, self.truth, found)

    def slots(self) -> list[tuple[str, int]]:
        """Return the name and the role of every daughter of every resonance."""
        return [
            (daughter, self.roles[resonance][daughter])
            for resonance, number in self.topology.resonances
            for daughter in self.topology.branches[number].daughters
        ]

    def events(self) -> Iterator[tuple[slice, dict[str, Bools]]]:
        """Yield the place of each event's objects in the values, and which of them may be which daughter."""
        offsets = self.truth.offsets
        for row in range(len(self)):
            where = slice(int(offsets[row]), int(offsets[row + 1]))
            yield where, {name: self.may[name].values[where] for name in self.may}

    def filled(self, per_event: Iterator[Array]) -> Ragged:
        """Return roles of all objects of one event after the other as lists."""
        parts = list(per_event)
        values = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        return self.truth.with_values(values)


def roles_of_probabilities(objects: RoleRows, said: Ragged, classes: Sequence[str]) -> Ragged:
    """Return the best consistent roles, by probabilities of the role of each object by itself.

    The product of the probabilities is the largest in which no object is used twice; where objects do not
    suffice, as many daughters as possible are found (Hungarian method).

    Parameters
    ----------
    objects
        The events.
    said
        Probabilities of the roles of the leading objects, (n, K) of each event.
    classes
        Names of the roles in the order of the columns.
    """
    missing = [name for name in objects.classes if name not in classes]
    if missing:
        raise ModelError(f"the model knows no roles {', '.join(missing[:3])}")
    column = np.array([list(classes).index(name) for name in objects.classes])
    slots = objects.slots()

    def solved() -> Iterator[Array]:
        for row, (where, may) in enumerate(objects.events()):
            found = np.zeros(where.stop - where.start, np.int64)
            p_NK = said.row(row)[: len(found)]
            cost = np.full((len(slots), len(found)), _IMPOSSIBLE)
            for slot, (daughter, role) in enumerate(slots):
                allowed = np.flatnonzero(may[daughter][: len(p_NK)])
                cost[slot, allowed] = -np.log(np.maximum(p_NK[allowed, column[role]], 1e-30))
            for slot, place in zip(*linear_sum_assignment(cost), strict=True):
                if cost[slot, place] < _IMPOSSIBLE:
                    found[place] = slots[slot][1]
            yield found

    return objects.filled(solved())
