"""Objects of events on their way into a store: lists by type, overlaps, missing momentum, one list of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.ragged import Array, Columns, Ragged, entry_pairs, lists
from hepfm.data.hard_process import object_charges
from hepfm.data.schemas.events import OBJECT_LEVELS, OBJECT_ROLES, OBJECT_TYPES
from hepfm.data.truth_matching import UNMATCHED, match
from hepfm.physics.kinematics import delta_r

PRECEDENCE = ("muon", "electron", "tau", "photon", "jet")
"""Of two objects of different types at one place that of the earlier type is kept."""

MEASURED = ("pt", "eta", "phi", "energy", "charge", "b_tag")


@dataclass(frozen=True)
class ObjectList:
    """Reconstructed objects of one type, event after event.

    Attributes
    ----------
    kind
        One of `hepfm.data.schemas.events.OBJECT_TYPES`.
    lengths
        How many each event has.
    values
        Those of `MEASURED`, (objects,) each: GeV, rad, e.
    """

    kind: str
    lengths: Array
    values: Mapping[str, Array]

    def keep(self, mask: Array) -> ObjectList:
        """Return the objects where `mask`, boolean (objects,), is true."""
        lengths = np.bincount(self.events()[mask], minlength=len(self.lengths))
        return ObjectList(self.kind, lengths, {name: part[mask] for name, part in self.values.items()})

    def events(self) -> npt.NDArray[np.int64]:
        """Return the place of the event of each object."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)


@dataclass(frozen=True)
class GeneratorList:
    """Generator objects, event after event.

    Attributes
    ----------
    lengths
        How many each event has.
    values
        ``pt``, ``eta``, ``phi``, ``energy``, (objects,) each: GeV, rad.
    pdg, type, role
        Code, and numbers of `OBJECT_TYPES` and `OBJECT_ROLES`.
    """

    lengths: Array
    values: Mapping[str, Array]
    pdg: Array
    type: Array
    role: Array


def without_overlaps(objects: Sequence[ObjectList], radius: float) -> list[ObjectList]:
    """Return the objects that are not nearer than `radius` in eta and phi to one of an earlier type.

    Types come in the order of `PRECEDENCE`; an object that is left out takes no other with it.
    """
    by_kind = {one.kind: one for one in objects}
    for place, kind in enumerate(PRECEDENCE):
        for earlier in PRECEDENCE[:place]:
            if kind in by_kind and earlier in by_kind:
                by_kind[kind] = _apart(by_kind[kind], by_kind[earlier], radius)
    return list(by_kind.values())


def _apart(objects: ObjectList, others: ObjectList, radius: float) -> ObjectList:
    one, other = entry_pairs(objects.lengths, others.lengths)
    a, b = objects.values, others.values
    near = delta_r(a["eta"][one], a["phi"][one], b["eta"][other], b["phi"][other]) < radius
    keep = np.ones(len(a["eta"]), bool)
    keep[one[near]] = False
    return objects.keep(keep)


def missing_momentum(objects: Sequence[ObjectList]) -> ObjectList:
    """Return the transverse momentum that balances all objects of each event."""
    rows = len(objects[0].lengths)
    px, py = np.zeros(rows), np.zeros(rows)
    for one in objects:
        pt, phi = one.values["pt"], one.values["phi"]
        px -= np.bincount(one.events(), pt * np.cos(phi), rows)
        py -= np.bincount(one.events(), pt * np.sin(phi), rows)
    return met_list(np.hypot(px, py), np.arctan2(py, px))


def met_list(pt: Array, phi: Array) -> ObjectList:
    """Return missing transverse momenta, one of each event, as objects."""
    nothing = np.zeros(len(pt))
    values = {"pt": pt, "eta": nothing, "phi": phi, "energy": pt, "charge": nothing, "b_tag": nothing}
    return ObjectList("met", np.ones(len(pt), np.int64), values)


def object_columns(
    objects: Sequence[ObjectList], generator: GeneratorList | None, *, match_radius: float
) -> dict[str, Array | Ragged]:
    """Return the fields of all objects, in the order of a store; those of truth only with `generator`.

    Parameters
    ----------
    objects
        Reconstructed objects by type, of the same events.
    generator
        Generator objects, or None.
    match_radius
        Largest distance in eta and phi of an object from the generator object whose role it gets.
    """
    seen = _seen(objects)
    if generator is not None:
        found = match(
            np.stack([seen["eta"], seen["phi"]]),
            np.stack([generator.values["eta"], generator.values["phi"]]),
            types=(seen["type"], generator.type),
            lengths=(np.sum([one.lengths for one in objects], axis=0), generator.lengths),
            radius=match_radius,
        )
        role = np.full(len(found), OBJECT_ROLES.index("none"), np.int8)
        role[found != UNMATCHED] = generator.role[found[found != UNMATCHED]]
        seen = _together(seen | {"role": role, "pdg": np.zeros(len(role), np.int32)}, _made(generator))
    order = np.lexsort((-seen["pt"], seen["level"], seen["row"]))
    lengths = np.bincount(seen.pop("row"), minlength=len(objects[0].lengths))
    return {
        f"object_{name}": Ragged.from_lengths(part[order].astype(_DTYPES.get(name, np.float32)), lengths)
        for name, part in seen.items()
    }


def sorted_objects(columns: Columns) -> dict[str, Array | Ragged]:
    """Return the fields of objects in the order of a store: reconstructed ones first, then falling pt."""
    fields = {name: lists(columns, name) for name in columns if name.startswith("object_")}
    pt = fields["object_pt"]
    level = fields["object_level"].values if "object_level" in fields else np.zeros(len(pt.values), np.int8)
    order = np.lexsort((-pt.values, level, pt.row_index()))
    return {name: column.with_values(column.values[order]) for name, column in fields.items()}


_DTYPES: dict[str, type] = {"type": np.int8, "level": np.int8, "role": np.int8, "pdg": np.int32}


def _seen(objects: Sequence[ObjectList]) -> dict[str, Array]:
    """Return the values of reconstructed objects of all types, event after event."""
    row = np.concatenate([one.events() for one in objects])
    order = np.argsort(row, kind="stable")
    kinds = [np.full(len(one.values["pt"]), OBJECT_TYPES.index(one.kind), np.int8) for one in objects]
    values = {name: np.concatenate([one.values[name] for one in objects]) for name in MEASURED}
    values |= {"type": np.concatenate(kinds), "row": row}
    values["level"] = np.full(len(row), OBJECT_LEVELS.index("reconstructed"), np.int8)
    return {name: part[order] for name, part in values.items()}


def _made(generator: GeneratorList) -> dict[str, Array]:
    number = len(generator.pdg)
    return {
        **generator.values,
        "charge": object_charges(generator.pdg),
        "b_tag": np.zeros(number),
        "type": generator.type,
        "level": np.full(number, OBJECT_LEVELS.index("generator"), np.int8),
        "row": np.repeat(np.arange(len(generator.lengths)), generator.lengths),
        "role": generator.role,
        "pdg": generator.pdg,
    }


def _together(first: Mapping[str, Array], second: Mapping[str, Array]) -> dict[str, Array]:
    return {name: np.concatenate([part, second[name]]) for name, part in first.items()}
