"""Feature sets that are written out: the same numbers as those of the registry, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Columns
from hepfm.data import feature_set
from hepfm.data.features import four_momenta
from hepfm.data.written_features import KNOWN, from_written, read_features, spec_of
from hepfm.models.convert.weaver.expressions import BRANCHES


@pytest.fixture
def columns(jet_columns: Any) -> Columns:
    found: Columns = jet_columns(20, seed=3)
    return found


def written(*columns: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"name": "own", "columns": list(columns), **others}


@pytest.mark.parametrize("order", [KNOWN, KNOWN[::-1]])
def test_known_columns_in_any_order(order: tuple[str, ...], columns: Columns) -> None:
    full = feature_set("full")
    features = from_written(written(*({"name": name} for name in order)), where="test")
    expected = dict(zip(full.names, full.compute(columns).T, strict=True))
    for name, values in zip(order, features.compute(columns).T, strict=True):
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    assert set(features.groups) == ({"identity", "displacement"} if order == KNOWN else set())
    assert features.remade


def test_arithmetic(columns: Columns) -> None:
    expressions = {
        "deta_": BRANCHES["part_deta"],
        "dphi_": BRANCHES["part_dphi"],
        "neutral": "(part_charge == 0) & (part_pid != 2)",
        "ratio": "part_d0 / (part_charge * 0)",
        "half": "part_pt / jet_pt / 2",
    }
    specs = [{"name": name, "expression": text} for name, text in expressions.items()]
    specs[-1] |= {"minimum": 0.01, "maximum": 0.1}
    specs[-2] |= {"centre": 7.0}
    features = from_written(written(*specs), where="test")
    found = dict(zip(features.names, features.compute(columns).T, strict=True))
    full = dict(zip(feature_set("full").names, feature_set("full").compute(columns).T, strict=True))
    for name in ("deta", "dphi"):
        np.testing.assert_allclose(found[f"{name}_"], full[name], atol=2e-6)
    charge, pid = (columns[f"part_{name}"].values for name in ("charge", "pid"))
    np.testing.assert_array_equal(found["neutral"], (charge == 0) & (pid != 2))
    d0 = columns["part_d0"].values
    np.testing.assert_array_equal(found["ratio"][d0 == 0], 7.0)  # 0/0 is the centre
    assert np.isfinite(found["ratio"]).all()
    half = np.clip(np.exp(full["log_pt_rel"]) / 2, 0.01, 0.1)
    np.testing.assert_allclose(found["half"], half, rtol=1e-4)
    assert not features.remade


def test_momenta_of_one_transverse_momentum(columns: Columns) -> None:
    features = from_written(written({"name": "log_pt"}, row_pt=100.0), where="test")
    plain = four_momenta(columns)
    scale = np.repeat(100 / columns["jet_pt"], columns["part_pt"].lengths)
    np.testing.assert_allclose(features.four_momenta(columns), plain * scale[:, None], rtol=1e-5)
    assert "jet_pt" in features.momentum_columns
    assert not features.remade


def test_a_set_is_read_from_what_is_written_of_it() -> None:
    values = written({"name": "log_pt", "limit": 3.0}, {"name": "x", "expression": "part_eta"})
    features = read_features(values, where="test")
    again = read_features(json.loads(json.dumps(spec_of(features))), where="test")
    assert again.written == features.written
    assert again.limit == (3.0, float("inf"))
    assert spec_of(feature_set("kin")) == "kin"
    assert read_features("kin", where="test") is feature_set("kin")


def test_relative_columns_need_what_they_are_made_of() -> None:
    assert not from_written(written({"name": "log_pt_rel"}), where="test").remade
    assert from_written(written({"name": "log_pt_rel"}, {"name": "log_pt"}), where="test").remade


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (written(), "columns"),
        (written({"name": "lgo_pt"}), "'lgo_pt' needs an expression"),
        (written({"name": "a", "expression": "part_pz"}), "the file has no 'part_pz'"),
        (written({"name": "a", "expression": "sum(part_pt)"}), "no function 'sum'"),
        (written({"name": "a", "expression": "slot"}), "no 'slot'"),
        (written({"name": "a", "expression": "open('x')"}), "no function 'open'"),
        (written({"name": "log_pt"}, {"name": "log_pt"}), "'log_pt' stands there twice"),
        (written({"name": "log_pt", "scale": 0}), "scale must not be 0"),
        (written({"name": "log_pt", "limit": -1}), "limit"),
        ({**written({"name": "log_pt"}), "name": "kin"}, "'kin' is a feature set of the registry"),
        (written({"name": "log_pt"}, row_pt=-1), "row_pt"),
    ],
)
def test_what_is_no_set(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_written(values, where="test")
