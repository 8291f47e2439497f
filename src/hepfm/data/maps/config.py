"""The map file: which column of a user's files is which field, in which unit."""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from hepfm.core.config import Config
from hepfm.core.schema import Kind, Level
from hepfm.data.maps.object_config import ObjectMap, RecordMap

ObjectType = Literal["jet", "electron", "muon", "tau", "photon", "met"]
"""Types of reconstructed objects of `hepfm.data.schemas.events.OBJECT_TYPES`."""

PDG = "pdg"
"""In place of codes: numbers of the Particle Data Group."""


class Classes(Config):
    """A class of each row or constituent, by the numbers of a column or by flags.

    Attributes
    ----------
    take
        A column of the files, or an expression; see `hepfm.data.maps.expression.Expression`.
    codes
        Class by number.
    flags
        Expression by class, of which one is true: in place of `take` and `codes`.
    otherwise
        Class of any other number, and where no flag is true; by default such rows are refused.
    """

    take: str | None = None
    codes: dict[int, str] | Literal["pdg"] | None = None
    flags: dict[str, str] | None = None
    otherwise: str | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the map; none for particle types, whose classes are known."""
        named = list(self.flags or (self.codes.values() if isinstance(self.codes, dict) else ()))
        return tuple(dict.fromkeys([*named, *([self.otherwise] if self.otherwise else [])]))

    def _problem(self) -> str:
        if (self.take is None) == (self.flags is None):
            return "either 'take' or 'flags' is needed"
        if self.codes is not None and self.flags is not None:
            return "'codes' goes with 'take'"
        if self.otherwise is not None and self.flags is None and not isinstance(self.codes, dict):
            return "'otherwise' goes with 'flags' or 'codes'"
        return ""


class FieldMap(Classes):
    """Where a field comes from. A text in its place is `take`; see `Classes` for fields that hold classes.

    Attributes
    ----------
    unit
        Of the file's values; by default that of the field.
    fill
        What stands in place of values that are no finite numbers; by default such values are refused.
    level, kind, stored_unit, description
        What the field is, for a name of your own. By default numbers are of the rows and lists of
        constituents; a field with codes or flags is categorical, one of whole numbers a count, another one
        continuous.
    """

    unit: str | None = None
    fill: float | None = None
    level: Level | None = None
    kind: Kind | None = None
    stored_unit: str = "1"
    description: str = ""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"take": value} if isinstance(value, str) else value

    @pydantic.model_validator(mode="after")
    def _check(self) -> FieldMap:
        if problem := self._problem():
            raise ValueError(problem)
        return self


class LabelMap(Classes):
    """The class of each row: by `files`, or as in `Classes`.

    Attributes
    ----------
    files
        Class by a pattern of the file's name, such as ``"ttbar_*.root"``.
    drop
        Leave out rows with another number, or without a flag.
    """

    files: dict[str, str] | None = None
    drop: bool = False

    @pydantic.model_validator(mode="after")
    def _check(self) -> LabelMap:
        if self.files is None:
            problem = self._problem() or ("'take' needs 'codes'" if self.take and not self.codes else "")
            problem = problem or (
                "'otherwise' and 'drop' exclude each other" if self.otherwise and self.drop else ""
            )
        else:
            others = (self.take, self.codes, self.flags, self.otherwise)
            problem = (
                "'files' stands alone" if self.drop or any(value is not None for value in others) else ""
            )
        if problem:
            raise ValueError(problem)
        return self

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the map."""
        return tuple(dict.fromkeys(self.files.values())) if self.files else super().classes


class MapConfig(Config):
    """What the columns of files mean.

    Attributes
    ----------
    fields
        `FieldMap` by field of the store: ``jet_pt``, ``part_eta`` ..., or a name of your own.
    objects
        Of events: `hepfm.data.maps.object_config.ObjectMap` by type: ``jet``, ``electron``, ``muon``,
        ``tau``, ``photon``, ``met``. They become one list of all objects.
    generator
        Of events: where the generator's record is, whose hard process becomes objects too.
    overlap
        Distance in eta and phi within which only one of two objects of different types is kept: muons before
        electrons, taus, photons and jets; null to keep all.
    rows
        What a row is: ``object`` (a jet) or ``event``.
    tree
        Tree of a ROOT file, table or group of an HDF5 file, where there are several.
    unfold
        Rows are the entries of this column's lists, e.g. the jets of an event; other lists must have as many,
        and numbers of the event are repeated.
    jet
        ``"sum"``: momentum and energy of the jet are the sums of its constituents. By default they are
        fields.
    select, select_constituents
        Expressions of the rows and of the constituents that are kept.
    padding
        Slots of arrays of fixed shape that are none: those whose values are all ``"zero"`` (default) or
        ``"nan"``. Or an expression of those that are real, e.g. ``valid`` or ``slot < n_constituents``.
    label
        The classes; None for data without.
    weight
        Expression of the event weight.
    group
        Expression of a whole number that rows which belong together share, e.g. jets of one event.
    observers
        Columns that are carried along under their own names, or expressions by name.
    title
        Of the data, for the provenance of the store.
    """

    fields: dict[str, FieldMap] = pydantic.Field(default_factory=dict)
    objects: dict[ObjectType, ObjectMap] = pydantic.Field(default_factory=dict)
    generator: RecordMap | None = None
    overlap: float | None = pydantic.Field(None, gt=0)
    rows: Literal["object", "event"] = "object"
    tree: str | None = None
    unfold: str | None = None
    jet: Literal["fields", "sum"] = "fields"
    select: str | None = None
    select_constituents: str | None = None
    padding: str = "zero"
    label: LabelMap | None = None
    weight: str | None = None
    group: str | None = None
    observers: dict[str, FieldMap] = pydantic.Field(default_factory=dict)
    title: str = "own files"

    @pydantic.field_validator("observers", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {name: f"`{name}`" for name in value} if isinstance(value, list) else value

    @pydantic.model_validator(mode="after")
    def _check(self) -> MapConfig:
        both = sorted(set(self.fields) & set(self.observers))
        if both:
            raise ValueError(f"both fields and observers: {', '.join(both)}")
        if not self.fields and not self.objects:
            raise ValueError("'fields' or, of events, 'objects' are needed")
        if self.objects and (self.rows != "event" or self.unfold is not None):
            raise ValueError("'objects' are of whole events: they need 'rows: event', and no 'unfold'")
        if not self.objects and (self.generator is not None or self.overlap is not None):
            raise ValueError("'generator' and 'overlap' go with 'objects'")
        return self
