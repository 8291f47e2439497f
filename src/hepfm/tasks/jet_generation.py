"""Generation of jets: any classes, and the protocols of JetNet (R. Kansal et al., 2106.11535)."""

from __future__ import annotations

from hepfm.metrics.generation.emd import EmdBatches
from hepfm.tasks.generation import GenerationTask


class JetGeneration(GenerationTask):
    """Jets of any store, up to 150 constituents; coverage and MMD from fewer jets than in JetNet."""

    name = "jet_generation"
    version = 1
    title = "Generation of jets, up to 150 constituents"
    budgets = (10_000, 100_000, 550_000)
    max_constituents = 150
    emd = EmdBatches(jets=50, batches=4)


class JetNet150(GenerationTask):
    """Jets of JetNet150; coverage and MMD from 10 batches of 100 jets."""

    name = "jetnet150"
    version = 1
    title = "JetNet150: generation of jets near 1 TeV, up to 150 constituents"
    budgets = (10_000, 100_000, 550_000)
    max_constituents = 150


class JetNet30(GenerationTask):
    """Jets of JetNet30, with FPND of gluon, quark and top jets."""

    name = "jetnet30"
    version = 1
    title = "JetNet30: generation of jets near 1 TeV, 30 hardest constituents"
    budgets = (10_000, 100_000, 550_000)
    max_constituents = 30
    fpnd = True
