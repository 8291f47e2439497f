"""Subjets of the constituents of rows: clustered when a row is first read, then remembered."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.ragged import Columns, gather_index, lists
from hepfm.data.features import FeatureSet, four_momenta
from hepfm.data.row_source import RowSource
from hepfm.physics.clustering import Floats, exclusive_subjets, radius_subjets

Index = npt.NDArray[np.int64]

_CHUNK = 1024
"""Rows that are clustered by one call of FastJet."""
_BYTES = np.iinfo(np.uint8).max
"""What one byte can hold: the number of a subjet, from 1, or 0 for one that is not known yet."""


@dataclass(frozen=True)
class Clustering:
    """One way to make subjets of a row.

    Attributes
    ----------
    algorithm
        ``"cambridge_aachen"`` or ``"anti_kt"`` with a radius, or ``"kt"`` down to an exclusive number of
        subjets.
    parameter
        Radius R, or the number.
    """

    algorithm: Literal["cambridge_aachen", "anti_kt", "kt"]
    parameter: float

    @property
    def name(self) -> str:
        """Name among `hepfm.core.batch.Batch.subjets`, e.g. ``"cambridge_aachen_0.2"``, ``"kt_8"``."""
        return f"{self.algorithm}_{self.parameter:g}"


def cluster(p4: Floats, lengths: Index, clusterings: Sequence[Clustering]) -> Index:
    """Return the number of each constituent's subjet, 0 for the hardest, int64 (C, n) for C clusterings."""
    subjets = np.zeros((len(clusterings), len(p4)), np.int64)
    exclusive = [k for k, clustering in enumerate(clusterings) if clustering.algorithm == "kt"]
    for k, clustering in enumerate(clusterings):
        if clustering.algorithm != "kt":
            radius, algorithm = clustering.parameter, clustering.algorithm
            subjets[k] = radius_subjets(p4, lengths, radius=radius, algorithm=algorithm)
    if exclusive:
        numbers = [int(clusterings[k].parameter) for k in exclusive]
        subjets[exclusive] = exclusive_subjets(p4, lengths, numbers=numbers)
    return subjets


class Subjets:
    """Subjets of the rows of any source, by several clusterings.

    Each row is clustered once: the numbers are kept in a temporary file without a name, of one byte for each
    constituent, which ends with the process. FastJet makes some thousand jets a second, less than training
    on a GPU would read.

    Parameters
    ----------
    clusterings
        How, C of them.
    """

    def __init__(self, clusterings: Sequence[Clustering]) -> None:
        self.clusterings = tuple(clusterings)
        self._known: WeakKeyDictionary[RowSource, npt.NDArray[np.uint8]] = WeakKeyDictionary()

    def check(self, features: FeatureSet, max_constituents: int) -> None:
        """Raise `DataError` where rows have no momenta, or too many constituents for one byte."""
        if not features.momenta:
            raise DataError(f"subjets are made of four-momenta, and {features.rows} have none")
        if max_constituents >= _BYTES:
            raise DataError(
                f"subjets are made of at most {_BYTES - 1} constituents; lower data.max_constituents "
                f"from {max_constituents}"
            )

    def read(
        self, source: RowSource, rows: Index, columns: Columns, features: FeatureSet, lengths: Index
    ) -> dict[str, Index]:
        """Return the subjet of each constituent by the clustering's name, int64 (R, N); -1 in padding.

        Parameters
        ----------
        source, rows, columns
            Where the rows come from, their numbers, and their columns, momenta among them.
        features
            The feature set, which names the momenta.
        lengths
            Number of leading constituents of each row that are clustered.
        """
        width = max(1, int(lengths.max(initial=0)))
        known = self._of(source)
        new = np.flatnonzero((known[rows, 0, 0] == 0) & (lengths > 0))
        offsets = lists(columns, features.entries).offsets
        p4 = four_momenta(columns, names=features.momenta) if len(new) else np.zeros((0, 4))
        for start in range(0, len(new), _CHUNK):
            part = new[start : start + _CHUNK]
            entries, _ = gather_index(offsets[part], lengths[part])
            momenta = p4[entries].astype(np.float64)
            found = cluster(momenta, lengths[part], self.clusterings)
            self._keep(known, rows[part], lengths[part], found)
        numbers = known[rows, :, :width].astype(np.int64) - 1
        return {clustering.name: numbers[:, k] for k, clustering in enumerate(self.clusterings)}

    def _keep(self, known: npt.NDArray[np.uint8], rows: Index, lengths: Index, found: Index) -> None:
        width = int(lengths.max())
        real = np.arange(width) < lengths[:, None]
        for k, numbers in enumerate(found):
            padded = np.zeros(real.shape, np.uint8)
            padded[real] = numbers + 1
            known[rows, k, :width] = padded

    def _of(self, source: RowSource) -> npt.NDArray[np.uint8]:
        """Return what is known of the rows of a source: zeros at first, which take no space in the file."""
        known = self._known.get(source)
        if known is None:
            shape = (source.num_rows, len(self.clusterings), _BYTES - 1)
            with tempfile.TemporaryFile() as file:
                known = np.memmap(file, np.uint8, "w+", shape=shape)
            self._known[source] = known
        return known


def subjets_of(clusterings: Sequence[Clustering]) -> Subjets | None:
    """Return what makes these subjets; None for none."""
    return Subjets(clusterings) if clusterings else None
