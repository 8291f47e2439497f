"""Quark against gluon jets (P. Komiske, E. Metodiev, J. Thaler, 1810.05165; 500-550 GeV)."""

from __future__ import annotations

from hepfm.tasks.tagging import TaggingTask
from hepfm.tasks.tagging_metrics import ScoreMetric, binary_metrics


class QuarkGluon(TaggingTask):
    """Two classes, particle level; quark jets are the signal."""

    name = "quark_gluon"
    version = 1
    title = "Quark against gluon jets, 500 to 550 GeV"
    classes = ("gluon", "quark")
    background = "gluon"
    primary = "auc"

    def metrics(self) -> tuple[ScoreMetric, ...]:
        """Return accuracy, AUC, and the rejections at 50 % and 30 %."""
        return binary_metrics(signal="quark", background=self.background)
