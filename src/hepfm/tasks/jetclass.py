"""Ten-class jet tagging with the metrics of JetClass (H. Qu, C. Li, S. Qian, 2202.03772)."""

from __future__ import annotations

from hepfm.data.schemas.jets import JETCLASS_CLASSES
from hepfm.tasks.tagging import TaggingTask
from hepfm.tasks.tagging_metrics import ACCURACY, MACRO_AUC, ScoreMetric, rejection_metric

SPECIAL_EFFICIENCIES = {"Hqql": 0.99, "Tbl": 0.995}
"""Signal efficiencies of the classes with a lepton; 0.5 for all others."""


class JetClass(TaggingTask):
    """Accuracy, macro one-vs-one AUC, and rejections of QCD jets with the score p_S/(p_S + p_QCD)."""

    name = "jetclass"
    version = 1
    title = "JetClass: ten-class jet tagging"
    classes = JETCLASS_CLASSES
    background = "QCD"
    primary = "accuracy"

    def metrics(self) -> tuple[ScoreMetric, ...]:
        """Return accuracy, AUC and nine rejections."""
        rejections = (
            rejection_metric(
                f"rejection_{signal}",
                signal=signal,
                background=self.background,
                efficiency=SPECIAL_EFFICIENCIES.get(signal, 0.5),
                title=f"1/ε_B {signal} at ε_S = {SPECIAL_EFFICIENCIES.get(signal, 0.5):g}",
            )
            for signal in self.signals
        )
        return (ACCURACY, MACRO_AUC, *rejections)
