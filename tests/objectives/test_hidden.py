"""Law: what a view hides is hidden everywhere, in features, four-momenta, context and codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from builders import draws
from objective_pairs import TOKENIZER
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.draws import RowDraws
from hepfm.core.errors import IncompatibleError
from hepfm.data import context_set, feature_set
from hepfm.data.features import FeatureSet
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.specs import TokenizerSpec
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.base import View, apply
from hepfm.testing.objective_steps import FEATURES, SCHEMA
from hepfm.testing.objectives import smallest
from hepfm.train.learner import Learner, make_learner

TRAINED = [name for name in BACKBONES if BACKBONES.load(name).encodes]
CONDITIONED = [name for name in TRAINED if "prefix" in BACKBONES.load(name).supports]

HIDING = {
    "masked": {"name": "masked"},
    "placeholder": {"name": "masked", "hide": "placeholder"},
    "masked_particles": {"name": "self_distillation", "augmentations": [], "masked": {}},
    "lejepa": {"name": "lejepa"},
    # In one piece of the plane, which tokens are hidden depends on where the hidden ones are.
    "jepa": {"name": "jepa", "masks": {"order": "random"}},
}
"""Objectives whose views leave constituents out."""


def construct(
    name: str, backbone: str, *, context: str | None, inputs: str, features: FeatureSet = FEATURES
) -> Learner:
    component = resolve_component(OBJECTIVES, HIDING.get(name, {"name": name}), where="test")
    with seeded_init(0, "test"):
        network = build_network(
            smallest(backbone),
            features,
            context=context_set(context) if context else None,
            tokenizer=None if inputs == "features" else TokenizerSpec(TOKENIZER, inputs),  # type: ignore[arg-type]
        )
        built = make_learner(component, network, SCHEMA)
    if network.tokenizer is not None:
        batch = random_batch(features)
        network.tokenizer.fit([(network.standardize(batch.features_BNF, batch.mask_BN), batch.mask_BN)])
        built.objective.prepare(network, [batch])  # a teacher is a copy
    return built.eval()


def cases() -> Iterator[tuple[str, str, str | None, str]]:
    for name in HIDING:
        for backbone in TRAINED:
            if (
                name in ("placeholder", "masked_particles")
                and "placeholder" not in BACKBONES.load(backbone).supports
            ):
                continue
            for context in (None, *(["jet"] if backbone in CONDITIONED else [])):
                codes = ["codes"] if "codes" in BACKBONES.load(backbone).supports else []
                for inputs in ("features", "decoded", *codes):
                    yield name, backbone, context, inputs


CASES = list(cases())


@pytest.mark.parametrize(("name", "backbone", "context", "inputs"), CASES)
def test_constituents_that_are_left_out_change_nothing(
    name: str, backbone: str, context: str | None, inputs: str
) -> None:
    objective = construct(name, backbone, context=context, inputs=inputs)
    batch = random_batch(FEATURES, context=context_set(context) if context else None)
    for kind, view in objective.views(batch, draws()).items():
        hidden_BN = batch.mask_BN & ~shown_by(view, batch)
        assert hidden_BN.sum(1)[batch.mask_BN.sum(1) > 5].min() > 0
        other = objective.views(changed(batch, hidden_BN), draws())[kind]
        assert torch.equal(seen(objective, view), seen(objective, other))
        visible = objective.views(changed(batch, batch.mask_BN & ~hidden_BN), draws())[kind]
        assert not torch.allclose(seen(objective, view), seen(objective, visible), atol=1e-3)


@pytest.mark.parametrize("name", HIDING)
def test_momenta_relative_to_the_row_are_relative_to_what_is_left(name: str) -> None:
    kin = feature_set("kin")
    objective, batch = (
        construct(name, "transformer", context=None, inputs="features", features=kin),
        momenta(kin),
    )
    for kind, view in objective.views(batch, draws()).items():
        hidden_BN = batch.mask_BN & ~shown_by(view, batch)
        other = objective.views(changed(batch, hidden_BN), draws())[kind]
        assert torch.equal(seen(objective, view), seen(objective, other))
        pt_B = view.batch.p4_BN4[..., 1:3].sum(1).norm(dim=-1)  # type: ignore[index]
        log_pt_BN, relative_BN = (
            view.batch.features_BNF[..., kin.names.index(n)] for n in ("log_pt", "log_pt_rel")
        )
        shown_BN = view.batch.p4_BN4[..., 0] > 0  # type: ignore[index]
        torch.testing.assert_close(relative_BN, (log_pt_BN - pt_B.log()[:, None]) * shown_BN)


@pytest.mark.parametrize(
    "backbone", [name for name in BACKBONES if "prefix" in BACKBONES.load(name).supports]
)
def test_of_a_row_that_is_all_noise_only_number_time_and_context_are_seen(
    backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = construct("flow_matching", backbone, context="jet", inputs="features")
    batch = random_batch(FEATURES, context=context_set("jet"))
    monkeypatch.setattr(RowDraws, "uniform", lambda self, name, *shape: torch.ones(len(self.rows_B), *shape))
    view = objective.views(batch, draws())["noised"]
    changed_batch = replace(changed(batch, batch.mask_BN), context_BC=batch.context_BC)
    other = objective.views(changed_batch, draws())["noised"]
    torch.testing.assert_close(seen(objective, view), seen(objective, other), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backbone", TRAINED)
def test_a_network_that_reads_decoded_features_sees_nothing_that_the_code_does_not_hold(
    backbone: str,
) -> None:
    objective = construct("supervised", backbone, context=None, inputs="decoded")
    batch = random_batch(FEATURES)
    network = objective.network
    codes_BN = network.encode(batch)
    first, second = (
        apply(network, View(other, codes_BN=codes_BN)).features.tokens_BND
        for other in (batch, changed(batch, batch.mask_BN))
    )
    assert torch.equal(first, second)


def test_a_noised_row_with_its_context_is_not_classified_unless_that_is_asked_for() -> None:
    terms = [{"name": "flow_matching"}, {"name": "supervised", "view": "noised"}]
    component = resolve_component(OBJECTIVES, {"name": "weighted_sum", "terms": terms}, where="test")
    network = build_network(smallest("transformer"), FEATURES, context=context_set("jet"))
    with pytest.raises(IncompatibleError, match=r"log_jet_pt, .* set data\.context=null, or context=true"):
        make_learner(component, network, SCHEMA)


def momenta(features: FeatureSet) -> Batch:
    """Rows whose features agree with their momenta."""
    batch = random_batch(features)
    assert batch.p4_BN4 is not None
    values = batch.features_BNF.clone()
    pt_BN = torch.hypot(batch.p4_BN4[..., 1], batch.p4_BN4[..., 2]).clamp(min=1e-8)
    values[..., features.names.index("log_pt")] = pt_BN.log() * batch.mask_BN
    return replace(batch, features_BNF=values)


def seen(objective: Learner, view: View) -> Tensor:
    with torch.no_grad():
        return apply(objective.network, view).features.tokens_BND


def shown_by(view: View, batch: Batch) -> Tensor:
    """Return which constituents of a batch a view has, (B, N), by their momenta."""
    assert batch.p4_BN4 is not None
    assert view.batch.p4_BN4 is not None
    # Placeholders have no momentum, and real constituents have one.
    same_BNM = (batch.p4_BN4[:, :, None] == view.batch.p4_BN4[:, None]).all(-1)
    return (same_BNM & view.batch.mask_BN[:, None]).any(-1)


def changed(batch: Batch, which_BN: Tensor) -> Batch:
    """Return a batch in which some constituents are others, and what is known of the rows with them."""
    assert batch.p4_BN4 is not None
    draw = torch.Generator().manual_seed(5)
    noise = torch.randn(batch.features_BNF.shape, generator=draw) * which_BN[..., None]
    factor = 1 + torch.rand(batch.mask_BN.shape, generator=draw) * which_BN
    context_BC = batch.context_BC
    return replace(
        batch,
        features_BNF=batch.features_BNF + noise,
        p4_BN4=batch.p4_BN4 * factor[..., None],
        context_BC=None if context_BC is None else context_BC + torch.tensor([0.5, 0.1, 0.7, 0.0]),
    )
