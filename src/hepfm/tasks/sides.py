"""Tasks that compare some classes of a categorical field, those of a signal with those of a background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self

import pydantic

from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import ConfigError, DataError, HepfmError, ModelError
from hepfm.core.schema import Kind, Schema
from hepfm.data.row_selection import Only, RowSelection, only_words
from hepfm.data.store import Store
from hepfm.metrics.predictions import IntArray, Predictions
from hepfm.tasks.tagging import TaggingTask


def _tuple_of_names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], pydantic.BeforeValidator(_tuple_of_names)]
"""One name or several."""


Efficiency = Annotated[float, pydantic.Field(gt=0.0, lt=1.0)]


class SidesConfig(BaseConfig):
    """Options of `SidedTask`.

    Attributes
    ----------
    field
        The categorical field; the label of the store's schema when null.
    signal, background
        Its classes that are compared, one name or several. Rows of other classes are left out, and their
        probabilities too. Where only one of both is given, the other is all the rest.
    only
        A field and one or more of its classes: other rows do not count.
    """

    field: str | None = None
    signal: Names = ()
    background: Names = ()
    only: Only | None = None

    @pydantic.model_validator(mode="after")
    def _no_class_twice(self) -> Self:
        names = [*self.background, *self.signal]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"classes that are named twice in signal and background: {', '.join(twice)}")
        return self


class SidedTask(TaggingTask):
    """Classes of a field of the rows; models may know more classes than those that are compared."""

    Config: ClassVar[type[BaseConfig]] = SidesConfig
    config: SidesConfig
    heading: ClassVar[str]
    """What the title begins with; the field comes after it."""

    def __init__(self, config: SidesConfig | None = None) -> None:
        super().__init__(config)
        self.only = self.config.only
        self.label = self.config.field or ""
        self.classes = (*self.config.background, *self.config.signal)
        self.title = self._title()

    def _title(self) -> str:
        signal, background = (" + ".join(names) for names in (self.config.signal, self.config.background))
        against = f": {signal} against {background}" if background else ""
        only = f", {only_words(self.only)} only" if self.only else ""
        return f"{self.heading} {self.label}{against}{only}"

    @property
    def fields(self) -> tuple[str, ...]:
        """The field, and the one that says which rows count."""
        return tuple(name for name in super().fields if name)

    @property
    def roc_pairs(self) -> tuple[tuple[str, str], ...]:
        """Every signal against every background class."""
        return tuple((s, b) for s in self.config.signal for b in self.config.background)

    def bind(self, schema: Schema, *, where: str) -> Self:
        """Return the task with field, signal and background filled in from the schema."""
        if not self.label and schema.label is None:
            raise DataError(
                f"{where} names no label; say which field is classified: field=NAME (--field NAME)"
            )
        label = self.label or str(schema.label)
        self.__class__(self.config.model_copy(update={"field": label}))._check_fields(schema, where)
        signal, background = self._sides(schema[label].classes, label, where)
        values = {**self.config.model_dump(), "field": label, "signal": signal, "background": background}
        values |= self._filled(schema, where)
        return self.__class__(type(self.config).model_validate(values))

    def _filled(self, schema: Schema, where: str) -> dict[str, Any]:
        """Return further options that the schema fills in."""
        return {}

    def _check_fields(self, schema: Schema, where: str) -> None:
        super(TaggingTask, self).bind(schema, where=where)
        field = schema[self.label]
        if field.kind is not Kind.CATEGORICAL or field.level is not schema.row:
            rows = (other for other in schema if other.level is schema.row)
            fit = [other.name for other in rows if other.kind is Kind.CATEGORICAL]
            raise DataError(
                f"{self.label!r} of {where} is {field.kind} of the {field.level}; the task {self.name!r} "
                f"needs a categorical field of the rows: {', '.join(fit) or 'there is none'}"
            )
        RowSelection.of((self.label, *self.classes), schema, where=where)
        if self.only:
            RowSelection.of(self.only, schema, where=where)

    def _sides(self, names: Sequence[str], label: str, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        signal, background = self.config.signal, self.config.background
        rest = tuple(name for name in names if name not in self.classes)
        if signal and not background:
            background = rest
        elif not signal:
            signal = rest
        if len(signal) + len(background) < 2 or not signal:
            raise ConfigError(
                f"{label!r} of {where} has the classes {', '.join(names)}: signal "
                f"{', '.join(signal) or 'none'} and background {', '.join(background) or 'none'} leave "
                "nothing to compare"
            )
        return signal, background

    def _rows(self, store: Store) -> IntArray:
        rows = super()._rows(store)
        labels = self._labels(store, rows)
        absent = [name for index, name in enumerate(self.classes) if not (labels == index).any()]
        if absent:
            raise DataError(
                f"no test row of {store.path} that counts has {self.label} = {' or '.join(absent)}; say "
                "which classes are compared with signal and background"
            )
        return rows

    def _check_classes(self, available: Sequence[str], error: type[HepfmError], what: str, fix: str) -> None:
        """Raise unless the model has the classes that are compared; it may have more."""
        missing = [name for name in self.classes if name not in available]
        if missing:
            known = [name for name in self.classes if name in available]
            named = "" if not known else (
                f", or compare only classes that it knows ({', '.join(known)}) with signal and background"
            )  # fmt: skip
            raise ModelError(
                f"{what} knows the classes {', '.join(available) or 'none'} of {self.label!r}, not "
                f"{', '.join(missing)}; {fix}{named}"
            )


class SignalTask(SidedTask):
    """A comparison of a signal with a background, of one class or several taken together each."""

    def _sides(self, names: Sequence[str], label: str, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if self.classes:
            return super()._sides(names, label, where)
        if len(names) != 2:
            raise ConfigError(
                f"{label!r} of {where} has the classes {', '.join(names)}; say which are signal and which "
                "background: signal=NAME, background=NAME (--signal NAME --background NAME)"
            )
        return (names[1],), (names[0],)

    def sides(
        self, predictions: Predictions, *, signal: Sequence[str] | None = None
    ) -> tuple[Predictions, str, str]:
        """Return predictions with the classes of each side taken together, and the names of signal and
        background.

        Parameters
        ----------
        predictions
            Of the classes of the task.
        signal
            The classes of the signal that enter; all when None.
        """
        signals, backgrounds = signal or self.config.signal, self.config.background
        names = " or ".join(signals), " or ".join(backgrounds)
        merged = predictions.merged(names[1], backgrounds).merged(names[0], signals)
        return merged, *names
