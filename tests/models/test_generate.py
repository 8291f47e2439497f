"""``generate``: stores that are valid, reproducible and as asked for; refusals with their fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hepfm import api
from hepfm.backbones import BACKBONES
from hepfm.cli.generate import command
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, DataError, HepfmError, IncompatibleError
from hepfm.core.ragged import Array, Ragged
from hepfm.data import context_set, feature_set
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.inference.generate import generate
from hepfm.models.directory import Model
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.train.learner import make_learner

TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 4}


def save(path: Path, *, context: str | None = "jet", features: str = "pet", objective: Any = None) -> Path:
    """Write an untrained model of ten classes, whose kinematics are those of boosted jets."""
    backbone = resolve_component(BACKBONES, TINY, where="test")
    spec = objective or {
        "name": "flow_matching",
        "max_constituents": 25,
        "generator": {"name": "flow", "steps": 2},
    }
    component = resolve_component(OBJECTIVES, spec, where="test")
    context_features = context_set(context) if context else None
    schema = jet_schema(JETCLASS_CLASSES)
    with seeded_init(0, "test"):
        network = build_network(backbone, feature_set(features), context=context_features)
        built = make_learner(component, network, schema)
    built.prepare([random_batch(feature_set(features), context=context_features)])
    Model(
        network, backbone, feature_set(features), schema, max_constituents=25, context=context_features
    ).save(path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("models") / "told")


def columns(path: Path, *names: str) -> dict[str, Array]:
    found = Store.open(path).read(names)
    return {name: c.values if isinstance(c, Ragged) else np.asarray(c) for name, c in found.items()}


def test_the_store_is_valid_and_has_what_was_asked_for(model: Path, tmp_path: Path) -> None:
    path = generate(model, n=70, output=tmp_path / "s", classes={"QCD": 5, "Tbl": 2})
    store = Store.open(path)
    assert len(list(store.verify())) == 1
    assert store.split("test") == range(70)
    label = columns(path, "jet_label")["jet_label"]
    assert np.bincount(label, minlength=10).tolist() == [50, 0, 0, 0, 0, 0, 0, 0, 0, 20]
    lengths = store.lengths("constituent")
    assert lengths.min() >= 1
    assert lengths.max() <= 25
    assert len(set(label[:20])) == 2


def test_constituents_are_massless_and_the_jet_is_their_sum(model: Path, tmp_path: Path) -> None:
    store = Store.open(generate(model, n=40, output=tmp_path / "s"))
    part = store.read(["part_pt", "part_eta", "part_phi", "part_energy", "jet_pt"])
    pt, eta, phi = (part[name].values for name in ("part_pt", "part_eta", "part_phi"))
    np.testing.assert_allclose(part["part_energy"].values, pt * np.cosh(eta), rtol=1e-5)
    row = np.repeat(np.arange(40), part["part_pt"].lengths)
    px, py = np.bincount(row, pt * np.cos(phi)), np.bincount(row, pt * np.sin(phi))
    np.testing.assert_allclose(np.hypot(px, py), part["jet_pt"], rtol=1e-4)


def test_the_same_seed_gives_the_same_jets_whatever_the_batch_size(model: Path, tmp_path: Path) -> None:
    names = ("part_pt", "part_eta", "part_phi", "jet_label")
    parts = [
        columns(generate(model, n=50, output=tmp_path / str(size), batch_size=size, seed=3), *names)
        for size in (3, 50)
    ]
    other = columns(generate(model, n=50, output=tmp_path / "other", seed=4), *names)
    for name in names:
        # Sums of products differ in the last digits with the batch; constituents of nearly equal pt may
        # then change places, so each column is compared in its own order.
        ours, theirs = (np.sort(part[name]) for part in parts)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(parts[0]["part_pt"], other["part_pt"])


def test_many_jets_are_made_in_blocks(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hepfm.inference.generate.BLOCK", 16)
    path = generate(model, n=50, output=tmp_path / "s", steps=1, solver="euler")
    found = columns(path, "jet_phi", "jet_label")
    assert len(np.unique(found["jet_phi"])) == 50
    assert np.bincount(found["jet_label"]).tolist() == [5] * 10


def test_every_block_has_draws_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the noise tells the jets of one class apart: equal draws would give equal blocks."""
    monkeypatch.setattr("hepfm.inference.generate.BLOCK", 8)
    model = save(tmp_path / "model", context=None)
    path = generate(model, n=24, output=tmp_path / "s", classes={"QCD": 1}, steps=1, solver="euler")
    lists = Store.open(path).read(["part_pt"])["part_pt"]
    assert isinstance(lists, Ragged)
    hardest = [tuple(lists.row(row)[:3].tolist()) for row in range(24)]
    assert len(set(hardest)) == 24


def test_like_a_store_class_kinematics_and_numbers_are_those_of_its_test_jets(
    model: Path, tmp_path: Path, jet_store: Store
) -> None:
    made = Store.open(generate(model, output=tmp_path / "s", like=jet_store.path))
    test = jet_store.split("test")
    real = jet_store.read(["jet_label"], test)
    assert (made.read(["jet_label"])["jet_label"] == real["jet_label"]).all()
    numbers = np.clip(jet_store.lengths("constituent", test), 1, 25)
    assert (made.lengths("constituent") == numbers).all()
    assert made.manifest.provenance["like"] == jet_store.fingerprint
    few = Store.open(generate(model, n=7, output=tmp_path / "few", like=jet_store.path))
    assert len(few) == 7


def test_provenance_names_model_seed_and_solver(model: Path, tmp_path: Path) -> None:
    store = Store.open(generate(model, n=5, output=tmp_path / "s", seed=8, solver="heun", steps=3))
    facts = store.manifest.provenance
    assert facts["seed"] == 8
    assert (facts["generator"]["solver"], facts["generator"]["steps"]) == ("heun", 3)
    assert facts["model"] == json.loads((model / "config.json").read_text())["fingerprint"]


@pytest.mark.parametrize("features", ["petpid", "petfull"])
def test_types_and_displacement_are_made_too(features: str, tmp_path: Path) -> None:
    store = Store.open(generate(save(tmp_path / "m", features=features), n=20, output=tmp_path / "s"))
    assert "part_pid" in store.schema
    assert ("part_d0" in store.schema) == (features == "petfull")


def test_without_context_the_axis_fits_the_energies(tmp_path: Path) -> None:
    store = Store.open(generate(save(tmp_path / "m", context=None), n=30, output=tmp_path / "s"))
    assert np.isfinite(columns(store.path, "jet_eta")["jet_eta"]).all()
    assert store.num_rows == 30


def test_api_has_the_verb() -> None:
    assert api.generate is generate


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": 0}, ConfigError, "at least 1, got 0"),
        ({}, ConfigError, "how many rows"),
        ({"n": 5, "classes": ["QCDD"]}, ConfigError, "did you mean 'QCD'"),
        ({"n": 5, "classes": {"QCD": -1}}, ConfigError, "must not be below 0"),
        ({"n": 5, "classes": {"QCD": 0}}, ConfigError, "no class has a fraction above 0"),
        ({"n": 5, "steps": 0}, ConfigError, "steps"),
        ({"n": 5, "solver": "rk4"}, ConfigError, "solver"),
        ({"n": 5, "batch_size": 0}, ConfigError, "batch_size"),
        ({"n": 5, "stepss": 2}, ConfigError, "did you mean 'steps'"),
        ({"n": 5, "num_blocks": 1}, ConfigError, "num_blocks of generator 'flow' is trained"),
        ({"n": 5, "cells": "dataset_2"}, ConfigError, "this model makes jets"),
        ({"n": 5, "like": "STORE", "classes": ["QCD"]}, ConfigError, "leave out --classes"),
        ({"n": 500, "like": "STORE"}, DataError, "500 rows asked for and the test split of .* has 200"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(
    arguments: dict[str, Any],
    error: type[HepfmError],
    message: str,
    model: Path,
    tmp_path: Path,
    jet_store: Store,
) -> None:
    values = {name: jet_store.path if value == "STORE" else value for name, value in arguments.items()}
    with pytest.raises(error, match=message):
        generate(model, output=tmp_path / "s", **values)
    assert not (tmp_path / "s").exists()


def test_models_that_do_not_fit_are_refused(tmp_path: Path, jet_store: Store) -> None:
    plain = save(tmp_path / "plain", objective={"name": "supervised"})
    with pytest.raises(IncompatibleError, match="has no generator; train one with objective=flow_matching"):
        generate(plain, n=5, output=tmp_path / "s")
    untold = save(tmp_path / "untold", context=None)
    with pytest.raises(IncompatibleError, match="not conditioned on the whole row"):
        generate(untold, output=tmp_path / "s", like=jet_store.path)


def test_the_command_line(model: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    good = [
        str(model),
        "-n",
        "6",
        "-o",
        str(tmp_path / "s"),
        "--classes",
        "QCD=2,Tbl",
        "--steps",
        "1",
        "--json",
    ]
    done = runner.invoke(command, good)
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["store"] == str(tmp_path / "s")
    label = columns(tmp_path / "s", "jet_label")["jet_label"]
    assert np.bincount(label, minlength=10).tolist() == [4, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    twice = runner.invoke(command, [str(model), "-n", "6", "-o", str(tmp_path / "t"), "--set", "steps=2"])
    assert twice.exit_code == 2
    assert "has that by name" in twice.output
    odd = runner.invoke(command, [str(model), "-n", "6", "-o", str(tmp_path / "t"), "--set", "noise=2"])
    assert odd.exit_code == 2
    assert "unknown key 'noise'" in odd.output
    bad = runner.invoke(command, [str(model), "-n", "6", "-o", str(tmp_path / "t"), "--classes", "QCD=x"])
    assert bad.exit_code == 2
    assert "write CLASS or CLASS=SHARE" in bad.output
