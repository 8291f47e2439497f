"""The contract of a task that measures a predicted number, and the visible momentum of taus."""

from __future__ import annotations

from typing import ClassVar

from hepfm.physics.taus import DECAY_MODES
from hepfm.tasks.base import Task, TaskMetric


class RegressionTask(Task):
    """A protocol of regression of the logarithm of a ratio; the response is predicted over true.

    Bias and relative width of the response are measured for all rows and for each class of `groups`.
    """

    classes = ()
    background = ""
    primary = "response_iqr"
    only: ClassVar[tuple[str, str]]
    """Field and class of the rows that count."""
    groups: ClassVar[str]
    """A field whose classes are measured by themselves too."""
    group_names: ClassVar[tuple[str, ...]]

    def metrics(self) -> tuple[TaskMetric, ...]:
        """Return no metric of class scores: `hepfm.tasks.evaluate_regression` measures the response."""
        return ()


class TauMomentum(RegressionTask):
    """Visible transverse momentum of hadronic taus (2503.19165), from ln of its ratio to the jet's."""

    name = "tau_momentum"
    version = 1
    title = "Visible momentum of hadronic taus, e+e- at 380 GeV"
    label = "tau_log_pt_ratio"
    features = ("kin", "kinpid", "full")
    budgets = (2_000, 10_000, 100_000, 1_000_000)
    only = ("jet_label", "tau")
    groups = "tau_decay_mode"
    group_names = tuple(name for name in DECAY_MODES if name != "none")
