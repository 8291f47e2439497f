"""Classification by any categorical field of any store, of all its classes or of some against others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

import pydantic

from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import ConfigError, DataError, HepfmError, ModelError
from hepfm.core.schema import Kind, Schema
from hepfm.data.row_selection import Only, RowSelection, only_words
from hepfm.data.store import Store
from hepfm.metrics.predictions import IntArray
from hepfm.tasks.tagging import TaggingTask
from hepfm.tasks.tagging_metrics import (
    ACCURACY,
    MACRO_AUC,
    ScoreMetric,
    binary_auc_metric,
    binary_metrics,
    class_metrics,
    joint_rejection_metric,
    one_vs_rest_metrics,
    percent_text,
)


def _tuple_of_names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], pydantic.BeforeValidator(_tuple_of_names)]
"""One name or several."""


Efficiency = Annotated[float, pydantic.Field(gt=0.0, lt=1.0)]


class ClassificationConfig(BaseConfig):
    """Options of `Classification`.

    Attributes
    ----------
    field
        The categorical field; the label of the store's schema when null.
    signal, background
        Its classes that are compared, one name or several. Rows of other classes are left out, and their
        probabilities too. Where only one of both is given, the other is all the rest; where none is, all
        classes are compared with each other, and there are no rejections.
    only
        A field and one or more of its classes: other rows do not count.
    efficiencies
        Signal efficiencies of the background rejections.
    background_efficiencies
        Background efficiencies of significance improvements, of two classes.
    """

    field: str | None = None
    signal: Names = ()
    background: Names = ()
    only: Only | None = None
    efficiencies: tuple[Efficiency, ...] = (0.5, 0.3)
    background_efficiencies: tuple[Efficiency, ...] = ()

    @pydantic.model_validator(mode="after")
    def _no_class_twice(self) -> Self:
        names = [*self.background, *self.signal]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"classes that are named twice in signal and background: {', '.join(twice)}")
        return self


class Classification(TaggingTask):
    """Classes of a field of the rows; models may know more classes than those that are compared.

    Two classes have the metrics of two-class tagging. Several have accuracy, macro one-vs-one AUC, the
    one-vs-rest AUC, efficiency and purity of each class, and the rejection of all background classes
    together by each signal.
    """

    Config = ClassificationConfig
    name = "classification"
    version = 1
    primary = "auc"

    config: ClassificationConfig

    def __init__(self, config: ClassificationConfig | None = None) -> None:
        super().__init__(config)
        self.only = self.config.only
        self.label = self.config.field or ""
        self.classes = (*self.config.background, *self.config.signal)
        self.title = self._title()

    def _title(self) -> str:
        signal, background = (" + ".join(names) for names in (self.config.signal, self.config.background))
        against = f": {signal} against {background}" if background else ""
        only = f", {only_words(self.only)} only" if self.only else ""
        return f"Classification by {self.label}{against}{only}"

    @property
    def fields(self) -> tuple[str, ...]:
        """The field, and the one that says which rows count."""
        return tuple(name for name in super().fields if name)

    @property
    def roc_pairs(self) -> tuple[tuple[str, str], ...]:
        """Every signal against every background class."""
        return tuple((s, b) for s in self.config.signal for b in self.config.background)

    def metrics(self) -> tuple[ScoreMetric, ...]:
        """Return the metrics of two classes or of several."""
        signal, background = self.config.signal, self.config.background
        if len(self.classes) > 2:
            rates = one_vs_rest_metrics(self.classes), class_metrics(self.classes)
            return (ACCURACY, MACRO_AUC, *rates[0], *self._rejections(), *rates[1])
        if signal and background:
            return binary_metrics(
                signal=signal[0],
                background=background[0],
                efficiencies=self.config.efficiencies,
                background_efficiencies=self.config.background_efficiencies,
            )
        first, second = self.classes
        auc = binary_auc_metric(signal=second, background=first)
        return (ACCURACY, auc, *class_metrics(self.classes))

    def bind(self, schema: Schema, *, where: str) -> Self:
        """Return the task with field, signal and background filled in from the schema."""
        if not self.label and schema.label is None:
            raise DataError(
                f"{where} names no label; say which field is classified: field=NAME (--field NAME)"
            )
        label = self.label or str(schema.label)
        self.__class__(self.config.model_copy(update={"field": label}))._check_fields(schema, where)
        signal, background = self._sides(schema[label].classes, label, where)
        if self.config.background_efficiencies and len(signal) + len(background) > 2:
            raise ConfigError(
                "significance improvements are measured for one signal and one background class, not for "
                f"{', '.join((*signal, *background))}; leave out background_efficiencies, or name two classes"
            )
        values = {**self.config.model_dump(), "field": label, "signal": signal, "background": background}
        return self.__class__(ClassificationConfig(**values))

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

    def _rejections(self) -> tuple[ScoreMetric, ...]:
        background = self.config.background
        return tuple(
            joint_rejection_metric(
                f"rejection_{percent_text(efficiency)}_{signal}",
                signal=signal,
                backgrounds=background,
                efficiency=efficiency,
                title=f"1/ε_B {signal} at ε_S = {efficiency:g}",
            )
            for signal in self.config.signal
            for efficiency in self.config.efficiencies
            if background
        )

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
            raise ModelError(
                f"{what} knows the classes {', '.join(available) or 'none'} of {self.label!r}, not "
                f"{', '.join(missing)}; {fix}"
            )
