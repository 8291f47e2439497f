"""Masked modelling: what is hidden, closed forms of the targets, learning against a constant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from builders import draws, loss_of
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans as ExactKMeans
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, DataError
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.base import Output
from hepfm.objectives.masked import MASKED, Masked
from hepfm.objectives.masked_targets.base import Hidden, MaskedTarget
from hepfm.objectives.masked_targets.kmeans import KMeans
from hepfm.train.learner import Learner, make_learner

TINY = {"name": "transformer", "width": 32, "depth": 1, "num_heads": 4, "num_registers": 1}


def build(*, features: str = "pet", **options: Any) -> Learner:
    component = resolve_component(OBJECTIVES, {"name": "masked", **options}, where="test")
    with seeded_init(0, "test"):
        network = build_network(resolve_component(BACKBONES, TINY, where="test"), feature_set(features))
        return make_learner(component, network, jet_schema())


def target_of(learner: Learner) -> MaskedTarget:
    assert isinstance(learner.objective, Masked)
    (target,) = learner.objective.targets.values()
    assert isinstance(target, MaskedTarget)
    return target


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(lengths: list[int]) -> Batch:
    """Rows whose first feature numbers their constituents 1, 2, ..."""
    longest = max(*lengths, 1)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    features = torch.zeros(*mask.shape, 4)
    features[..., 0] = torch.arange(1.0, longest + 1) * 0.01
    p4 = features * 2
    return Batch(features * mask[..., None], mask, torch.arange(len(lengths)), p4 * mask[..., None])


@given(lengths=st.lists(st.integers(0, 25), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_visible_and_removed_make_the_row_and_counts_are_rounded(lengths: list[int], seed: int) -> None:
    objective, batch = build(), numbered(lengths)
    view = objective.views(batch, draws(seed))[MASKED]
    standardize = objective.network.standardize
    for row, length in enumerate(lengths):
        seen = standardize(view.batch.features_BNF, view.batch.mask_BN)[row][view.batch.mask_BN[row]][:, 0]
        gone = view.extra["hidden.x_BMF"][row][view.extra["hidden.mask_BM"][row]][:, 0]
        whole = standardize(batch.features_BNF, batch.mask_BN)[row][batch.mask_BN[row]][:, 0]
        assert torch.equal(torch.cat([seen, gone]).sort().values, whole)
        assert torch.equal(seen.sort().values, seen)
        assert torch.equal(gone.sort().values, gone)
        assert len(gone) == min(round(0.4 * length), max(length - 1, 0))


@pytest.mark.parametrize("fraction", [0.4, 0.75, 0.99])
def test_at_least_one_constituent_stays_of_every_row(fraction: float) -> None:
    lengths = [1, 2, 3, 5, 40]
    view = build(fraction=fraction).views(numbered(lengths), draws())[MASKED]
    removed = [min(round(fraction * length), length - 1) for length in lengths]
    assert view.extra["hidden.mask_BM"].sum(1).tolist() == removed
    assert (view.batch.mask_BN.sum(1) >= 1).all()


def test_momenta_go_with_their_constituents_and_the_weight_is_the_visible_fraction() -> None:
    view = build(fraction=0.3).views(numbered([10, 20]), draws())[MASKED]
    assert view.batch.p4_BN4 is not None
    torch.testing.assert_close(view.batch.p4_BN4, 2 * view.batch.features_BNF)
    torch.testing.assert_close(view.weight_B, torch.full((2,), 0.7))


def test_which_are_removed_is_random_and_even() -> None:
    objective, batch = build(), numbered([10] * 4000)
    removed = objective.views(batch, draws())[MASKED].extra["hidden.x_BMF"][..., 0]
    place = (removed / objective.network.standardize.scale_F[0] / 0.01).round().long().flatten()
    share = np.bincount(place.numpy(), minlength=11)[1:] / 4000
    assert np.abs(share - 0.4).max() < 0.03


def test_the_backbone_sees_nothing_of_what_is_removed() -> None:
    objective, batch = build().eval(), random_batch(feature_set("pet"))
    view = objective.views(batch, draws())[MASKED]
    assert int(view.batch.mask_BN.sum()) + int(view.extra["hidden.mask_BM"].sum()) == int(batch.mask_BN.sum())
    assert view.batch.features_BNF.shape[1] == int(view.batch.mask_BN.sum(1).max())


def test_rows_with_nothing_removed_do_not_count() -> None:
    objective = build().eval()
    alone, both = numbered([10]), numbered([10, 1])
    losses = [float(loss_of(objective, batch).total.detach()) for batch in (alone, both)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert float(loss_of(objective, numbered([1, 0])).total.detach()) == 0.0


def test_regression_is_the_mean_absolute_error_per_row() -> None:
    objective, batch = build(), numbered([10, 20, 2])
    view = objective.views(batch, draws())[MASKED]
    features = objective.network.features(view.batch)
    mask = view.extra["hidden.mask_BM"]
    h_BMW = objective.objective.get_submodule("decoder")(Output(view, features), Hidden.of(view.extra))
    output = target_of(objective).get_submodule("linear")(h_BMW).detach().numpy()
    error = np.abs(output - view.extra["hidden.x_BMF"].numpy()).mean(-1)
    expected = np.mean([error[row][mask[row].numpy()].mean() for row in range(3)])
    assert float(
        objective.objective.loss(objective.network, {MASKED: Output(view, features)}, draws()).total.detach()
    ) == pytest.approx(expected, rel=1e-5)


def test_the_place_in_pt_tells_removed_constituents_apart() -> None:
    objective, batch = build().eval(), numbered([10])
    view = objective.views(batch, draws())[MASKED]
    features = objective.network.features(view.batch)
    decoder = objective.objective.get_submodule("decoder")
    output = decoder(Output(view, features), Hidden.of(view.extra))
    assert not torch.allclose(output[0, 0], output[0, 1])


def correlated(rows: int, *, shuffled: bool = False) -> Batch:
    """All constituents of a row lie at the row's own place; the control breaks up the rows."""
    draw = generator(11)
    place = torch.randn(rows, 1, 4, generator=draw)
    x = place + 0.1 * torch.randn(rows, 8, 4, generator=draw)
    if shuffled:
        x = x.flatten(0, 1)[torch.randperm(rows * 8, generator=draw)].view(rows, 8, 4)
    mask = torch.ones(rows, 8, dtype=torch.bool)
    return Batch(build().network.standardize.inverse(x, mask), mask, torch.arange(rows))


@pytest.mark.parametrize(
    ("target", "hide"),
    [
        ("regression", "removed"),
        ({"name": "kmeans", "codes": 32, "label_smoothing": 0.0}, "placeholder"),
    ],
    ids=("regression", "kmeans"),
)
def test_learning_beats_what_knows_nothing_of_the_row_and_its_control_does_not(
    target: Any, hide: str
) -> None:
    gains = {shuffled: gain(target, hide, correlated(1024, shuffled=shuffled)) for shuffled in (False, True)}
    assert gains[False] > 0.3
    assert gains[True] < 0.05


def gain(target: Any, hide: str, data: Batch) -> float:
    """Share by which the loss on rows held out lies below that of the best constant prediction."""
    objective = build(targets=[target], hide=hide)
    train, test = rows_of(data, slice(0, 896)), rows_of(data, slice(896, None))
    objective.prepare([train])
    optimizer = torch.optim.Adam(objective.parameters(), 3e-3)
    draw = generator(3)
    for step in range(120):
        index = torch.randint(0, 896, (64,), generator=draw)
        optimizer.zero_grad()
        loss_of(objective, rows_of(train, index), seed=step).total.backward()
        optimizer.step()
    with torch.no_grad():
        found = float(loss_of(objective.eval(), test).total)
    return 1 - found / constant(objective, train, test)


def constant(objective: Learner, train: Batch, test: Batch) -> float:
    """Loss of the median of each feature, or of the frequencies of the codes."""
    x, held = (objective.network.standardize(part.features_BNF, part.mask_BN) for part in (train, test))
    if isinstance(target_of(objective), KMeans):
        codes, true = (target_of(objective).assign(part).flatten() for part in (x, held))
        share = (torch.bincount(codes, minlength=32) + 1).float() / (len(codes) + 32)
        return float(-share.log()[true].mean())
    return float((held - x.flatten(0, 1).median(0).values).abs().mean())


def rows_of(batch: Batch, index: slice | Tensor) -> Batch:
    return Batch(batch.features_BNF[index], batch.mask_BN[index], batch.rows_B[index])


def test_codes_are_those_of_the_nearest_centroid_and_centroids_those_of_an_exact_fit() -> None:
    draw = generator(0)
    centre = torch.tensor([[0.0, 0, 0, 0], [4, 0, 0, 0], [0, 4, 0, 0], [0, 0, 4, 0], [0, 0, 0, 4]])
    points = centre.repeat(200, 1) + 0.1 * torch.randn(1000, 4, generator=draw)
    objective = build(targets=[{"name": "kmeans", "codes": 5, "seed": 3}])
    target = target_of(objective)
    assert isinstance(target, KMeans)
    target.fit([points])
    code = target.assign(points)
    distance = torch.cdist(points, target.centroids_CK)
    assert torch.equal(code, distance.argmin(-1))
    exact = ExactKMeans(5, n_init=10, random_state=0).fit(points.numpy())
    assert float(distance.amin(-1).square().sum()) < 1.2 * exact.inertia_


def test_scale_of_a_feature_changes_which_centroid_is_near() -> None:
    learner = build(targets=[{"name": "kmeans", "codes": 2, "scale": {"deta": 1e-3}}])
    target = target_of(learner)
    assert isinstance(target, KMeans)
    target.centroids_CK.copy_(torch.tensor([[0.0, 0, 0, 0], [0, 1, 0, 0]]))
    target.fitted.fill_(True)
    assert target.assign(torch.tensor([[90.0, 0.9, 0, 0], [90.0, 0.1, 0, 0]])).tolist() == [1, 0]


def test_more_codes_than_constituents_are_refused() -> None:
    objective = build(targets=["kmeans"])
    with pytest.raises(DataError, match=r"codebook larger than the data: .*codes=8192.* 30 different"):
        objective.prepare([numbered([30])])


def test_a_loss_before_the_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="fit the centroids"):
        loss_of(build(targets=[{"name": "kmeans", "codes": 4}]), numbered([10]))


def test_centroids_are_part_of_the_checkpoint() -> None:
    first, second = (build(targets=[{"name": "kmeans", "codes": 4}]) for _ in range(2))
    first.prepare([random_batch(feature_set("pet"))])
    second.load_state_dict(first.state_dict())
    batch = numbered([10])
    assert float(loss_of(first, batch).total.detach()) == float(loss_of(second, batch).total.detach())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 1.0}, "fraction"),
        ({"fraction": 0.0}, "fraction"),
        ({"targets": ["regresion"]}, "did you mean 'regression'"),
        ({"targets": [{"name": "regression", "features": ["log_ptt"]}]}, "did you mean 'log_pt'"),
        ({"targets": [{"name": "regression", "features": []}]}, "features"),
        ({"targets": [{"name": "kmeans", "codes": 1}]}, "codes"),
        ({"targets": [{"name": "kmeans", "scale": {"charge": 2.0}}]}, "charge, not among the features"),
        ({"targets": [{"name": "kmeans", "scale": {"deta": 0.0}}]}, "scale"),
        ({"hide": {"decoder_width": 30}}, "decoder_heads=4 does not divide"),
    ],
)
def test_what_cannot_be_used_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**options)


def test_weights_count_rows() -> None:
    objective, batch = build().eval(), numbered([10, 12])
    losses = [
        float(loss_of(objective, replace(batch, weights_B=torch.tensor(weights))).total.detach())
        for weights in ([1.0, 0.0], [0.0, 1.0], [3.0, 1.0])
    ]
    assert losses[2] == pytest.approx((3 * losses[0] + losses[1]) / 4, rel=1e-5)
