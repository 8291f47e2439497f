"""``hepfm simulate calo_showers``: stores of parametrised showers, without Pythia."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.ragged import Ragged
from hepfm.data.store import Store
from hepfm.physics.voxels import load_voxels
from hepfm.simulate.recipe import read_simulation
from hepfm.simulate.run import simulate

TINY: dict[str, Any] = {
    "kind": "showers",
    "seed": 3,
    "showers": {"train": 40, "val": 5, "test": 30},
    "energy": {"min": 1, "max": 20},
    "chunk_showers": 16,
}


def everything(path: Path) -> dict[str, Any]:
    store = Store.open(path)
    return dict(store.read(store.schema.names()))


def test_same_showers_for_any_number_of_processes(tmp_path: Path) -> None:
    for processes in (1, 2):
        made = simulate(TINY, output=tmp_path / str(processes), processes=processes)
    assert (made.kind, made.rows) == ("showers", {"train": 40, "val": 5, "test": 30})
    first, second = (Store.open(tmp_path / name) for name in ("1", "2"))
    assert first.fingerprint == second.fingerprint
    assert "parametrised" in first.manifest.provenance["source"]
    again = simulate(TINY, output=tmp_path / "1")
    assert again.rows == made.rows
    with pytest.raises(DataError, match="another recipe or seed"):
        simulate(TINY, output=tmp_path / "1", seed=9)


def test_hits_are_cells_above_the_threshold_in_falling_order(tmp_path: Path) -> None:
    simulate(TINY, output=tmp_path / "store", processes=1)
    list(Store.open(tmp_path / "store").verify())
    found = everything(tmp_path / "store")
    energy = found["hit_energy"]
    assert isinstance(energy, Ragged)
    assert energy.values.min() >= 15.15e-6
    steps = np.diff(energy.values)
    assert (np.delete(steps, energy.offsets[1:-1] - 1) <= 0).all()
    layer, x, y = (found[name].values for name in ("hit_layer", "hit_x", "hit_y"))
    cell = load_voxels("dataset_2").cells(layer, x, y)
    assert (cell >= 0).all()
    twice = np.unique(energy.row_index() * 6480 + cell)
    assert len(twice) == len(cell), "a cell is hit once"
    sums = np.bincount(energy.row_index(), energy.values)
    assert found["shower_energy"] == pytest.approx(sums, rel=1e-5)
    assert np.median(found["shower_energy"] / found["incident_energy"]) == pytest.approx(0.98, abs=0.03)
    assert found["incident_energy"].min() >= 1
    assert found["incident_energy"].max() <= 20


def test_splits_and_seeds_differ() -> None:
    simulation = read_simulation(TINY)
    keys = {(key.split, key.index): key for key in simulation.chunks()}
    assert sum(key.rows for key in keys.values()) == 75
    one, other = simulation.make(keys["train", 0]), simulation.make(keys["test", 0])
    assert not np.array_equal(one.columns["incident_energy"][:5], other.columns["incident_energy"][:5])
    moved = read_simulation(TINY, seed=4).make(keys["train", 0])
    assert not np.array_equal(one.columns["incident_energy"], moved.columns["incident_energy"])


def test_built_in_recipe() -> None:
    simulation = read_simulation("calo_showers", overrides=["energy.max=50", "showers.val=7"])
    simulation.check()
    assert simulation.kind == "showers"
    assert simulation.fingerprint() != read_simulation("calo_showers").fingerprint()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"showers": {"train": 0}}, "no showers asked for"),
        ({"energy": {"min": 5, "max": 1}}, "must not be below"),
        ({"energy": {"min": 0.01}}, "too soft"),
        ({"voxels": "dataset_9"}, "no cells"),
        ({"absorber": "wood"}, "absorber"),
        ({"detector": "cms"}, "detector"),
    ],
)
def test_recipes_that_cannot_work_are_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        simulate({**TINY, **changes}, output=tmp_path / "store")
    assert not (tmp_path / "store").exists()
