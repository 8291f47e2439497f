"""Generation of jets: any classes, and the protocols of JetNet (R. Kansal et al., 2106.11535)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hepfm.core.ragged import Columns
from hepfm.data.noise import noise_jets
from hepfm.metrics.generation.emd import EmdBatches
from hepfm.metrics.generation.jets import FIELDS, jet_sample
from hepfm.metrics.generation.observables import Observed, observe
from hepfm.metrics.generation.spectra import Spectrum, jet_spectra
from hepfm.tasks.base import TaskMetric
from hepfm.tasks.generation import GenerationTask
from hepfm.tasks.measure_jets import JetProtocol, Named, jet_metrics, measure_jets


class JetGenerationTask(GenerationTask):
    """Jets, with the metrics of `hepfm.tasks.measure_jets`."""

    observed = FIELDS
    protocol: ClassVar[JetProtocol] = JetProtocol()

    def observe(self, columns: Columns) -> Observed:
        """Return what the metrics see of some jets."""
        jets = jet_sample(columns, max_constituents=self.protocol.max_constituents)
        return observe(jets, radius=self.protocol.radius)

    def noise(self, real: Columns, like: Columns, rng: np.random.Generator) -> Columns:
        """Return jets of noise with the multiplicities and axes of `like`."""
        return noise_jets(real, like, max_constituents=self.protocol.max_constituents, rng=rng)

    def spectra(self, reference: Observed) -> tuple[Spectrum, ...]:
        """Return mass, pT, multiplicity, substructure and pT of constituents."""
        return jet_spectra(reference)

    def metrics(self) -> tuple[TaskMetric, ...]:
        """Return the metrics of all classes together."""
        return jet_metrics(self.protocol)

    def compare(self, reference: Observed, other: Observed, *, group: str = "") -> Named:
        """Measure everything that the protocol asks of a sample."""
        return measure_jets(self.protocol, reference, other, group=group)


class JetGeneration(JetGenerationTask):
    """Jets of any store, up to 150 constituents; coverage and MMD from fewer jets than in JetNet."""

    name = "jet_generation"
    version = 3
    title = "Generation of jets, up to 150 constituents"
    protocol = JetProtocol(emd=EmdBatches(jets=50, batches=4))


class JetNet150(JetGenerationTask):
    """Jets of JetNet150; coverage and MMD from 10 batches of 100 jets."""

    name = "jetnet150"
    version = 3
    title = "JetNet150: generation of jets near 1 TeV, up to 150 constituents"
    min_rows = 100


class JetNet30(JetGenerationTask):
    """Jets of JetNet30, with FPND of gluon, quark and top jets."""

    name = "jetnet30"
    version = 3
    title = "JetNet30: generation of jets near 1 TeV, 30 hardest constituents"
    each_class = True
    min_rows = 300
    protocol = JetProtocol(max_constituents=30, fpnd=True)
