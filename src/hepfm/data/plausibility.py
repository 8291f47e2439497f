"""Are the values of foreign files what their fields say? Errors for what cannot be, warnings for what is odd.

A schema says what columns mean; it cannot know that a file has energies in MeV, a wrong sign or a column of
another quantity. Each rule looks at one piece of a file and names file, field, row and the nearest cure.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.log import logger
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.object_rules import ObjectLevels, impossible_objects
from hepfm.data.remote import DataFile

ROUNDING = 1e-3
"""Relative and absolute (GeV) amount by which an energy may be below the momentum: files with few digits."""

LARGEST_CHARGE = 3
"""Reconstructed particles have -1, 0 or 1; light nuclei a little more."""

OTHER_UNIT = 100.0
"""Factor between the sum of constituents and their jet above which units must differ (MeV and GeV: 1000)."""

SUM_TOLERANCE = 0.25
"""Relative difference between that sum and the jet's pt that is odd; cut-off constituents make less."""

BELOW_MOMENTUM = (
    "is below the momentum; are energy and momentum in the same unit (GeV), is the sign right, and is this "
    "the energy, not a mass or a kinetic energy"
)

NEVER_NEGATIVE = (
    *("part_pt", "hit_energy", "jet_pt", "jet_energy", "incident_energy"),
    *("object_pt", "object_energy"),
)

MANY = 0.2
"""Fraction of the jets that may be odd in this way."""


class Plausibility:
    """Looks at the pieces of files on their way into a store.

    Parameters
    ----------
    schema
        The fields.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._ranges: dict[str, tuple[float, float]] = {}
        self._rows = 0
        self._jets = self._odd_sums = 0
        self._levels = ObjectLevels()

    def look(self, columns: Columns, *, path: DataFile, first_row: int) -> None:
        """Look at a piece of a file.

        Parameters
        ----------
        columns
            Its rows, with finite values.
        path, first_row
            The file, and the number of the piece's first row in it.

        Raises
        ------
        DataError
            With the first value that cannot be.
        """
        for name, bad, rule in _impossible(columns):
            if bad.any():
                field = self.schema[name]
                raise DataError(_said(columns[name], field, bad, rule, path, first_row))
        self._levels.look(columns, path=path, first_row=first_row)
        self._look_at_sums(columns, path)
        self._note(columns)

    def warn(self) -> None:
        """Log what is odd about all rows together."""
        constant = [name for name, (low, high) in self._ranges.items() if low == high]
        if constant and self._rows > 1:
            values = ", ".join(f"{name} ({self._ranges[name][0]:g})" for name in constant)
            logger.warning("the same value in all %d rows: %s; does the file have these?", self._rows, values)
        if self._odd_sums > MANY * self._jets:
            logger.warning(
                "in %d of %d rows the pt of all constituents together differs from jet_pt by more than %d%%: "
                "are constituents cut off, or is jet_pt that of another jet?",
                self._odd_sums,
                self._jets,
                round(100 * SUM_TOLERANCE),
            )
        self._levels.warn()

    def _look_at_sums(self, columns: Columns, path: DataFile) -> None:
        pt, phi, jet_pt = (columns.get(name) for name in ("part_pt", "part_phi", "jet_pt"))
        if not (isinstance(pt, Ragged) and isinstance(phi, Ragged) and isinstance(jet_pt, np.ndarray)):
            return
        row, rows = pt.row_index(), len(pt)
        px, py = (np.bincount(row, pt.values * of(phi.values), rows) for of in (np.cos, np.sin))
        known = (jet_pt > 0) & (pt.lengths > 0)
        if not known.any():
            return
        ratio = np.hypot(px, py)[known] / jet_pt[known]
        middle = float(np.median(ratio))
        if not 1 / OTHER_UNIT < middle < OTHER_UNIT:
            raise DataError(
                f"{path}: constituents together have {middle:.3g} times the pt of their jets; one of part_pt "
                "and jet_pt is in another unit (a store holds GeV); convert the file's momenta and energies"
            )
        self._jets += len(ratio)
        self._odd_sums += int((np.abs(ratio - 1) > SUM_TOLERANCE).sum())

    def _note(self, columns: Columns) -> None:
        self._rows += len(next(iter(columns.values())))
        for field in self.schema:
            column = columns.get(field.name)
            values = column.values if isinstance(column, Ragged) else column
            if field.kind is Kind.CATEGORICAL or values is None or not len(values):
                continue
            low, high = float(values.min()), float(values.max())
            before = self._ranges.get(field.name, (low, high))
            self._ranges[field.name] = min(low, before[0]), max(high, before[1])


def _impossible(columns: Columns) -> Iterator[tuple[str, Array, str]]:
    """Yield a field, which of its values cannot be, and the rule with its cure."""
    values = {
        name: column.values if isinstance(column, Ragged) else column for name, column in columns.items()
    }
    yield from impossible_objects(columns)
    for name in values:
        if name.endswith("_error"):
            yield (
                name,
                values[name] < 0,
                "is negative; is this the uncertainty of a measurement, not its value",
            )
        if name in NEVER_NEGATIVE:
            yield name, values[name] < 0, "is negative; is the field this quantity, without a sign"
    for kind in ("part", "jet", "object"):
        names = [f"{kind}_{part}" for part in ("pt", "eta", "energy")]
        if all(name in values for name in names):
            pt, eta, energy = (values[name].astype(np.float64) for name in names)
            momentum = pt * np.cosh(eta)
            yield (
                names[2],
                energy < momentum * (1 - ROUNDING) - ROUNDING,
                BELOW_MOMENTUM,
            )
    if "part_charge" in values:
        charge = values["part_charge"]
        bad = (np.abs(charge) > LARGEST_CHARGE) | (charge != np.round(charge))
        yield "part_charge", bad, "is no charge of a particle in units of e; is the field scaled"


def _said(column: Array | Ragged, field: Field, bad: Array, rule: str, path: DataFile, first_row: int) -> str:
    index = row = int(np.argmax(bad))
    values, place = (column.values if isinstance(column, Ragged) else column), ""
    if isinstance(column, Ragged):
        row = int(np.searchsorted(column.offsets, index, side="right")) - 1
        what = "object" if field.level is Level.OBJECT else "constituent"
        place = f", {what} {index - int(column.offsets[row])}"
    value = field.classes[values[index]] if field.classes else f"{values[index]:g}"
    return (
        f"{path}, row {first_row + row}{place}: {field.name} {value} {rule}? "
        f"({int(bad.sum())} such values in this piece of the file)"
    )
