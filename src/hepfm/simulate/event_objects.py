"""Objects of many events as flat arrays: what was reconstructed, and particles of the hard process."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from hepfm.core.ragged import Array, Ragged
from hepfm.data.schemas.events import OBJECT_LEVELS, OBJECT_ROLES, OBJECT_TYPES
from hepfm.physics.kinematics import delta_r, four_momentum
from hepfm.simulate.event_pairs import pairs_of_events
from hepfm.simulate.particles import Bools, Floats, Ints

TYPE = {name: number for number, name in enumerate(OBJECT_TYPES)}
LEVEL = {name: number for number, name in enumerate(OBJECT_LEVELS)}
ROLE = {name: number for number, name in enumerate(OBJECT_ROLES)}


@dataclass(frozen=True)
class Objects:
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

    event: Ints
    type: Ints
    level: Ints
    pt: Floats
    eta: Floats
    phi: Floats
    energy: Floats
    charge: Floats
    b_tag: Floats
    pdg: Ints
    role: Ints

    def __len__(self) -> int:
        return len(self.event)

    def take(self, rows: Bools | Ints) -> Objects:
        """Return the given objects."""
        return Objects(*(getattr(self, field.name)[rows] for field in fields(self)))

    def of_type(self, *names: str) -> Bools:
        """Tell which objects are of one of these types."""
        return np.isin(self.type, [TYPE[name] for name in names])

    def with_roles(self, role: Ints) -> Objects:
        """Return the objects in other roles."""
        return replace(self, role=role)

    def with_b_tags(self, b_tag: Floats) -> Objects:
        """Return the objects with other b tags."""
        return replace(self, b_tag=b_tag)

    @property
    def p4(self) -> Floats:
        """(E, px, py, pz) in GeV, shape (n, 4)."""
        return four_momentum(self.pt, self.eta, self.phi, self.energy)

    def number(self, num_events: int) -> Ints:
        """Return how many objects each event has, shape (num_events,)."""
        return np.bincount(self.event, minlength=num_events)


def make_objects(
    event: Ints,
    kinematics: tuple[Floats, Floats, Floats, Floats],
    kind: Ints | str,
    *,
    level: str = "reconstructed",
    **values: Array,
) -> Objects:
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
    return Objects(event, types, np.full(number, LEVEL[level]), *kinematics, **{**rest, **values})


def merge_objects(*parts: Objects) -> Objects:
    """Lay objects of the same batch end to end."""
    return Objects(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Objects))
    )


def distances(first: Objects, second: Objects) -> tuple[Ints, Ints, Floats]:
    """Return the pairs (i, j) of objects of the same event, and their distance in the (eta, phi) plane."""
    i, j = pairs_of_events(first.event, second.event)
    return i, j, delta_r(first.eta[i], first.phi[i], second.eta[j], second.phi[j])


def object_columns(objects: Objects, events: Ints, num_events: int) -> dict[str, Array | Ragged]:
    """Return the lists of some events as they are stored: reconstructed objects first, each level by falling
    pt.

    Parameters
    ----------
    objects
        Those of a batch.
    events
        The events wanted, rising.
    num_events
        Events of the batch.
    """
    wanted = np.full(num_events, -1)
    wanted[events] = np.arange(len(events))
    chosen = objects.take(wanted[objects.event] >= 0)
    chosen = chosen.take(np.lexsort((-chosen.pt, chosen.level, chosen.event)))
    lengths = np.bincount(wanted[chosen.event], minlength=len(events))
    names = [field.name for field in fields(Objects) if field.name != "event"]
    return {f"object_{name}": Ragged.from_lengths(getattr(chosen, name), lengths) for name in names}
