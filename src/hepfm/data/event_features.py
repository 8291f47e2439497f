"""What a network reads of an event: the feature sets of its objects, and the context of a whole event.

``log_pt`` and ``log_energy`` mean ln(x/GeV); in the context, ``log_x`` means ln(1 + x/GeV), which is 0 where
there is nothing to sum. Azimuths enter as sine and cosine: no value of phi is special."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hepfm.core.ragged import Array, Columns, Ragged, lists
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


def _sums(columns: Columns, chosen: Array) -> tuple[Array, Array, Array]:
    """Return the number, the sum of pt and the mass (GeV) of the chosen objects of each event."""
    pt = lists(columns, "object_pt")
    row, rows = pt.row_index()[chosen], len(pt)
    pt_, eta, phi, energy = (
        lists(columns, name).values[chosen].astype(np.float64) for name in OBJECT_MOMENTA
    )

    def total(values: Array) -> Array:
        return np.bincount(row, values, minlength=rows)

    momentum = [total(part) for part in (pt_ * np.cos(phi), pt_ * np.sin(phi), pt_ * np.sinh(eta))]
    mass = np.sqrt(np.maximum(total(energy) ** 2 - sum(part**2 for part in momentum), 0.0))
    return np.bincount(row, minlength=rows), total(pt_), mass


def _context(columns: Columns, lengths: npt.NDArray[np.int64]) -> Array:
    seen = is_reconstructed(columns)
    jets = seen & is_type(columns, ("jet",))
    leptons = seen & is_type(columns, ("electron", "muon", "tau"))
    b_jets = jets & (lists(columns, "object_b_tag").values > 0.5)
    missing = seen & is_type(columns, ("met",))
    num_jets, ht, _ = _sums(columns, jets)
    num_leptons, lepton_ht, lepton_mass = _sums(columns, leptons)
    num_b_jets, _, b_mass = _sums(columns, b_jets)
    met = _missing(columns, missing)
    sums = (met[:, 0], ht, lepton_ht, _sums(columns, seen & ~missing)[2], lepton_mass, b_mass)
    logs = (np.log1p(values) for values in sums)
    counts = (num_leptons, num_b_jets, num_jets)
    out = np.stack((*logs, *(np.sin(met[:, 1]), np.cos(met[:, 1])), *counts), axis=1)
    return out.astype(np.float32)


def _missing(columns: Columns, missing: Array) -> Array:
    """Return pt and phi of the missing momentum of each event; 0 where it has none."""
    pt: Ragged = lists(columns, "object_pt")
    out = np.zeros((len(pt), 2))
    rows = pt.row_index()[missing]
    for column, name in enumerate(("object_pt", "object_phi")):
        out[rows, column] = lists(columns, name).values[missing]
    return out


def _visible(p4_BN4: Tensor, mask_BN: Tensor) -> Tensor:
    """Return the context of shown objects: momenta do not tell what is a jet, so all but the mass is 0."""
    energy, *momentum = p4_BN4.double().sum(1).unbind(-1)
    mass = (energy**2 - sum(part**2 for part in momentum)).clamp(min=0).sqrt()
    out = torch.zeros(len(mass), len(EVENT_CONTEXT), dtype=torch.float32, device=mass.device)
    out[:, EVENT_CONTEXT.names.index("log_mass")] = mass.log1p().float()
    return out


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
