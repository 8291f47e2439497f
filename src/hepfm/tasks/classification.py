"""Classification by any categorical field of any store, of all its classes or of some against others."""

from __future__ import annotations

from collections.abc import Sequence

from hepfm.core.errors import ConfigError
from hepfm.tasks.sides import Efficiency, SidedTask, SidesConfig
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


class ClassificationConfig(SidesConfig):
    """Options of `Classification`, beside those of `SidesConfig`.

    Where neither signal nor background is given, all classes are compared with each other, and there are no
    rejections.

    Attributes
    ----------
    efficiencies
        Signal efficiencies of the background rejections.
    background_efficiencies
        Background efficiencies of significance improvements, of two classes.
    """

    efficiencies: tuple[Efficiency, ...] = (0.5, 0.3)
    background_efficiencies: tuple[Efficiency, ...] = ()


class Classification(SidedTask):
    """Classes of a field of the rows; models may know more classes than those that are compared.

    Two classes have the metrics of two-class tagging. Several have accuracy, macro one-vs-one AUC, the
    one-vs-rest AUC, efficiency and purity of each class, and the rejection of all background classes
    together by each signal.
    """

    Config = ClassificationConfig
    name = "classification"
    version = 1
    primary = "auc"
    heading = "Classification by"

    config: ClassificationConfig

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

    def _sides(self, names: Sequence[str], label: str, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        signal, background = super()._sides(names, label, where)
        if self.config.background_efficiencies and len(signal) + len(background) > 2:
            raise ConfigError(
                "significance improvements are measured for one signal and one background class, not for "
                f"{', '.join((*signal, *background))}; leave out background_efficiencies, or name two classes"
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
