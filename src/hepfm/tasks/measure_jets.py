"""The metrics of generated jets against a reference, for all classes together or for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hepfm.metrics.generation.batches import w1efp, w1m, w1p
from hepfm.metrics.generation.classifier import classifier_auc
from hepfm.metrics.generation.divergence import kl
from hepfm.metrics.generation.emd import EmdBatches, coverage_and_mmd
from hepfm.metrics.generation.fpnd import CLASSES as FPND_CLASSES
from hepfm.metrics.generation.fpnd import fpnd
from hepfm.metrics.generation.frechet import fpd
from hepfm.metrics.generation.kernel import kpd
from hepfm.metrics.generation.observables import OBSERVABLES, Observed, pairs
from hepfm.metrics.generation.wasserstein import w1
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import MetricInfo

_UNITS = {"mass": " [GeV]", "pt": " [GeV]", "energy": " [GeV]"}


@dataclass(frozen=True)
class JetProtocol:
    """Choices of a task of generated jets.

    Attributes
    ----------
    max_constituents
        Constituents that count, the hardest ones, of real and of generated jets.
    radius
        Jet radius, R0 of N-subjettiness.
    emd
        How many jets coverage and MMD compare.
    fpnd
        Whether FPND is measured, for the classes g, q and t.
    """

    max_constituents: int = 150
    radius: float = 0.8
    emd: EmdBatches = field(default_factory=EmdBatches)
    fpnd: bool = False


def measure_jets(
    protocol: JetProtocol, reference: Observed, other: Observed, *, group: str = ""
) -> Iterator[MetricInfo]:
    """Measure everything that the protocol asks of a sample, one after the other.

    Parameters
    ----------
    reference, other
        Real jets, and generated or other real ones.
    group
        Class of the jets; empty for all together.
    """
    steps: tuple[Callable[[JetProtocol, Observed, Observed], Iterator[Measured]], ...]
    steps = (_observables, _jetnet, _features, _transport, _classifier)
    for step in steps:
        for measured in step(protocol, reference, other):
            yield measured.info(group)
    if protocol.fpnd and group in FPND_CLASSES:
        yield Measured("fpnd", "FPND", fpnd(other.jets, group)).info(group)


def _observables(protocol: JetProtocol, reference: Observed, other: Observed) -> Iterator[Measured]:
    both = pairs(reference, other)
    for prefix, title, measured in (("w1", "W1 of", w1(both)), ("kl", "KL of", kl(both))):
        for name, measurement in measured.items():
            unit = _UNITS.get(name, "") if prefix == "w1" else ""
            yield Measured(f"{prefix}_{name}", f"{title} {OBSERVABLES[name]}{unit}", measurement, "ratio")


def _jetnet(protocol: JetProtocol, reference: Observed, other: Observed) -> Iterator[Measured]:
    yield Measured("w1m", "W1M", w1m(reference.jets, other.jets), "ratio")
    yield Measured("w1p", "W1P", w1p(reference.jets, other.jets), "ratio")
    yield Measured("w1efp", "W1EFP", w1efp(reference.connected, other.connected), "ratio")


def _features(protocol: JetProtocol, reference: Observed, other: Observed) -> Iterator[Measured]:
    yield Measured("fpd", "FPD", fpd(reference.efps, other.efps))
    yield Measured("kpd", "KPD", kpd(reference.efps, other.efps))


def _transport(protocol: JetProtocol, reference: Observed, other: Observed) -> Iterator[Measured]:
    coverage, mmd = coverage_and_mmd(reference.jets, other.jets, batches=protocol.emd)
    yield Measured("coverage", "coverage", coverage, better="higher")
    yield Measured("mmd", "MMD", mmd, "ratio")


def _classifier(protocol: JetProtocol, reference: Observed, other: Observed) -> Iterator[Measured]:
    yield Measured("classifier_auc", "AUC of a classifier", classifier_auc(reference, other))
