"""Hidden constituents behind a placeholder: how many, what of them is seen, and by whom."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from builders import loss_of
from hidden_rows import PETFULL, asked, build, hidden_numbers, jets, masked
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, IncompatibleError
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.base import apply
from hepfm.objectives.compatibility import check_compatible
from hepfm.objectives.masked import MASKED
from hepfm.objectives.masked_hiding.placeholder import PlaceholderHiding
from hepfm.objectives.masked_hiding.removed import RemovedHiding
from hepfm.testing.objective_steps import DRAWS

RANKED = {"name": "ranked_transformer", "width": 16, "depth": 1, "num_heads": 2, "num_ranks": 8}
CAUSAL = {"name": "post_norm_transformer", "width": 16, "depth": 1, "num_heads": 2}
HIDE = ("removed", "placeholder")


def exact_floor(percent: int, count: int) -> int:
    return Fraction(percent, 100) * count // 1


def exact_round(percent: int, count: int) -> int:
    """Halves go to the even number; one constituent stays."""
    return min(round(Fraction(percent, 100) * count), max(count - 1, 0))


@pytest.mark.parametrize(
    ("hiding", "exact"), [(PlaceholderHiding, exact_floor), (RemovedHiding, exact_round)]
)
def test_the_number_hidden_is_that_of_exact_fractions(hiding: Any, exact: Any) -> None:
    counts = list(range(201))
    for percent in range(1, 100):
        number = hiding.count(percent / 100, torch.tensor(counts)).tolist()
        # A half that binary numbers miss by a little may go either way.
        half = [Fraction(percent, 100) * count * 2 % 2 == 1 and exact is exact_round for count in counts]
        wrong = [
            (percent, count)
            for count, found, skip in zip(counts, number, half, strict=True)
            if found != exact(percent, count) and not skip
        ]
        assert not wrong


@pytest.mark.parametrize("hide", HIDE)
def test_rows_of_one_constituent_keep_it_and_padding_is_never_hidden(hide: str) -> None:
    batch = jets(lengths=torch.tensor([1, 2, 40, 1]).numpy())
    for fraction in (0.01, 0.3, 0.99):
        learner = build(hide=hide, fraction=fraction)
        numbers = hidden_numbers(learner, batch)
        assert numbers[0] == numbers[3] == 0
        assert numbers[2] == {0.01: 0, 0.3: 12, 0.99: 39}[fraction]
        view, _, hidden, _ = asked(learner, batch)
        rows = hidden.features_BMF[hidden.mask_BM]
        assert (rows[:, PETFULL.names.index("log_pt")] != 0).all()
        shown = view.batch.mask_BN.sum(1)
        assert (shown + (0 if hide == "placeholder" else hidden.mask_BM.sum(1))).tolist() == [1, 2, 40, 1]


@pytest.mark.parametrize("hide", HIDE)
@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_fractions_of_nothing_and_of_all_are_refused(hide: str, fraction: float) -> None:
    with pytest.raises(ConfigError, match="fraction"):
        build(hide=hide, fraction=fraction)


@pytest.mark.parametrize("hide", HIDE)
def test_a_batch_with_nothing_hidden_has_no_loss_and_a_finite_gradient(hide: str) -> None:
    learner = build(hide=hide, targets=["identity", "regression", "set_flow_matching"])
    loss = loss_of(learner, jets(lengths=torch.tensor([1, 1, 1]).numpy()))
    loss.total.backward()  # type: ignore[no-untyped-call]
    assert float(loss.total.detach()) == 0.0
    assert all(float(term.count) == 0.0 for term in loss.terms.values())
    grads = [weight.grad for weight in learner.parameters() if weight.grad is not None]
    assert grads
    assert all(not grad.any() for grad in grads)


@pytest.mark.parametrize("hide", HIDE)
def test_hidden_beyond_the_ranks_share_the_last(hide: str) -> None:
    learner = build(hide={"name": hide, "num_ranks": 3, "decoder_heads": 2}, fraction=0.5).eval()
    _, _, hidden, shown = asked(learner, jets(lengths=torch.tensor([30]).numpy()))
    same = torch.cdist(shown.vectors[0], shown.vectors[0]) < 1e-6
    assert hidden.mask_BM.sum() == 15
    ranks = torch.arange(15) if hide == "removed" else hidden_ranks(learner)
    groups = ranks.clamp(max=2)
    assert torch.equal(same, groups[:, None] == groups[None])


def hidden_ranks(learner: Any) -> Tensor:
    """Return where the hidden constituents of the one row stand in it."""
    view = learner.views(jets(lengths=torch.tensor([30]).numpy()), DRAWS)[MASKED]
    return view.extra["ranks"][0][view.placeholder.hidden_BN[0]]


@pytest.mark.parametrize("hide", HIDE)
@pytest.mark.parametrize("target", ["identity", "regression", "flow_matching", "set_flow_matching"])
def test_no_gradient_reaches_what_is_hidden_but_through_the_target(hide: str, target: str) -> None:
    learner = build(hide=hide, targets=[target]).eval()
    batch = jets()
    features = batch.features_BNF.clone().requires_grad_()
    view = learner.views(replace(batch, features_BNF=features), DRAWS)[MASKED]
    kept = {name: value.detach() for name, value in view.extra.items()}
    output = apply(learner.network, replace(view, extra=kept))
    learner.objective.loss(learner.network, {MASKED: output}, DRAWS).total.backward()
    reached = features.grad.abs().sum(-1)  # type: ignore[union-attr]
    hidden = hidden_mask(view, batch)
    assert hidden.sum() > 50
    assert reached[hidden].max() == 0
    rows = hidden.any(1)[:, None]
    assert (reached[batch.mask_BN & ~hidden & rows] > 0).all()


def hidden_mask(view: Any, batch: Any) -> Tensor:
    """Return which constituents are hidden, (B, N), by their features."""
    hidden, mask = view.extra["hidden.features_BMF"].detach(), view.extra["hidden.mask_BM"]
    same = (batch.features_BNF[:, :, None] == hidden[:, None]).all(-1) & mask[:, None]
    return same.any(-1) & batch.mask_BN


@pytest.mark.parametrize(
    "backbone", [CAUSAL, {**CAUSAL, "name": "transformer"}], ids=lambda spec: spec["name"]
)
def test_the_encoder_does_not_learn_where_in_pt_hidden_constituents_stand(backbone: dict[str, Any]) -> None:
    learner = build(hide="placeholder", backbone=backbone).eval()
    batch = jets(rows=4, lengths=torch.tensor([10, 10, 10, 10]).numpy())
    hidden = torch.zeros_like(batch.mask_BN)
    hidden[:, 2] = hidden[:, 7] = True
    order = torch.tensor([2, 0, 1, 3, 4, 5, 6, 8, 9, 7])  # the same shown ones, the hidden elsewhere
    moved = replace(batch, features_BNF=batch.features_BNF[:, order], p4_BN4=batch.p4_BN4[:, order])  # type: ignore[index]
    tokens, views = [], []
    for rows, which in ((batch, hidden), (moved, hidden[:, order])):
        views.append(masked(learner).hiding.view(rows, which, learner.network))
        tokens.append(apply(learner.network, views[-1]).features.tokens_BND)
    assert torch.equal(tokens[0], tokens[1])
    assert not torch.equal(views[0].extra["ranks"], views[1].extra["ranks"])


def test_the_encoder_of_mpm_v1_is_permutation_equivariant() -> None:
    learner = build(hide="placeholder").eval()
    batch = jets(rows=4, lengths=torch.tensor([10, 10, 10, 10]).numpy())
    hidden = torch.rand(4, 10, generator=torch.Generator().manual_seed(2)) < 0.3
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    shuffled = replace(batch, features_BNF=batch.features_BNF[:, order], p4_BN4=batch.p4_BN4[:, order])  # type: ignore[index]
    first, second = (
        by_place(learner, rows, which) for rows, which in ((batch, hidden), (shuffled, hidden[:, order]))
    )
    torch.testing.assert_close(first[:, order], second, rtol=1e-5, atol=1e-5)


def by_place(learner: Any, batch: Any, hidden: Tensor) -> Tensor:
    """Return the encoder's vector of each constituent at its place in the row."""
    view = masked(learner).hiding.view(batch, hidden, learner.network)
    tokens = apply(learner.network, view).features.tokens_BND
    return torch.zeros_like(tokens).scatter(1, view.extra["ranks"][..., None].expand_as(tokens), tokens)


def test_the_encoder_of_ordered_inputs_is_told_the_rank_of_each_constituent_hidden_or_not() -> None:
    """It makes of a view, which has placeholders behind, what it would make of the row in its own order."""
    massless = feature_set("massless")
    regression = {"name": "regression", "features": ["log_pt"]}
    learner = build(hide="placeholder", backbone=RANKED, features=massless, targets=[regression]).eval()
    batch = jets(rows=4, features=massless, lengths=torch.tensor([10, 7, 10, 3]).numpy())
    hidden = (torch.rand(4, 10, generator=torch.Generator().manual_seed(2)) < 0.4) & batch.mask_BN
    backbone = learner.network.backbone
    x_BNF = learner.network.standardize(batch.features_BNF, batch.mask_BN & ~hidden)
    embedded = backbone.embedding(x_BNF * (batch.mask_BN & ~hidden)[..., None])  # type: ignore[operator]
    with_vectors = torch.where(hidden[..., None], masked(learner).hiding.vector_D, embedded)  # type: ignore[arg-type]
    ranks = backbone.ranks_RD[torch.arange(10).clamp(max=7)]  # type: ignore[index]
    expected = backbone.encode(with_vectors + ranks, batch.mask_BN).tokens_BND
    torch.testing.assert_close(by_place(learner, batch, hidden), expected, rtol=1e-5, atol=1e-5)


def test_the_encoder_of_ordered_inputs_is_not_permutation_equivariant() -> None:
    learner = build(hide="placeholder", backbone=RANKED).eval()
    batch = jets(rows=4, lengths=torch.tensor([8, 8, 8, 8]).numpy())
    hidden = torch.zeros_like(batch.mask_BN)
    hidden[:, [2, 5]] = True
    order = torch.tensor([2, 0, 1, 3, 4, 6, 7, 5])  # the same shown ones, the hidden elsewhere
    moved = replace(batch, features_BNF=batch.features_BNF[:, order], p4_BN4=batch.p4_BN4[:, order])  # type: ignore[index]
    first, second = (
        by_place(learner, rows, which) for rows, which in ((batch, hidden), (moved, hidden[:, order]))
    )
    assert (first[:, order] - second).abs().amax(-1).min() > 1e-4
    placeholders = first[:, [2, 5]]
    assert (placeholders[:, 0] - placeholders[:, 1]).abs().max() > 1e-4


def test_ranks_tell_placeholders_apart_after_the_encoder_and_not_before() -> None:
    learner = build(hide="placeholder", fraction=0.5).eval()
    view, output, hidden, shown = asked(learner, jets(lengths=torch.tensor([12]).numpy()))
    assert view.placeholder is not None
    tokens = output.features.tokens_BND[0][view.placeholder.hidden_BN[0]]
    torch.testing.assert_close(tokens, tokens[:1].expand_as(tokens))
    assert torch.pdist(shown.vectors[0]).min() > 1e-5
    with torch.no_grad():
        learner.objective.get_submodule("decoder.attention").ranks_RW.zero_()  # type: ignore[operator, union-attr]
    blind = masked(learner).decoder(output, hidden)  # type: ignore[misc]
    torch.testing.assert_close(blind[0, :6], blind[0, :1].expand(6, -1), rtol=1e-5, atol=1e-5)


def test_the_encoder_is_told_how_many_are_hidden() -> None:
    learner = build(hide="placeholder").eval()
    batch = jets(rows=1, lengths=torch.tensor([10]).numpy())
    tokens = []
    for places in ([8, 9], [9]):
        which = torch.zeros_like(batch.mask_BN)
        which[:, places] = True
        view = masked(learner).hiding.view(batch, which, learner.network)
        tokens.append(apply(learner.network, view).features.tokens_BND[0, 0])
    assert not torch.allclose(tokens[0], tokens[1], atol=1e-4)


def test_backbones_that_read_more_of_a_constituent_are_refused_with_those_that_fit() -> None:
    objective = resolve_component(OBJECTIVES, {"name": "masked", "hide": "placeholder"}, where="test")
    for name in BACKBONES:
        backbone = resolve_component(BACKBONES, name, where="test")
        if "placeholder" in backbone.cls.supports:
            check_compatible(objective, backbone, jet_schema())
        elif backbone.cls.encodes:
            with pytest.raises(
                IncompatibleError,
                match=r"supports 'placeholder'.*Backbones that fit .* transformer, .*post_norm_transformer;",
            ):
                check_compatible(objective, backbone, jet_schema())


def test_context_and_relative_momenta_are_those_of_the_shown_constituents() -> None:
    kin = feature_set("kin")
    learner = build(
        hide="placeholder", features=kin, targets=[{"name": "regression", "features": ["log_pt"]}]
    )
    view = learner.views(jets(features=kin), DRAWS)[MASKED]
    assert view.placeholder is not None
    assert view.batch.p4_BN4 is not None
    behind = view.placeholder.hidden_BN
    assert behind.any()
    assert not view.batch.features_BNF[behind].any()
    assert not view.batch.p4_BN4[behind].any()
