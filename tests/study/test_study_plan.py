"""The plan: what is one run, what is another, and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_values import small_study

from hepfm.core.config import merge
from hepfm.core.errors import ConfigError
from hepfm.data.schemas.jets import jet_schema
from hepfm.study.check import check_study
from hepfm.study.config import read_study
from hepfm.study.plan import Plan, make_plan
from hepfm.workflow.run import Run
from hepfm.workflow.stores import StoreInfo

INFO = StoreInfo(jet_schema(("QCD", "Tbqq")), {"train": 100}, Path("/x"), "f1")
SEARCH = {"learning_rates": [1e-3, 1e-2, 1e-1]}


def plan_of(values: dict[str, Any], **stores: StoreInfo) -> Plan:
    return make_plan(read_study(values), {"pretrain": INFO, "top": INFO, **stores})


def edited(**changes: Any) -> dict[str, Any]:
    """Return the small study with keys of its downstream task changed."""
    values = small_study("a", "b")
    values["downstream"]["top_tagging"].update(changes)
    return values


@pytest.mark.parametrize("part", ["pretrain", "finetune"])
def test_runs_of_one_process_have_nothing_to_split(part: str) -> None:
    """Each run of a study is one process: `train.shard` is refused before any run."""
    values = small_study("a", "b")
    place = values["pretrain"] if part == "pretrain" else values["downstream"]["top_tagging"]
    place["recipe"] = merge(place["recipe"], {"train": {"shard": True}})
    with pytest.raises(ConfigError, match=r"train.shard=true splits the backbone over several processes"):
        check_study(plan_of(values))


def test_shared_work_is_one_run() -> None:
    values = edited(budgets=[10, 20, 30])
    plan = plan_of({**values, "arms": {"scratch": None, "a": "supervised", "b": "supervised", "c": "lejepa"}})
    assert len(plan.trials) == 4 * 3 * 2
    assert plan.count("pretrain") == 3  # the architecture of scratch, a = b, c
    assert plan.count("finetune") == plan.count("evaluate") == 3 * 3 * 2
    same = {trial.evaluate for trial in plan.trials if trial.cell.arm == "a"}
    assert same == {trial.evaluate for trial in plan.trials if trial.cell.arm == "b"}


def test_scratch_depends_on_no_pretraining_set() -> None:
    values = small_study("a", "b")
    values["pretrain"]["rows"] = [10, 20, 30]
    plan = plan_of(values)
    assert {trial.cell.rows for trial in plan.trials if trial.cell.arm == "scratch"} == {None}
    assert all(trial.pretrain is None for trial in plan.trials if trial.cell.arm == "scratch")
    assert plan.count("pretrain") == 1 + 3


def test_parents_come_first() -> None:
    plan = plan_of(small_study("a", "b", search=SEARCH))
    seen: set[str] = set()
    for name, run in plan.runs.items():
        assert set(run.needed) <= seen
        assert name == run.name
        seen.add(name)


def test_what_changes_the_result_changes_the_address() -> None:
    base = set(plan_of(edited()).runs)
    other_store = StoreInfo(INFO.schema, INFO.splits, INFO.path, "f2")
    assert not base & set(plan_of(edited(), pretrain=other_store).runs)
    recipe = small_study("a", "b")["downstream"]["top_tagging"]["recipe"]
    steps = plan_of(edited(recipe={**recipe, "train": {**recipe["train"], "steps": 5}}))
    assert {run.verb for run in steps.runs.values() if run.name in base} == {"pretrain"}


def test_what_does_not_change_the_result_keeps_the_address() -> None:
    recipe = small_study("a", "b")["downstream"]["top_tagging"]["recipe"]
    noisy = {
        **recipe,
        "description": "x",
        "train": {**recipe["train"], "log_every": 1, "trackers": ["tensorboard"]},
    }
    moved = StoreInfo(INFO.schema, INFO.splits, Path("/elsewhere"), "f1")
    assert set(plan_of(edited(recipe=noisy), top=moved).runs) == set(plan_of(edited()).runs)


@given(st.permutations(["scratch", "a", "b"]), st.lists(st.integers(9, 99), unique=True, max_size=3))
def test_more_arms_budgets_and_seeds_leave_the_old_runs_alone(order: list[str], more: list[int]) -> None:
    arms = {"scratch": None, "a": "supervised", "b": "lejepa"}
    old = plan_of({**edited(), "arms": {name: arms[name] for name in ("scratch", "a")}})
    wider = edited(budgets=[40, *(100 + number for number in more)])
    wider["seeds"] = {"replicates": [*more, 1, 2]}
    new = plan_of({**wider, "arms": {name: arms[name] for name in order}})
    assert set(old.runs) <= set(new.runs)


def test_every_replicate_searches_for_itself_or_the_first_for_all() -> None:
    each = plan_of(small_study("a", "b", search=SEARCH))
    assert each.count("finetune") == 2 * 2 * 3
    assert all(len(trial.models) == 3 and trial.models == trial.search for trial in each.trials)
    first = plan_of(small_study("a", "b", search={**SEARCH, "per": "cell"}))
    assert first.count("finetune") == 2 * (3 + 1)
    second = next(trial for trial in first.trials if trial.replicate == 2)
    (model,) = second.models
    leader = next(t for t in first.trials if t.cell == second.cell and t.replicate == 1)
    assert first.runs[model].parents["choice"] == leader.models
    assert second.search == ()


def test_a_task_has_its_own_rates() -> None:
    plan = plan_of({**edited(learning_rates=[3e-3, 3e-2]), "search": SEARCH})
    assert plan.count("finetune") == 2 * 2 * 2
    tried = {
        run.values["recipe"]["train"]["optimizer"]["lr"]
        for run in plan.runs.values()
        if run.verb == "finetune"
    }
    assert tried == {3e-3, 3e-2}


def test_every_arm_has_the_same_search_and_the_same_rows() -> None:
    plan = plan_of(small_study("a", "b", search=SEARCH))

    def asked(arm: str) -> list[Any]:
        found = []
        for trial in plan.trials:
            if trial.cell.arm == arm:
                recipes = [plan.runs[name].values["recipe"] for name in trial.models]
                found.append([(r["seeds"], r["data"], r["train"]) for r in recipes])
        return found

    assert asked("scratch") == asked("classification")


def test_test_rows_have_the_weights_of_the_recipe() -> None:
    recipe = small_study("a", "b")["downstream"]["top_tagging"]["recipe"]

    def weights(setting: str | None) -> set[Any]:
        data = {**recipe.get("data", {}), "weights": setting}
        runs = plan_of(edited(recipe={**recipe, "data": data})).runs.values()
        return {run.values.get("weights", "auto") for run in runs if run.verb == "evaluate"}

    assert weights(None) == {None}
    assert weights("event_weight") == {"event_weight"}
    assert weights("auto") == {"auto"}


def test_a_run_survives_json() -> None:
    for run in plan_of(small_study("a", "b", search=SEARCH)).runs.values():
        assert Run.from_dict(run.to_dict()) == run


def test_generation_has_a_run_of_its_own() -> None:
    plan = plan_of(edited(generate={"n": "1k", "steps": 4}))
    made = [run for run in plan.runs.values() if run.verb == "generate"]
    assert {run.values["seed"] for run in made} == {1, 2}
    assert all(run.values["n"] == 1000 for run in made)
    evaluated = [run for run in plan.runs.values() if run.verb == "evaluate"]
    assert {name for run in evaluated for name in run.parents["generated"]} == {run.name for run in made}


def test_every_replicate_starts_from_its_pretraining() -> None:
    values = small_study("a", "b", seeds={"replicates": [1, 2, 3], "pretrain": [7, 8, 9]})
    plan = plan_of(values)
    trials = [trial for trial in plan.trials if trial.cell.arm == "classification"]
    for trial, seed in zip(trials, (7, 8, 9), strict=True):
        (model,) = trial.models
        (parent,) = plan.runs[model].parents["model"]
        assert parent == trial.pretrain
        assert plan.runs[parent].verb == "pretrain"
        assert plan.runs[parent].values["recipe"]["seed"] == seed
        assert plan.runs[trial.evaluate].parents["model"] == (model,)
    assert len({trial.pretrain for trial in trials}) == 3


def test_a_choice_is_made_among_the_searches_of_its_cell() -> None:
    values = edited(budgets=[10, 20])
    values["arms"] = {"scratch": None, "a": "supervised", "b": "lejepa"}
    plan = plan_of({**values, "search": {**SEARCH, "per": "cell"}})
    leaders = {trial.cell: trial for trial in plan.trials if trial.search}
    for trial in plan.trials:
        if trial.search:
            continue
        (model,) = trial.models
        run = plan.runs[model]
        assert run.parents["choice"] == leaders[trial.cell].search
        assert {plan.runs[name].values["recipe"]["data"]["budget"] for name in run.parents["choice"]} == {
            run.values["recipe"]["data"]["budget"]
        }
