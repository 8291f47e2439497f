"""What is lost when jets become codes and come back: code use, resolution, a classifier's accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.errors import IncompatibleError
from hepfm.core.ragged import Array
from hepfm.data.groups import row_groups
from hepfm.data.row_source import Rows, RowSource
from hepfm.data.shower_features import CALO
from hepfm.data.store import Store
from hepfm.inference.round_trip import RoundTrip
from hepfm.metrics.accuracy import accuracy_statistic
from hepfm.metrics.paired import paired_bootstrap
from hepfm.metrics.predictions import Predictions
from hepfm.metrics.resolution import resolution
from hepfm.models.directory import Model
from hepfm.models.scores import score
from hepfm.physics.kinematics import mass_of
from hepfm.physics.substructure import n_subjettiness

KEPT = 5_000_000
"""Constituents after which no more differences are kept, a whole block at a time."""

_RADIUS = 0.8
"""R0 of tau_N, which cancels in the ratios."""


class Tally:
    """What a tokenizer loses, gathered block by block.

    Codes and what lies outside are counted for all rows. Differences are kept for quantiles up to `KEPT`
    constituents, so that memory stays bounded; the first blocks count.
    """

    def __init__(self, model: Model) -> None:
        assert model.network.tokenizer is not None
        self.names = model.network.feature_names
        self.kind = model.features.rows
        self.count_C = np.zeros(model.network.tokenizer.num_codes, np.int64)
        self.rows = self.clipped = self.outside = self.resolved = 0
        self.parts: dict[str, list[dict[str, Array]]] = {"features": [], self.kind: []}

    @property
    def constituents(self) -> int:
        """Constituents so far."""
        return int(self.count_C.sum())

    def add(self, trip: RoundTrip) -> None:
        """Add a block."""
        if len(trip.codes_T) and self.constituents < KEPT:
            self.resolved += len(trip.rows_R)
            difference_TF = (trip.decoded_TF - trip.original_TF).astype(np.float32)
            self.parts["features"].append(dict(zip(self.names, difference_TF.T, strict=True)))
            self.parts[self.kind].append(_DIFFERENCES[self.kind](trip))
        self.rows += len(trip.rows_R)
        self.count_C += np.bincount(trip.codes_T, minlength=len(self.count_C))
        self.clipped += trip.clipped
        self.outside += trip.outside

    def report(self) -> dict[str, Any]:
        """Return code use, perplexity and resolutions; see `hepfm.inference.tokenize.tokenize_store`."""
        share_U = self.count_C[self.count_C > 0] / self.constituents
        return {
            "num_codes": len(self.count_C),
            "code_use": float((self.count_C > 0).mean()),
            "perplexity": float(np.exp(-(share_U * np.log(share_U)).sum())),
            "jets_read": self.rows,
            "constituents": self.constituents,
            "clipped": self.clipped,
            "outside": self.outside,
            "jets_resolved": self.resolved,
            **{
                kind: {name: resolution(np.concatenate([part[name] for part in parts])) for name in parts[0]}
                for kind, parts in self.parts.items()
            },
        }


def _jets(trip: RoundTrip) -> dict[str, Array]:
    """Return differences of jets of massless constituents; of tau ratios for jets that have them."""
    if trip.momenta is None:
        return {}
    filled = trip.lengths_R > 0
    lengths = trip.lengths_R[filled]
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
    sums = [np.add.reduceat(p4, starts, axis=0) for p4 in trip.momenta]
    pt = [np.hypot(total[:, 1], total[:, 2]) for total in sums]
    mass = [mass_of(total) for total in sums]
    tau = [n_subjettiness(p4, lengths, radius=_RADIUS, number=3) for p4 in trip.momenta]
    quantities = {"pt": pt[1] / pt[0] - 1, "mass": mass[1] - mass[0]}
    for low, high in ((1, 2), (2, 3)):
        enough = lengths >= high
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = [tau_RN[enough, high - 1] / tau_RN[enough, low - 1] for tau_RN in tau]
        quantities[f"tau{high}{low}"] = ratio[1] - ratio[0]
    return {name: values[np.isfinite(values)] for name, values in quantities.items()}


def _showers(trip: RoundTrip) -> dict[str, Array]:
    """Return differences of energy sum (relative) and centres of gravity of showers with hits."""
    filled = trip.lengths_R > 0
    starts = np.concatenate(([0], np.cumsum(trip.lengths_R[filled])[:-1])).astype(np.int64)
    sums = []
    for values_TF in (trip.original_TF, trip.decoded_TF):
        columns = CALO.named(values_TF)
        energy = np.exp(columns.pop("log_hit_energy"))
        total = np.add.reduceat(energy, starts)
        centres = {name: np.add.reduceat(energy * place, starts) / total for name, place in columns.items()}
        sums.append((total, centres))
    (before, places), (after, moved) = sums
    shifts = {f"cog_{name.removeprefix('hit_')}": moved[name] - places[name] for name in places}
    return {"energy": after / before - 1, **shifts}


_DIFFERENCES = {"jets": _jets, "showers": _showers}
"""How decoded rows differ from the original ones, by what the rows of a feature set are."""


def accuracy_lost(classifier: str | Path, source: RowSource, decoded: Path, rows: Rows) -> dict[str, Any]:
    """Return a classifier's accuracy on original and on decoded jets, and the difference with an interval."""
    judge, label = Model.load(classifier), source.schema.label
    if label is None or judge.classes.get(label) != source.schema.label_classes:
        raise IncompatibleError(
            f"{classifier} does not predict the classes of {source.name}; give a model fine-tuned on them"
        )
    if not decoded.exists():
        raise IncompatibleError("jets cannot be made of the tokenizer's features; leave out --classifier")
    truth = np.asarray(source.read([label], rows)[label]).astype(np.int64)
    classes = source.schema.label_classes
    both = [
        Predictions(truth, score(judge, sample, rows=wanted)[label], classes)
        for sample, wanted in ((source, rows), (Store.open(decoded), None))
    ]
    statistics = [accuracy_statistic(predictions) for predictions in both]
    weights = both[0].row_weights
    lost = paired_bootstrap([statistics[0]], [statistics[1]], weights, groups=row_groups(source, rows))
    names = ("original", "reconstructed")
    values = {name: float(accuracy(weights)) for name, accuracy in zip(names, statistics, strict=True)}
    return {**values, "lost": lost.to_dict(), "label": label}


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """Return a report as lines of text."""
    lines = [
        f"codes       {report['num_codes']}, {100 * report['code_use']:.1f} % used",
        f"perplexity  {report['perplexity']:.0f}",
        f"sample      {report['jets_read']} jets, {report['constituents']} constituents",
        f"clipped     {report['clipped']} constituents, {report['outside']} outside the fitted range",
        "decoded minus original: median, interquartile range",
    ]
    for kind in ("features", "jets", "showers"):
        for name, values in report.get(kind, {}).items():
            lines.append(f"  {name:<10} {values['median']:+.4g}  {values['iqr']:.4g}")
    if "classifier" in report:
        lost = report["classifier"]["lost"]
        lines.append(
            f"classifier  accuracy {report['classifier']['original']:.4f} on original jets, "
            f"{report['classifier']['reconstructed']:.4f} on decoded: "
            f"lost {lost['value']:+.4f} [{lost['low']:+.4f}, {lost['high']:+.4f}]"
        )
    return lines
