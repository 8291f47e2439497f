"""Observables: numbers of a row that analyses look at, fields of the rows or made of them, as a matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError, did_you_mean
from hepfm.core.ragged import Array
from hepfm.core.schema import Kind, Schema
from hepfm.data.context import jet_mass
from hepfm.data.dijets import heavier_tau21, lighter_tau21
from hepfm.data.row_source import Index, RowSource
from hepfm.physics.angularities import ln_rho, tau21

Values = npt.NDArray[np.float32]
"""Shape (R, F): rows and observables."""


@dataclass(frozen=True)
class Derived:
    """An observable that is made of fields.

    Attributes
    ----------
    columns
        The fields.
    compute
        The computation, of their values in double precision.
    unit
        Of the result.
    """

    columns: tuple[str, ...]
    compute: Callable[..., Array]
    unit: str = "1"


_MASSES = ("jet1_mass", "jet2_mass")
_TAUS = (*_MASSES, "jet1_tau1", "jet2_tau1", "jet1_tau2", "jet2_tau2")

DERIVED = {
    "dijet_lighter_mass": Derived(_MASSES, np.minimum, "GeV"),
    "dijet_mass_difference": Derived(_MASSES, lambda first, second: np.abs(first - second), "GeV"),
    "dijet_lighter_tau21": Derived(_TAUS, lighter_tau21),
    "dijet_heavier_tau21": Derived(_TAUS, heavier_tau21),
    "jet_mass": Derived(("jet_pt", "jet_eta", "jet_energy"), jet_mass, "GeV"),
    "omnifold_ln_rho": Derived(("omnifold_softdrop_mass", "jet_pt"), ln_rho),
    "omnifold_tau21": Derived(("omnifold_tau2", "omnifold_width"), tau21),
}
"""By name. OmniFold's: ln of the squared ratio of groomed mass and jet pt; 2-subjettiness over width
(1911.09107). Those of two jets are in the order of their masses, as in CATHODE
(2109.00546)."""


def available(schema: Schema) -> list[str]:
    """Return the names of all observables that rows of a schema have."""
    numbers = [
        field.name for field in schema if field.level is schema.row and field.kind is not Kind.CATEGORICAL
    ]
    made = [name for name, one in DERIVED.items() if all(column in schema for column in one.columns)]
    return [*numbers, *(name for name in made if name not in numbers)]


def unit_of(schema: Schema, name: str) -> str:
    """Return the unit of an observable."""
    return schema[name].unit if name in schema else DERIVED[name].unit


def check_observables(schema: Schema, names: tuple[str, ...], *, where: str) -> None:
    """Raise `DataError` unless all are numbers of the rows.

    Parameters
    ----------
    schema
        Of the rows.
    names
        The observables.
    where
        What has the schema, for the message.
    """
    known = available(schema)
    for name in names:
        if name in known:
            continue
        if name in schema:
            field = schema[name]
            what = "holds lists" if schema.is_ragged(name) else f"is of kind {field.kind}"
            raise DataError(f"{where}: {name!r} {what}; an observable is one number for each {schema.row}")
        lacking = [one for one in DERIVED[name].columns if one not in schema] if name in DERIVED else []
        why = f" (it is made of {', '.join(lacking)})" if lacking else did_you_mean(name, known)
        raise DataError(f"{where} has no observable {name!r}{why}; it has: {', '.join(known)}")


def read_observables(source: RowSource, rows: Index, names: tuple[str, ...]) -> Values:
    """Return observables of rows, (R, F); raise `DataError` where one is NaN or infinite."""
    check_observables(source.schema, names, where=source.name)
    fields = [name for name in names if name in source.schema]
    made = {name: DERIVED[name] for name in names if name not in fields}
    columns = source.read(
        dict.fromkeys([*fields, *(column for one in made.values() for column in one.columns)]), rows
    )
    for name, one in made.items():
        columns[name] = one.compute(*(np.asarray(columns[column], np.float64) for column in one.columns))
    values = np.stack([np.asarray(columns[name]).astype(np.float32) for name in names], axis=1)
    bad = ~np.isfinite(values)
    if bad.any():
        name = names[int(np.argmax(bad.any(axis=0)))]
        raise DataError(
            f"{source.name}: {name!r} is NaN or infinite in {int(bad[:, names.index(name)].sum())} of "
            f"{len(values)} rows; leave these rows or the observable out"
        )
    return values
