"""What a network reads of a shower: the feature set of hits, the context of a shower, and the way back.

``log_hit_energy`` and ``log_incident_energy`` mean ln(energy/GeV).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureSet, lists

SMALLEST = 1e-9
"""Floor of an energy in its logarithm (GeV)."""

_LARGEST = 30.0
"""Larger logarithms are no energies."""

_COLUMNS = ("hit_x", "hit_y", "hit_layer", "hit_energy")


def _fill(columns: Columns, out: Array) -> None:
    """Fill x, y, layer, log energy."""
    for place, name in enumerate(_COLUMNS[:3]):
        out[place] = lists(columns, name).values
    np.maximum(lists(columns, "hit_energy").values, np.float32(SMALLEST), out=out[3])
    np.log(out[3], out=out[3])


def _incident(columns: Columns, lengths: npt.NDArray[np.int64]) -> Array:
    energy = np.asarray(columns["incident_energy"], np.float64)
    return np.log(np.maximum(energy, SMALLEST)).astype(np.float32)[:, None]


CALO = FeatureSet(
    name="calo",
    names=("hit_x", "hit_y", "hit_layer", "log_hit_energy"),
    base=_COLUMNS,
    centre=(0.0,) * 4,
    scale=(1.0,) * 4,
    fill=_fill,
    fitted=(True,) * 4,
)

INCIDENT = ContextSet("incident", ("log_incident_energy",), ("incident_energy",), _incident)


def shower_columns(
    features: Mapping[str, npt.NDArray[np.float64]], *, lengths: Array
) -> dict[str, Array | Ragged]:
    """Return the columns of showers from the features of their hits, hits in falling order of energy.

    Layers are rounded, and not below 0. Places stay where they are: `hepfm.physics.voxels` puts them into
    cells, as the task of generation and the exporter do.

    Parameters
    ----------
    features
        Physical features of the set ``calo`` by name, shape (n,) each, shower after shower.
    lengths
        Hits of each shower, shape (R,).

    Returns
    -------
    dict
        The fields of `hepfm.data.schemas.showers.shower_schema` but for the incident energy.

    Raises
    ------
    DataError
        When a feature is not finite or gives an energy that is none.
    """
    row = np.repeat(np.arange(len(lengths)), lengths)
    for name, values in features.items():
        bad = ~np.isfinite(values) | ((np.abs(values) > _LARGEST) & (name == "log_hit_energy"))
        if bad.any():
            entry = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"feature {name!r} of shower {int(row[entry])} is {values[entry]}: no hit can be made of "
                f"that ({int(bad.sum())} such values)"
            )
    energy = np.exp(features["log_hit_energy"])
    order = np.lexsort((-energy, row))
    layer = np.clip(np.rint(features["hit_layer"]), 0, np.iinfo(np.int16).max)
    columns = {"hit_energy": energy, "hit_x": features["hit_x"], "hit_y": features["hit_y"]}
    made: dict[str, Array | Ragged] = {
        "shower_energy": np.bincount(row, energy, minlength=len(lengths)).astype(np.float32)
    }
    for name, values in columns.items():
        made[name] = Ragged.from_lengths(values[order].astype(np.float32), lengths)
    made["hit_layer"] = Ragged.from_lengths(layer[order].astype(np.int16), lengths)
    return made
