"""Features to jets and back: exact inverses, and valid jets from whatever a model makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.ragged import Array, Ragged
from hepfm.data import feature_set, invertible_sets
from hepfm.data.schemas.jets import JETCLASS_CLASSES, PID_CLASSES
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.physics.kinematics import four_momentum

SETS = ("pet", "petpid", "petfull")
LENGTHS = np.array([3, 0, 1, 8])


def inverse(name: str, features: Array, lengths: Array, eta: Array, phi: Array) -> dict[str, Any]:
    features_of = feature_set(name)
    axis = {"jet_eta": eta, "jet_phi": phi}
    return features_of.invert(features_of.named(features), lengths=lengths, row_fields=axis)


def of_jets(name: str, columns: Any) -> dict[str, Any]:
    features = feature_set(name).compute(columns)
    return inverse(name, features, columns["part_pt"].lengths, columns["jet_eta"], columns["jet_phi"])


@pytest.mark.parametrize("name", SETS)
def test_features_of_a_store_give_it_back(jet_columns: Any, name: str) -> None:
    """Every constituent field, across the edge of phi; artanh loses what tanh rounds, below 1e-5 here."""
    columns = jet_columns(200, seed=11)
    columns["part_charge"].values[columns["part_pid"].values == PID_CLASSES.index("other")] = 0
    found = of_jets(name, columns)
    assert (np.abs(columns["jet_phi"]) > 3).any()
    for field in found:
        if field.startswith("part_"):
            np.testing.assert_array_equal(found[field].offsets, columns[field].offsets)
            difference = found[field].values.astype(float) - columns[field].values
            if field == "part_phi":
                difference -= 2 * np.pi * np.rint(difference / (2 * np.pi))
            scale = np.maximum(np.abs(columns[field].values), 1)
            assert (np.abs(difference) / scale).max() < 5e-6, field


@pytest.mark.parametrize("name", SETS)
def test_physical_and_back_is_the_identity(jet_columns: Any, name: str) -> None:
    columns = jet_columns(200, seed=12)
    columns["part_charge"].values[columns["part_pid"].values == PID_CLASSES.index("other")] = 0
    features = feature_set(name).compute(columns)
    found = of_jets(name, columns) | {axis: columns[axis] for axis in ("jet_eta", "jet_phi")}
    np.testing.assert_allclose(feature_set(name).compute(found), features, atol=1e-5)


def test_jets_are_the_sum_of_their_constituents(jet_columns: Any) -> None:
    columns = jet_columns(50, seed=13)
    found = of_jets("pet", columns)
    p4 = four_momentum(
        *(columns[f"part_{name}"].values.astype(float) for name in ("pt", "eta", "phi", "energy"))
    )
    total = np.add.reduceat(p4, columns["part_pt"].offsets[:-1])
    jets = four_momentum(*(found[f"jet_{name}"].astype(float) for name in ("pt", "eta", "phi", "energy")))
    np.testing.assert_allclose(jets, total, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=30)
@given(data=st.data())
def test_whatever_a_model_makes_is_a_valid_jet(name: str, data: Any) -> None:
    """Kinematics possible, types and charges consistent, impact parameters of charged constituents only."""
    size = (int(LENGTHS.sum()), len(feature_set(name)))
    features = data.draw(arrays(np.float32, size, elements=st.floats(-6, 6, width=32)))
    eta, phi = np.array([0, 1, -2.0, 1.5]), np.array([3.1, -3.1, 0, 20.0])
    found = inverse(name, features, LENGTHS, eta, phi)
    pt, part_eta, part_phi, energy = (found[f"part_{part}"].values for part in ("pt", "eta", "phi", "energy"))
    assert (energy >= pt * np.cosh(part_eta.astype(float)) * (1 - 1e-6)).all()
    assert (np.abs(part_phi) <= np.float32(np.pi)).all()
    for row in range(len(LENGTHS)):
        assert (np.diff(found["part_pt"].row(row)) <= 0).all()
    assert found["jet_pt"][1] == found["jet_energy"][1] == 0
    if name == "pet":
        return
    charge, pid = found["part_charge"].values, found["part_pid"].values
    assert set(np.unique(charge)) <= {-1, 0, 1}
    assert (charge[np.isin(pid, [0, 3, 4])] != 0).all()
    assert (charge[np.isin(pid, [1, 2])] == 0).all()
    if name == "petfull":
        for field in ("d0", "dz"):
            value, error = found[f"part_{field}"].values, found[f"part_{field}_error"].values
            assert np.isfinite(value).all()
            assert ((error >= 0) & (error <= 1)).all()
            assert (value[charge == 0] == 0).all()
            assert (error[charge == 0] == 0).all()


def test_types_and_charges() -> None:
    """The largest flag above 0.5; the sign of the charge for charged types, none for neutral ones."""
    flags = {
        "charged_hadron": ([0.9, 0, 0, 0, 0], -0.1, -1),
        "neutral_hadron": ([0.6, 0.7, 0, 0, 0], 1.0, 0),
        "photon": ([0, 0, 2.0, 1.9, 0], -3.0, 0),
        "electron": ([0, 0, 0, 0.51, 0.2], 0.0, 1),
        "muon": ([0, 0, 0, 0, 1.0], 0.4, 1),
        "other": ([0.5, 0.5, 0.4, -1, 0.3], -0.7, -1),
    }
    features = np.zeros((6, 10), np.float32)
    features[:, 2] = np.arange(6, 0, -1)
    for row, (numbers, charge, _) in enumerate(flags.values()):
        features[row, 4], features[row, 5:] = charge, numbers
    found = inverse("petpid", features, np.array([6]), np.zeros(1), np.zeros(1))
    assert [PID_CLASSES[pid] for pid in found["part_pid"].values] == list(flags)
    assert found["part_charge"].values.tolist() == [expected for *_, expected in flags.values()]


@pytest.mark.parametrize("name", SETS)
def test_a_store_of_generated_jets(tmp_path: Path, jet_columns: Any, name: str) -> None:
    """The schema is that of the columns, and the feature set can be computed from the store again."""
    columns = jet_columns(30, seed=14)
    schema = feature_set(name).schema(classes=JETCLASS_CLASSES)
    made = of_jets(name, columns) | {"jet_label": columns["jet_label"]}
    store = Store.open(write_store(tmp_path / "s", schema, [("train", made)], provenance={}))
    assert store.num_rows == 30
    assert feature_set(name).missing(store.schema) == []
    assert set(made) == set(schema.names())
    assert feature_set(name).schema().label is None


@pytest.mark.parametrize("name", ["kin", "kinpid", "full"])
def test_features_that_tell_too_much_or_too_little(name: str) -> None:
    """The error names the feature set, and all sets that can be inverted."""
    assert invertible_sets() == ["pet", "petpid", "petfull", "massless", "calo"]
    features = feature_set(name)
    assert not features.invertible
    message = f"no jets can be made of the feature set {name!r}: .*pet, petpid, petfull, massless, calo"
    with pytest.raises(IncompatibleError, match=message):
        features.schema()
    with pytest.raises(IncompatibleError, match=message):
        inverse(name, np.zeros((0, len(features))), np.zeros(2, int), np.zeros(2), np.zeros(2))


def test_absent_groups_are_not_made(jet_columns: Any) -> None:
    """Types and tracks that were never measured are not written as if they had been."""
    columns, features = jet_columns(20, seed=15), feature_set("petfull")
    values = features.named(features.compute(columns))
    axis = {name: columns[name] for name in ("jet_eta", "jet_phi")}
    for absent, smaller in {("displacement",): "petpid", ("identity", "displacement"): "pet"}.items():
        rest = features.without(absent)
        rows = rest.invert(values, lengths=columns["part_pt"].lengths, row_fields=axis)
        expected = of_jets(smaller, columns)
        assert set(rows) == set(expected) == set(rest.schema().names())
        for name, column in expected.items():
            np.testing.assert_array_equal(
                getattr(rows[name], "values", rows[name]), getattr(column, "values", column)
            )
    with pytest.raises(
        IncompatibleError, match="no jets can be made of the feature set 'petfull' without identity"
    ):
        features.without(["identity"]).schema()


def test_massless_jets_have_the_energies_of_their_momenta(jet_columns: Any) -> None:
    columns = jet_columns(20, seed=16)
    rows = of_jets("massless", columns)
    pt, eta, energy = (rows[f"part_{name}"].values.astype(float) for name in ("pt", "eta", "energy"))
    np.testing.assert_allclose(energy, pt * np.cosh(eta), rtol=1e-6)
    np.testing.assert_allclose(pt, columns["part_pt"].values, rtol=1e-5)


def test_what_no_feature_tells_must_be_given() -> None:
    features = feature_set("pet")
    values = features.named(np.zeros((1, 4)))
    with pytest.raises(
        DataError, match="cannot be made of the features 'pet' alone; also needed are their jet_phi"
    ):
        features.invert(values, lengths=np.array([1]), row_fields={"jet_eta": np.zeros(1)})


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (0, np.nan, "feature 'deta' of jet 2 is nan"),
        (2, np.inf, "feature 'log_pt' of jet 2 is inf"),
        (3, 90.0, "feature 'log_energy' of jet 2 is 90"),
    ],
)
def test_impossible_numbers_are_named(column: int, value: float, message: str) -> None:
    features = np.zeros((LENGTHS.sum(), 4), np.float32)
    features[3, column] = value
    with pytest.raises(DataError, match=message):
        inverse("pet", features, LENGTHS, np.zeros(4), np.zeros(4))


def test_wrong_shape() -> None:
    with pytest.raises(DataError, match=r"'deta' has shape \(11,\) for 12 constituents"):
        inverse("pet", np.zeros((11, 4)), np.array([12]), np.zeros(1), np.zeros(1))


def test_features_of_another_set() -> None:
    with pytest.raises(
        DataError, match=r"shape \(3, 7\) are not those of the set 'pet', which has 4: deta, dphi"
    ):
        feature_set("pet").named(np.zeros((3, 7)))


def test_no_jets_at_all() -> None:
    found = inverse("petfull", np.zeros((0, 14)), np.zeros(0, int), np.zeros(0), np.zeros(0))
    assert isinstance(found["part_pt"], Ragged)
    assert len(found["part_pt"]) == len(found["jet_pt"]) == 0
