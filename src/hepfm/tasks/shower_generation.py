"""Generation of calorimeter showers in the cells of CaloChallenge's data set 2 (2410.21611)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from hepfm.core.ragged import Columns
from hepfm.data.noise import noise_showers
from hepfm.data.shower_grid import GRID_COLUMNS, grid_of
from hepfm.metrics.generation.classifier import classifier_of
from hepfm.metrics.generation.spectra import Spectrum, shower_spectra
from hepfm.metrics.generation.two_sample import Pair
from hepfm.metrics.generation.wasserstein import w1
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.showers.distances import fpd, kpd
from hepfm.metrics.showers.profiles import TITLES, profiles
from hepfm.metrics.showers.sample import OBSERVABLES, OF_LAYERS, Showers, showers
from hepfm.metrics.showers.separation import separation
from hepfm.physics.voxels import load_voxels
from hepfm.tasks.base import TaskMetric
from hepfm.tasks.generation import GenerationTask

_UNITS = {"cog_x": " [mm]", "cog_y": " [mm]", "cog_layer": " [layers]"}


class ShowerGeneration(GenerationTask):
    """Showers at the incident energies of the real ones, in the cells of data set 2, above 15.15 keV.

    Hits of generated showers are put into the cells they lie in and added up there; what lies in no cell is
    lost.
    """

    name = "shower_generation"
    version = 2
    title = "Generation of showers in the cells of CaloChallenge's data set 2"
    observed = ("incident_energy", *GRID_COLUMNS)
    conditioned = True
    voxels: ClassVar[str] = "dataset_2"
    threshold: ClassVar[float] = 15.15e-6
    """In GeV."""

    def observe(self, columns: Columns) -> Showers:
        """Return what the metrics see of some showers."""
        cells = load_voxels(self.voxels)
        grid, _ = grid_of(columns, cells)
        return showers(
            grid, np.asarray(columns["incident_energy"], np.float64), cells, threshold=self.threshold
        )

    def noise(self, real: Columns, like: Columns, rng: np.random.Generator) -> Columns:
        """Return showers of noise with the numbers of hits and the incident energies of `like`."""
        return noise_showers(real, like, rng=rng)

    def spectra(self, reference: Showers) -> tuple[Spectrum, ...]:
        """Return response, number of hits, and profiles."""
        return shower_spectra(reference)

    def metrics(self) -> tuple[TaskMetric, ...]:
        """Return separation powers, W1, FPD, KPD and the classifier test."""
        titles = {**OBSERVABLES, **OF_LAYERS, "cell_energy": "spectrum of cells"}
        separations = {f"sep_{name}": f"separation power of {title}" for name, title in titles.items()}
        distances = {
            f"w1_{name}": f"W1 of {title}{_UNITS.get(name, '')}"
            for name, title in {**OBSERVABLES, **TITLES}.items()
        }
        differences = {
            "fpd": "FPD of high-level features",
            "kpd": "KPD of high-level features",
            "classifier_auc": "AUC of a classifier",
        }
        ratios = {**separations, **distances}
        return (
            *(
                TaskMetric(name=name, title=title, scale="ratio", better="lower")
                for name, title in ratios.items()
            ),
            *(TaskMetric(name=name, title=title, better="lower") for name, title in differences.items()),
        )

    def compare(
        self, reference: Showers, other: Showers, *, group: str = ""
    ) -> Iterator[tuple[str, Measurement]]:
        """Measure them, one after the other."""
        for name, measurement in separation(reference, other).items():
            yield f"sep_{name}", measurement
        both = {name: Pair(values, other.values[name]) for name, values in reference.values.items()}
        for name, measurement in {**w1(both), **profiles(reference, other)}.items():
            yield f"w1_{name}", measurement
        yield "fpd", fpd(reference, other)
        yield "kpd", kpd(reference, other)
        features = reference.features(), other.features()
        yield "classifier_auc", classifier_of(*features, definition="classifier_auc.hgb.showers.v1")
