"""Feature sets against the definitions written out jet by jet, and against bad numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Ragged, concatenate
from hepfm.data import FEATURE_SETS, feature_set
from hepfm.data.features import four_momenta
from hepfm.data.schemas.jets import jet_schema


def by_hand(columns: dict[str, Any], row: int, entry: int) -> list[float]:
    """The 17 inputs of one constituent, in double precision, one at a time."""
    pt, eta, phi, energy, charge, pid, d0, d0_error, dz, dz_error = (
        float(columns[f"part_{name}"].row(row)[entry])
        for name in ("pt", "eta", "phi", "energy", "charge", "pid", "d0", "d0_error", "dz", "dz_error")
    )
    jet_pt, jet_eta, jet_phi, jet_energy = (
        float(columns[f"jet_{name}"][row]) for name in ("pt", "eta", "phi", "energy")
    )
    deta = (eta - jet_eta) * (1 if jet_eta > 0 else -1)
    dphi = math.remainder(phi - jet_phi, 2 * math.pi)
    return [
        math.log(pt),
        math.log(energy),
        math.log(pt / jet_pt),
        math.log(energy / jet_energy),
        math.hypot(deta, dphi),
        charge,
        *(float(pid == flag) for flag in range(5)),
        math.tanh(d0),
        min(max(d0_error, 0), 1),
        math.tanh(dz),
        min(max(dz_error, 0), 1),
        deta,
        dphi,
    ]


def test_full_follows_the_definition(jet_columns: Any) -> None:
    columns = jet_columns(40, seed=5)
    columns["part_d0_error"].values[::7] = 3.0
    columns["jet_eta"][0] = 0.0
    expected = [by_hand(columns, row, i) for row in range(40) for i in range(columns["part_pt"].lengths[row])]
    np.testing.assert_allclose(feature_set("full").compute(columns), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(("small", "size"), [("kin", 7), ("kinpid", 13)])
def test_smaller_sets_are_columns_of_full(jet_columns: Any, small: str, size: int) -> None:
    columns = jet_columns(30, seed=6)
    full, part = feature_set("full"), feature_set(small)
    assert len(part) == size == len(part.centre) == len(part.scale)
    picked = [full.names.index(name) for name in part.names]
    assert picked == sorted(picked)
    np.testing.assert_array_equal(part.compute(columns), full.compute(columns)[:, picked])
    assert [full.centre[i] for i in picked] == list(part.centre)


def test_published_standardisation() -> None:
    full = feature_set("full")
    assert full.centre[:5] == (1.7, 2.0, -4.7, -4.7, 0.2)
    assert full.scale[:5] == (0.7, 0.7, 0.7, 0.7, 4.0)
    assert set(full.centre[5:]) == {0.0}
    assert set(full.scale[5:]) == {1.0}


def test_chunks_do_not_change_the_result(jet_columns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = concatenate([jet_columns(50, seed=1), jet_columns(3, lengths=[0, 200, 1])])
    whole = feature_set("full").compute(columns)
    monkeypatch.setattr("hepfm.data.features._CHUNK", 16)
    np.testing.assert_array_equal(feature_set("full").compute(columns), whole)


def test_chunks_do_not_change_pet(jet_columns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = jet_columns(50, seed=1)
    features = feature_set("petfull").without(["identity"])
    whole = features.compute(columns)
    monkeypatch.setattr("hepfm.data.features._CHUNK", 16)
    np.testing.assert_array_equal(features.compute(columns), whole)


@settings(deadline=None, max_examples=40)
@given(pt=st.floats(-10, 10, width=32), energy=st.floats(-10, 10, width=32), jet=st.floats(-5, 5, width=32))
def test_no_number_gives_inf_or_nan(pt: float, energy: float, jet: float) -> None:
    columns = {
        **{name: np.asarray([jet], np.float32) for name in ("jet_pt", "jet_energy")},
        **{name: np.zeros(1, np.float32) for name in ("jet_eta", "jet_phi")},
        "part_pt": Ragged.from_lists([[pt]]),
        "part_energy": Ragged.from_lists([[energy]]),
        "part_eta": Ragged.from_lists([[1.0]]),
        "part_phi": Ragged.from_lists([[3.0]]),
    }
    assert np.isfinite(feature_set("kin").compute(columns)).all()


def test_four_momenta(jet_columns: Any) -> None:
    columns = jet_columns(20, seed=7)
    pt, eta, phi = (np.float64(columns[f"part_{name}"].values) for name in ("pt", "eta", "phi"))
    energy = columns["part_energy"].values
    expected = np.stack([energy, pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)
    np.testing.assert_allclose(four_momenta(columns), expected, rtol=1e-5, atol=1e-5)


def test_missing_fields_are_named() -> None:
    schema = jet_schema(identity=False, tracks=False)
    assert feature_set("kin").missing(schema) == []
    assert feature_set("kinpid").missing(schema) == ["part_charge", "part_pid"]


def test_unknown_set() -> None:
    with pytest.raises(ConfigError, match="did you mean 'kinpid'"):
        feature_set("kinpidd")
    assert list(FEATURE_SETS) == [
        "kin",
        "kinpid",
        "full",
        "pet",
        "petpid",
        "petfull",
        "massless",
        "event",
        "event_levels",
        "evenet",
        "bumblebee",
        "calo",
    ]


PETFULL = (
    *("deta", "dphi", "log_pt", "log_energy"),
    *("charge", "is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon"),
    *("tanh_d0", "d0_error", "tanh_dz", "dz_error"),
)


def test_pet_sets_follow_the_definition(jet_columns: Any) -> None:
    """Names and order are those that models are saved with; deta is not flipped with the jet's eta."""
    columns = jet_columns(40, seed=8)
    petfull, full = feature_set("petfull"), feature_set("full")
    assert petfull.names == PETFULL
    found, reference = petfull.compute(columns), full.compute(columns)
    for number, name in enumerate(PETFULL[1:], start=1):
        np.testing.assert_array_equal(found[:, number], reference[:, full.names.index(name)])
    row = columns["part_eta"].row_index()
    expected = np.float64(columns["part_eta"].values) - columns["jet_eta"][row]
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-6)
    assert (columns["jet_eta"] < 0).any()


@pytest.mark.parametrize(("small", "size"), [("pet", 4), ("petpid", 10)])
def test_smaller_pet_sets_begin_petfull(jet_columns: Any, small: str, size: int) -> None:
    columns = jet_columns(30, seed=6)
    part = feature_set(small)
    assert part.names == PETFULL[:size]
    np.testing.assert_array_equal(part.compute(columns), feature_set("petfull").compute(columns)[:, :size])


@pytest.mark.parametrize(
    ("name", "fitted"),
    [
        *(("kin", ()), ("kinpid", ()), ("full", ())),
        *(("pet", range(4)), ("petpid", range(4)), ("petfull", [0, 1, 2, 3, 11, 13])),
    ],
)
def test_fitted_features(name: str, fitted: Any) -> None:
    """Kinematics and errors of impact parameters are measured; flags, charge and tanh keep 0 and 1."""
    features = feature_set(name)
    assert [number for number, fit in enumerate(features.fitted) if fit] == list(fitted)
    assert len(features.fitted) == len(features.centre) == len(features.scale) == len(features)


def test_groups_and_their_fields() -> None:
    assert feature_set("pet").groups == feature_set("kin").groups == {}
    assert feature_set("kinpid").groups == {"identity": (5, 6, 7, 8, 9, 10)}
    assert feature_set("full").groups["displacement"] == (11, 12, 13, 14)
    petfull = feature_set("petfull")
    assert petfull.groups == {"identity": (4, 5, 6, 7, 8, 9), "displacement": (10, 11, 12, 13)}
    schema = jet_schema(tracks=False)
    assert petfull.missing_group("identity", schema) == []
    assert petfull.missing_group("displacement", schema) == petfull.missing(schema)


@pytest.mark.parametrize("name", ["full", "petfull"])
@pytest.mark.parametrize("dropped", [("identity",), ("displacement",), ("identity", "displacement")])
def test_without_groups(jet_columns: Any, name: str, dropped: tuple[str, ...]) -> None:
    """Features keep their places, those of the groups are zero, and data need not have their fields."""
    columns = jet_columns(20, seed=9)
    whole = feature_set(name)
    part = whole.without(dropped)
    expected = whole.compute(columns)
    for group in dropped:
        expected[:, whole.groups[group]] = 0
    needed = {field: columns[field] for field in part.columns}
    np.testing.assert_array_equal(part.compute(needed), expected)
    assert part.names == whole.names
    assert set(part.groups) == set(whole.groups) - set(dropped)
    kinematic = jet_schema(identity="identity" not in dropped, tracks="displacement" not in dropped)
    assert part.missing(kinematic) == []
    assert part.without(dropped) == part


def test_without_an_unknown_group() -> None:
    with pytest.raises(ConfigError, match="'kinpid' has no group 'displacement'; choose from: identity"):
        feature_set("kinpid").without(["displacement"])
    with pytest.raises(ConfigError, match="'pet' has no group 'identity'"):
        feature_set("pet").without(["identity"])
