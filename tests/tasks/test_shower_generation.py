"""Showers end to end: trained, generated at given incident energies, measured; by flow and by codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hepfm import api
from hepfm.cli.evaluate import command
from hepfm.core.errors import ConfigError, DataError, IncompatibleError
from hepfm.core.ragged import Columns, lists
from hepfm.data.shower_grid import grid_of
from hepfm.data.store import Store
from hepfm.inference.codes_file import decode_codes
from hepfm.physics.voxels import load_voxels
from hepfm.tasks.spectra import read_spectra

TRAIN = {
    "steps": 4,
    "batch_size": 16,
    "accumulate": 1,
    "log_every": 2,
    "validate_every": 2,
    "checkpoint_every": 2,
    "validation_rows": 32,
    "device": "cpu",
}


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a tenth of the draws of the Frechet distance; its values are tested in tests/metrics."""
    monkeypatch.setattr("hepfm.metrics.generation.frechet.DRAWS", 2)


@pytest.fixture(scope="module")
def store(shower_store: Store) -> Path:
    return shower_store.path


def data(store: Path, **changes: Any) -> dict[str, Any]:
    return {"store": str(store), "features": "calo", "context": "incident", "max_constituents": 96, **changes}


@pytest.fixture(scope="module")
def flow(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = {
        "data": data(store),
        "backbone": {"name": "transformer", "size": "xs"},
        "objective": {
            "name": "flow_matching",
            "max_constituents": 96,
            "generator": {"name": "flow", "steps": 2},
        },
        "train": TRAIN,
    }
    return api.pretrain(recipe, output=tmp_path_factory.mktemp("flow") / "run").path / "model"


@pytest.fixture(scope="module")
def codes(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("codes")
    tokenizer = {
        "data": {key: value for key, value in data(store).items() if key != "context"},
        "backbone": "none",
        "objective": {"name": "tokenize", "tokenizer": {"name": "kmeans", "codes": 64}},
        "train": TRAIN,
    }
    api.tokenize(tokenizer, output=folder / "tokenizer")
    recipe = {
        "data": data(store),
        "tokenizer": {"model": str(folder / "tokenizer" / "model"), "inputs": "codes"},
        "backbone": {"name": "transformer", "size": "xs"},
        "objective": {"name": "next_token", "max_constituents": 96},
        "train": TRAIN,
    }
    return api.pretrain(recipe, output=folder / "run").path / "model"


@pytest.mark.parametrize("kind", ["flow", "codes"])
def test_generated_at_the_incident_energies_of_a_store(
    kind: str, store: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(kind)
    made = Store.open(api.generate(model, like=store, output=tmp_path / "made", seed=1))
    list(made.verify())
    real = Store.open(store)
    rows = real.split("test")
    wanted = real.read(["incident_energy"], rows)["incident_energy"]
    found = made.read(made.schema.names())
    assert found["incident_energy"] == pytest.approx(wanted, rel=1e-5)
    lengths = real.read(["hit_energy"], rows)["hit_energy"].lengths
    assert not np.array_equal(found["hit_energy"].lengths, lengths), "numbers of hits are the model's own"
    assert found["hit_layer"].values.min() >= 0
    result = api.evaluate(made.path, "shower_generation", store, output=tmp_path / "result").result
    assert result.data.rows == 60
    values = {metric.name: metric.value for metric in result.metrics}
    truths = {metric.name: metric.value for metric in result.truth_vs_truth}
    assert set(values) == set(truths)
    for name in ("w1_energy_ratio", "w1_radial", "classifier_auc"):
        assert values[name] > truths[name], "four steps teach nothing"
    noise = {metric.name: metric.value for metric in result.noise}
    assert noise["fpd"] > 1.5 * truths["fpd"]
    assert noise["w1_longitudinal"] > 3 * truths["w1_longitudinal"]
    assert noise["w1_num_hits"] < truths["w1_num_hits"] * 3, "it has as many hits as real showers"
    assert {one.axis.name for one in read_spectra(tmp_path / "result")} >= {"longitudinal", "radial"}


def test_hits_get_cells_of_their_own_if_asked(codes: Path, store: Path, tmp_path: Path) -> None:
    free = Store.open(api.generate(codes, like=store, output=tmp_path / "free", seed=1))
    made = Store.open(api.generate(codes, like=store, output=tmp_path / "made", seed=1, cells="dataset_2"))
    voxels = load_voxels("dataset_2")
    found, before = (one.read(one.schema.names()) for one in (made, free))

    def shared(columns: Columns) -> int:
        layer, x, y = (lists(columns, name).values for name in ("hit_layer", "hit_x", "hit_y"))
        cell, row = voxels.cells(layer, x, y), lists(columns, "hit_energy").row_index()
        inside = cell >= 0
        return int(inside.sum()) - len(np.unique(row[inside] * len(voxels) + cell[inside]))

    assert shared(before) > 0
    assert shared(found) == 0
    grid, outside = grid_of(found, voxels)
    assert outside.sum() == 0
    assert np.array_equal((grid > 0).sum(1), lists(found, "hit_energy").lengths)
    assert np.allclose(grid.sum(1), found["shower_energy"], rtol=1e-5)
    assert made.manifest.provenance["cells"] == "dataset_2"


def test_cells_that_are_none_are_refused(codes: Path, store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dataset_2, dataset_3"):
        api.generate(codes, like=store, output=tmp_path / "made", cells="dataset_7")


def test_a_flow_draws_incident_energies_of_its_own(flow: Path, tmp_path: Path) -> None:
    made = Store.open(api.generate(flow, n=40, output=tmp_path / "made"))
    energy = made.read(["incident_energy"])["incident_energy"]
    assert len(np.unique(energy)) == 40


def test_codes_need_incident_energies(codes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="log_incident_energy"):
        api.generate(codes, n=4, output=tmp_path / "made")


def test_a_model_is_measured_by_what_it_makes(flow: Path, store: Path, tmp_path: Path) -> None:
    result = api.evaluate(flow, "shower_generation", store, output=tmp_path / "result").result
    assert result.data.rows == 60
    assert (tmp_path / "result-jets").exists()


def test_what_it_makes_can_be_put_into_cells(codes: Path, store: Path, tmp_path: Path) -> None:
    arguments = [
        str(codes),
        "--on",
        "shower_generation",
        "--store",
        str(store),
        "-o",
        str(tmp_path / "result"),
    ]
    done = CliRunner().invoke(command, [*arguments, "--set", "cells=dataset_2", "--set", "top_p=0.5"])
    assert done.exit_code == 0, done.output
    provenance = Store.open(tmp_path / "result-jets").manifest.provenance
    assert provenance["cells"] == "dataset_2"
    assert provenance["generator"]["top_p"] == 0.5


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("shower_generation", {"n": 5}, "says how many rows are generated and of what; leave out n"),
        ("shower_generation", {"model": "x"}, "leave out model"),
        ("shower_generation", {"top_q": 0.5}, "did you mean 'top_p'"),
        ("top_tagging", {"top_p": 0.5}, "generates nothing; leave out top_p"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    task: str, options: dict[str, Any], message: str, codes: Path, store: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        api.evaluate(codes, task, store, output=tmp_path / "result", options=options)


def test_a_store_takes_no_options_of_generation(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rows that are there already; leave out cells"):
        api.evaluate(store, "shower_generation", store, output=tmp_path / "r", options={"cells": "dataset_2"})


def test_jets_and_few_showers_are_refused(store: Path, tmp_path: Path, jet_store: Store, flow: Path) -> None:
    with pytest.raises(DataError, match="hit_energy"):
        api.evaluate(jet_store.path, "shower_generation", store, output=tmp_path / "result")
    with pytest.raises(DataError, match="need"):
        api.evaluate(store, "jet_generation", store, output=tmp_path / "result")
    with pytest.raises(IncompatibleError, match="incident_energy"):
        api.generate(flow, like=jet_store.path, output=tmp_path / "made")
    few = Store.open(api.generate(flow, n=20, output=tmp_path / "few"))
    with pytest.raises(DataError, match="at least 50"):
        api.evaluate(few.path, "shower_generation", store, output=tmp_path / "result")


def test_codes_of_showers_come_back(codes: Path, store: Path, tmp_path: Path) -> None:
    report = api.tokenize(codes, store=store, output=tmp_path / "tokens", split="test")
    assert set(report["showers"]) == {"energy", "cog_x", "cog_y", "cog_layer"}
    assert abs(report["showers"]["energy"]["median"]) < 0.5
    tokens = tmp_path / "tokens"
    back = Store.open(decode_codes(codes, tokens / "codes.arrow", output=tmp_path / "back"))
    made = Store.open(tokens / "reconstructed")
    names = ["incident_energy", "shower_energy"]
    both = [one.read(names) for one in (back, made)]
    pairs = [np.stack([np.sort(one[name]) for name in names]) for one in both]
    assert np.array_equal(*pairs)
    rows = Store.open(store).split("test")
    wanted = Store.open(store).read(["incident_energy"], rows)["incident_energy"]
    assert both[1]["incident_energy"] == pytest.approx(wanted)
