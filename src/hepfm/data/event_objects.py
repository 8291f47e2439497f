"""Objects of many events as flat arrays: what was reconstructed, and particles of the hard process."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from hepfm.core.pairs import pairs_of_events
from hepfm.core.ragged import Array, Columns, Ragged, lists
from hepfm.core.schema import Level
from hepfm.data.schemas.events import OBJECT_LEVELS, OBJECT_ROLES, OBJECT_TYPES, event_schema
from hepfm.physics.kinematics import delta_r, four_momentum

TYPE = {name: number for number, name in enumerate(OBJECT_TYPES)}
LEVEL = {name: number for number, name in enumerate(OBJECT_LEVELS)}
ROLE = {name: number for number, name in enumerate(OBJECT_ROLES)}


@dataclass(frozen=True)
class EventObjects:
    """Objects of a batch of events, in any order, arrays of shape (n,).

    Attributes
    ----------
    event
        Number of the event within the batch.
    type, level, role
        Indices into the classes of `hepfm.data.schemas.events`.
    pt, eta, phi, energy
        GeV, rad.
    charge, b_tag
        As in the store.
    pdg
        Signed particle code of generator objects, 0 of all others.
    """

    event: Array
    type: Array
    level: Array
    pt: Array
    eta: Array
    phi: Array
    energy: Array
    charge: Array
    b_tag: Array
    pdg: Array
    role: Array

    def __len__(self) -> int:
        return len(self.event)

    def take(self, rows: Array) -> EventObjects:
        """Return the given objects."""
        return EventObjects(*(getattr(self, field.name)[rows] for field in fields(self)))

    def of_type(self, *names: str) -> Array:
        """Tell which objects are of one of these types."""
        return np.isin(self.type, [TYPE[name] for name in names])

    def with_roles(self, role: Array) -> EventObjects:
        """Return the objects in other roles."""
        return replace(self, role=role)

    def with_b_tags(self, b_tag: Array) -> EventObjects:
        """Return the objects with other b tags."""
        return replace(self, b_tag=b_tag)

    @property
    def p4(self) -> Array:
        """(E, px, py, pz) in GeV, shape (n, 4)."""
        return four_momentum(self.pt, self.eta, self.phi, self.energy)

    def of_events(self, events: Array, num_events: int) -> EventObjects:
        """Return the objects of some events, rising, of all `num_events`; these are numbered anew."""
        place = np.full(num_events, -1)
        place[events] = np.arange(len(events))
        chosen = self.take(place[self.event] >= 0)
        return replace(chosen, event=place[chosen.event])

    def number(self, num_events: int) -> Array:
        """Return how many objects each event has, shape (num_events,)."""
        return np.bincount(self.event, minlength=num_events)


def make_objects(
    event: Array,
    kinematics: tuple[Array, Array, Array, Array],
    kind: Array | str,
    *,
    level: str = "reconstructed",
    **values: Array,
) -> EventObjects:
    """Build objects.

    Parameters
    ----------
    event
        Events.
    kinematics
        pt, eta, phi, energy.
    kind
        Their types, or the type of all.
    level
        Of all.
    values
        Further fields; 0, ``none``, where not given.
    """
    number = len(event)
    types = np.full(number, TYPE[kind]) if isinstance(kind, str) else kind
    rest = {name: np.zeros(number) for name in ("charge", "b_tag")}
    rest |= {name: np.zeros(number, np.int64) for name in ("pdg", "role")}
    return EventObjects(event, types, np.full(number, LEVEL[level]), *kinematics, **{**rest, **values})


def merge_objects(*parts: EventObjects) -> EventObjects:
    """Lay objects of the same batch end to end."""
    return EventObjects(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(EventObjects))
    )


def distances(first: EventObjects, second: EventObjects) -> tuple[Array, Array, Array]:
    """Return the pairs (i, j) of objects of the same event, and their distance in the (eta, phi) plane."""
    i, j = pairs_of_events(first.event, second.event)
    return i, j, delta_r(first.eta[i], first.phi[i], second.eta[j], second.phi[j])


def missing_momentum(event: Array, px: Array, py: Array, num_events: int) -> EventObjects:
    """Return the transverse momentum that balances all others of each event.

    Parameters
    ----------
    event, px, py
        Events and momenta of what is balanced, GeV, (n,) each.
    num_events
        Number of events.
    """
    x, y = (-np.bincount(event, part, minlength=num_events) for part in (px, py))
    return met_objects(np.hypot(x, y), np.arctan2(y, x))


def met_objects(pt: Array, phi: Array) -> EventObjects:
    """Return missing transverse momenta, one of each event, as objects."""
    return make_objects(np.arange(len(pt)), (pt, np.zeros(len(pt)), phi, pt), "met")


def object_columns(objects: EventObjects, num_events: int, *, truth: bool) -> dict[str, Array | Ragged]:
    """Return the fields of all objects as a store holds them, in its order; see `sorted_objects`.

    Parameters
    ----------
    objects
        Those of a batch.
    num_events
        Events of the batch.
    truth
        Whether there are fields that only simulations have.
    """
    order = _order(objects.event, objects.level, objects.pt)
    lengths = objects.number(num_events)
    return {
        field.name: Ragged.from_lengths(
            getattr(objects, field.name.removeprefix("object_"))[order].astype(field.dtype), lengths
        )
        for field in event_schema(truth=truth)
        if field.level is Level.OBJECT
    }


def sorted_objects(columns: Columns) -> dict[str, Array | Ragged]:
    """Return the fields of objects in the order of a store: reconstructed ones first, then falling pt."""
    fields = {name: lists(columns, name) for name in columns if name.startswith("object_")}
    pt = fields["object_pt"]
    level = fields["object_level"].values if "object_level" in fields else np.zeros(len(pt.values), np.int8)
    order = _order(pt.row_index(), level, pt.values)
    return {name: column.with_values(column.values[order]) for name, column in fields.items()}


def _order(event: Array, level: Array, pt: Array) -> Array:
    return np.lexsort((-pt, level, event))
