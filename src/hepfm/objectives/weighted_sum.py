"""A weighted sum of objectives, in one pass of the network over each view that they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import pydantic
from torch import Tensor, nn

from hepfm.core.batch import Batch
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Schema
from hepfm.core.weighted import Weighted, WeightedOf
from hepfm.data.row_selection import RowSelection
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.base import Objective, Output, View
from hepfm.objectives.loss import Loss
from hepfm.objectives.requirements import CLEAN, Requirements

_Term = Annotated[
    Weighted,
    WeightedOf(OBJECTIVES, {"weighted_sum": "a sum cannot be a term of a sum; write its terms here"}),
]


class WeightedSumConfig(BaseConfig):
    """Options of `WeightedSum`.

    Attributes
    ----------
    terms
        Component specs of objectives, each with its ``weight`` (1 if not given).
    """

    terms: Annotated[tuple[_Term, ...], pydantic.Field(min_length=1)]

    def labels(self) -> tuple[str, ...]:
        """Return what the terms are called in the log: by name, counted where a name occurs again."""
        seen: Counter[str] = Counter()
        labels = []
        for term in self.terms:
            seen[term.component.name] += 1
            count = seen[term.component.name]
            labels.append(f"{term.component.name}_{count}" if count > 1 else term.component.name)
        return tuple(labels)


class WeightedSum(Objective[WeightedSumConfig]):
    """The sum of objectives times their weights.

    Each view is made once, by the term that owns it, and the network sees it once: terms on the clean batch
    share a pass, and `Supervised` with ``view: noised`` or ``masked`` shares that of the term that makes it.

    Terms of the loss: ``OBJECTIVE.TERM``, before their weights; an objective that occurs twice is counted,
    ``supervised_2.cross_entropy``.
    """

    Config: ClassVar[type[BaseConfig]] = WeightedSumConfig
    lets_through = "what its terms let through, each in its own view"

    def __init__(self, config: WeightedSumConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        named = dict(zip(config.labels(), config.terms, strict=True))
        self.term_weights = {label: term.weight for label, term in named.items()}
        self.terms = nn.ModuleDict(
            {
                label: term.component.cls(term.component.config, network, schema)
                for label, term in named.items()
            }
        )

    @classmethod
    def check(cls, config: WeightedSumConfig, network: Network) -> None:
        """Check every term."""
        for term in config.terms:
            term.component.cls.check(term.component.config, network)

    @classmethod
    def requirements(cls, config: WeightedSumConfig, schema: Schema) -> Requirements:
        """Return what all terms need together; of heads and generators of one kind the first term's.

        Raises
        ------
        IncompatibleError
            When two terms make one view in different ways, or none makes a view that is read.
        """
        each = [_needs(term, schema) for term in config.terms]
        needs = dict(zip(config.labels(), each, strict=True))
        views = _views(needs)
        rows = {needed.rows for needed in each}
        generators = [needed.generator for needed in each if needed.generator is not None]
        tokenizers = [needed.tokenizer for needed in each if needed.tokenizer is not None]
        heads: dict[str, HeadSpec] = {}
        head_rows: dict[str, RowSelection | None] = {}
        # The head of a term that makes its own view comes before that of one that reads another's.
        for needed in sorted(each, key=lambda needed: needed.reads is not None):
            heads = {**needed.heads, **heads}
            head_rows = {**needed.head_rows, **head_rows}
        return Requirements(
            labels=tuple(dict.fromkeys(name for needed in each for name in needed.labels)),
            facts=tuple(dict.fromkeys(name for needed in each for name in needed.facts)),
            targets=tuple(dict.fromkeys(target for needed in each for target in needed.targets)),
            heads=heads,
            generator=generators[0] if generators else None,
            tokenizer=tokenizers[0] if tokenizers else None,
            inputs=frozenset().union(*(needed.inputs for needed in each)),
            backbone=frozenset().union(*(needed.backbone for needed in each)),
            trains_backbone=any(needed.trains_backbone for needed in each),
            rows=rows.pop() if len(rows) == 1 else None,
            head_rows=head_rows,
            clusterings=tuple(dict.fromkeys(each_one for needed in each for each_one in needed.clusterings)),
            groups=frozenset.intersection(*(needed.groups for needed in each)),
            signed_weights=all(needed.signed_weights for needed in each),
            views=views,
            members=max(needed.members for needed in each),
        )

    def each(self) -> Iterable[tuple[str, Objective[Any]]]:
        """Yield the terms by their names in the log."""
        for label, term in self.terms.items():
            assert isinstance(term, Objective)
            yield label, term

    def prepare(self, network: Network, batches: Iterable[Batch]) -> None:
        """Prepare every term; `batches` is gone through once for each."""
        for _, term in self.each():
            term.prepare(network, batches)

    @property
    def whole_step(self) -> bool:
        """Whether a term of a term is a statistic of the whole step."""
        return any(term.whole_step for _, term in self.each())

    def random_parts(self, network: Network) -> bool:
        """Tell whether a term must see random draws."""
        return any(term.random_parts(network) for _, term in self.each())

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the views of all terms; only the clean one is asked for twice."""
        views: dict[str, View] = {}
        for _, term in self.each():
            views.update(term.views(network, batch, draws))
        return views

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of all terms' terms."""
        return {
            f"{label}.{name}": weights
            for label, term in self.each()
            for name, weights in term.weights(views).items()
        }

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the terms of all terms, each times the weight of its objective."""
        terms = {}
        for label, term in self.each():
            for name, number in term.loss(network, outputs, draws).terms.items():
                terms[f"{label}.{name}"] = replace(number, weight=self.term_weights[label] * number.weight)
        return Loss(terms)

    def after_step(self, network: Network, step: int, num_steps: int) -> None:
        """Let every term do what follows a step."""
        for _, term in self.each():
            term.after_step(network, step, num_steps)


def _needs(term: Weighted, schema: Schema) -> Requirements:
    needed: Requirements = term.component.cls.requirements(term.component.config, schema)
    return needed


def _views(needs: Mapping[str, Requirements]) -> frozenset[str]:
    """Return the views that the terms make, each by one of them; only the clean one is made by many."""
    makers = Counter(name for term in needs.values() for name in term.views)
    twice = sorted(name for name, count in makers.items() if count > 1 and name != CLEAN)
    if twice:
        raise IncompatibleError(
            f"two terms make the view {twice[0]!r}, each in its own way; keep one of them"
        )
    for label, term in needs.items():
        if term.reads is not None and term.reads not in makers:
            raise IncompatibleError(
                f"{label} reads the view {term.reads!r} and no term makes it; views of these terms: "
                f"{', '.join(sorted(makers)) or 'none'}"
            )
    return frozenset(makers)
