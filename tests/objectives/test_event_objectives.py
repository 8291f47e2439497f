"""Denoising, neutrinos and segmentation of events: what is shown, and losses by brute force."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from event_rows import event_columns, event_table
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import Component, resolve_component
from hepfm.core.draws import Draws
from hepfm.core.errors import ConfigError, DataError, HepfmError, IncompatibleError, ModelError
from hepfm.core.ragged import lists
from hepfm.data import context_set, feature_set, target_set
from hepfm.data.content import Content
from hepfm.data.pool import RowPool
from hepfm.data.schemas.events import OBJECT_ROLES, event_schema
from hepfm.data.table import Table
from hepfm.heads.neutrinos import NeutrinosHead, coordinates, point_estimate
from hepfm.heads.segments import SegmentLogits
from hepfm.models.directory import Model
from hepfm.models.neutrinos import neutrino_solutions
from hepfm.models.scores import score
from hepfm.models.segments import event_segments
from hepfm.networks.build import build_network, seeded_init
from hepfm.nn.cosine_schedule import ddim, noised, signal_and_noise
from hepfm.nn.object_time import ObjectTime
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.base import apply
from hepfm.objectives.denoising import Denoising
from hepfm.objectives.segmentation import dice, focal, matched
from hepfm.train.learner import Learner, make_learner

SCHEMA = event_schema(("ttbar", "Zjets"), truth=True)
DRAWS = Draws(3, "test")
ROWS = 30
SEGMENTS = {"t_lep": [["t_b", "t_l"], ["tbar_b", "tbar_l"]], "z_lep": [["z_l"]]}


def component(spec: dict[str, Any]) -> Component:
    return resolve_component(OBJECTIVES, spec, where="test")


def backbone(name: str = "evenet") -> Component:
    return resolve_component(BACKBONES, {"name": name, "size": "xs", "dropout": 0.0}, where="test")


def learner(spec: dict[str, Any], *, context: str | None = "event") -> Learner:
    with seeded_init(0, "test"):
        network = build_network(
            backbone(), feature_set("event"), context=context_set(context) if context else None
        )
        return make_learner(component(spec), network, SCHEMA).eval()


def batch_of(trained: Learner, table: Table | None = None) -> Batch:
    table = table or event_table(ROWS, seed=5)
    needs = trained.requirements
    content = Content(feature_set("event"), needs.fields, context=context_set("event"), targets=needs.targets)
    return RowPool(table, content, range(len(table))).batch(np.arange(len(table)))


# -- schedule


def test_the_schedule_is_that_of_the_log_ratio() -> None:
    time = torch.linspace(0, 1, 21, dtype=torch.float64)
    alpha, sigma = signal_and_noise(time)
    low, high = -20.0, 20.0
    b = np.arctan(np.exp(-0.5 * high))
    log_ratio = -2 * torch.log(torch.tan((np.arctan(np.exp(-0.5 * low)) - b) * time + b))
    torch.testing.assert_close(alpha.square(), torch.sigmoid(log_ratio))
    torch.testing.assert_close(sigma.square(), torch.sigmoid(-log_ratio))
    assert log_ratio[0] == pytest.approx(high)
    assert log_ratio[-1] == pytest.approx(low)


def test_v_and_the_noised_values_give_back_both() -> None:
    x, noise, time = torch.randn(5, 3), torch.randn(5, 3), torch.rand(5, 1)
    z, v = noised(x, noise, time)
    alpha, sigma = signal_and_noise(time)
    torch.testing.assert_close(alpha * z - sigma * v, x)
    torch.testing.assert_close(sigma * z + alpha * v, noise)


@pytest.mark.parametrize("steps", [2, 20])
def test_the_sampler_with_the_exact_answer_is_exact(steps: int) -> None:
    """Of data that are all one point, the best prediction leads every noise to the point."""
    point = torch.tensor([[1.5, -2.0]], dtype=torch.float64)

    def exact(z: Tensor, time: Tensor) -> Tensor:
        alpha, sigma = signal_and_noise(time)
        return (alpha * z - point) / sigma

    noise = torch.randn(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    # The schedule ends with a noise of exp(-10), of which a part is left.
    torch.testing.assert_close(ddim(exact, noise, steps), point.expand(7, 2), atol=5e-4, rtol=0)


def test_the_sampler_keeps_the_spread_of_gaussian_data() -> None:
    spread = 0.3

    def exact(z: Tensor, time: Tensor) -> Tensor:
        alpha, sigma = signal_and_noise(time)
        x = alpha * spread**2 / (alpha**2 * spread**2 + sigma**2) * z
        return (alpha * z - x) / sigma

    found = ddim(exact, torch.randn(4000, generator=torch.Generator().manual_seed(0)), 200)
    assert float(found.std()) == pytest.approx(spread, rel=0.05)


# -- denoising


def test_nothing_but_noised_features_is_shown_of_a_noised_object() -> None:
    trained = learner({"name": "denoising", "noised": [0.5, 0.5]})
    batch = batch_of(trained)
    view = trained.views(batch, DRAWS)["noised"]
    hidden = view.extra["noised"]
    assert 0.3 < float(hidden[batch.mask_BN].float().mean()) < 0.7
    assert (view.extra["time"] > 0).equal(hidden)
    shown = view.batch
    assert shown.p4_BN4 is not None
    assert batch.p4_BN4 is not None
    assert not shown.p4_BN4[hidden].any()
    clean = batch.mask_BN & ~hidden
    assert shown.p4_BN4[clean].equal(batch.p4_BN4[clean])
    expected = context_set("event").visible(batch.p4_BN4 * clean[..., None], clean)
    torch.testing.assert_close(shown.context_BC, expected)
    standardize = trained.network.standardize
    torch.testing.assert_close(
        standardize(shown.features_BNF, clean), standardize(batch.features_BNF, clean), atol=1e-5, rtol=1e-5
    )
    # With another object in a noised place, and the noise that leads to the same values, nothing differs.
    other = replace(batch, features_BNF=batch.features_BNF + 0.5 * hidden[..., None])
    assert trained.views(other, DRAWS)["noised"].batch.context_BC.equal(shown.context_BC)


def test_at_the_end_of_time_nothing_is_left() -> None:
    x, noise = torch.ones(1, 4), torch.randn(1, 4)
    z, _ = noised(x, noise, torch.ones(1, 1))
    torch.testing.assert_close(z, noise, atol=1e-4, rtol=0)


def test_the_noised_fraction_rises_from_the_first_to_the_last_step() -> None:
    trained = learner({"name": "denoising", "noised": [0.1, 1.0]})
    objective = trained.objective
    assert isinstance(objective, Denoising)
    batch = batch_of(trained)
    fractions = []
    for step in (0, 50, 100):
        objective.after_step(trained.network, step, 100)
        hidden = trained.views(batch, DRAWS)["noised"].extra["noised"]
        fractions.append(float(hidden[batch.mask_BN].float().mean()))
        assert objective.probability == pytest.approx(0.1 + 0.9 * step / 100)
    assert fractions[0] < 0.25 < fractions[1] < 0.75 < fractions[2] == 1.0
    assert "objective.progress" in trained.state_dict()


def test_without_noise_the_network_sees_the_event_as_it_is() -> None:
    trained = learner({"name": "denoising", "noised": [0.0, 0.0]}, context=None)
    batch = batch_of(trained)
    view = trained.views(batch, DRAWS)["noised"]
    with torch.no_grad():
        found = apply(trained.network, view).features.tokens_BND
        torch.testing.assert_close(found, trained.network.features(batch).tokens_BND, atol=1e-5, rtol=1e-5)
    scale, shift = ObjectTime(8)(torch.zeros(2, 3))
    assert not scale.any()
    assert not shift.any()


def test_the_network_knows_which_objects_are_noised() -> None:
    trained = learner({"name": "denoising", "noised": [0.5, 0.5]})
    view = trained.views(batch_of(trained), DRAWS)["noised"]
    with torch.no_grad():
        told = apply(trained.network, view).features.tokens_BND
        untold = apply(trained.network, replace(view, modulation=None)).features.tokens_BND
    assert (told - untold).abs().max() > 1e-3


def test_a_class_is_told_only_where_it_is_named() -> None:
    plain, named = learner({"name": "denoising"}), learner({"name": "denoising", "label": "event_label"})
    assert plain.requirements.fields == ()
    assert named.requirements.fields == ("event_label",)
    batch = batch_of(named)
    changed = replace(batch, labels={"event_label": 1 - batch.labels["event_label"]})
    with torch.no_grad():
        first, second = (float(named(named.views(b, DRAWS), DRAWS).total) for b in (batch, changed))
    assert first != second
    decoder = named.objective.decoder
    assert isinstance(decoder, torch.nn.Module)
    assert decoder.label.num_embeddings == 3  # type: ignore[union-attr]
    with pytest.raises(IncompatibleError, match="'object_type' is a categorical field of the object"):
        learner({"name": "denoising", "label": "object_type"})


def test_classification_of_noised_events_counts_by_what_is_left() -> None:
    terms = [
        {"name": "denoising", "noised": [1.0, 1.0]},
        {"name": "supervised", "view": "noised", "label": "event_label", "context": True},
    ]
    trained = learner({"name": "weighted_sum", "terms": terms})
    batch = batch_of(trained)
    view = trained.views(batch, DRAWS)["noised"]
    assert view.weight_B is not None
    time = DRAWS.rows(batch.rows_B).uniform("denoising.time")
    torch.testing.assert_close(view.weight_B, signal_and_noise(time)[0].square())
    with torch.no_grad():
        numbers = trained({"noised": view}, DRAWS).detached().numbers()
        doubled = replace(view, weight_B=2 * view.weight_B)
        other = trained({"noised": doubled}, DRAWS).detached().numbers()
    name = "supervised.cross_entropy"
    assert other[name] == pytest.approx(2 * numbers[name])
    assert other["denoising.v"] == pytest.approx(numbers["denoising.v"])


# -- neutrinos


def test_neutrinos_are_those_of_the_hard_process() -> None:
    columns = event_columns(8, seed=1)
    targets = target_set("event_neutrinos").compute(columns)
    kinds, pdg = lists(columns, "object_type"), lists(columns, "object_pdg")
    assert targets[::2, :, 0].tolist() == [[1.0, 1.0]] * 4
    assert not targets[1::2].any()
    row = 2
    for slot, code in enumerate((12, -14)):
        place = np.flatnonzero(pdg.row(row) == code)[0]
        pt, eta, phi = (lists(columns, f"object_{name}").row(row)[place] for name in ("pt", "eta", "phi"))
        expected = [1.0, pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
        np.testing.assert_allclose(targets[row, slot], expected, rtol=1e-5)
    assert kinds.row(row)[place] == 6
    twice = pdg.with_values(np.where(pdg.values == -14, 14, pdg.values))
    assert np.isnan(target_set("event_neutrinos").compute({**columns, "object_pdg": twice})[::2]).all()


def neutrino_learner() -> tuple[Learner, Batch]:
    trained = learner({"name": "neutrinos", "head": {"name": "neutrinos", "steps": 4, "solutions": 5}})
    batch = batch_of(trained)
    trained.prepare([batch])
    return trained, batch


def test_coordinates_are_standardised_and_turn_back() -> None:
    trained, batch = neutrino_learner()
    head = trained.network.heads["event_neutrinos"]
    assert isinstance(head, NeutrinosHead)
    there = batch.targets["event_neutrinos"]
    momenta = there[there[..., 0] == 1, 1:]
    x = head.standardised(momenta)
    torch.testing.assert_close(x.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(head.physical(x), momenta, rtol=1e-3, atol=1e-2)
    assert coordinates(torch.zeros(1, 3)).isfinite().all()


def test_the_generators_record_changes_no_prediction() -> None:
    trained, batch = neutrino_learner()
    columns = event_columns(ROWS, seed=5)
    pt, level = lists(columns, "object_pt"), lists(columns, "object_level")
    other = pt.with_values(np.where(level.values == 1, 3 * pt.values, pt.values).astype(np.float32))
    energy = lists(columns, "object_energy")
    grown = energy.with_values(
        np.where(level.values == 1, 3 * energy.values, energy.values).astype(np.float32)
    )
    changed = batch_of(
        trained, Table.from_dict({**columns, "object_pt": other, "object_energy": grown}, SCHEMA)
    )
    assert not changed.targets["event_neutrinos"].equal(batch.targets["event_neutrinos"])
    with torch.no_grad():
        torch.testing.assert_close(
            trained.network(changed)["event_neutrinos"], trained.network(batch)["event_neutrinos"]
        )


def test_events_with_several_neutrinos_of_a_kind_do_not_count() -> None:
    trained, batch = neutrino_learner()
    target = batch.targets["event_neutrinos"].clone()
    target[0] = torch.nan
    spoiled = replace(batch, targets={"event_neutrinos": target})
    rest = replace(batch, weights_B=torch.tensor([0.0] + [1.0] * (ROWS - 1)))
    with torch.no_grad():
        numbers = [trained(trained.views(b, DRAWS), DRAWS).detached().numbers() for b in (spoiled, rest)]
    assert numbers[0] == pytest.approx(numbers[1])
    assert np.isfinite(numbers[0]["loss"])


def test_a_model_draws_solutions_and_names_one(tmp_path: Path) -> None:
    trained, _ = neutrino_learner()
    path, table = tmp_path / "model", event_table(ROWS, seed=5)
    Model(trained.network, backbone(), feature_set("event"), SCHEMA, context=context_set("event")).save(path)
    model = Model.load(path)
    first = neutrino_solutions(model, table, solutions=7, seed=1, batch_size=4)
    assert first.momenta.shape == (ROWS, 7, 2, 3)
    assert first.estimate.shape == (ROWS, 2, 3)
    second = neutrino_solutions(model, table, solutions=7, seed=1, rows=[3, 1])
    np.testing.assert_allclose(second.momenta, first.momenta[[3, 1]], rtol=1e-3, atol=1e-2)
    assert not np.allclose(neutrino_solutions(model, table, solutions=7, seed=2).momenta, first.momenta)
    for row, slot in ((0, 0), (5, 1)):
        options = first.momenta[row, :, slot].astype(np.float64)
        sums = np.linalg.norm(options[:, None] - options[None], axis=-1).sum(1)
        chosen = np.linalg.norm(options - first.estimate[row, slot], axis=-1).argmin()
        assert sums[chosen] == pytest.approx(sums.min(), rel=1e-5)
    assert score(model, table) == {}
    with pytest.raises(ModelError, match="and no segments"):
        event_segments(model, table)


def test_the_point_estimate_is_one_of_the_solutions() -> None:
    solutions = torch.tensor([[0.0], [1.0], [10.0], [1.2], [-50.0]]).expand(-1, 3)[None, :, None]
    torch.testing.assert_close(point_estimate(solutions), torch.ones(1, 1, 3))


NO_NEUTRINOS = event_columns(20, processes=("Zjets",))


def test_neutrinos_that_cannot_be_learned_are_refused() -> None:
    trained = learner({"name": "neutrinos"})
    zjets = Table.from_dict(NO_NEUTRINOS, event_schema(("Zjets",), truth=True))
    with pytest.raises(DataError, match="none of the training events that were looked at has a neutrino"):
        trained.prepare([batch_of(trained, zjets)])
    with pytest.raises(IncompatibleError, match="these data have no object_pdg; simulate events with truth"):
        component({"name": "neutrinos"}).cls.requirements(
            component({"name": "neutrinos"}).config, event_schema(("ttbar",))
        )
    with pytest.raises(IncompatibleError, match="needs a head of solutions, and 'classify' is one of rows"):
        learner({"name": "neutrinos", "head": "classify"})
    with pytest.raises(IncompatibleError, match="width 32 is not a multiple of num_heads 5"):
        learner({"name": "neutrinos", "head": {"name": "neutrinos", "num_heads": 5}})
    network = build_network(backbone("transformer"), feature_set("event_levels"))
    with pytest.raises(IncompatibleError, match=r"the neutrinos among them; set data.features=event"):
        make_learner(component({"name": "neutrinos"}), network, SCHEMA)
    with pytest.raises(DataError, match="target set 'event_neutrinos' needs fields that this store lacks"):
        Content(feature_set("event"), targets=(target_set("event_neutrinos"),)).check(event_schema(("a",)))
    with pytest.raises(ConfigError, match="event_neutrinos"):
        target_set("event_neutrino")


# -- segmentation


def test_matches_are_those_of_brute_force() -> None:
    """Over all matches of queries with segments and with none, as the published cost has it."""
    generator = torch.Generator().manual_seed(0)
    rows, queries, tags, objects = 12, 4, 3, 5
    said = SegmentLogits(
        torch.randn(rows, queries, tags, generator=generator) * 2,
        torch.randn(rows, queries, objects, generator=generator) * 2,
    )
    tag_T = torch.tensor([1, 1, 2])
    there = torch.rand(rows, 3, generator=generator) < 0.6
    wanted = (torch.rand(rows, 3, objects, generator=generator) < 0.4) & there[..., None]
    mask = torch.arange(objects) < torch.randint(2, objects + 1, (rows, 1), generator=generator)
    wanted = wanted & mask[:, None]
    found = matched(said, there, wanted, tag_T, mask)
    p = said.tag_BQC.softmax(-1)

    def cost(row: int, query: int, segment: int | None) -> float:
        if segment is None:
            return -float(p[row, query, 0])
        logits, target = said.object_BQN[row, query], wanted[row, segment].float()
        real = mask[row].float()
        masks = float((focal(logits, target) * real).sum() + dice(logits, target, real))
        return masks - float(p[row, query, tag_T[segment]])

    for row in range(rows):
        here = [k for k in range(3) if there[row, k]]
        best = min(
            (
                sum(cost(row, q, dict(zip(chosen, here, strict=True)).get(q)) for q in range(queries)),
                chosen,
            )
            for chosen in permutations(range(queries), len(here))
        )
        assert tuple(found[row, here].tolist()) == best[1]
        assert len(set(found[row].tolist())) == 3


def test_focal_loss_of_masks_is_that_of_its_formula() -> None:
    logits, wanted = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0])
    p = torch.sigmoid(logits)
    expected = torch.stack((0.25 * (1 - p[0]) ** 2 * -p[0].log(), 0.75 * p[1] ** 2 * -(1 - p[1]).log()))
    torch.testing.assert_close(focal(logits, wanted), expected)
    assert float(dice(torch.full((3,), 50.0), torch.ones(3), torch.ones(3))) == pytest.approx(0.0, abs=1e-6)


def segment_learner(**options: Any) -> Learner:
    return learner({"name": "segmentation", "segments": SEGMENTS, "head": {"num_heads": 4}, **options})


def test_segments_are_told_by_roles() -> None:
    trained = segment_learner()
    batch = batch_of(trained)
    there, objects = trained.objective._targets(batch)  # type: ignore[operator]
    ttbar = torch.arange(ROWS) % 2 == 0
    assert there[:, 0].equal(ttbar)
    assert there[:, 2].equal(~ttbar)
    assert (objects[ttbar, 0].sum(1) == 2).all()
    roles = batch.labels["object_role"]
    assert objects[:, 2].equal((roles == OBJECT_ROLES.index("z_l")) & ~ttbar[:, None])


def test_the_names_of_segments_with_one_tag_do_not_matter() -> None:
    trained, batch = segment_learner(), batch_of(segment_learner())
    roles, swapped = batch.labels["object_role"], batch.labels["object_role"].clone()
    for kind in ("b", "l"):
        first, second = (OBJECT_ROLES.index(f"{top}_{kind}") for top in ("t", "tbar"))
        swapped[roles == first], swapped[roles == second] = second, first
    other = replace(batch, labels={"object_role": swapped})
    with torch.no_grad():
        numbers = [trained(trained.views(b, DRAWS), DRAWS).detached().numbers() for b in (batch, other)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-5)


def test_a_model_says_tags_and_objects_of_segments(tmp_path: Path) -> None:
    trained = segment_learner()
    Model(trained.network, backbone(), feature_set("event"), SCHEMA, context=context_set("event")).save(
        tmp_path / "model"
    )
    table = event_table(ROWS, seed=5)
    found = event_segments(Model.load(tmp_path / "model"), table)
    assert found.tags == ("none", "t_lep", "z_lep")
    assert found.tag_probability.shape == (ROWS, 4, 3)
    np.testing.assert_allclose(found.tag_probability.sum(-1), 1, rtol=1e-5)
    assert found.object_probability.lengths.tolist() == batch_of(trained).mask_BN.sum(1).tolist()
    assert found.object_probability.values.shape[1] == 4


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "role": ({"segments": {"t": [["t_x"]]}}, "no object has the role 't_x'"),
    "queries": (
        {"segments": {"t": [[f"{r}_b"] for r in ("t", "tbar", "h", "w", "z")]}},
        "set head.queries=5",
    ),
    "tags": ({"head": {"tags": ["a"]}}, "leave head.tags out"),
    "label": ({"label": "object_parent"}, "these data have no 'object_parent'"),
    "no role": ({"label": "object_eta"}, "'object_eta' is continuous of the object"),
    "heads": ({"head": {"num_heads": 5}}, "width 32 is not a multiple of num_heads 5"),
    "none": ({"segments": {}}, "at least 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_segments_that_cannot_be_learned_are_refused(name: str) -> None:
    options, message = BAD[name]
    with pytest.raises(HepfmError, match=message):
        segment_learner(**options)
