"""What a network reads of a shower: the feature set of hits, the context of a shower, and the way back.

``log_hit_energy`` and ``log_incident_energy`` mean ln(energy/GeV).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged, lists
from hepfm.core.schema import Schema
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureSet
from hepfm.data.inverse import RowFields, Values
from hepfm.data.schemas.showers import shower_schema

SMALLEST = 1e-9
"""Floor of an energy in its logarithm (GeV)."""

_LARGEST = 30.0
"""Larger logarithms are no energies."""

_COLUMNS = ("hit_x", "hit_y", "hit_layer", "hit_energy")
_NAMES = ("hit_x", "hit_y", "hit_layer", "log_hit_energy")


def _fill(columns: Columns, out: Array) -> None:
    """Fill x, y, layer, log energy."""
    for place, name in enumerate(_COLUMNS[:3]):
        out[place] = lists(columns, name).values
    np.maximum(lists(columns, "hit_energy").values, np.float32(SMALLEST), out=out[3])
    np.log(out[3], out=out[3])


def _incident(columns: Columns, lengths: npt.NDArray[np.int64]) -> Array:
    energy = np.asarray(columns["incident_energy"], np.float64)
    return np.log(np.maximum(energy, SMALLEST)).astype(np.float32)[:, None]


class ShowerInverse:
    """Makes showers of the features of their hits."""

    needs: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ("incident_energy",)

    def fits(self, names: Sequence[str]) -> bool:
        """Tell whether hits can be made of features of these names."""
        return set(names) == set(_NAMES)

    def schema(
        self, names: Sequence[str], *, classes: tuple[str, ...] = (), known: Collection[str] = ()
    ) -> Schema:
        """Return the schema of showers, which have no classes."""
        return shower_schema(incident="incident_energy" in known)

    def columns(
        self, values: Values, *, lengths: npt.NDArray[np.int64], row_fields: RowFields
    ) -> dict[str, Array | Ragged]:
        """Return the columns of showers, hits in falling order of energy.

        Layers are rounded, and not below 0. Places stay where they are: `hepfm.physics.voxels` puts them
        into cells, as the task of generation and the exporter do.

        Parameters
        ----------
        values
            Physical features of all hits by name, shower after shower.
        lengths
            Hits of each shower, shape (R,).
        row_fields
            ``incident_energy`` (GeV) where it is known, shape (R,).

        Raises
        ------
        DataError
            When a feature is not finite, or an energy cannot be decoded.
        """
        row = np.repeat(np.arange(len(lengths)), lengths)
        _check(values, row)
        energy = np.exp(values["log_hit_energy"])
        order = np.lexsort((-energy, row))
        layer = np.clip(np.rint(values["hit_layer"]), 0, np.iinfo(np.int16).max)
        hits = {"hit_energy": energy, "hit_x": values["hit_x"], "hit_y": values["hit_y"]}
        columns: dict[str, Array | Ragged] = {
            "shower_energy": np.bincount(row, energy, minlength=len(lengths)).astype(np.float32)
        }
        for name, numbers in hits.items():
            columns[name] = Ragged.from_lengths(numbers[order].astype(np.float32), lengths)
        columns["hit_layer"] = Ragged.from_lengths(layer[order].astype(np.int16), lengths)
        return columns | {name: row_fields[name] for name in self.keeps if name in row_fields}

    def drawn(self, context_names: Collection[str]) -> tuple[str, ...]:
        """Return the incident energy, where the context tells it."""
        return self.keeps if "log_incident_energy" in context_names else ()

    def draw(
        self,
        values: Values,
        *,
        lengths: npt.NDArray[np.int64],
        context: RowFields,
        rng: np.random.Generator,
    ) -> RowFields:
        """Return the incident energies of generated showers, where the context tells them."""
        if "log_incident_energy" not in context:
            return {}
        return {"incident_energy": np.exp(context["log_incident_energy"]).astype(np.float32)}


def _check(values: Values, row: npt.NDArray[np.int64]) -> None:
    for name, numbers in values.items():
        bad = ~np.isfinite(numbers) | ((np.abs(numbers) > _LARGEST) & (name == "log_hit_energy"))
        if bad.any():
            entry = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"feature {name!r} of shower {int(row[entry])} is {numbers[entry]}: no hit can be made of "
                f"that ({int(bad.sum())} such values)"
            )


CALO = FeatureSet(
    name="calo",
    names=_NAMES,
    base=_COLUMNS,
    centre=(0.0,) * 4,
    scale=(1.0,) * 4,
    fill=_fill,
    fitted=(True,) * 4,
    inverse=ShowerInverse(),
    rows="showers",
    entries="hit_energy",
    momenta=(),
)

INCIDENT = ContextSet("incident", ("log_incident_energy",), ("incident_energy",), _incident)
