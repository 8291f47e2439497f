"""Several networks with their objectives that share the weights of one backbone, trained in one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from torch import Tensor, nn

from hepfm.core.draws import Draws
from hepfm.data.joint_loader import JointBatch
from hepfm.objectives.base import View
from hepfm.objectives.loss import Loss
from hepfm.train.learner import Learner
from hepfm.train.trainable import Trainable


class JointLearner(Trainable):
    """The learners of several domains.

    Views, counts and terms of the loss are those of the domains, called ``domain.name``. What is minimised
    is the sum of the domains' losses times their weights, each divided by its own counts over the whole step:
    the gradient of a shared weight is the weighted sum of those that the domains have alone.

    Parameters
    ----------
    domains
        The learner of each domain; their networks may share modules.
    weights
        The weight of each domain's loss, above 0.
    """

    network: nn.ModuleList

    def __init__(self, domains: Mapping[str, Learner], weights: Mapping[str, float]) -> None:
        super().__init__()
        # The learners are no modules of this one: each weight has one name in a checkpoint, but for those
        # that networks share.
        self.domains, self.weights = dict(domains), dict(weights)
        self.network = nn.ModuleList(learner.network for learner in domains.values())
        self.objective = nn.ModuleList(learner.objective for learner in domains.values())

    @property
    def learners(self) -> tuple[Learner, ...]:
        """The learner of each domain, in their order."""
        return tuple(self.domains.values())

    def views(self, batch: JointBatch, draws: Draws) -> dict[str, View]:
        """Return what the networks are to be shown of the batches of their domains."""
        return {
            f"{domain}.{name}": view
            for domain, part in batch.batches.items()
            for name, view in self.domains[domain].views(part, draws).items()
        }

    def forward(self, views: Mapping[str, View], draws: Draws) -> Loss:
        """Show each network its views and return the loss of all that have any."""
        return Loss(
            {
                f"{domain}.{name}": replace(term, weight=term.weight * self.weights[domain])
                for domain, shown in self._of_domains(views)
                for name, term in self.domains[domain](shown, draws).terms.items()
            }
        )

    def counts(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the count of each term that is minimised, as the loss will have it."""
        return {
            f"{domain}.{name}": count
            for domain, shown in self._of_domains(views)
            for name, count in self.domains[domain].counts(shown).items()
        }

    def numbers(self, loss: Loss) -> dict[str, float]:
        """Return the sum that is minimised, then each domain's loss, without its weight, and its terms."""
        found: dict[str, float] = {"loss": 0.0}
        for domain, weight in self.weights.items():
            terms = {
                name.removeprefix(f"{domain}."): replace(term, weight=term.weight / weight)
                for name, term in loss.terms.items()
                if name.startswith(f"{domain}.")
            }
            numbers = Loss(terms).numbers()
            found["loss"] += weight * numbers["loss"]
            found |= {f"{domain}.{name}": number for name, number in numbers.items()}
        return found

    def rows(self, batch: JointBatch) -> list[str]:
        """Return the domains and numbers of the rows."""
        return [f"{name} {row}" for name, part in batch.batches.items() for row in part.rows_B.tolist()]

    def _of_domains(self, views: Mapping[str, View]) -> Iterator[tuple[str, dict[str, View]]]:
        """Yield each domain that has views, and these by their own names."""
        for domain in self.domains:
            shown = {
                name.removeprefix(f"{domain}."): view
                for name, view in views.items()
                if name.startswith(f"{domain}.")
            }
            if shown:
                yield domain, shown
