"""What is measured before and during a training of several domains: of each what would be of it alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from hepfm.train.fitting import Fitting
from hepfm.train.joint_learner import JointLearner
from hepfm.train.watch import Watch


@dataclass(frozen=True)
class JointFitting:
    """What is measured before the first step, by domain."""

    fittings: Mapping[str, Fitting]

    def fit(self, learner: JointLearner) -> None:
        """Measure, set buffers of the networks, then let the objectives prepare themselves."""
        for domain, fitting in self.fittings.items():
            fitting.fit(learner.domains[domain])


@dataclass(frozen=True)
class JointWatch:
    """What is watched of the embeddings, by domain; those that have no such aim are absent."""

    watches: Mapping[str, Watch]

    def measure(self, learner: JointLearner, device: torch.device) -> dict[str, float]:
        """Return the numbers of the present weights, behind the names of their domains."""
        return {
            f"{domain}.{name}": number
            for domain, watch in self.watches.items()
            for name, number in watch.measure(learner.domains[domain], device).items()
        }
