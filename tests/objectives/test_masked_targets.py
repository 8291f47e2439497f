"""Targets of masked modelling against closed forms and numerical integrals."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from builders import loss_of, number
from hidden_rows import CONTINUOUS, PETFULL, TINY, asked, build, jets, masked, target_of
from torch import Tensor

from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, HepfmError, IncompatibleError, MissingExtraError
from hepfm.data import feature_set
from hepfm.data.feature_names import DISPLACEMENT, FLAGS
from hepfm.networks.specs import TokenizerSpec
from hepfm.objectives.masked import MASKED
from hepfm.objectives.masked_targets.base import Hidden, Shown, existing
from hepfm.objectives.masked_targets.identity import TYPES, ParticleTypeReader
from hepfm.testing.objective_steps import DRAWS
from hepfm.testing.objectives import check_objective
from hepfm.tokenizers import TOKENIZERS

SMALL_FLOW = {"name": "spline_flow", "transforms": 2, "hidden_width": 8, "context_width": 4, "bins": 4}
NEUTRAL = [PETFULL.names.index(name) for name in DISPLACEMENT]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def is_neutral(hidden: Hidden) -> Tensor:
    return hidden.mask_BM & (hidden.features_BMF[..., PETFULL.names.index("charge")] == 0)


# What several targets share


@pytest.mark.parametrize("hide", ["removed", "placeholder"])
def test_a_target_that_reads_no_vectors_keeps_its_contract_without_a_decoder(hide: str) -> None:
    target = {"name": "set_flow_matching", "features": CONTINUOUS, "num_blocks": 2}
    assert masked(build(targets=[target], hide=hide)).decoder is None
    check_objective({"name": "masked", "targets": [target], "hide": hide}, backbones=["transformer"])


def test_each_target_is_a_term_by_its_name_and_the_total_is_weighted() -> None:
    learner = build(targets=[{"name": "identity", "weight": 0.3}, "regression"]).eval()
    loss = loss_of(learner, jets())
    assert loss.terms.keys() == {"identity", "regression"}
    expected = 0.3 * number(loss, "identity") + number(loss, "regression")
    assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-6)


def test_targets_do_not_disturb_each_other() -> None:
    alone, both = (build(targets=names).eval() for names in (["regression"], ["regression", "flow_matching"]))
    both.load_state_dict(alone.state_dict(), strict=False)
    assert number(loss_of(alone, jets()), "regression") == number(loss_of(both, jets()), "regression")


@pytest.mark.parametrize(
    ("features", "options", "message"),
    [
        ("petfull", {"targets": ["regression", "regression"]}, "'regression' is there twice"),
        ("petfull", {"targets": []}, "targets"),
        ("petfull", {"targets": [{"name": "identity", "weight": 0}]}, "above 0, got 0"),
        ("petfull", {"targets": [{"weight": 2}]}, "name of a masked_target"),
        (
            "pet",
            {"targets": ["identity"]},
            "'identity' asks for particle types.*kinpid, full, petpid, petfull",
        ),
        ("pet", {"targets": ["set_flow_matching"]}, "'set_flow_matching' asks for particle types"),
        ("petpid", {"targets": [{"name": "spline_flow", "features": ["tanh_d0"]}]}, "has no 'tanh_d0'"),
        ("petfull", {"targets": [{"name": "set_flow_matching", "num_heads": 5}]}, "not a multiple"),
        ("petfull", {"targets": ["codes"]}, "no tokenizer"),
        ("petfull", {"hide": "masked"}, "masked_hiding"),
    ],
)
def test_what_cannot_be_asked_is_refused(features: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, IncompatibleError), match=message):
        build(features=feature_set(features), **options)


def test_a_set_without_a_group_is_refused_like_one_that_never_had_it() -> None:
    with pytest.raises(IncompatibleError, match="asks for particle types"):
        build(features=PETFULL.without(["identity"]), targets=["identity"])
    target = {"name": "regression", "features": ["d0_error"]}
    with pytest.raises(ConfigError, match="has no 'd0_error'"):
        build(features=PETFULL.without(["displacement"]), targets=[target])


# Features that a constituent does not have


def test_neutral_constituents_have_no_impact_parameters() -> None:
    batch = jets()
    exists = existing(batch.features_BNF, PETFULL)
    charged = batch.features_BNF[..., PETFULL.names.index("charge")] != 0
    for k, name in enumerate(PETFULL.names):
        assert torch.equal(exists[..., k], charged if name in DISPLACEMENT else torch.ones_like(charged))
    assert existing(batch.features_BNF, PETFULL.without(["identity"])).all()
    assert feature_set("petfull").conditional == dict.fromkeys(DISPLACEMENT, "charge")
    assert not feature_set("petpid").conditional


CONTINUOUS_TARGETS: list[dict[str, Any]] = [
    {"name": "regression"},
    {**SMALL_FLOW, "noise": 0.5},
    {"name": "flow_matching"},
    {"name": "set_flow_matching", "num_blocks": 1},
]


@pytest.mark.parametrize("target", CONTINUOUS_TARGETS, ids=lambda target: target["name"])
def test_what_stands_for_missing_features_is_not_asked_for(target: dict[str, Any]) -> None:
    learner = build(targets=[{**target, "features": CONTINUOUS}]).eval()
    batch = jets()
    _, _, hidden, shown = asked(learner, batch)
    instance, neutral = target_of(learner, target["name"]), is_neutral(hidden)
    assert 20 < neutral.sum() < hidden.mask_BM.sum() - 20
    loss = instance.loss(hidden, shown)
    charged_BN = batch.features_BNF[..., PETFULL.names.index("charge")] != 0
    for which_BN in (charged_BN, ~charged_BN):
        junk = batch.features_BNF.clone()
        junk[which_BN] += 0.7 * torch.isin(torch.arange(len(PETFULL)), torch.tensor(NEUTRAL))
        other = Hidden.of(learner.views(replace(batch, features_BNF=junk), DRAWS)[MASKED].extra)
        assert torch.equal(instance.loss(other, shown), loss) is (which_BN is not charged_BN)


@pytest.mark.parametrize("target", CONTINUOUS_TARGETS[:3], ids=lambda target: target["name"])
def test_constituents_without_any_of_the_features_do_not_count(target: dict[str, Any]) -> None:
    learner = build(targets=[{**target, "features": ["tanh_d0", "d0_error"]}]).eval()
    _, _, hidden, shown = asked(learner, jets())
    instance = target_of(learner, target["name"])
    counted = instance.asked(hidden)
    assert torch.equal(counted, hidden.mask_BM & ~is_neutral(hidden))
    per_row = torch.where(counted, instance.loss(hidden, shown), 0.0).sum(1) / counted.sum(1).clamp(min=1)
    expected = per_row[counted.any(1)].mean().detach()
    assert number(loss_of(learner, jets()), target["name"]) == pytest.approx(float(expected), rel=1e-5)


def test_regression_is_the_mean_over_the_features_that_a_constituent_has() -> None:
    learner = build(targets=[{"name": "regression", "features": CONTINUOUS}]).eval()
    _, _, hidden, shown = asked(learner, jets())
    instance = target_of(learner, "regression")
    error = (instance.linear(shown.vectors) - hidden.x_BMF[..., instance.columns]).abs()
    neutral = is_neutral(hidden)[..., None]
    expected = torch.where(neutral[..., 0], error[..., :3].mean(-1), error.mean(-1))
    found, real = instance.loss(hidden, shown), hidden.mask_BM
    torch.testing.assert_close(found[real], expected[real])


def test_noise_for_missing_features_is_shown_and_asked_for_and_normal() -> None:
    learner = build(
        targets=[{"name": "regression", "features": CONTINUOUS}], noise_for_missing_features=True
    ).eval()
    batch = jets(rows=200)
    view = learner.views(batch, DRAWS)[MASKED]
    hidden, standardize = Hidden.of(view.extra), learner.network.standardize
    assert hidden.exists_BMF[hidden.mask_BM].all()
    drawn = hidden.x_BMF[is_neutral(hidden)][:, NEUTRAL].flatten()
    seen = standardize(view.batch.features_BNF, view.batch.mask_BN)
    neutral = view.batch.mask_BN & (view.batch.features_BNF[..., PETFULL.names.index("charge")] == 0)
    for values in (drawn, seen[neutral][:, NEUTRAL].flatten()):
        assert len(values) > 2000
        assert abs(float(values.mean())) < 0.08
        assert float(values.std()) == pytest.approx(1.0, abs=0.05)
    plain = build(targets=[{"name": "regression", "features": CONTINUOUS}]).views(batch, DRAWS)[MASKED]
    charged = view.batch.mask_BN & ~neutral
    assert torch.equal(view.batch.features_BNF[charged], plain.batch.features_BNF[charged])


def test_kmeans_codes_do_not_depend_on_what_stands_for_missing_features() -> None:
    learner = build(targets=[{"name": "kmeans", "codes": 16, "features": CONTINUOUS}])
    batch = jets()
    junk = batch.features_BNF.clone()
    neutral = batch.mask_BN & (junk[..., PETFULL.names.index("charge")] == 0)
    junk[neutral] += 9.0 * torch.isin(torch.arange(len(PETFULL)), torch.tensor(NEUTRAL))
    codes, centroids = [], []
    for rows in (batch, replace(batch, features_BNF=junk)):
        learner.prepare([rows])
        instance = target_of(learner, "kmeans")
        centroids.append(instance.centroids_CK.clone())
        codes.append(instance.assign(Hidden.of(learner.views(rows, DRAWS)[MASKED].extra).x_BMF))
    assert torch.equal(centroids[0], centroids[1])
    assert torch.equal(codes[0], codes[1])


# Identity and codes


def test_types_are_told_by_flag_and_sign_of_the_charge() -> None:
    charges = {
        "charged_hadron": (-1, 1),
        "neutral_hadron": (0,),
        "photon": (0,),
        "electron": (-1, 1),
        "muon": (-1, 1),
    }
    rows = [(flag, charge) for flag, signs in charges.items() for charge in signs] + [("", 0), ("", 1)]
    features = torch.zeros(len(rows), len(PETFULL))
    for row, (flag, charge) in enumerate(rows):
        features[row, PETFULL.names.index("charge")] = charge
        if flag:
            features[row, PETFULL.names.index(f"is_{flag}")] = 1.0
    numbers = ParticleTypeReader(PETFULL, asking="test").numbers(features).tolist()
    assert numbers == [*range(9), 8]
    assert len(TYPES) == 9
    assert len(FLAGS) == 5


def test_identity_is_a_smoothed_cross_entropy() -> None:
    learner = build(targets=["identity"]).eval()
    _, _, hidden, shown = asked(learner, jets())
    instance = target_of(learner, "identity")
    log_p = instance.linear(shown.vectors).log_softmax(-1)
    true = instance.types.numbers(hidden.features_BMF)
    expected = -0.9 * log_p.gather(-1, true[..., None])[..., 0] - 0.1 * log_p.mean(-1)
    torch.testing.assert_close(instance.loss(hidden, shown), expected)


def test_codes_are_those_of_the_whole_row() -> None:
    tokenizer = resolve_component(TOKENIZERS, {"name": "kmeans", "codes": 16}, where="test")
    learner = build(targets=["codes"], tokenizer=TokenizerSpec(tokenizer))
    batch, network = jets(), learner.network
    assert network.tokenizer is not None
    network.tokenizer.fit([(network.standardize(batch.features_BNF, batch.mask_BN), batch.mask_BN)])
    hidden = Hidden.of(learner.views(batch, DRAWS)[MASKED].extra)
    assert hidden.codes_BM is not None
    nearest = network.tokenizer.encode(
        network.standardize(hidden.features_BMF, hidden.mask_BM), hidden.mask_BM
    )
    assert torch.equal(hidden.codes_BM[hidden.mask_BM], nearest[hidden.mask_BM])
    assert len(hidden.codes_BM[hidden.mask_BM].unique()) > 8


# Spline flow


def spline_flow(features: list[str], **options: Any) -> Any:
    learner = build(targets=[{**SMALL_FLOW, "noise": 0.0, "features": features, **options}])
    instance = target_of(learner, "spline_flow").double()
    with torch.no_grad():  # far from the identity, with which splines start
        for weight in instance.parameters():
            weight.add_(0.5 * torch.randn(weight.shape, generator=generator(3)).double())
    return instance.requires_grad_(False)


def test_the_density_of_a_spline_flow_integrates_to_one() -> None:
    instance = spline_flow(["deta", "dphi"])
    edge = torch.linspace(-9, 9, 401).double()
    middle = (edge[1:] + edge[:-1]) / 2
    x = torch.cartesian_prod(middle, middle)[None]
    context = torch.randn(1, 1, 4, generator=generator(1)).double().expand(-1, x.shape[1], -1)
    density = (-instance.nll(x, torch.ones_like(x, dtype=torch.bool), context)).exp()
    assert float(density.sum() * (edge[1] - edge[0]) ** 2) == pytest.approx(1.0, abs=2e-3)
    assert float(density.max() / density.min().clamp(min=1e-30)) > 100


def test_the_likelihood_is_that_of_the_jacobian() -> None:
    instance = spline_flow(["deta", "dphi", "log_pt"])
    context = torch.randn(4, generator=generator(1)).double()
    transform = instance.flows[0](context).transform
    for x in torch.randn(5, 3, generator=generator(2)).double():
        jacobian = torch.autograd.functional.jacobian(transform, x)
        z = transform(x)
        expected = 0.5 * z.square().sum() + 1.5 * math.log(2 * math.pi) - jacobian.det().abs().log()
        found = instance.nll(x[None, None], torch.ones(1, 1, 3, dtype=torch.bool), context[None, None])
        torch.testing.assert_close(found[0, 0], expected)


def test_the_likelihood_of_a_neutral_constituent_is_that_of_its_features_alone() -> None:
    """The density of all features, integrated over those of charged ones alone, is that of the others."""
    instance = spline_flow(["tanh_d0", "deta"])
    context = torch.randn(1, 1, 4, generator=generator(1)).double()
    edge = torch.linspace(-9, 9, 2001).double()
    middle = (edge[1:] + edge[:-1]) / 2
    x = torch.stack([middle, torch.full_like(middle, 0.4)], dim=-1)[None]
    exists = torch.ones_like(x, dtype=torch.bool)
    joint = (-instance.nll(x, exists, context.expand(-1, 2000, -1))).exp()
    exists[..., 0] = False
    alone = (-instance.nll(x[:, :1] * exists[:, :1], exists[:, :1], context)).exp()
    assert float(joint.sum() * (edge[1] - edge[0])) == pytest.approx(float(alone), rel=2e-3)


def test_splines_end_at_the_bound() -> None:
    instance = spline_flow(["deta", "dphi"], bound=2.0)
    transform = instance.flows[0](torch.randn(4, generator=generator(1)).double()).transform
    outside, inside = torch.tensor([2.5, -3.0]).double(), torch.tensor([0.5, -1.0]).double()
    torch.testing.assert_close(transform(outside), outside)
    assert (transform(inside) - inside).abs().min() > 0.01


def test_the_spline_flow_works_in_single_precision_under_autocast() -> None:
    learner = build(targets=[{**SMALL_FLOW, "features": CONTINUOUS}]).eval()
    _, _, hidden, shown = asked(learner, jets())
    instance = target_of(learner, "spline_flow")
    plain = instance.loss(hidden, shown)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(instance.loss(hidden, shown), plain)


def test_noise_is_added_to_impact_parameters_alone() -> None:
    quiet, noisy = (
        build(targets=[{**SMALL_FLOW, "features": CONTINUOUS, "noise": noise}]).eval()
        for noise in (0.0, 0.05)
    )
    _, _, hidden, shown = asked(quiet, jets())
    losses = [target_of(learner, "spline_flow").loss(hidden, shown) for learner in (quiet, noisy)]
    changed = losses[0] != losses[1]
    assert torch.equal(changed[hidden.mask_BM], (~is_neutral(hidden))[hidden.mask_BM])
    assert target_of(noisy, "spline_flow").noise_K.tolist() == pytest.approx([0, 0, 0, *[0.05] * 4])


def test_without_zuko_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = builtins.__import__

    def absent(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "zuko":
            raise ModuleNotFoundError("No module named 'zuko'", name="zuko")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"hepfm\[flows\]") as error:
        build(targets=["spline_flow"])
    assert isinstance(error.value, HepfmError)


# Flow matching


@pytest.mark.parametrize("name", ["flow_matching", "set_flow_matching"])
def test_the_network_is_shown_a_straight_line_and_asked_for_its_slope(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the slope, made of what is shown and the time, the loss is zero; with 0 it is that of noise."""
    learner = build(targets=[{"name": name, "features": CONTINUOUS}]).eval()
    _, _, hidden, shown = asked(learner, jets())
    instance = target_of(learner, name)
    x, exists = instance.wanted(hidden)
    times: list[Tensor] = []

    def slope(z: Tensor, time: Tensor, *_: Any) -> Tensor:
        times.append(time)
        spread = time.view(*time.shape, *[1] * (z.ndim - time.ndim))
        return (z - x) / spread

    monkeypatch.setattr(instance, "velocity", slope)
    torch.testing.assert_close(instance.loss(hidden, shown), torch.zeros(x.shape[:2]), atol=1e-6, rtol=0)
    assert times[0].shape == x.shape[: 1 if name == "set_flow_matching" else 2]
    assert times[0].min() > 0
    assert times[0].max() < 1
    monkeypatch.setattr(instance, "velocity", lambda z, *_: torch.zeros_like(z))
    mean_square = instance.loss(hidden, shown)[hidden.mask_BM].mean()
    expected = 1 + (x.square() * exists)[hidden.mask_BM].sum() / exists[hidden.mask_BM].sum()
    assert float(mean_square) == pytest.approx(float(expected), rel=0.2)


def test_constituents_of_a_set_see_each_other_and_those_of_flow_matching_do_not() -> None:
    for name, alone in (("flow_matching", True), ("set_flow_matching", False)):
        learner = build(targets=[{"name": name, "features": CONTINUOUS}]).eval()
        _, _, hidden, shown = asked(learner, jets(lengths=torch.tensor([20]).numpy()))
        instance = target_of(learner, name)
        x = hidden.x_BMF.clone()
        x[0, 0] += 0.5
        first, second = (instance.loss(replace(hidden, x_BMF=rows), shown)[0] for rows in (hidden.x_BMF, x))
        assert first[0] != second[0]
        assert torch.equal(first[1:], second[1:]) is alone


def set_velocity(instance: Any, z: Tensor, mask: Tensor, shown: Shown) -> Tensor:
    velocity: Tensor = instance.velocity(z, torch.tensor([0.3]), mask, shown)
    return velocity


def test_the_set_decoder_knows_no_order_and_reads_what_is_shown_alone() -> None:
    learner = build(
        targets=[{"name": "set_flow_matching", "features": CONTINUOUS}], hide="placeholder"
    ).eval()
    _, _, _hidden, shown = asked(learner, jets(lengths=torch.tensor([20]).numpy()))
    instance = target_of(learner, "set_flow_matching")
    z = torch.randn(1, 6, 16, generator=generator(4))
    mask, order = torch.ones(1, 6, dtype=torch.bool), torch.tensor([3, 0, 5, 1, 2, 4])
    velocity = set_velocity(instance, z, mask, shown)
    torch.testing.assert_close(
        set_velocity(instance, z[:, order], mask, shown), velocity[:, order], rtol=1e-4, atol=1e-5
    )
    noise = torch.randn(shown.tokens_BKD.shape, generator=generator(5))
    for where, same in ((~shown.mask_BK, True), (shown.mask_BK, False)):
        other = replace(shown, tokens_BKD=shown.tokens_BKD + noise * where[..., None])
        assert where.any()
        assert torch.allclose(set_velocity(instance, z, mask, other), velocity, atol=1e-6) is same
    padded = set_velocity(instance, torch.cat([z, z + 1], dim=1), torch.arange(12)[None] < 6, shown)
    torch.testing.assert_close(padded[:, :6], velocity, rtol=1e-4, atol=1e-5)


def test_types_are_ones_and_zeros_of_the_set() -> None:
    learner = build(targets=[{"name": "set_flow_matching", "features": CONTINUOUS}])
    hidden = Hidden.of(learner.views(jets(), DRAWS)[MASKED].extra)
    x, exists = target_of(learner, "set_flow_matching").wanted(hidden)
    assert x.shape[-1] == 7 + len(TYPES)
    assert (x[..., 7:].sum(-1) == 1).all()
    assert exists[..., 7:].all()
    plain = build(
        targets=[{"name": "set_flow_matching", "features": CONTINUOUS, "types": False}], backbone=TINY
    )
    assert target_of(plain, "set_flow_matching").wanted(hidden)[0].shape[-1] == 7
