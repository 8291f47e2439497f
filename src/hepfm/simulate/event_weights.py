"""Event weights of a simulation: what Pythia gives, brought to a mean of 1 in each class; cross sections.

Weights other than 1 come from a biased phase space (``PhaseSpace:bias2Selection``) or from event files;
those of the few events above the maximum of a cross section in an unweighted generation are not kept.
All rows of an event have its weight. Only ratios within a process mean something, so that weights are divided
by their mean over the rows of a class: a class then counts as much as its number of rows, as it does without
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
from hepfm.core.schema import Field
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.simulation import Simulation
from hepfm.simulate.workers import read_chunk


@dataclass
class _Sums:
    """Sums over the chunks of a variant of a class, whose rows have the weights of their events in a
    field."""

    field: Field
    events: int = 0
    event_weights: float = 0.0
    cross_sections: float = 0.0
    found: int = 0
    rows: int = 0
    row_weights: float = 0.0
    smallest: float = 1.0
    ones: int = 0

    def add(self, chunk: Chunk) -> None:
        assert chunk.process is not None
        weights = np.asarray(chunk.columns[self.field.name], np.float64)
        self.events += chunk.events
        self.event_weights += chunk.process.weight_sum
        self.cross_sections += chunk.events * chunk.process.sigma_mb
        self.found += chunk.passed
        self.rows += len(weights)
        self.row_weights += float(weights.sum())
        self.smallest = min(self.smallest, float(weights.min(initial=1.0)))
        self.ones += int((weights == 1).sum())

    @property
    def plain(self) -> bool:
        """Whether events are meant to have weight 1.

        Of such events a few weigh more: those above the maximum of the cross section that Pythia found in its
        start. They are its accounting, and stay a per cent of a sample or less.
        """
        return self.smallest == 1.0 and 2 * self.ones >= self.rows

    @property
    def unit(self) -> float:
        """Pythia's weight that is 1 in the store."""
        return self.row_weights / max(self.rows, 1)

    def facts(self, rows: str) -> dict[str, float]:
        return {
            "events": self.events,
            "sum_of_event_weights": self.event_weights,
            "sigma_mb": self.cross_sections / max(self.events, 1),
            f"{rows}_found": self.found,
            f"{rows}_kept": self.rows,
        }


@dataclass(frozen=True)
class EventWeights:
    """The weights of all chunks, and the processes that they belong to.

    Attributes
    ----------
    kind
        What rows are called.
    sums
        By class and variant; empty where rows come from no process.
    stored
        Whether the store gets weights.
    """

    kind: str
    sums: Mapping[tuple[str, int], _Sums]
    stored: bool

    def apply(self, key: ChunkKey, columns: Columns, variant: int) -> dict[str, Array | Ragged]:
        """Return the columns of a chunk as they are stored: with weights of mean 1, or without any."""
        sums = self.sums.get((key.class_name, variant))
        if sums is None:
            return dict(columns)
        kept = {name: column for name, column in columns.items() if name != sums.field.name}
        if not self.stored:
            return kept
        raw = np.asarray(columns[sums.field.name], np.float64)
        return {**kept, sums.field.name: (raw / sums.unit).astype(sums.field.dtype)}

    def facts(self, class_name: str) -> dict[str, Any]:
        """Return what the provenance says about the processes of a class, one for each of its variants.

        A row of stored weight w, 1 where there are none, stands for the cross section
        w unit sigma_mb / sum_of_event_weights of its variant, times rows found over rows kept: a chunk stops
        at the number asked for. The unit is 1 where no weights are stored.
        """
        mine = [sums for (name, _), sums in self.sums.items() if name == class_name]
        if not mine:
            return {}
        units = [{"unit": sums.unit} if self.stored else {} for sums in mine]
        facts: dict[str, Any] = {
            "processes": [{**sums.facts(self.kind), **unit} for sums, unit in zip(mine, units, strict=True)]
        }
        if self.stored:
            mean = f"{mine[0].field.name} has a mean of 1 over the {self.kind} of each variant of the class"
            facts["weights"] = mean
        return facts


def collect_weights(simulation: Simulation, keys: Sequence[ChunkKey], work: Path) -> EventWeights:
    """Add up the weights of all chunks.

    Raises
    ------
    DataError
        When the weights of a class do not sum to more than 0.
    """
    sums: dict[tuple[str, int], _Sums] = {}
    if simulation.weight is None:
        return EventWeights(simulation.kind, sums, stored=False)
    for key in keys:
        new = _Sums(simulation.weight)
        sums.setdefault((key.class_name, simulation.variant(key)), new).add(read_chunk(work, key))
    if all(one.plain for one in sums.values()):
        return EventWeights(simulation.kind, sums, stored=False)
    for (name, variant), one in sums.items():
        if one.row_weights <= 0:
            total = f"the weights of {one.rows} {simulation.kind} sum to {one.row_weights:.4g}"
            raise DataError(
                f"class {name}, variant {variant}: {total} and not to more than 0; ask for more of them, or "
                "check the events of the file"
            )
    return EventWeights(simulation.kind, sums, stored=True)
