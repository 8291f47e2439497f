"""Units of files, and what they are in the units of a store: GeV, mm, rad, e."""

from __future__ import annotations

import math

from hepfm.core.errors import ConfigError, did_you_mean

UNITS: dict[str, tuple[str, float]] = {
    "eV": ("GeV", 1e-9),
    "keV": ("GeV", 1e-6),
    "MeV": ("GeV", 1e-3),
    "GeV": ("GeV", 1.0),
    "TeV": ("GeV", 1e3),
    "um": ("mm", 1e-3),
    "mm": ("mm", 1.0),
    "cm": ("mm", 10.0),
    "m": ("mm", 1e3),
    "mrad": ("rad", 1e-3),
    "rad": ("rad", 1.0),
    "deg": ("rad", math.pi / 180),
    "e": ("e", 1.0),
    "e/3": ("e", 1 / 3),
    "1": ("1", 1.0),
    "%": ("1", 0.01),
}
"""The store's unit of each unit, and how many of them it is; generators have charges in e/3."""


def factor(unit: str, wanted: str, *, field: str) -> float:
    """Return by what values in `unit` are multiplied to be in the unit `wanted` of a store.

    >>> factor("MeV", "GeV", field="jet_pt")
    0.001

    Raises
    ------
    ConfigError
        For a unit that is not known or of another quantity.
    """
    if unit not in UNITS:
        raise ConfigError(f"field {field!r}: unknown unit {unit!r}{did_you_mean(unit, UNITS)}")
    stored, number = UNITS[unit]
    if stored != wanted:
        fit = ", ".join(name for name, (kind, _) in UNITS.items() if kind == wanted) or wanted
        raise ConfigError(f"field {field!r} is stored in {wanted}; its unit cannot be {unit!r} but: {fit}")
    return number
