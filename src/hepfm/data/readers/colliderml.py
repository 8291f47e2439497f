"""ColliderML: events of the Open Data Detector, one Parquet file for each kind of object."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from hepfm.core import config
from hepfm.core.config import merge, read_yaml, validate
from hepfm.core.errors import DataError
from hepfm.core.ragged import Columns
from hepfm.core.schema import Schema
from hepfm.data.maps import published
from hepfm.data.maps.config import MapConfig
from hepfm.data.readers.mapping import MappingReader
from hepfm.data.remote import DataFile
from hepfm.data.tables.open import open_table

_SIGNS = {
    "particles": ("event_id", "pdg_id", "px", "py", "pz", "energy", "charge", "vertex_primary"),
    "tracks": ("event_id", "qop", "theta", "phi", "d0", "z0"),
    "calo_hits": ("event_id", "total_energy", "x", "y", "z", "detector"),
}
"""Columns that tell a kind of object; a map is named after it."""
_TRACKER_HITS = ("event_id", "true_x", "volume_id")


class ColliderMlReader:
    """Reads particles, tracks or calorimeter cells; a row is an event, and they are its constituents.

    - The generator's particles hold decayed ones and what they decayed to, so they are not summed; `select`
      leaves some out, e.g. those of pile-up: ``vertex_primary == 1``.
    - Tracks have the mass of the charged pion and no errors; ``d0`` gets JetClass's sign, and ``z0`` is
      counted from the origin.
    - Energies of cells are those deposited, not calibrated for the sampling of the calorimeter.
    - Not read: tracker hits, and what links tables with each other (numbers of particles, hits and parents,
      contributions to cells).
    """

    endings: ClassVar[tuple[str, ...]] = (".parquet",)

    class Config(config.Config):
        """Options.

        Attributes
        ----------
        select
            Expression of the constituents that are kept, of the columns of the file.
        event_class
            Class of all events of the files, or class by a pattern of the file's name:
            ``{"ttbar_*": ttbar, "zmumu_*": zmumu}``; null for events without label.
        """

        select: str | None = None
        event_class: str | dict[str, str] | None = None

    def __init__(self, config: Config) -> None:
        self.config = config

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the origin of the published files."""
        return {"title": f"ColliderML, {self._kind(path)}", "hub": "CERN/ColliderML-Release-1"}

    def schema(self, path: DataFile) -> Schema:
        """Return the schema of the kind of object that the file holds."""
        return self._reader(path).schema(path)

    def num_rows(self, path: DataFile) -> int | None:
        """Return the number of events of a file."""
        return self._reader(path).num_rows(path)

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the events of a file."""
        return self._reader(path).chunks(path)

    def _kind(self, path: DataFile) -> str:
        with open_table(path) as table:
            names = set(table.names)
        for kind, needed in _SIGNS.items():
            if names.issuperset(needed):
                return kind
        if names.issuperset(_TRACKER_HITS):
            raise DataError(
                f"{path} holds tracker hits, which are not read; read particles, tracks or calo_hits"
            )
        wanted = "; ".join(f"{kind}: {', '.join(needed)}" for kind, needed in _SIGNS.items())
        raise DataError(f"{path} holds no table of ColliderML, which have the columns {wanted}")

    def _reader(self, path: DataFile) -> MappingReader:
        file = Path(published.__path__[0]) / f"colliderml_{self._kind(path)}.yaml"
        values: dict[str, Any] = read_yaml(file)
        if self.config.select is not None:
            values = merge(values, {"select_constituents": self.config.select})
        if self.config.event_class is not None:
            named = self.config.event_class
            values = merge(values, {"label": {"files": {"*": named} if isinstance(named, str) else named}})
        return MappingReader(validate(MapConfig, values, where=file.name))
