"""Pairing efficiencies of hadronic top quarks: the model's, the chi-squared's and that of chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from event_rows import event_columns
from hadronic_tops import EVENTS, events, store_of

from hepfm.core.errors import ConfigError, DataError, ModelError
from hepfm.core.ragged import Ragged
from hepfm.data.schemas.events import OBJECT_ROLES, event_schema
from hepfm.data.store import Store
from hepfm.metrics.contrast import Contrast
from hepfm.metrics.predictions import IntArray
from hepfm.physics.topology import Topology
from hepfm.report.comparer import Comparer
from hepfm.report.sections import load_sections
from hepfm.tasks.assignment_baselines import chi2_roles, random_roles
from hepfm.tasks.assignment_objects import RoleRows, roles_of_probabilities
from hepfm.tasks.base import load_task
from hepfm.tasks.evaluate import measure

TOPOLOGY = Topology.of({"t": ("b", "q", "q"), "tbar": ("b", "q", "q")}, [("t", "tbar")])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return store_of(tmp_path_factory.mktemp("tops") / "store", events(lose=0.03))


def objects_of(store: Store) -> RoleRows:
    return RoleRows.read(store, np.arange(len(store)), TOPOLOGY)


def value(counts: Any) -> float:
    return float(counts.right.sum() / counts.matched.sum())


def test_the_chi_squared_finds_tops_that_are_measured_perfectly(store: Store) -> None:
    objects = objects_of(store)
    matched = objects.counts(objects.truth)
    assert matched.matched.mean() == pytest.approx(0.97**6, abs=0.06)
    assert value(matched) == 1.0
    chi2 = chi2_roles(objects, resolution=0.1)
    assert chi2 is not None
    assert value(objects.counts(chi2)) > 0.9
    phi = objects.columns["object_phi"]
    turned = phi.with_values(np.random.default_rng(0).permutation(phi.values))
    wrong = chi2_roles(replace(objects, columns={**objects.columns, "object_phi": turned}), resolution=0.1)
    assert wrong is not None
    assert value(objects.counts(wrong)) < 0.4


def test_chance_is_one_over_the_number_of_assignments(tmp_path: Path) -> None:
    """Six jets make two tops in 6! / (2 * 2 * 2) = 90 ways, each top in 6! / (3! * 2) = 60."""
    objects = objects_of(store_of(tmp_path / "store", events((0, 0))))
    right, resonances = [], []
    for seed in range(20):
        counts = objects.counts(random_roles(objects, seed=seed))
        assert counts.matched.all()
        right.append(counts.right.mean())
        resonances.append(counts.correct_RG.sum() / counts.complete_RG.sum())
    assert np.mean(right) == pytest.approx(1 / 90, abs=0.004)
    assert np.mean(resonances) == pytest.approx(2 / 60, abs=0.006)


def test_truth_is_right_and_a_swap_is_not() -> None:
    roles = TOPOLOGY.roles(OBJECT_ROLES)
    apart = Topology.of({"t": ("b", "q", "q"), "tbar": ("b", "q", "q")})
    names = ["t_b", "t_q", "t_q", "tbar_b", "tbar_q", "tbar_q", "none"]
    truth = Ragged.from_lists([[OBJECT_ROLES.index(name) for name in names]], np.int64)

    def correct(order: list[int], topology: Topology = TOPOLOGY) -> int:
        from hepfm.metrics.assignments import AssignmentCounts

        found = truth.with_values(truth.values[order])
        counts = AssignmentCounts.of(topology, roles, truth, found)
        assert counts.complete_RG.sum() == 2
        return int(counts.correct_RG.sum())

    assert correct([0, 2, 1, 3, 5, 4, 6]) == 2
    assert correct([3, 4, 5, 0, 1, 2, 6]) == 2
    assert correct([3, 4, 5, 0, 1, 2, 6], apart) == 0
    assert correct([1, 0, 2, 3, 4, 5, 6]) == 1
    assert correct([0, 4, 2, 3, 1, 5, 6]) == 0
    assert correct([6, 1, 2, 3, 4, 5, 0]) == 1


class Roles:
    """Says the same roles whatever happens."""

    fingerprint = "0" * 16
    training: ClassVar[dict[str, Any]] = {"arm": "fixed"}
    classes = OBJECT_ROLES

    def __init__(self, roles: Any) -> None:
        self.roles = roles

    def score(self, store: Store, rows: IntArray) -> Any:
        return self.roles


def test_the_result_has_model_chi_squared_and_chance(store: Store, tmp_path: Path) -> None:
    objects = objects_of(store)
    half = objects.truth.row_index() < EVENTS // 2
    said = objects.truth.with_values(np.where(half, objects.truth.values, random_roles(objects).values))
    result = measure(Roles(said), load_task("assignment"), store, output=tmp_path / "result").result
    baselines = {baseline.name: baseline for baseline in result.baselines}
    assert list(baselines) == ["chi2", "random"]
    assert baselines["chi2"].metrics[0].value > 0.9
    primary = result.metric("event_efficiency")
    assert primary.value == pytest.approx(value(objects.counts(said)))
    assert primary.low is not None
    assert primary.high is not None
    assert primary.low < primary.value < primary.high
    matched = result.data.rows_per_class["matched"]
    assert result.metric("correct_events").value == pytest.approx(primary.value * matched / EVENTS)
    assert baselines["random"].metrics[0].value < 0.1


def test_two_models_are_compared_event_by_event(store: Store, tmp_path: Path) -> None:
    objects = objects_of(store)
    for arm, share in (("worse", 0.5), ("better", 0.8)):
        right = objects.truth.row_index() < share * EVENTS
        one = Roles(objects.truth.with_values(np.where(right, objects.truth.values, 0)))
        one.training = {"arm": arm}  # type: ignore[misc]
        measure(one, load_task("assignment"), store, output=tmp_path / arm)
    (section,) = load_sections([tmp_path / "worse", tmp_path / "better"])
    metric = section.results[0].file.metric("event_efficiency")
    found = Comparer(section).difference(Contrast("c", ("better",), ("worse",)), None, metric)
    assert found is not None
    assert found.test is not None
    assert 0.2 < found.test.low < found.test.value < found.test.high < 0.4


def test_probabilities_of_single_objects_give_consistent_roles(store: Store) -> None:
    """The Hungarian method is better than, or as good as, a greedy choice that uses objects once."""
    objects = objects_of(store)
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.ones(len(OBJECT_ROLES)), len(objects.truth.values))
    found = roles_of_probabilities(objects, objects.truth.with_values(p), OBJECT_ROLES)
    slots = objects.slots()
    for row in range(20):
        roles = found.row(row)
        used = [role for _, role in slots]
        assert sorted(roles[roles > 0]) == sorted(used)[: len(roles)] or len(roles) < 6
        if len(roles) < 6:
            continue
        best = sum(np.log(p[objects.truth.offsets[row] + k, role]) for k, role in enumerate(roles) if role)
        free, greedy = list(range(len(roles))), 0.0
        for role in used:
            k = max(free, key=lambda k: p[objects.truth.offsets[row] + k, role])
            greedy += np.log(p[objects.truth.offsets[row] + k, role])
            free.remove(k)
        assert best >= greedy - 1e-9


def test_leptonic_tops_have_no_mass_to_compare(tmp_path: Path) -> None:
    columns = event_columns(40, processes=("ttbar",))
    leptonic = Topology.of({"t": ("b", "l"), "tbar": ("b", "l")})
    objects = RoleRows.read(store_of(tmp_path / "store", columns), np.arange(40), leptonic)
    assert chi2_roles(objects, resolution=0.1) is None
    assert objects.counts(objects.truth).matched.all()


def test_what_cannot_be_measured_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="daughter 'nu' of 't'"):
        load_task({"name": "assignment", "resonances": {"t": ["b", "l", "nu"]}})
    with pytest.raises(DataError, match="no object has the role 'toponium_b'"):
        load_task({"name": "assignment", "resonances": {"toponium": ["b", "q"]}}).bind(
            store.schema, where="the store"
        )
    with pytest.raises(DataError, match="has no field 'object_role'"):
        load_task("assignment").bind(event_schema(("ttbar",)), where="the store")
    roles = objects_of(store).truth
    higgs = load_task({"name": "assignment", "resonances": {"h": ["b", "b"]}})
    with pytest.raises(DataError, match=r"no test event of .* has all of h with all their daughters"):
        measure(Roles(roles), higgs, store, output=tmp_path / "result")
    with pytest.raises(ModelError, match="says no roles of objects"):
        measure(Roles(np.zeros(len(store))), load_task("assignment"), store, output=tmp_path / "result")
    assert not (tmp_path / "result").exists()


def test_declared_resonances_are_alike_only_where_it_is_said() -> None:
    task = load_task({"name": "assignment", "resonances": {"t": ["b", "l"], "tbar": ["b", "l"]}})
    assert [metric.name for metric in task.metrics()][3:] == [
        "resonance_efficiency_t",
        "resonance_efficiency_tbar",
    ]
    assert len(load_task("assignment").metrics()) == 3
