"""What is said of a model's constituents, put at their places in the lists of the source."""

from __future__ import annotations

import numpy as np

from hepfm.core.ragged import Ragged, lists
from hepfm.data.features import FeatureSet
from hepfm.data.row_source import Rows, RowSource


def at_their_places(said: Ragged, features: FeatureSet, source: RowSource, rows: Rows) -> Ragged:
    """Return lists that begin like those of the source; zero stands where the model reads nothing.

    Parameters
    ----------
    said
        Values of the constituents that the model reads, row after row.
    features
        Its feature set, which may choose some entries of the lists only.
    source, rows
        Where they come from.
    """
    if features.chosen is None:
        return said
    columns = source.read(features.columns, rows)
    chosen = features.chosen(columns)
    entries = lists(columns, features.entries)
    row = entries.row_index()
    before = np.concatenate([[0], np.cumsum(chosen)])
    rank = before[:-1] - before[entries.offsets[row]]  # of a chosen entry among those of its row
    read = chosen & (rank < said.lengths[row])
    place = np.arange(len(row)) - entries.offsets[row]
    lengths = np.zeros(len(entries), np.int64)
    np.maximum.at(lengths, row[read], place[read] + 1)
    out = Ragged.from_lengths(np.zeros((lengths.sum(), *said.values.shape[1:]), said.values.dtype), lengths)
    out.values[out.offsets[row[read]] + place[read]] = said.values
    return out
