"""Cells of calorimeters: CaloChallenge's own files, centres and places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hepfm.core.errors import ConfigError, DataError
from hepfm.physics.voxels import CALOCHALLENGE, Layer, Voxels, load_voxels

DATA = Path(__file__).parents[3] / "shared" / "data"


def published(name: str) -> Path:
    path = DATA / f"calochallenge_binning_{name}.xml"
    if not path.exists():
        pytest.skip(f"{path.name}, a published file, is not here")
    return path


def test_data_set_2_is_that_of_its_published_file() -> None:
    assert load_voxels(published("dataset_2")) == CALOCHALLENGE["dataset_2"]


def test_layers_without_cells_are_left_out() -> None:
    photons = load_voxels(published("dataset_1_photons"))
    assert len(photons) == 368
    assert [layer.number for layer in photons.layers] == [0, 1, 2, 3, 12]


@pytest.mark.parametrize(("name", "cells"), [("dataset_2", 6480), ("dataset_3", 40_500)])
def test_every_cell_holds_its_centre(name: str, cells: int) -> None:
    voxels = load_voxels(name)
    assert len(voxels) == cells
    assert np.array_equal(voxels.cells(*voxels.centres()), np.arange(cells))


def test_order_is_layer_sector_ring() -> None:
    voxels = Voxels((Layer(0, (0.0, 1.0, 2.0), 4), Layer(3, (0.0, 5.0), 2)))
    # Sector 1 of 4 spans 90 to 180 degrees; ring 1 spans 1 to 2 mm.
    assert voxels.cells(np.array([0]), np.array([-1.0]), np.array([1.0]))[0] == 1 * 2 + 1
    assert voxels.cells(np.array([3]), np.array([0.0]), np.array([-2.0]))[0] == 8 + 1
    outside = voxels.cells(np.array([0, 1, 3]), np.array([2.0, 0.1, 5.0]), np.zeros(3))
    assert outside.tolist() == [-1, -1, -1]


def test_what_is_no_calorimeter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dataset_2, dataset_3"):
        load_voxels("dataset_4")
    for text in (
        "no xml",
        "<Bins><Bin/></Bins>",
        '<Bins><Layer id="0" r_edges="0,a" n_bin_alpha="1"/></Bins>',
    ):
        (tmp_path / "cells.xml").write_text(text)
        with pytest.raises(DataError):
            load_voxels(tmp_path / "cells.xml")
    with pytest.raises(DataError, match="rising"):
        Layer(0, (0.0, 2.0, 2.0), 4)
