"""A weighted sum of objectives, in one pass of the network over each view that they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import pydantic
from torch import Tensor, nn

from hepfm.core.batch import Batch
from hepfm.core.config import Component, resolve_component
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import HepfmError, IncompatibleError
from hepfm.core.schema import Schema
from hepfm.networks.network import Network
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.base import CLEAN, Objective, Seen, View
from hepfm.objectives.borrower import Borrower
from hepfm.objectives.loss import Loss

_NAME = "weighted_sum"


@dataclass(frozen=True)
class Term:
    """One term: what it is called in the log, its component, and its weight."""

    label: str
    component: Component
    weight: float

    @property
    def borrows(self) -> str | None:
        """Name of the view that another term has to make for it."""
        if not issubclass(self.component.cls, Borrower):
            return None
        return self.component.cls.borrows(self.component.config)

    @property
    def makes(self) -> frozenset[str]:
        """Names of the views that only this term may make."""
        makes: frozenset[str] = getattr(self.component.cls, "makes", frozenset())
        return makes

    def targets(self, schema: Schema) -> tuple[str, ...]:
        """Return the label fields that it reads."""
        cls, config = self.component.cls, self.component.config
        read = cls.borrowed_targets if issubclass(cls, Borrower) else cls.targets
        names: tuple[str, ...] = read(config, schema)
        return names

    def predicts(self, schema: Schema) -> tuple[str, ...]:
        """Return the label fields that its heads predict."""
        cls = self.component.cls
        if issubclass(cls, Borrower):
            return self.targets(schema)
        names: tuple[str, ...] = cls.predicts(self.component.config, schema)
        return names

    def counting(self, schema: Schema) -> tuple[str, int] | None:
        """Return the only rows that teach it anything; None for all."""
        cls = self.component.cls
        if issubclass(cls, Borrower):
            return None
        found: tuple[str, int] | None = cls.counting(self.component.config, schema)
        return found


class WeightedSumConfig(BaseConfig):
    """Options of `WeightedSum`.

    Attributes
    ----------
    terms
        Component specs of objectives, each with its ``weight`` (1 if not given).
    """

    terms: Annotated[tuple[dict[str, Any], ...], pydantic.Field(min_length=1)]

    @pydantic.model_validator(mode="after")
    def _check(self) -> WeightedSumConfig:
        mistakes = [mistake for number in range(len(self.terms)) for mistake in _mistakes(self, number)]
        mistakes = mistakes or _clashes(resolve_terms(self))
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self


class WeightedSum(Objective):
    """The sum of objectives times their weights.

    Each view is made once, by the term that owns it, and the network sees it once: terms on the clean batch
    share a pass, and `PerturbedClassifier` shares that of the term whose view it classifies.

    Terms of the loss: ``OBJECTIVE.TERM``, before their weights; an objective that occurs twice is counted,
    ``supervised_2.cross_entropy``.
    """

    Config: ClassVar[type[BaseConfig]] = WeightedSumConfig
    lets_through = "what its terms let through, each in its own view"

    def __init__(self, config: WeightedSumConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.plan = resolve_terms(config)
        for term in self.plan:
            _check_backbone(term, network)
        self.terms = nn.ModuleDict()
        for term in sorted(self.plan, key=lambda term: term.borrows is not None):
            self.terms[term.label] = _without_network(
                term.component.cls(term.component.config, network, schema)
            )

    @classmethod
    def targets(cls, config: BaseConfig, schema: Schema) -> tuple[str, ...]:
        """Return the fields of all terms, each once."""
        assert isinstance(config, WeightedSumConfig)
        names = [name for term in resolve_terms(config) for name in term.targets(schema)]
        return tuple(dict.fromkeys(names))

    @classmethod
    def predicts(cls, config: BaseConfig, schema: Schema) -> tuple[str, ...]:
        """Return the fields of all terms' heads, each once."""
        assert isinstance(config, WeightedSumConfig)
        names = [name for term in resolve_terms(config) for name in term.predicts(schema)]
        return tuple(dict.fromkeys(names))

    @classmethod
    def counting(cls, config: BaseConfig, schema: Schema) -> tuple[str, int] | None:
        """Return what all terms have in common; None where they differ."""
        assert isinstance(config, WeightedSumConfig)
        found = {term.counting(schema) for term in resolve_terms(config)}
        return found.pop() if len(found) == 1 else None

    @classmethod
    def allows_signed_weights(cls, config: BaseConfig) -> bool:
        """Return whether all terms allow negative weights."""
        assert isinstance(config, WeightedSumConfig)
        components = [term.component for term in resolve_terms(config)]
        return all(one.cls.allows_signed_weights(one.config) for one in components)

    @classmethod
    def generator_of(cls, config: BaseConfig) -> Component | None:
        """Return the generator of the first term that trains one."""
        assert isinstance(config, WeightedSumConfig)
        found = (term.component.cls.generator_of(term.component.config) for term in resolve_terms(config))
        return next((component for component in found if component is not None), None)

    def term(self, label: str) -> Objective:
        """Return a term by its name in the log."""
        found = self.terms[label]
        assert isinstance(found, Objective)
        return found

    def fit(self, batches: Iterable[Batch]) -> None:
        """Let every term fit its constants; `batches` is gone through once for each."""
        for term in self.plan:
            self.term(term.label).fit(batches)

    @property
    def whole_step(self) -> bool:
        """Whether a term of a term is a statistic of the whole step."""
        return any(self.term(term.label).whole_step for term in self.plan)

    @property
    def random_parts(self) -> bool:
        """Whether a term must see random draws."""
        return any(self.term(term.label).random_parts for term in self.plan)

    def views(self, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the views of all terms; only the clean one may be asked for twice."""
        views: dict[str, View] = {}
        for term in self.plan:
            if term.borrows is None:
                made = self.term(term.label).views(batch, draws)
                twice = sorted((made.keys() & views.keys()) - {CLEAN})
                if twice:
                    raise IncompatibleError(_twice(twice[0]))
                views.update(made)
        return views

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of all terms' terms."""
        return {
            f"{term.label}.{name}": weights
            for term in self.plan
            for name, weights in self.term(term.label).weights(views).items()
        }

    def loss(self, seen: Mapping[str, Seen], draws: Draws) -> Loss:
        """Return the terms of all terms, each times the weight of its objective."""
        terms = {}
        for term in self.plan:
            for name, one in self.term(term.label).loss(seen, draws).terms.items():
                terms[f"{term.label}.{name}"] = replace(one, weight=term.weight * one.weight)
        return Loss(terms)

    def after_step(self, step: int) -> None:
        """Let every term do what follows a step."""
        for term in self.plan:
            self.term(term.label).after_step(step)


def resolve_terms(config: WeightedSumConfig) -> tuple[Term, ...]:
    """Return the terms of a config in their order."""
    names = [values.get("name") for values in config.terms]
    seen: Counter[Any] = Counter()
    terms = []
    for number, name in enumerate(names):
        seen[name] += 1
        spec = {key: value for key, value in config.terms[number].items() if key != "weight"}
        component = resolve_component(OBJECTIVES, spec, where=f"terms[{number}]")
        label = f"{name}_{seen[name]}" if seen[name] > 1 else str(name)
        terms.append(Term(label, component, float(config.terms[number].get("weight", 1.0))))
    return tuple(terms)


def _mistakes(config: WeightedSumConfig, number: int) -> list[str]:
    values = config.terms[number]
    weight = values.get("weight", 1.0)
    found = []
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight > 0:
        found.append(f"terms[{number}].weight: expected a number above 0, got {weight!r}")
    if values.get("name") == _NAME:
        return [*found, f"terms[{number}]: a sum cannot be a term of a sum; write its terms here"]
    try:
        spec = {key: value for key, value in values.items() if key != "weight"}
        resolve_component(OBJECTIVES, spec, where=f"terms[{number}]")
    except HepfmError as error:
        found.append(str(error))
    return found


def _clashes(terms: tuple[Term, ...]) -> list[str]:
    made = Counter(name for term in terms for name in term.makes)
    found = [_twice(name) for name, count in sorted(made.items()) if count > 1]
    for term in terms:
        if term.borrows is not None and term.borrows not in made:
            found.append(
                f"{term.label} classifies the view {term.borrows!r} and no term makes it; "
                f"views of these terms: {', '.join(sorted(made)) or 'none'}"
            )
    return found


def _twice(name: str) -> str:
    return f"two terms make the view {name!r}, each in its own way; keep one of them"


def _check_backbone(term: Term, network: Network) -> None:
    """Refuse a backbone that a term cannot use: what a sum needs depends on its terms."""
    lacking = term.component.cls.needs - network.backbone.supports - {"labels", "p4"}
    if lacking:
        raise IncompatibleError(
            f"objective 'weighted_sum': its term {term.label!r} needs a backbone that supports "
            f"{', '.join(sorted(lacking))}, and this one does not; choose another backbone or drop the term"
        )


def _without_network(objective: Objective) -> Objective:
    """Keep the network out of a term's own weights: it is the sum's, and would be saved once per term."""
    network = objective._modules.pop("network")
    objective.__dict__["network"] = network
    return objective
