"""Masked four-vectors of two levels: what is hidden, by whom it is seen, what is asked, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from builders import draws
from event_rows import event_columns, event_table
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.draws import Draws
from hepfm.core.errors import ConfigError, DataError, IncompatibleError
from hepfm.core.ragged import lists
from hepfm.data import context_set, feature_set
from hepfm.data.content import Content
from hepfm.data.pool import RowPool
from hepfm.data.schemas.events import event_schema
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.table import Table
from hepfm.data.whole_rows import check_whole
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.base import View, apply
from hepfm.objectives.hidden_choice import HIDDEN_CHOICE
from hepfm.objectives.hidden_momenta import HIDDEN, four_vectors, level_view
from hepfm.train.learner import Learner, make_learner

TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2, "num_registers": 1}
BUMBLEBEE = feature_set("bumblebee")
NAMES = BUMBLEBEE.names
KINEMATIC = [NAMES.index(name) for name in ("log_pt", "eta", "sin_phi", "cos_phi", "log_mass")]
ALL_GENERATOR = {"name": "levels", "random": 0.0, "generator": 1.0, "reconstructed": 0.0}
SCHEMA = event_schema(("ttbar", "Zjets"), truth=True)


def events(
    rows: int = 40, *, features: str = "bumblebee", context: str | None = None, seed: int = 3
) -> Batch:
    content = Content(feature_set(features), context=context_set(context) if context else None)
    return RowPool(event_table(rows, seed=seed), content, range(rows)).batch(np.arange(rows))


def build(
    *,
    features: str = "bumblebee",
    backbone: dict[str, Any] = TINY,
    context: str | None = None,
    **options: Any,
) -> Learner:
    component = resolve_component(OBJECTIVES, {"name": "masked_momenta", **options}, where="test")
    with seeded_init(0, "test"):
        network = build_network(
            resolve_component(BACKBONES, backbone, where="test"),
            feature_set(features),
            context=context_set(context) if context else None,
        )
        learner = make_learner(component, network, SCHEMA)
    batch = events(features=features)
    x = batch.features_BNF[batch.mask_BN]
    spread = torch.where(x.std(0) > 0, x.std(0), 1.0)
    fitted = torch.tensor(network.feature_set.fitted)
    network.standardize.centre_F.copy_(torch.where(fitted, x.mean(0), 0.0))
    network.standardize.scale_F.copy_(torch.where(fitted, 1 / spread, 1.0))
    return learner.eval()


def view_of(learner: Learner, batch: Batch, seed: int = 1) -> View:
    return learner.views(batch, draws(seed))[HIDDEN]


def hidden_of(view: View, batch: Batch) -> Tensor:
    """Return which constituents of the batch, in its order, the view hides."""
    assert view.placeholder is not None
    return torch.zeros_like(batch.mask_BN).scatter(1, view.placeholder.rank_BN, view.placeholder.hidden_BN)


def flag(batch: Batch, name: str) -> Tensor:
    return batch.features_BNF[..., NAMES.index(f"is_{name}")] == 1


def other_momenta(batch: Batch, which_BN: Tensor) -> Batch:
    """Return the batch with other momenta of some objects; what they are stays."""
    generator = torch.Generator().manual_seed(5)
    noise = torch.zeros_like(batch.features_BNF)
    drawn = torch.randn((*batch.mask_BN.shape, len(KINEMATIC)), generator=generator)
    noise[..., KINEMATIC] = drawn * which_BN[..., None]
    massless = flag(batch, "met") | flag(batch, "neutrino") | flag(batch, "electron") | flag(batch, "muon")
    noise[..., NAMES.index("log_mass")] *= ~massless
    noise[..., NAMES.index("eta")] *= ~flag(batch, "met")
    assert batch.p4_BN4 is not None
    factor = 1 + torch.rand(batch.mask_BN.shape, generator=generator) * which_BN
    changed = replace(batch, features_BNF=batch.features_BNF + noise, p4_BN4=batch.p4_BN4 * factor[..., None])
    return changed if batch.context_BC is None else replace(changed, context_BC=batch.context_BC + 0.5)


def seen(learner: Learner, view: View) -> Tensor:
    with torch.no_grad():
        return apply(learner.network, view).features.tokens_BND


@pytest.mark.parametrize(
    ("backbone", "context"), [(TINY, None), (TINY, "event"), ({"name": "edge_conv", "size": "xs"}, None)]
)
@pytest.mark.parametrize("choose", ["levels", ALL_GENERATOR, "random"])
def test_hidden_momenta_are_hidden_everywhere(backbone: Any, context: str | None, choose: Any) -> None:
    learner = build(backbone=backbone, context=context, choose=choose)
    batch = events(context=context)
    view = view_of(learner, batch)
    hidden_BN = hidden_of(view, batch)
    assert hidden_BN.any()
    other = view_of(learner, other_momenta(batch, hidden_BN))
    assert torch.equal(view.batch.features_BNF, other.batch.features_BNF)
    assert view.batch.p4_BN4 is not None
    assert torch.equal(view.batch.p4_BN4, other.batch.p4_BN4)  # type: ignore[arg-type]
    assert (view.batch.p4_BN4[view.placeholder.hidden_BN] == 0).all()  # type: ignore[union-attr]
    if context:
        assert torch.equal(view.batch.context_BC, other.batch.context_BC)  # type: ignore[arg-type]
    assert torch.equal(seen(learner, view), seen(learner, other))
    visible = view_of(learner, other_momenta(batch, batch.mask_BN & ~hidden_BN))
    assert not torch.allclose(seen(learner, view), seen(learner, visible), atol=1e-3)


def test_what_hidden_objects_are_stays_visible() -> None:
    learner, batch = build(), events()
    view = view_of(learner, batch)
    assert view.placeholder is not None
    rank, hidden_BN = view.placeholder.rank_BN, view.placeholder.hidden_BN
    own = batch.features_BNF.gather(1, rank[..., None].expand_as(batch.features_BNF))
    identity = [k for k in range(len(NAMES)) if k not in KINEMATIC]
    assert torch.equal(view.batch.features_BNF[..., identity], own[..., identity])
    assert not torch.equal(view.batch.features_BNF[hidden_BN][:, KINEMATIC], own[hidden_BN][:, KINEMATIC])
    read = learner.network.standardize(view.batch.features_BNF, view.batch.mask_BN)
    assert (read[hidden_BN][:, KINEMATIC[:1]].abs() < 1e-6).all()
    assert torch.equal(view.batch.mask_BN.sum(1), batch.mask_BN.sum(1))
    # A type that has no mass is shown without one, hidden or not.
    neutrino = view.batch.features_BNF[..., NAMES.index("is_neutrino")] == 1
    assert (hidden_BN & neutrino).any()
    assert (view.batch.features_BNF[neutrino][:, NAMES.index("log_mass")] == 0).all()
    met = view.batch.features_BNF[..., NAMES.index("is_met")] == 1
    assert (view.batch.features_BNF[met][:, NAMES.index("eta")] == 0).all()


def test_which_objects_are_hidden_is_told_and_changes_what_is_made_of_them() -> None:
    learner, batch = build(choose=ALL_GENERATOR), events()
    head: Any = learner.network.heads["object_pt"]
    before = seen(learner, view_of(learner, batch))
    head.vector_D.data += torch.linspace(-1, 1, len(head.vector_D))
    assert not torch.allclose(before, seen(learner, view_of(learner, batch)), atol=1e-3)


def test_the_order_of_hidden_objects_tells_nothing() -> None:
    """Rows stand in falling order of pt: a permuted row has the same answers, permuted."""
    learner, batch = build(choose=ALL_GENERATOR), events()
    count = int(batch.mask_BN.sum(1).min())
    order = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    order = torch.cat([order, torch.arange(count, batch.mask_BN.shape[1])])
    moved = replace(batch, features_BNF=batch.features_BNF[:, order], p4_BN4=batch.p4_BN4[:, order])  # type: ignore[index]
    head: Any = learner.network.heads["object_pt"]
    found = []
    for one in (batch, moved):
        view = level_view(learner.network, head, one)
        with torch.no_grad():
            output = apply(learner.network, view)
            said = head(output.features, view.batch.mask_BN)
        back = torch.zeros_like(said)
        assert view.placeholder is not None
        found.append(back.scatter(1, view.placeholder.rank_BN[..., None].expand_as(said), said))
    torch.testing.assert_close(found[0][:, order], found[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "backbone",
    [
        {"name": "ranked_transformer", "size": "xs"},
        {"name": "post_norm_transformer", "size": "xs"},
        {**TINY, "causal": True},
    ],
)
def test_backbones_that_are_told_the_order_are_refused(backbone: dict[str, Any]) -> None:
    with pytest.raises(IncompatibleError, match=r"falling order of pt.*causal=false"):
        build(backbone=backbone)


def test_the_loss_is_that_of_the_paper() -> None:
    learner, batch = build(choose=ALL_GENERATOR), events()
    head: Any = learner.network.heads["object_pt"]
    head.linear.weight.data.zero_()
    said = torch.tensor([0.3, -0.4, 1.7, 0.8])
    head.linear.bias.data.copy_(said)
    loss = learner(learner.views(batch, draws()), draws()).detached().numbers()
    generator = flag(batch, "generator")
    x = learner.network.standardize(batch.features_BNF, batch.mask_BN)[generator]
    columns = [NAMES.index(name) for name in ("log_pt", "eta", "log_mass")]
    expected = (said[[0, 1, 3]] - x[:, columns]) ** 2
    massive = flag(batch, "bottom")[generator]
    assert loss["log_pt"] == pytest.approx(float(expected[:, 0].mean()), rel=1e-5)
    assert loss["eta"] == pytest.approx(float(expected[:, 1].mean()), rel=1e-5)
    assert loss["log_mass"] == pytest.approx(float(expected[massive, 2].mean()), rel=1e-5)
    phi = torch.atan2(*(batch.features_BNF[generator][:, NAMES.index(f"{f}_phi")] for f in ("sin", "cos")))
    azimuth = 2 - 2 * torch.cos(phi - 2 * np.arctan(1.7))
    assert loss["phi"] == pytest.approx(float(azimuth.mean()), rel=1e-5)
    assert loss["loss"] == pytest.approx(sum(loss[name] for name in ("log_pt", "eta", "phi", "log_mass")))


def test_the_azimuth_has_no_jump() -> None:
    learner, batch = build(choose=ALL_GENERATOR), events()
    head: Any = learner.network.heads["object_pt"]
    head.linear.weight.data.zero_()
    angles = batch.features_BNF.clone()
    losses = []
    for true in (np.pi - 0.01, -np.pi + 0.01):
        angles[..., NAMES.index("sin_phi")], angles[..., NAMES.index("cos_phi")] = np.sin(true), np.cos(true)
        head.linear.bias.data.copy_(torch.tensor([0.0, 0.0, np.tan((np.pi - 0.02) / 2), 0.0]))
        views = learner.views(replace(batch, features_BNF=angles), draws())
        losses.append(learner(views, draws()).detached().numbers()["phi"])
    assert losses[0] == pytest.approx(2 - 2 * np.cos(0.01), rel=1e-2)
    assert losses[1] == pytest.approx(2 - 2 * np.cos(0.03), rel=1e-2)


def test_massless_types_are_not_asked_for_a_mass_nor_the_missing_momentum_for_eta() -> None:
    learner = build(choose={"name": "levels", "random": 0.5, "generator": 0.2, "reconstructed": 0.3})
    batch = events(400)
    view = view_of(learner, batch)
    asked_BNK = view.extra["asked_BNK"]
    assert view.placeholder is not None
    hidden_BN = view.placeholder.hidden_BN
    for kind, components in {
        "met": (True, False, True, False),
        "neutrino": (True, True, True, False),
        "muon": (True, True, True, False),
        "jet": (True, True, True, True),
        "bottom": (True, True, True, True),
    }.items():
        these = hidden_BN & (view.batch.features_BNF[..., NAMES.index(f"is_{kind}")] == 1)
        assert these.any(), kind
        assert (asked_BNK[these] == torch.tensor(components)).all(), kind
    assert not asked_BNK[~hidden_BN].any()


def test_every_object_is_hidden_alike_the_missing_momentum_too() -> None:
    """In the public code an index that is off by one never hides it, and hides the separator in its place."""
    choice = {"name": "levels", "random": 1.0, "generator": 0.0, "reconstructed": 0.0, "number": None}
    learner, batch = build(choose=choice, fraction=0.3), events(300)
    hidden = torch.zeros_like(batch.mask_BN, dtype=torch.float32)
    for seed in range(30):
        hidden += hidden_of(view_of(learner, batch, seed), batch)
    rates = {
        kind: float(hidden[flag(batch, kind) & batch.mask_BN].mean()) / 30
        for kind in ("met", "jet", "electron", "muon", "neutrino", "bottom", "generator")
    }
    assert rates == pytest.approx(dict.fromkeys(rates, 0.3), abs=0.02)
    assert (hidden[~batch.mask_BN] == 0).all()
    # With its place among the objects the rate does not change either.
    place = [float(hidden[:, k][batch.mask_BN[:, k]].mean()) / 30 for k in range(10)]
    assert place == pytest.approx([0.3] * 10, abs=0.03)


# -- which objects


def choose(
    batch: Batch, progress: float = 0.0, *, name: str = "levels", seed: int = 1, **options: Any
) -> Tensor:
    component = resolve_component(HIDDEN_CHOICE, {"name": name, **options}, where="test")
    network = build().network
    count_B = batch.mask_BN.sum(1)
    fraction_B = torch.full((len(batch),), 0.3)
    found: Tensor = component.cls(component.config).hidden(
        batch, fraction_B, (fraction_B * count_B).long(), network, Draws(seed, "test", 0, progress), "t"
    )
    return found


def kinds(batch: Batch, hidden_BN: Tensor) -> dict[str, float]:
    """Return the fractions of events of which all of a level, some objects, or nothing is hidden."""
    generator = flag(batch, "generator") & batch.mask_BN
    reconstructed = batch.mask_BN & ~generator
    whole = {
        "generator": (hidden_BN == generator).all(1),
        "reconstructed": (hidden_BN == reconstructed).all(1),
        "nothing": ~hidden_BN.any(1),
    }
    some = ~torch.stack(list(whole.values())).any(0)
    return {name: float(value.float().mean()) for name, value in {**whole, "some": some}.items()}


def test_a_mixture_of_events() -> None:
    batch = events(3000)
    found = kinds(batch, choose(batch, random=0.4, generator=0.25, reconstructed=0.15, number=None))
    assert found["generator"] == pytest.approx(0.25, abs=0.03)
    assert found["reconstructed"] == pytest.approx(0.15, abs=0.03)
    assert found["some"] + found["nothing"] == pytest.approx(0.6, abs=0.03)
    one = choose(batch, random=1.0, generator=0.0, reconstructed=0.0)
    assert float(one.sum(1).float().mean()) == pytest.approx(1.0, abs=0.06)
    with pytest.raises(ConfigError, match="sum is above 1"):
        choose(batch, random=0.9, generator=0.2)


def test_a_schedule_hides_levels_from_its_start_on() -> None:
    batch = events(2000)
    options: dict[str, Any] = {"name": "levels_schedule", "start": 0.5, "generator": 0.7}
    early = kinds(batch, choose(batch, 0.49, **options))
    late = kinds(batch, choose(batch, 0.5, **options))
    assert early["generator"] + early["reconstructed"] < 0.05
    assert late["some"] == late["nothing"] == 0
    assert late["generator"] == pytest.approx(0.7, abs=0.04)


@pytest.mark.parametrize("name", ["levels", "levels_schedule"])
@pytest.mark.parametrize("progress", [0.0, 0.9])
def test_padding_is_not_hidden_every_row_keeps_an_object_and_neighbours_change_nothing(
    name: str, progress: float
) -> None:
    batch = events(60)
    hidden_BN = choose(batch, progress, name=name)
    assert hidden_BN.any()
    assert not (hidden_BN & ~batch.mask_BN).any()
    assert ((batch.mask_BN & ~hidden_BN).sum(1) > 0).all()
    rows = torch.tensor([31, 7, 18])
    width = int(batch.mask_BN[rows].sum(1).max())
    part = Batch(batch.features_BNF[rows, :width], batch.mask_BN[rows, :width], batch.rows_B[rows])
    assert torch.equal(choose(part, progress, name=name), hidden_BN[rows, :width])
    assert not torch.equal(choose(batch, progress, name=name, seed=2), hidden_BN)


def test_rows_of_one_level_are_not_hidden_whole() -> None:
    batch = events(40)
    mask_BN = batch.mask_BN & ~(flag(batch, "generator") & (torch.arange(40) % 2 == 0)[:, None])
    reconstructed_only = replace(batch, mask_BN=mask_BN)
    hidden_BN = choose(reconstructed_only, random=0.0, generator=0.0, reconstructed=1.0)
    assert not hidden_BN[::2].any()
    assert hidden_BN[1::2].any(1).all()
    hidden_BN = choose(reconstructed_only, random=0.0, generator=1.0, reconstructed=0.0)
    assert not hidden_BN[::2].any()


def test_features_without_levels_are_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"no 'is_generator'; set data.features to bumblebee"):
        build(features="event")


# -- bad input


def test_a_store_without_generator_objects_is_refused_before_anything_is_read() -> None:
    schema = event_schema(("ttbar",))
    with pytest.raises(DataError, match=r"'bumblebee' needs fields.*object_pdg.*it has those of event"):
        Content(BUMBLEBEE).check(schema)


def test_rows_that_would_lose_generator_objects_are_refused_with_the_fix() -> None:
    table = event_table(40, seed=3)
    lengths = BUMBLEBEE.choose(event_columns(40, seed=3))["object_pt"].lengths  # type: ignore[union-attr]
    longest = int(lengths.max())
    check_whole(table, BUMBLEBEE, None, max_constituents=longest)
    fix = rf"row {int(lengths.argmax())} of .* has {longest} objects.*set data.max_constituents={longest}"
    with pytest.raises(DataError, match=fix):
        check_whole(table, BUMBLEBEE, None, max_constituents=longest - 1)
    with pytest.raises(DataError, match=fix):
        RowPool(table, Content(BUMBLEBEE, max_constituents=longest - 1), range(40))
    # Without the generator's, the leading objects are the hardest, and may be kept.
    alone = BUMBLEBEE.without(["generator"])
    check_whole(table, alone, None, max_constituents=3)
    batch = RowPool(table, Content(alone, max_constituents=3), range(40)).batch(np.arange(40))
    assert batch.mask_BN.sum(1).max() == 3


def test_components_must_be_momenta_of_the_features() -> None:
    with pytest.raises(ConfigError, match=r"'bumblebee' has no 'log_energy'"):
        build(head={"name": "momenta", "components": ["log_pt", "log_energy"]})
    with pytest.raises(ConfigError, match="has no 'charge'"):
        build(head={"name": "momenta", "components": ["charge"]})
    component = resolve_component(OBJECTIVES, {"name": "masked_momenta", "head": "pairs"}, where="test")
    with pytest.raises(IncompatibleError, match="set head to momenta"):
        component.cls.requirements(component.config, SCHEMA)
    component = resolve_component(OBJECTIVES, "masked_momenta", where="test")
    odd = replace(BUMBLEBEE, names=("shape", *NAMES[1:]))
    network = build_network(resolve_component(BACKBONES, TINY, where="test"), odd)
    with pytest.raises(IncompatibleError, match="nobody said whether"):
        component.cls.check(component.config, network)


# -- answers


@pytest.mark.parametrize("features", ["bumblebee", "event_levels"])
def test_answers_are_physical_and_right_answers_give_the_true_momenta(features: str) -> None:
    energy = features == "event_levels"
    components = ["log_pt", "eta", "phi", "log_energy" if energy else "log_mass"]
    learner = build(features=features, head={"name": "momenta", "components": components})
    batch, network = events(features=features), learner.network
    head: Any = network.heads["object_pt"]
    names = network.feature_names
    x = network.standardize(batch.features_BNF, batch.mask_BN)
    phi = torch.atan2(*(batch.features_BNF[..., names.index(f"{f}_phi")] for f in ("sin", "cos")))
    raw = torch.stack(
        [torch.tan(phi / 2) if name == "phi" else x[..., names.index(name)] for name in components], dim=-1
    )
    pt, eta, azimuth, found = four_vectors(network, head, raw, batch.features_BNF)[batch.mask_BN].T
    assert batch.p4_BN4 is not None
    truth = batch.p4_BN4[batch.mask_BN].double()
    close = {"rtol": 2e-3, "atol": 0.05}
    torch.testing.assert_close(pt * torch.cos(azimuth), truth[:, 1], **close)
    torch.testing.assert_close(pt * torch.sin(azimuth), truth[:, 2], **close)
    torch.testing.assert_close(pt * torch.sinh(eta), truth[:, 3], **close)
    torch.testing.assert_close(found, truth[:, 0], **close)
    wild = torch.randn(raw.shape, generator=torch.Generator().manual_seed(1)) * 50
    pt, eta, azimuth, found = four_vectors(network, head, wild, batch.features_BNF).unbind(-1)
    assert torch.stack((pt, eta, azimuth, found)).isfinite().all()
    assert (found >= pt * torch.cosh(eta) * (1 - 1e-12)).all()
    assert (azimuth.abs() <= np.pi).all()


def test_jets_have_no_level_to_be_asked_for() -> None:
    component = resolve_component(
        OBJECTIVES,
        {
            "name": "masked_momenta",
            "choose": "random",
            "head": {"name": "momenta", "components": ["log_pt", "deta", "dphi"]},
        },
        where="test",
    )
    network = build_network(resolve_component(BACKBONES, TINY, where="test"), feature_set("pet"))
    learner = make_learner(component, network, jet_schema())
    head: Any = learner.network.heads["part_pt"]
    batch = random_batch(feature_set("pet"))
    with pytest.raises(IncompatibleError, match="do not tell the level"):
        level_view(network, head, batch)
    with pytest.raises(IncompatibleError, match="no four-momentum of"):
        four_vectors(network, head, torch.zeros(*batch.mask_BN.shape, 3), batch.features_BNF)


# -- one level of two


def test_without_the_generator_the_features_are_those_of_reconstructed_objects_alone() -> None:
    table = event_table(40, seed=3)
    for name in ("bumblebee", "event_levels"):
        alone = feature_set(name).without(["generator"])
        assert "object_pdg" not in alone.columns
        batch = RowPool(table, Content(alone), range(40)).batch(np.arange(40))
        told = [
            k for k, one in enumerate(alone.names) if one in ("is_neutrino", "is_generator", "particle_sign")
        ]
        assert (batch.features_BNF[..., told] == 0).all()
        both = RowPool(table, Content(feature_set(name)), range(40)).batch(np.arange(40))
        seen = (both.features_BNF[..., alone.names.index("is_generator")] == 0) & both.mask_BN
        assert torch.equal(batch.mask_BN.sum(1), seen.sum(1))
        assert torch.equal(batch.features_BNF[batch.mask_BN], both.features_BNF[seen])
    columns = event_columns(40, seed=3)
    kept = {k: v for k, v in columns.items() if k in event_schema(("ttbar", "Zjets"))}
    real = lists(kept, "object_level").values == 0
    kept = {k: v.keep(real) if hasattr(v, "keep") else v for k, v in kept.items()}
    data = Table.from_dict(kept, event_schema(("ttbar", "Zjets")))
    alone = BUMBLEBEE.without(["generator"])
    batch = RowPool(data, Content(alone), range(40)).batch(np.arange(40))
    assert (batch.mask_BN.sum(1).numpy() == kept["object_pt"].lengths).all()  # type: ignore[union-attr]


def test_the_generator_is_never_dropped_at_random() -> None:
    network = build_network(
        resolve_component(BACKBONES, TINY, where="test"), BUMBLEBEE, feature_dropout=0.99
    ).train()
    batch = events()
    kept = network.feature_dropout(batch.features_BNF)
    told = [NAMES.index(name) for name in ("is_generator", "particle_sign", "is_neutrino")]
    assert torch.equal(kept[..., told], batch.features_BNF[..., told])
    assert not torch.equal(kept, batch.features_BNF)
