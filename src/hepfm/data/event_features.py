"""What a network reads of an event: the feature sets of its objects, and the context of a whole event.

``log_pt`` and ``log_energy`` mean ln(x/GeV); in the context, ``log_x`` means ln(1 + x/GeV), which is 0 where
there is nothing to sum. Azimuths enter as sine and cosine: no value of phi is special."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hepfm.core.ragged import Array, Columns, lists
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureGroup, FeatureSet
from hepfm.data.schemas.events import OBJECT_LEVELS, OBJECT_TYPES

OBJECT_MOMENTA = ("object_pt", "object_eta", "object_phi", "object_energy")
"""What four-momenta of objects are made of."""

_SMALLEST = np.float32(1e-3)
"""Floor of pt and energy in their logarithms (GeV), far below every threshold."""

RECONSTRUCTED_TYPES = ("jet", "electron", "muon", "tau", "photon", "met")
FINAL_TYPES = ("electron", "muon", "tau", "photon", "neutrino", "bottom", "quark", "gluon")
"""Generator objects that are no resonances."""
GENERATOR = (*(f"is_{name}" for name in FINAL_TYPES[4:]), "is_generator", "particle_sign")
"""Features that tell generator objects."""

_TYPE = {name: number for number, name in enumerate(OBJECT_TYPES)}
_RECONSTRUCTED = OBJECT_LEVELS.index("reconstructed")
_GENERATOR = OBJECT_LEVELS.index("generator")


def is_type(columns: Columns, names: Sequence[str]) -> Array:
    """Return which objects are of one of these types, boolean (objects,)."""
    table = np.isin(np.arange(len(OBJECT_TYPES)), [_TYPE[name] for name in names])
    return table[lists(columns, "object_type").values]


def is_reconstructed(columns: Columns) -> Array:
    """Return which objects a detector saw, boolean (objects,)."""
    return lists(columns, "object_level").values == _RECONSTRUCTED


def is_generator(columns: Columns) -> Array:
    """Return which objects are particles of the hard process, boolean (objects,)."""
    return lists(columns, "object_level").values == _GENERATOR


def is_reconstructed_or_final(columns: Columns) -> Array:
    """Return which objects a detector saw or are final particles of the hard process, boolean (objects,)."""
    return is_reconstructed(columns) | is_type(columns, FINAL_TYPES)


def _kinematics(columns: Columns, out: Array) -> None:
    """Fill log pt, eta, sine and cosine of phi, log energy."""
    for row, name in ((0, "object_pt"), (4, "object_energy")):
        np.maximum(lists(columns, name).values, _SMALLEST, out=out[row])
        np.log(out[row], out=out[row])
    out[1] = lists(columns, "object_eta").values
    phi = lists(columns, "object_phi").values
    np.sin(phi, out=out[2])
    np.cos(phi, out=out[3])


def fill_flags(columns: Columns, out: Array, types: Sequence[str]) -> None:
    """Fill a row for each type: 1 for objects of it, else 0."""
    values = lists(columns, "object_type").values
    for row, name in zip(out, types, strict=True):
        np.equal(values, _TYPE[name], out=row, casting="unsafe")


def _fill(columns: Columns, out: Array) -> None:
    _kinematics(columns, out)
    fill_flags(columns, out[5:11], RECONSTRUCTED_TYPES)


def _fill_generator(columns: Columns, out: Array) -> None:
    """Fill the features `GENERATOR`."""
    fill_flags(columns, out[:4], FINAL_TYPES[4:])
    out[4] = lists(columns, "object_level").values == _GENERATOR
    np.sign(lists(columns, "object_pdg").values, out=out[5], casting="unsafe")


def generator_group(names: Sequence[str]) -> FeatureGroup:
    """Return the group of what tells generator particles, which leave a row with it; `GENERATOR` stands in
    a row among `names`."""
    first = names.index(GENERATOR[0])
    return FeatureGroup(
        "generator",
        range(first, first + len(GENERATOR)),
        ("object_pdg",),
        _fill_generator,
        left=is_reconstructed,
    )


def _copy(name: str) -> FeatureGroup:
    """Return the group of the one feature that is a column as it is; the number in the set is put in
    later."""
    return FeatureGroup(
        name.removeprefix("object_"),
        range(0),
        (name,),
        lambda columns, out: np.copyto(out[0], lists(columns, name).values, casting="unsafe"),
    )


def measured_groups(first: int) -> tuple[FeatureGroup, ...]:
    """Return the groups ``charge`` and ``b_tag`` of one feature each, the first of them at this place."""
    return tuple(
        FeatureGroup(group.name, range(first + k, first + k + 1), group.columns, group.fill)
        for k, group in enumerate((_copy("object_charge"), _copy("object_b_tag")))
    )


_KINEMATICS = ("log_pt", "eta", "sin_phi", "cos_phi", "log_energy")
_MEASURED = ("log_pt", "eta", "log_energy")


_CHARGED = ("electron", "muon", "tau", "bottom", "quark")


def exist_with_types(types: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return which of these types have a feature that not all have: of missing momentum a detector measures
    neither pseudorapidity nor energy."""
    seen = tuple(f"is_{name}" for name in types if name != "met")
    charged = tuple(f"is_{name}" for name in types if name in _CHARGED)
    return {"eta": seen, "log_energy": seen, "charge": charged, "b_tag": ("is_jet",)}


def _set(
    name: str, flags: tuple[str, ...], groups: tuple[FeatureGroup, ...] = (), **options: object
) -> FeatureSet:
    names = (*_KINEMATICS, *flags, "charge", "b_tag")
    return FeatureSet(
        name=name,
        names=names,
        centre=tuple(0.0 for _ in names),
        scale=tuple(1.0 for _ in names),
        fitted=tuple(feature in _MEASURED for feature in names),
        optional=(*groups, *measured_groups(len(names) - 2)),
        rows="events",
        entries="object_pt",
        momenta=OBJECT_MOMENTA,
        **options,  # type: ignore[arg-type]
    )


EVENT = _set(
    "event",
    tuple(f"is_{name}" for name in RECONSTRUCTED_TYPES),
    base=(*OBJECT_MOMENTA, "object_type", "object_level"),
    fill=_fill,
    exist=exist_with_types(RECONSTRUCTED_TYPES),
    chosen=is_reconstructed,
)
"""The reconstructed objects of an event, missing momentum among them."""

_LEVELS = (*(f"is_{name}" for name in RECONSTRUCTED_TYPES), *GENERATOR)
EVENT_LEVELS = _set(
    "event_levels",
    _LEVELS,
    (generator_group((*_KINEMATICS, *_LEVELS)),),
    base=(*OBJECT_MOMENTA, "object_type", "object_level"),
    fill=_fill,
    exist={**exist_with_types((*RECONSTRUCTED_TYPES, *FINAL_TYPES[4:])), "particle_sign": ("is_generator",)},
    chosen=is_reconstructed_or_final,
)
"""The same, and the final particles of the hard process; ``particle_sign`` is 1 for a particle of these, -1
for an antiparticle, 0 for reconstructed objects. Without the group ``generator`` it shows what ``event``
does: for a model that was pre-trained on both levels and is used on reconstructed objects alone."""


@dataclass(frozen=True)
class _Seen:
    """Reconstructed objects of events, all in one row after the other.

    Attributes
    ----------
    row
        Number of the event of each object.
    rows
        Number of events.
    pt
        Transverse momentum (GeV), of each object.
    p4
        Energy, px, py, pz (GeV), (4, objects).
    """

    row: Array
    rows: int
    pt: Array
    p4: Array

    @classmethod
    def of(cls, columns: Columns, seen: Array) -> _Seen:
        """Return the objects of the columns that are marked."""
        entries = lists(columns, "object_pt")
        pt, eta, phi, energy = (lists(columns, name).values[seen] for name in OBJECT_MOMENTA)
        p4 = np.stack([energy, pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])
        return cls(entries.row_index()[seen], len(entries), pt, p4)

    def number(self, chosen: Array) -> Array:
        """Return the number of chosen objects of each event."""
        return np.bincount(self.row[chosen], minlength=self.rows)

    def sum_pt(self, chosen: Array) -> Array:
        """Return the scalar sum of their pt."""
        return np.bincount(self.row[chosen], self.pt[chosen], minlength=self.rows)

    def mass(self, chosen: Array) -> Array:
        """Return the mass of their sum, in double precision."""
        row = self.row[chosen]
        energy, *momentum = (np.bincount(row, part[chosen], minlength=self.rows) for part in self.p4)
        mass: Array = np.sqrt(np.maximum(energy**2 - sum(part**2 for part in momentum), 0.0))
        return mass


def event_sums(columns: Columns) -> dict[str, Array]:
    """Return missing momentum, scalar sums of pt, masses (GeV) and numbers of the objects of each event."""
    seen = is_reconstructed(columns)
    objects = _Seen.of(columns, seen)
    jets, leptons, missing = (
        is_type(columns, names)[seen] for names in (("jet",), ("electron", "muon", "tau"), ("met",))
    )
    b_jets = jets & (lists(columns, "object_b_tag").values[seen] > 0.5)
    met, met_phi = np.zeros((2, objects.rows))
    met[objects.row[missing]] = objects.pt[missing]
    met_phi[objects.row[missing]] = lists(columns, "object_phi").values[seen][missing]
    return {
        "met": met,
        "met_phi": met_phi,
        "ht": objects.sum_pt(jets),
        "lepton_ht": objects.sum_pt(leptons),
        "mass": objects.mass(~missing),
        "lepton_mass": objects.mass(leptons),
        "b_mass": objects.mass(b_jets),
        "num_leptons": objects.number(leptons),
        "num_b_jets": objects.number(b_jets),
        "num_jets": objects.number(jets),
    }


def _context(columns: Columns, lengths: npt.NDArray[np.int64]) -> Array:
    sums = event_sums(columns)
    logs = (np.log1p(sums[name]) for name in ("met", "ht", "lepton_ht", "mass", "lepton_mass", "b_mass"))
    azimuth = (np.sin(sums["met_phi"]), np.cos(sums["met_phi"]))
    counts = (sums[name] for name in ("num_leptons", "num_b_jets", "num_jets"))
    return np.stack((*logs, *azimuth, *counts), axis=1).astype(np.float32)


def visible_mass(p4_BN4: Tensor, num_context: int, place: int) -> Tensor:
    """Return the context of shown objects: momenta do not tell what is a jet, so all but the mass is 0.

    Parameters
    ----------
    p4_BN4
        Four-momenta of the shown objects.
    num_context, place
        C, and the number of the feature ln(1 + mass/GeV).
    """
    energy, *momentum = p4_BN4.double().sum(1).unbind(-1)
    mass = (energy**2 - sum(part**2 for part in momentum)).clamp(min=0).sqrt()
    out = torch.zeros(len(mass), num_context, dtype=torch.float32, device=mass.device)
    out[:, place] = mass.log1p().float()
    return out


def _visible(p4_BN4: Tensor, mask_BN: Tensor) -> Tensor:
    return visible_mass(p4_BN4, len(EVENT_CONTEXT), EVENT_CONTEXT.names.index("log_mass"))


EVENT_CONTEXT = ContextSet(
    "event",
    (
        *("log_met", "log_ht", "log_lepton_ht", "log_mass", "log_lepton_mass", "log_b_mass"),
        *("sin_met_phi", "cos_met_phi"),
        *("num_leptons", "num_b_jets", "num_jets"),
    ),
    (*OBJECT_MOMENTA, "object_type", "object_level", "object_b_tag"),
    _context,
    _visible,
)
"""Missing transverse momentum, scalar sums of pt and masses of jets, leptons, b-tagged jets and all, and how
many there are: what EveNet (2601.17126) is told of a whole event, with the azimuth as sine and cosine."""


def _resonance_mass(columns: Columns, lengths: npt.NDArray[np.int64]) -> Array:
    return np.asarray(columns["event_resonance_mass"], np.float32)[:, None]


RESONANCE_MASS = ContextSet("resonance_mass", ("resonance_mass",), ("event_resonance_mass",), _resonance_mass)
"""The mass hypothesis (GeV) of a search, for networks that are a function of it (1601.07913)."""
