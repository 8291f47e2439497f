"""Top quark against light-quark and gluon jets (the reference data set of 1902.09914, 550-650 GeV)."""

from __future__ import annotations

from hepfm.tasks.base import Task, TaskMetric
from hepfm.tasks.tagging import binary_metrics


class TopTagging(Task):
    """Two classes, kinematics only; compared by 1/eps_B at eps_S = 0.3."""

    name = "top_tagging"
    version = 1
    title = "Top tagging: t → bqq against QCD jets, 550 to 650 GeV"
    classes = ("QCD", "Tbqq")
    background = "QCD"
    features = ("kin",)
    budgets = (100, 300, 1_000, 3_000, 10_000, 100_000, 1_000_000)
    primary = "auc"

    def metrics(self) -> tuple[TaskMetric, ...]:
        """Return accuracy, AUC, and the rejections at 50 % and 30 %."""
        return binary_metrics(signal="Tbqq", background=self.background)
