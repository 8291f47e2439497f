"""All objects of events, reconstructed and generated, as a map says: the fields that they make."""

from __future__ import annotations

from collections.abc import Sequence

from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Field, Level
from hepfm.data.event_objects import merge_objects, object_columns
from hepfm.data.maps.arrays import Piece
from hepfm.data.maps.config import MapConfig
from hepfm.data.maps.objects import MappedObjects, MappedRecord
from hepfm.data.object_overlaps import by_precedence, remove_overlaps
from hepfm.data.schemas.events import INITIAL_STATE, event_schema
from hepfm.data.truth_matching import with_matched_roles


class ObjectMapper:
    """Makes the fields of objects of columns of files that have certain names.

    Parameters
    ----------
    config
        The map.
    names
        Columns of the file.

    Raises
    ------
    ConfigError
        When the map names columns that the file lacks.
    """

    def __init__(self, config: MapConfig, names: Sequence[str]) -> None:
        self.config = config
        columns = {name: name for name in names}
        self._objects = [MappedObjects(kind, spec, columns) for kind, spec in config.objects.items()]
        self._record = None if config.generator is None else MappedRecord(config.generator, columns)

    @property
    def needed(self) -> set[str]:
        """Columns of the file that are needed."""
        of_record = self._record.needed if self._record else set()
        return of_record.union(*(one.needed for one in self._objects))

    def fields(self) -> list[Field]:
        """Return the fields of objects, and those of events that the generator's record gives."""
        if not self._objects:
            return []
        specs = self.config.objects.values()
        schema = event_schema(
            charge=self._record is not None or any(one.charge is not None for one in specs),
            b_tag=any(one.b_tag is not None for one in specs),
            truth=self._record is not None,
        )
        states = self._record is not None and self._record.spec.partons is not None
        told = {INITIAL_STATE.name} if states else set()
        return [field for field in schema if field.level is Level.OBJECT or field.name in told]

    def read(self, piece: Piece) -> dict[str, Array | Ragged]:
        """Return these fields of some events."""
        if not self._objects:
            return {}
        objects, states = merge_objects(*(one.read(piece) for one in self._objects)), None
        if self.config.overlap is not None:
            objects = remove_overlaps(objects, by_precedence(self.config.overlap))
        if self._record is not None:
            generator, states = self._record.read(piece), self._record.states(piece)
            objects = with_matched_roles(objects, generator, radius=self._record.spec.match_radius)
            objects = merge_objects(objects, generator)
        columns = object_columns(objects, piece.rows, truth=self._record is not None)
        wanted = {field.name for field in self.fields()}
        kept = {name: column for name, column in columns.items() if name in wanted}
        return kept if states is None else {**kept, INITIAL_STATE.name: states}
