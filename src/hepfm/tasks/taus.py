"""Tau leptons: identification against quark jets, decay mode and visible momentum (2503.19165)."""

from __future__ import annotations

from hepfm.physics.taus import DECAY_MODES
from hepfm.tasks.regression import RegressionTask
from hepfm.tasks.tagging import TaggingTask
from hepfm.tasks.tagging_metrics import (
    ACCURACY,
    ScoreMetric,
    binary_auc_metric,
    class_metrics,
    rejection_metric,
)


class TauIdentification(TaggingTask):
    """Jets of hadronic taus against quark jets; compared by the misidentification at 80 % efficiency."""

    name = "tau_identification"
    version = 1
    title = "Hadronic taus against quark jets, e+e- at 380 GeV"
    classes = ("quark", "tau")
    background = "quark"
    primary = "rejection_80"

    def metrics(self) -> tuple[ScoreMetric, ...]:
        """Return accuracy, AUC, and one over the misidentification at 80 %, 60 % and 40 %."""
        rejections = (
            rejection_metric(
                f"rejection_{percent}",
                signal="tau",
                background=self.background,
                efficiency=percent / 100,
                title=f"1/misidentification at ε_τ = {percent / 100:g}",
            )
            for percent in (80, 60, 40)
        )
        return (ACCURACY, binary_auc_metric(signal="tau", background=self.background), *rejections)


class TauDecayMode(TaggingTask):
    """Group of decay modes of tau jets; jets without a tau are left out."""

    name = "tau_decay_mode"
    version = 1
    title = "Decay mode of hadronic taus, e+e- at 380 GeV"
    classes = tuple(name for name in DECAY_MODES if name != "none")
    ignored = ("none",)
    background = "h"
    label = "tau_decay_mode"
    primary = "accuracy"

    def metrics(self) -> tuple[ScoreMetric, ...]:
        """Return accuracy, efficiency and purity of each mode; a comparison draws the confusion matrix."""
        return (ACCURACY, *class_metrics(self.classes))


class TauMomentum(RegressionTask):
    """Visible transverse momentum of hadronic taus (2503.19165), from ln of its ratio to the jet's."""

    name = "tau_momentum"
    version = 1
    title = "Visible momentum of hadronic taus, e+e- at 380 GeV"
    primary = "response_iqr"
    label = "tau_log_pt_ratio"
    compare = "log_ratio"
    only = ("jet_label", "tau")
    groups = "tau_decay_mode"
    group_names = tuple(name for name in DECAY_MODES if name != "none")
