"""What objects of events cannot be, and what is odd about all of them; see `hepfm.data.plausibility`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.log import logger
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.data.event_features import RECONSTRUCTED_TYPES, is_reconstructed, is_type
from hepfm.data.hard_process import object_types
from hepfm.data.remote import DataFile
from hepfm.data.schemas.events import OBJECT_ROLES

LARGEST_CHARGE = 3
"""Hadronic taus have as many as three tracks of a charge."""

TOLERANCE = 1e-3
"""Relative and absolute (GeV) difference that files with few digits make."""

TYPICAL_PT = 5_000.0
"""Median pt (GeV) of objects of a type above which a file is likely to be in MeV."""

Rule = tuple[str, Array, str]
"""A field, which of its values cannot be, and why, with the cure."""


def impossible_objects(columns: Columns) -> Iterator[Rule]:
    """Yield what objects of some events cannot be."""
    if not all(isinstance(columns.get(f"object_{name}"), Ragged) for name in ("pt", "type", "level")):
        return
    values = {name: column.values for name, column in columns.items() if isinstance(column, Ragged)}
    seen, met = is_reconstructed(columns), is_type(columns, ("met",))
    measurable = is_type(columns, RECONSTRUCTED_TYPES)
    yield (
        "object_type",
        seen & ~measurable,
        f"is no type of reconstructed objects ({', '.join(RECONSTRUCTED_TYPES)}); is object_level right",
    )
    yield (
        "object_type",
        ~seen & is_type(columns, ("jet", "met")),
        "is no type of generator objects, which are particles; is object_level right",
    )
    yield (
        "object_type",
        _second(columns, met),
        "is the second of its event; is one of both another kind of it",
    )
    yield from _missing(values, met)
    yield from _charges(values, seen, is_type(columns, ("jet", "photon", "met")))
    if "object_b_tag" in values:
        other = ~(seen & is_type(columns, ("jet",)))
        said = "is not 0 for an object that is no reconstructed jet; are the lists of one order"
        yield "object_b_tag", other & (values["object_b_tag"] != 0), said
    yield from _truth(values, seen, met)


def _second(columns: Columns, met: Array) -> Array:
    """Return which missing momenta are not the first of their event."""
    pt = columns["object_pt"]
    assert isinstance(pt, Ragged)
    places = np.flatnonzero(met)
    rows = pt.row_index()[places]
    bad = np.zeros(len(met), bool)
    bad[places[1:][rows[1:] == rows[:-1]]] = True
    return bad


def _missing(values: Mapping[str, Array], met: Array) -> Iterator[Rule]:
    if "object_eta" in values:
        yield "object_eta", met & (values["object_eta"] != 0), "is that of missing momentum, which has 0"
    if "object_energy" in values:
        pt, energy = (values[f"object_{name}"].astype(np.float64) for name in ("pt", "energy"))
        bad = met & (np.abs(energy - pt) > TOLERANCE * pt + TOLERANCE)
        yield "object_energy", bad, "is that of missing momentum, and not its pt; is it massless"


def _charges(values: Mapping[str, Array], seen: Array, neutral: Array) -> Iterator[Rule]:
    if "object_charge" not in values:
        return
    charge = values["object_charge"].astype(np.float64)
    whole = np.isclose(charge, np.round(charge), atol=1e-4)
    thirds = np.isclose(3 * charge, np.round(3 * charge), atol=1e-3)
    bad = (np.abs(charge) > LARGEST_CHARGE) | (seen & ~whole) | ~thirds
    yield "object_charge", bad, "is no charge of an object in units of e; is the field scaled"
    said = "is that of a reconstructed jet, photon or missing momentum, which have 0"
    yield "object_charge", seen & neutral & (charge != 0), said


def _truth(values: Mapping[str, Array], seen: Array, met: Array) -> Iterator[Rule]:
    if "object_pdg" in values:
        pdg = values["object_pdg"]
        yield "object_pdg", seen & (pdg != 0), "is that of a reconstructed object, which has 0"
        wrong = ~seen & ((pdg == 0) | (object_types(pdg) != values["object_type"]))
        yield "object_pdg", wrong, "is not of the particle that object_type names; which of both is right"
    if "object_role" in values:
        named = values["object_role"] != OBJECT_ROLES.index("none")
        yield "object_role", met & named, "is that of missing momentum, which comes from no one particle"


class ObjectLevels:
    """Notes which rows have reconstructed and generator objects, over the pieces of all files."""

    def __init__(self) -> None:
        self._rows = self._with_generator = self._with_reconstructed = 0
        self._without: str | None = None
        self._medians: dict[str, float] = {}

    def look(self, columns: Columns, *, path: DataFile, first_row: int) -> None:
        """Note a piece of a file; raise `DataError` for rows that no network could be shown."""
        pt = columns.get("object_pt")
        if not isinstance(pt, Ragged) or not isinstance(columns.get("object_level"), Ragged):
            return
        seen = is_reconstructed(columns)
        row, rows = pt.row_index(), len(pt)
        number, made = (np.bincount(row[mask], minlength=rows) for mask in (seen, ~seen))
        empty = (number + made) == 0
        if empty.any():
            raise DataError(
                f"{path}, row {first_row + int(np.argmax(empty))}: the event has no objects at all "
                f"({int(empty.sum())} such in this piece of the file); leave such events out (select), or "
                "give all of them their missing momentum"
            )
        if (number == 0).any() and self._without is None:
            self._without = f"{path}, row {first_row + int(np.argmax(number == 0))}"
        self._rows += rows
        self._with_generator += int((made > 0).sum())
        self._with_reconstructed += int((number > 0).sum())
        if self._without is not None and self._with_reconstructed:
            raise DataError(
                f"{self._without}: the event has generator objects only, and other events of the files have "
                "reconstructed ones; leave such events out (select), or give all of them their missing "
                "momentum"
            )
        for name in RECONSTRUCTED_TYPES:
            chosen = pt.values[seen & is_type(columns, (name,))]
            if len(chosen):
                self._medians[name] = max(self._medians.get(name, 0.0), float(np.median(chosen)))

    def warn(self) -> None:
        """Log what is odd about all rows together."""
        if self._rows and not self._with_reconstructed:
            logger.warning(
                "no event has a reconstructed object: only feature sets that read generator objects fit, "
                "such as event_levels"
            )
        if 0 < self._with_generator < self._rows:
            logger.warning(
                "%d of %d events have no generator objects: they have no true roles, and count as events "
                "without any; are data and simulation mixed?",
                self._rows - self._with_generator,
                self._rows,
            )
        for name, median in self._medians.items():
            if median > TYPICAL_PT:
                logger.warning(
                    "the pt of half of the objects of type %s is above %.0f GeV; is the file in MeV, which "
                    "the unit in a map must say?",
                    name,
                    median,
                )
