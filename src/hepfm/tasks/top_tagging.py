"""Top quark against light-quark and gluon jets (the reference data set of 1902.09914, 550-650 GeV)."""

from __future__ import annotations

from hepfm.tasks.tagging import TaggingTask
from hepfm.tasks.tagging_metrics import ScoreMetric, binary_metrics


class TopTagging(TaggingTask):
    """Two classes, kinematics only; compared by 1/eps_B at eps_S = 0.3."""

    name = "top_tagging"
    version = 1
    title = "Top tagging: t → bqq against QCD jets, 550 to 650 GeV"
    classes = ("QCD", "Tbqq")
    background = "QCD"
    primary = "auc"

    def metrics(self) -> tuple[ScoreMetric, ...]:
        """Return accuracy, AUC, and the rejections at 50 % and 30 %."""
        return binary_metrics(signal="Tbqq", background=self.background)
