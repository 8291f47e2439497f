"""Cells of a calorimeter in rings and sectors around the incident particle, layer after layer."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.guards import reading, regular_file

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layer:
    """Cells of one layer.

    Attributes
    ----------
    number
        The layer as its fields in a store name it.
    edges
        Radii between the rings in mm, rising.
    num_sectors
        Cells of a ring.
    """

    number: int
    edges: tuple[float, ...]
    num_sectors: int

    def __post_init__(self) -> None:
        if len(self.edges) < 2 or any(b <= a for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise DataError(f"the radii of layer {self.number} must be rising, got {list(self.edges)}")
        if self.edges[0] < 0 or self.num_sectors < 1:
            raise DataError(f"layer {self.number} has negative radii or no sectors")

    @property
    def num_cells(self) -> int:
        """Cells of the layer."""
        return (len(self.edges) - 1) * self.num_sectors


@dataclass(frozen=True)
class Voxels:
    """Cells in the order of CaloChallenge's files: layer, sector in angle, ring in radius.

    Sector k of S spans the angles from 2 pi k / S to 2 pi (k + 1) / S around the axis.

    Attributes
    ----------
    layers
        The layers that have cells, in the order of the files.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        numbers = [layer.number for layer in self.layers]
        if not numbers or len(set(numbers)) != len(numbers):
            raise DataError(f"a calorimeter needs layers, each with a number of its own; got {numbers}")

    def __len__(self) -> int:
        return int(self._starts()[-1])

    @property
    def num_layers(self) -> int:
        """Number of layers that have cells."""
        return len(self.layers)

    def centres(self) -> tuple[Ints, Floats, Floats]:
        """Return the layer's number and x and y in mm of the centre of every cell, each of shape (V,).

        The centre lies at the mean radius and angle. In a ring of a single sector that is some place of the
        ring, whose x and y tell no direction.
        """
        parts = [_centres(layer) for layer in self.layers]
        number = np.concatenate([np.full(layer.num_cells, layer.number, np.int64) for layer in self.layers])
        return number, np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])

    def cells(self, layer: Ints, x: Floats, y: Floats) -> Ints:
        """Return the cell of each place, shape (n,); -1 where there is none."""
        layer, x, y = np.asarray(layer), np.asarray(x, np.float64), np.asarray(y, np.float64)
        found = np.full(len(x), -1, np.int64)
        radius, turn = np.hypot(x, y), np.mod(np.arctan2(y, x) / (2 * np.pi), 1.0)
        for one, start in zip(self.layers, self._starts(), strict=False):
            here = np.flatnonzero(layer == one.number)
            ring = np.searchsorted(np.asarray(one.edges), radius[here], side="right") - 1
            inside = (ring >= 0) & (ring < len(one.edges) - 1)
            here, ring = here[inside], ring[inside]
            sector = np.minimum((turn[here] * one.num_sectors).astype(np.int64), one.num_sectors - 1)
            found[here] = start + sector * (len(one.edges) - 1) + ring
        return found

    def _starts(self) -> Ints:
        return np.concatenate([[0], np.cumsum([layer.num_cells for layer in self.layers])]).astype(np.int64)


def _centres(layer: Layer) -> tuple[Floats, Floats]:
    edges = np.asarray(layer.edges)
    radius = (edges[1:] + edges[:-1]) / 2
    angle = (np.arange(layer.num_sectors) + 0.5) * 2 * np.pi / layer.num_sectors
    return (np.outer(np.cos(angle), radius).ravel(), np.outer(np.sin(angle), radius).ravel())


def _regular(num_layers: int, num_sectors: int, num_rings: int, step: float) -> Voxels:
    edges = tuple(round(step * number, 6) for number in range(num_rings + 1))
    return Voxels(tuple(Layer(number, edges, num_sectors) for number in range(num_layers)))


CALOCHALLENGE = {
    "dataset_2": _regular(45, 16, 9, 4.65),
    "dataset_3": _regular(45, 50, 18, 2.325),
}
"""The cells of CaloChallenge's data sets 2 and 3 (2410.21611), as their files of cells have them."""


def load_voxels(which: str | Path) -> Voxels:
    """Return CaloChallenge's cells by name, or those of a file ``binning_*.xml`` of its repository.

    Layers without cells (a single radius, 0) are left out, as they are in the showers.

    Raises
    ------
    ConfigError
        When there is no such name or file.
    DataError
        When the file does not describe cells.
    """
    if str(which) in CALOCHALLENGE:
        return CALOCHALLENGE[str(which)]
    path = Path(which)
    if not path.is_file():
        raise ConfigError(
            f"no cells {str(which)!r}; give {', '.join(CALOCHALLENGE)} or the path of a binning XML file"
        )
    with reading(path, what="cells"):
        root = ET.parse(regular_file(path)).getroot()
        layers = tuple(
            Layer(int(one.attrib["id"]), edges, int(one.attrib["n_bin_alpha"]))
            for one in root.iter("Layer")
            if len(edges := tuple(float(edge) for edge in one.attrib["r_edges"].split(","))) > 1
        )
    return Voxels(layers)
