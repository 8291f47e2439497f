"""What chunks of several jets of one event share: leading jets, and numbers of events."""

from __future__ import annotations

import numpy as np

from hepfm.core.ragged import Array
from hepfm.core.rng import integer_seed
from hepfm.data.readers.event_files import event_ids
from hepfm.physics.clustering import Jets
from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.jet_recipe import JetRecipe
from hepfm.simulate.pythia import Record


class EventNumbers:
    """The numbers by which rows of one event are known.

    They are hashes, so that events of other chunks and of other simulations have other ones, and stores may
    be laid together.
    """

    def __init__(self, recipe: JetRecipe, key: ChunkKey) -> None:
        purpose = f"simulate {key.class_name} {key.split} events"
        self._chunk, self._seen = integer_seed(recipe.seed, purpose, key.index, bits=62), 0

    def next(self, record: Record) -> Array:
        """Return the numbers of the next events, int64, not negative."""
        place = self._seen + np.arange(record.num_events)
        self._seen += record.num_events
        last = record.offsets[1:] - 1
        return event_ids(np.full(len(last), self._chunk), place, record.px[last], record.py[last])


def leading_jets(jets: Jets, number: int) -> Jets:
    """Return the jets of highest pT of each event, `number` at most, event by event in falling pT."""
    pt = np.hypot(jets.p4[:, 1], jets.p4[:, 2])
    order = np.lexsort((-pt, jets.event))
    event = jets.event[order]
    place = np.arange(len(event)) - np.searchsorted(event, event)
    return jets.take(order[place < number])
