"""Sums of objectives: what they share, what they refuse, and that they are sums."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from builders import draws, loss_of, number
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.backbones.base import Features
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, IncompatibleError
from hepfm.core.schema import Schema
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.network import Network
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.base import apply
from hepfm.objectives.compatibility import check_compatible
from hepfm.objectives.supervised import Supervised, SupervisedConfig
from hepfm.objectives.weighted_sum import WeightedSum
from hepfm.train.learner import Learner, make_learner

TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 4}
SCHEMA = jet_schema(("g", "q", "t"))
ALL = (
    {"name": "supervised"},
    {"name": "flow_matching"},
    {"name": "masked"},
    {"name": "supervised", "view": "noised"},
    {"name": "supervised", "view": "masked"},
)


def build(*terms: dict[str, Any], schema: Schema = SCHEMA, backbone: Any = None) -> Learner:
    component = resolve_component(OBJECTIVES, {"name": "weighted_sum", "terms": list(terms)}, where="test")
    return construct(component, schema, backbone or TINY)


def construct(component: Any, schema: Schema, backbone: Any) -> Learner:
    with seeded_init(0, "test"):
        network = build_network(resolve_component(BACKBONES, backbone, where="test"), feature_set("pet"))
        return make_learner(component, network, schema)


def batch() -> Batch:
    return replace(random_batch(feature_set("pet")), labels={"jet_label": torch.arange(16) % 3})


class Calls:
    """Counts passes of the network."""

    def __init__(self, objective: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.real = objective.network.features
        monkeypatch.setattr(objective.network, "features", self)

    def __call__(self, batch: Batch, **options: Any) -> Features:
        self.count += 1
        return self.real(batch, **options)


@pytest.mark.parametrize(
    ("terms", "passes"),
    [
        (ALL[:1], 1),
        (ALL[:2], 2),
        (ALL[:3], 3),
        (ALL, 3),
        (({"name": "supervised"}, {"name": "supervised", "label": "jet_pt"}), 1),
        ((ALL[1], ALL[3]), 1),
        (({"name": "lejepa"}, ALL[0]), 3),
    ],
)
def test_each_view_is_seen_once(
    terms: tuple[dict[str, Any], ...], passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = build(*terms)
    calls = Calls(objective, monkeypatch)
    labels = {"jet_label": torch.arange(16) % 3, "jet_pt": torch.linspace(500, 1000, 16)}
    loss_of(objective, replace(batch(), labels=labels))
    assert calls.count == passes


def test_the_total_is_the_weighted_sum_of_the_parts() -> None:
    weights = (1.0, 0.5, 2.0, 3.0, 0.25)
    objective = build(*({**term, "weight": weight} for term, weight in zip(ALL, weights, strict=True)))
    loss = loss_of(objective, batch())
    terms = (
        ("supervised.cross_entropy",),
        ("flow_matching.velocity", "flow_matching.multiplicity", "flow_matching.jet"),
        ("masked.regression",),
        ("supervised_2.cross_entropy",),
        ("supervised_3.cross_entropy",),
    )
    expected = sum(
        weight * sum(number(loss, name) for name in names if name in loss.terms)
        for names, weight in zip(terms, weights, strict=True)
    )
    assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-5)
    assert {"supervised.accuracy", "flow_matching.velocity", "flow_matching.multiplicity"} <= set(loss.terms)


def test_a_sum_of_one_term_is_that_term() -> None:
    alone = construct(resolve_component(OBJECTIVES, "supervised", where="test"), SCHEMA, TINY).eval()
    summed = build({"name": "supervised"}).eval()
    assert float(loss_of(summed, batch()).total.detach()) == pytest.approx(
        float(loss_of(alone, batch()).total.detach()), rel=1e-6
    )


def test_gradients_add_up() -> None:
    both, first, second = build(*ALL[:2]), build(ALL[0]), build(ALL[1])
    states = both.network.state_dict()
    for part in (first, second):
        part.network.load_state_dict({**part.network.state_dict(), **_common(states, part)})
    found = _gradient(both.eval())
    torch.testing.assert_close(
        found, _gradient(first.eval()) + _gradient(second.eval()), rtol=1e-4, atol=1e-6
    )


def _common(states: dict[str, Tensor], part: Learner) -> dict[str, Tensor]:
    return {name: value for name, value in states.items() if name in part.network.state_dict()}


def _gradient(objective: Learner) -> Tensor:
    loss_of(objective, batch()).total.backward()
    weight = objective.network.backbone.get_parameter("embedding.0.weight")
    assert weight.grad is not None
    return weight.grad


def test_a_term_on_noised_rows_is_the_cross_entropy_times_the_weight_of_the_view() -> None:
    objective = build(ALL[1], ALL[3]).eval()
    views = objective.views(batch(), draws())
    view = views["noised"]
    features = objective.network.features(view.batch, time_B=view.time_B)
    scores = objective.network.heads["jet_label"](features, view.batch.mask_BN).log_softmax(-1).detach()
    assert view.time_B is not None
    expected = ((1 - view.time_B) ** 2 * -scores[torch.arange(16), torch.arange(16) % 3]).mean()
    found = number(loss_of(objective, batch()), "supervised.cross_entropy")
    assert found == pytest.approx(float(expected), rel=1e-4)


def test_a_term_on_noised_rows_shares_the_head_of_the_clean_one_wherever_it_stands() -> None:
    head = {"name": "classify", "dropout": 0.25}
    objective = build(ALL[3], {"name": "supervised", "head": head}, ALL[1])
    assert list(objective.network.heads) == ["jet_label"]
    assert objective.network.head_specs["jet_label"].head.config.model_dump()["dropout"] == 0.25


def test_no_objective_holds_a_network() -> None:
    """It would be saved once more for each, and a copy could be trained in place of the network."""
    objective = build(*ALL)
    assert not [module for module in objective.objective.modules() if isinstance(module, Network)]
    assert len({id(weight) for weight in objective.parameters()}) == len(list(objective.named_parameters()))


def test_what_terms_need_is_needed_once() -> None:
    needed = build(*ALL, {"name": "supervised", "label": "jet_pt"}).requirements
    assert needed.labels == ("jet_label", "jet_pt")
    assert list(needed.heads) == ["jet_label", "jet_pt"]
    assert needed.views == {"clean", "noised", "masked"}
    assert needed.backbone == {"prefix"}
    assert needed.generator is not None


def test_a_term_on_noised_rows_is_refused_alone_before_anything_is_built() -> None:
    component = resolve_component(OBJECTIVES, {"name": "supervised", "view": "noised"}, where="test")
    backbone = resolve_component(BACKBONES, TINY, where="test")
    with pytest.raises(IncompatibleError, match=r"cannot train alone; use \{name: weighted_sum"):
        check_compatible(component, backbone, SCHEMA)


def test_a_term_on_masked_rows_can_be_a_regression() -> None:
    config = SupervisedConfig(view="masked", label="jet_pt")
    assert Supervised.requirements(config, SCHEMA).reads == "masked"
    objective = build(ALL[2], {"name": "supervised", "view": "masked", "label": "jet_pt"}).eval()
    labels = {"jet_pt": torch.linspace(500, 1000, 16)}
    whole = number(loss_of(objective, replace(batch(), labels=labels)), "supervised.huber")
    view = objective.views(replace(batch(), labels=labels), draws())["masked"]
    output = apply(objective.network, replace(view, weight_B=None))
    alone = objective.objective.get_submodule("terms.supervised").loss(  # type: ignore[operator]
        objective.network, {"masked": output}, draws()
    )
    assert whole == pytest.approx(0.6 * float(alone.total.detach()), rel=1e-5)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([], "terms"),
        ([{"name": "supervised", "weight": 0}], r"terms\.0.*weight: expected a number above 0, got 0"),
        ([{"name": "supervised", "weight": "much"}], "got 'much'"),
        ([{"name": "supervised", "weight": True}], "got True"),
        ([{"name": "superviced"}], "did you mean 'supervised'"),
        ([{"weight": 1.0}], "its options with its name"),
        ([{"name": "weighted_sum", "terms": [{"name": "supervised"}]}], "cannot be a term of a sum"),
        ([{"name": "masked"}, {"name": "masked", "fraction": 0.2}], "two terms make the view 'masked'"),
        ([{"name": "supervised", "view": "noised"}], "no term makes it.*none"),
        (
            [{"name": "supervised", "view": "noised"}, {"name": "masked"}],
            "no term makes it; views of these terms: masked",
        ),
    ],
)
def test_sums_that_make_no_sense_are_refused(terms: list[dict[str, Any]], message: str) -> None:
    with pytest.raises((ConfigError, IncompatibleError), match=message):
        build(*terms)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        build({"name": "masked", "fraction": 2}, {"name": "supervised", "weight": -1, "smoothing": 1})
    for part in ("fraction", "terms.1", "weight"):
        assert part in str(error.value)


def test_a_backbone_that_a_term_cannot_use_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="supports 'prefix', and this one does not"):
        check_compatible(
            resolve_component(OBJECTIVES, {"name": "weighted_sum", "terms": list(ALL[:2])}, where="test"),
            resolve_component(BACKBONES, "particle_transformer", where="test"),
            SCHEMA,
        )


def test_prepare_and_after_step_reach_every_term(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = build(*ALL[:3])
    reached = []
    assert isinstance(objective.objective, WeightedSum)
    for label, term in objective.objective.each():
        monkeypatch.setattr(term, "prepare", lambda network, batches, label=label: reached.append(label))
        monkeypatch.setattr(
            term,
            "after_step",
            lambda network, step, num_steps, label=label: reached.append((label, step, num_steps)),
        )
    objective.prepare([batch()])
    objective.objective.after_step(objective.network, 3, 10)
    names = ["supervised", "flow_matching", "masked"]
    assert reached == [*names, *((name, 3, 10) for name in names)]
