"""The metrics of generated jets against a reference, for all classes together or for one."""

from __future__ import annotations

from collections.abc import Iterator
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
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.trainings import Scale
from hepfm.tasks.base import TaskMetric

Named = Iterator[tuple[str, Measurement]]

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


def jet_metrics(protocol: JetProtocol) -> tuple[TaskMetric, ...]:
    """Return everything that the protocol asks of all classes together; FPND is of single classes."""
    distances = [
        _lower(
            f"{key}_{name}", f"{title} of {observable}{_UNITS.get(name, '') if key == 'w1' else ''}", "ratio"
        )
        for key, title in (("w1", "W1"), ("kl", "KL"))
        for name, observable in OBSERVABLES.items()
    ]
    return (
        *distances,
        _lower("w1m", "W1M", "ratio"),
        _lower("w1p", "W1P", "ratio"),
        _lower("w1efp", "W1EFP", "ratio"),
        _lower("fpd", "FPD"),
        _lower("kpd", "KPD"),
        TaskMetric(name="coverage", title="coverage", better="higher"),
        _lower("mmd", "MMD", "ratio"),
        _lower("classifier_auc", "AUC of a classifier"),
        *([_lower("fpnd", "FPND")] if protocol.fpnd else []),
    )


def _lower(name: str, title: str, scale: Scale = "difference") -> TaskMetric:
    return TaskMetric(name=name, title=title, scale=scale, better="lower")


def measure_jets(protocol: JetProtocol, reference: Observed, other: Observed, *, group: str = "") -> Named:
    """Measure everything that the protocol asks of a sample, by the names of `jet_metrics`, one by one.

    Parameters
    ----------
    reference, other
        Real jets, and generated or other real ones.
    group
        Class of the jets; empty for all together.
    """
    yield from _observables(reference, other)
    yield "w1m", w1m(reference.jets, other.jets)
    yield "w1p", w1p(reference.jets, other.jets)
    yield "w1efp", w1efp(reference.connected, other.connected)
    yield "fpd", fpd(reference.efps, other.efps)
    yield "kpd", kpd(reference.efps, other.efps)
    coverage, mmd = coverage_and_mmd(reference.jets, other.jets, batches=protocol.emd)
    yield "coverage", coverage
    yield "mmd", mmd
    yield "classifier_auc", classifier_auc(reference, other)
    if protocol.fpnd and group in FPND_CLASSES:
        yield "fpnd", fpnd(other.jets, group)


def _observables(reference: Observed, other: Observed) -> Named:
    both = pairs(reference, other)
    for key, measurements in (("w1", w1(both)), ("kl", kl(both))):
        for name, measurement in measurements.items():
            yield f"{key}_{name}", measurement
