"""Weak supervision: is a signal found that no label tells of? Measured on true classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import pydantic

from hepfm.core.errors import ConfigError
from hepfm.data.mixtures import MIXED, PURE, SAMPLE
from hepfm.data.store import Store
from hepfm.metrics.measurement import Measurement
from hepfm.tasks.base import MeasureOptions
from hepfm.tasks.baselines import ROW
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import Baseline
from hepfm.tasks.sides import Efficiency, Names, SidedTask, SidesConfig
from hepfm.tasks.subject import Answer, Subject
from hepfm.tasks.tagging_metrics import (
    ScoreMetric,
    binary_auc_metric,
    improvement_metric,
    improvement_name,
)

RANDOM = "random"
"""Name of the trivial answer that random scores are."""


class WeakSupervisionConfig(SidesConfig):
    """Options of `WeakSupervision`, with the defaults of stores that `hepfm data mix` makes.

    Attributes
    ----------
    field
        The sample that a row is in; in the test split the true class.
    signal, background
        The sample that holds the signal, and the other one.
    background_efficiencies
        Background efficiencies of the significance improvements; a report opens with the first.
    """

    field: str | None = SAMPLE
    signal: Names = (MIXED,)
    background: Names = (PURE,)
    background_efficiencies: Annotated[tuple[Efficiency, ...], pydantic.Field(min_length=1)] = (0.01,)


class WeakSupervision(SidedTask):
    """Significance improvement of a classifier that was trained on samples in place of classes (1708.02949).

    Improvements are compared by difference: that of a training which finds nothing may be 0, and has no
    logarithm. Beside the row baseline stands what random scores are expected to give, sqrt(eps_B); the
    commonest sample orders no rows. Accuracy is left out: how many rows are called `mixed` says nothing of a
    search, which chooses its own threshold.
    """

    Config = WeakSupervisionConfig
    name = "weak_supervision"
    version = 1
    heading = "Weak supervision by"
    counted = "rows"

    config: WeakSupervisionConfig

    def __init__(self, config: WeakSupervisionConfig | None = None) -> None:
        super().__init__(config)
        sides = self.config.signal, self.config.background
        if any(len(side) != 1 for side in sides):
            raise ConfigError(
                f"weak supervision compares two samples; signal is {', '.join(sides[0]) or 'none'} and "
                f"background {', '.join(sides[1]) or 'none'}: name one of each"
            )
        self.primary = improvement_name(self.config.background_efficiencies[0])

    def metrics(self) -> tuple[ScoreMetric, ...]:
        """Return the significance improvements and the area under the ROC curve."""
        (signal,), (background,) = self.config.signal, self.config.background
        return (
            *(
                improvement_metric(efficiency, "difference", signal=signal, background=background)
                for efficiency in self.config.background_efficiencies
            ),
            binary_auc_metric(signal=signal, background=background),
        )

    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Score the test rows and measure every metric, of the model, the row baseline and random scores."""
        measured = super().measure(subject, store, options)
        return replace(measured, baselines=(*measured.baselines, self._random(measured)))

    def _random(self, measured: Measured) -> Baseline:
        """Return what random scores are expected to give."""
        expected = {improvement_name(one): one**0.5 for one in self.config.background_efficiencies}
        return Baseline(
            name=RANDOM,
            title="random scores",
            metrics=tuple(
                info.model_copy(
                    update=Measurement(
                        value=expected.get(info.name, 0.5),
                        low=None,
                        high=None,
                        n=info.n,
                        definition=info.definition,
                        interval="none: the expected value",
                    ).to_dict()
                )
                for info in measured.metrics
            ),
        )

    def _answers(self, subject: Subject, store: Store) -> tuple[Answer, ...]:
        return tuple(answer for answer in super()._answers(subject, store) if answer.name == ROW)
