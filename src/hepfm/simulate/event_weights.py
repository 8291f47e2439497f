"""Event weights of a simulation: what Pythia gives, brought to a mean of 1 in each class.

Weights other than 1 come from a biased phase space (``PhaseSpace:bias2Selection``) or from event files;
those of the few events above the maximum of a cross section in an unweighted generation are not kept.
All jets of an event have its weight. Only ratios within a process mean something, so that weights are divided
by their mean over the jets of a class: a class then counts as much as its number of jets, as it does without
weights. The variants of a class are processes of their own, and each has a mean of 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.data.schemas.jets import JET_WEIGHT
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.simulation import Simulation
from hepfm.simulate.workers import read_chunk

NORMALISATION = "jet_weight has a mean of 1 over the jets of each variant of the class"


@dataclass
class _Sums:
    """Sums over the chunks of a variant of a class."""

    events: int = 0
    event_weights: float = 0.0
    cross_sections: float = 0.0
    jets: int = 0
    jet_weights: float = 0.0
    smallest: float = 1.0
    ones: int = 0

    def add(self, chunk: Chunk) -> None:
        if chunk.process is None:
            return
        weights = np.asarray(chunk.columns[JET_WEIGHT.name], np.float64)
        self.events += chunk.events
        self.event_weights += chunk.process.weight_sum
        self.cross_sections += chunk.events * chunk.process.sigma_mb
        self.jets += len(weights)
        self.jet_weights += float(weights.sum())
        self.smallest = min(self.smallest, float(weights.min(initial=1.0)))
        self.ones += int((weights == 1).sum())

    @property
    def plain(self) -> bool:
        """Whether events are meant to have weight 1.

        Of such events a few weigh more: those above the maximum of the cross section that Pythia found in its
        start. They are its accounting, and stay a per cent of a sample or less.
        """
        return self.smallest == 1.0 and 2 * self.ones >= self.jets

    @property
    def unit(self) -> float:
        """Pythia's weight that is 1 in the store."""
        return self.jet_weights / max(self.jets, 1)

    def facts(self) -> dict[str, float]:
        return {
            "events": self.events,
            "sum_of_event_weights": self.event_weights,
            "sigma_mb": self.cross_sections / max(self.events, 1),
            "unit": self.unit,
        }


@dataclass(frozen=True)
class EventWeights:
    """The weights of all chunks. `sums` goes by class and variant; it is empty where every weight is 1."""

    sums: Mapping[tuple[str, int], _Sums]

    @property
    def stored(self) -> bool:
        """Whether the store gets weights."""
        return bool(self.sums)

    def apply(self, key: ChunkKey, columns: Columns, variant: int) -> dict[str, Array | Ragged]:
        """Return the columns of a chunk as they are stored: with weights of mean 1, or without any."""
        kept = {name: column for name, column in columns.items() if name != JET_WEIGHT.name}
        if not self.stored:
            return kept
        raw = np.asarray(columns[JET_WEIGHT.name], np.float64)
        unit = self.sums[key.class_name, variant].unit
        return {**kept, JET_WEIGHT.name: (raw / unit).astype(JET_WEIGHT.dtype)}

    def facts(self, class_name: str) -> dict[str, Any]:
        """Return what the provenance says about the weights of a class.

        A jet of stored weight w stands for the cross section w unit sigma_mb / sum_of_event_weights of its
        variant, times jets found over jets kept: a chunk stops at the number asked for.
        """
        if not self.stored:
            return {}
        variants = [sums.facts() for (name, _), sums in self.sums.items() if name == class_name]
        return {"weights": {"normalisation": NORMALISATION, "variants": variants}}


def collect_weights(simulation: Simulation, keys: Sequence[ChunkKey], work: Path) -> EventWeights:
    """Add up the weights of all chunks.

    Raises
    ------
    DataError
        When the weights of a class do not sum to more than 0.
    """
    sums: dict[tuple[str, int], _Sums] = {}
    for key in keys:
        sums.setdefault((key.class_name, simulation.variant(key)), _Sums()).add(read_chunk(work, key))
    if all(one.plain for one in sums.values()):
        return EventWeights({})
    for (name, variant), one in sums.items():
        if one.jet_weights <= 0:
            total = f"the weights of {one.jets} jets sum to {one.jet_weights:.4g}"
            raise DataError(
                f"class {name}, variant {variant}: {total} and not to more than 0; ask for more jets, or "
                "check the events of the file"
            )
    return EventWeights(sums)
