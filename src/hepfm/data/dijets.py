"""Events of two jets as one row of features each, from rows that are jets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns
from hepfm.core.schema import Schema
from hepfm.data.schemas.dijets import DIJET_MASS, JET_FEATURES, feature_schema
from hepfm.data.store import Store
from hepfm.data.writer import StoreWriter
from hepfm.physics.kinematics import four_momentum, mass_of

_MOMENTUM = ("jet_pt", "jet_eta", "jet_phi", "jet_energy")
_TAUS = ("jet_tau1", "jet_tau2", "jet_tau3")


def write_dijet_features(store: str | Path | Store, output: str | Path, *, overwrite: bool = False) -> Path:
    """Write the store of features of a store of jets: its rows are events, as the reader ``lhco_features``
    makes them.

    Parameters
    ----------
    store
        Jets with substructure, two of each event: of a simulation with ``dijet``, or of the reader ``lhco``
        with ``substructure: true``. Events of one jet are left out.
    output
        The store to make.
    overwrite
        Replace a store that is already there.

    Raises
    ------
    DataError
        When the store does not have such rows.
    """
    source = store if isinstance(store, Store) else Store.open(store)
    names = feature_inputs(source.schema)
    provenance = {"source": "features of pairs of jets", "store_fingerprint": source.fingerprint}
    schema = feature_schema(source.schema.label_classes, weight=source.schema.weight is not None)
    with StoreWriter(output, schema, provenance=provenance, overwrite=overwrite) as writer:
        for split, rows in source.splits.items():
            writer.write(dijet_features(source.read(names, rows), source.schema), split=split)
    return writer.path


def feature_inputs(schema: Schema) -> list[str]:
    """Return the fields of jets that `dijet_features` needs; raise `DataError` where a schema lacks one."""
    needed = [*_MOMENTUM, *_TAUS, DIJET_MASS.name]
    missing = [name for name in needed if name not in schema]
    if missing or schema.group is None:
        raise DataError(
            "features of events are made from pairs of jets with N-subjettiness and a group; there is no "
            f"{missing[0] if missing else 'group'} (a simulation with dijet and substructure: true has them, "
            "and the reader lhco with substructure: true)"
        )
    return [*needed, *filter(None, (schema.label, schema.weight, schema.group))]


def dijet_features(columns: Columns, schema: Schema) -> dict[str, Array]:
    """Return the features of events of two jets, in the order of their first row; jet 1 is the harder one.

    Parameters
    ----------
    columns
        The fields `feature_inputs` of rows that are jets, in any order.
    schema
        Of these rows.

    Raises
    ------
    DataError
        For an event of more than two jets.
    """
    first, second = event_pairs(columns, str(schema.group))
    features: dict[str, Array] = {}
    for number, rows in enumerate((first, second), start=1):
        jets = {name: np.asarray(columns[name], np.float64)[rows] for name in (*_MOMENTUM, *_TAUS)}
        jets["jet_mass"] = mass_of(four_momentum(*(jets[name] for name in _MOMENTUM)))
        features |= {f"jet{number}_{name}": jets[f"jet_{name}"].astype(np.float32) for name in JET_FEATURES}
    features[DIJET_MASS.name] = np.asarray(columns[DIJET_MASS.name])[first]
    if schema.label is not None:
        features["event_label"] = np.asarray(columns[schema.label])[first]
    if schema.weight is not None:
        features["event_weight"] = np.asarray(columns[schema.weight])[first]
    return features


def event_pairs(columns: Columns, group: str) -> tuple[Array, Array]:
    """Return the places of the harder and of the softer jet of each event of two, as `dijet_features` orders
    them."""
    event, pt = np.asarray(columns[group]), np.asarray(columns["jet_pt"])
    order = np.lexsort((-pt, event))
    _, start, counts = np.unique(event[order], return_index=True, return_counts=True)
    if (counts > 2).any():
        raise DataError(
            f"event {event[order][start[counts > 2][0]]} has {counts.max()} jets, expected two at most; read "
            "the two leading ones (num_jets: 2)"
        )
    start = start[counts == 2]
    pairs = np.stack([order[start], order[start + 1]])
    pairs = pairs[:, np.argsort(pairs.min(axis=0))]
    return pairs[0], pairs[1]


def lighter_tau21(mass1: Array, mass2: Array, tau1_1: Array, tau1_2: Array, *tau2: Array) -> Array:
    """Return the ratio of 2- to 1-subjettiness of the jet of less mass; 0 for a jet without width.

    Arguments are the masses of both jets, their 1-subjettiness and their 2-subjettiness.
    """
    return _tau21(mass1 <= mass2, tau1_1, tau1_2, *tau2)


def heavier_tau21(mass1: Array, mass2: Array, tau1_1: Array, tau1_2: Array, *tau2: Array) -> Array:
    """Return the same of the jet of more mass."""
    return _tau21(mass1 > mass2, tau1_1, tau1_2, *tau2)


def _tau21(first: Array, tau1_1: Array, tau1_2: Array, tau2_1: Array, tau2_2: Array) -> Array:
    tau1, tau2 = np.where(first, tau1_1, tau1_2), np.where(first, tau2_1, tau2_2)
    return np.divide(tau2, tau1, out=np.zeros_like(tau2), where=tau1 > 0)
