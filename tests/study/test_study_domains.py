"""Studies with domains: scratch, the domain of a task alone, and several together, in one plan and report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from study_values import TINY, TRAIN

from hepfm.core.config import merge
from hepfm.core.errors import ConfigError
from hepfm.data.schemas.events import event_schema
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.schemas.showers import shower_schema
from hepfm.data.store import Store
from hepfm.study.check import check_study
from hepfm.study.config import read_study
from hepfm.study.plan import Plan, make_plan
from hepfm.study.registration import registered_content
from hepfm.study.study import study
from hepfm.train.resume import resume
from hepfm.workflow.stores import StoreInfo

Values = dict[str, Any]
SPLITS = {"train": 100, "val": 20, "test": 30}
INFOS = {
    "jets": StoreInfo(jet_schema(("QCD", "Tbqq")), SPLITS, Path("/jets"), "f1"),
    "top": StoreInfo(jet_schema(("QCD", "Tbqq")), SPLITS, Path("/top"), "f2"),
    "showers": StoreInfo(shower_schema(), SPLITS, Path("/showers"), "f3"),
    "events": StoreInfo(event_schema(("ttbar", "Zjets")), SPLITS, Path("/events"), "f4"),
}
HITS = {"name": "regression", "features": ["log_hit_energy", "hit_x", "hit_y", "hit_layer"]}
TUNED = {"data": {"store": ""}, "train": TRAIN}


def domain_study(**stores: str) -> Values:
    """Return a study of jets and showers, and a task of each."""
    known = {name: str(info.path) for name, info in INFOS.items()}
    return {
        "stores": {**known, **stores},
        "seeds": {"replicates": [1, 2], "pretrain": [1, 2]},
        "domains": {
            "jets": {"data": {"store": "jets", "features": "kin"}, "objective": "supervised", "weight": 2},
            "showers": {
                "data": {"store": "showers", "features": "calo", "max_constituents": 20},
                "objective": {"name": "masked", "targets": [HITS]},
            },
        },
        "pretrain": {"recipe": {"backbone": TINY, "train": TRAIN}, "sizes": {"tiny": {}}},
        "arms": {"scratch": None, "single": {"domains": "own"}, "joint": {"domains": "all"}},
        "downstream": {
            "top_tagging": {"domain": "jets", "store": "top", "recipe": TUNED, "budgets": [40]},
            "energy": {
                "task": {"name": "regression", "field": "incident_energy"},
                "domain": "showers",
                "store": "showers",
                "objective": {"name": "supervised", "label": "incident_energy"},
                "recipe": TUNED,
                "budgets": [40],
            },
        },
    }


def plan_of(values: Values) -> Plan:
    return make_plan(read_study(values), INFOS)


def test_each_arm_trains_on_what_it_says() -> None:
    plan = plan_of(domain_study())
    assert plan.count("joint") == 2  # one for each seed, which both tasks share
    assert plan.count("pretrain") == 2 * (1 + 2)
    by_arm = {(trial.cell.arm, trial.cell.task): trial for trial in plan.trials if trial.replicate == 1}
    joint = {plan.runs[by_arm["joint", task].pretrain or ""].name for task in ("top_tagging", "energy")}
    assert len(joint) == 1
    run = plan.runs[joint.pop()]
    assert run.paths == {"store.jets": "/jets", "store.showers": "/showers"}
    assert (run.values["store.jets"], run.values["store.showers"]) == ("f1", "f3")
    assert run.values["recipe"]["domains"]["jets"]["weight"] == 2
    assert "store" not in run.values["recipe"]["domains"]["jets"]["data"]
    domains = {
        (arm, task): plan.runs[trial.models[0]].values.get("domain") for (arm, task), trial in by_arm.items()
    }
    assert domains["joint", "top_tagging"] == "jets"
    assert domains["joint", "energy"] == "showers"
    assert domains["single", "energy"] is None
    alone = plan.runs[by_arm["single", "energy"].pretrain or ""]
    assert alone.values["recipe"]["data"]["features"] == "calo"
    assert alone.paths == {"store": "/showers"}


def test_domains_of_tasks_that_an_arm_leaves_out_are_left_out_of_it() -> None:
    events = {"data": {"store": "events", "features": "event"}, "objective": "supervised"}
    values = merge(domain_study(), {"domains": {"events": events}})
    values["arms"]["two"] = {"domains": ["events", "jets"]}
    plan = plan_of(values)
    tasks = {trial.cell.task for trial in plan.trials if trial.cell.arm == "two"}
    assert tasks == {"top_tagging"}
    values["contrasts"] = {"no": {"contrast": "two - single", "family": "f", "task": "energy"}}
    with pytest.raises(ConfigError, match="arm 'two' does not train on 'showers', the domain of 'energy'"):
        read_study(values)


def test_the_order_of_domains_and_what_trains_alike_do_not_change_the_address() -> None:
    values = domain_study()
    turned = {**values, "domains": dict(reversed(values["domains"].items()))}
    assert set(plan_of(turned).runs) == set(plan_of(values).runs)
    logged = merge(values, {"pretrain": {"recipe": {"train": {"log_every": 1}}}})
    assert set(plan_of(logged).runs) == set(plan_of(values).runs)
    heavier = merge(values, {"domains": {"jets": {"weight": 3}}})
    changed = set(plan_of(values).runs) - set(plan_of(heavier).runs)
    assert {name.partition("-")[0] for name in changed} == {"joint", "finetune", "evaluate"}


def test_arms_and_domains_are_registered() -> None:
    values = domain_study()
    values["contrasts"] = {"gain": {"contrast": "joint - single", "family": "f", "task": "energy"}}
    content = registered_content(read_study(values))
    assert content["arms"]["joint"] == {"domains": "all", "options": {}}
    assert set(content["domains"]) == {"jets", "showers"}


WRONG = {
    "an objective": ({"arms": {"more": "lejepa"}}, "arms.more: each domain has its own objective"),
    "an unknown domain": ({"arms": {"more": {"domains": ["jets", "shower"]}}}, "did you mean 'showers'"),
    "one of a list": ({"arms": {"more": {"domains": ["jets"]}}}, "for one alone write own"),
    "nothing in an arm": ({"arms": {"more": {"domains": None}}}, "arms.more: give the objective"),
    "a task of none": ({"downstream": {"energy": {"domain": None}}}, "say of which domain it is"),
    "a task of another": ({"downstream": {"energy": {"domain": "calo"}}}, "'calo' is no domain of the study"),
    "a store of none": (
        {"domains": {"jets": {"data": {"store": "jet"}}}},
        "domains.jets.data.store names",
    ),
    "a store of pre-training": ({"pretrain": {"store": "jets"}}, "pretrain.store is for studies without"),
    "a tokenizer": ({"tokenizer": {"recipe": {}}}, "tokenizer is for studies without domains"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=list(WRONG))
def test_mistakes_are_refused(changes: Values, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_study(merge(domain_study(), changes))


def test_without_domains_nothing_may_name_one() -> None:
    values = domain_study()
    del values["domains"]
    values["pretrain"] = {**values["pretrain"], "store": "jets"}
    with pytest.raises(ConfigError) as error:
        read_study(values)
    assert "arms.joint: the study has no section domains" in str(error.value)
    assert "downstream.energy: domain is for studies with a section domains" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"pretrain": {"recipe": {"backbone": {"name": "particlenet", "size": "xs"}}}},
            "several kinds of rows",
        ),
        ({"domains": {"showers": {"objective": "supervised"}}}, "domain 'showers': "),
        ({"pretrain": {"rows": [101]}}, "domain 'jets': data.rows asks for 101 rows"),
        ({"domains": {"jets": {"weight": 0}}}, "domains.jets.weight"),
    ],
    ids=["backbone", "objective", "rows", "weight"],
)
def test_what_cannot_be_trained_is_refused_before_any_run(changes: Values, said: str) -> None:
    values = merge(domain_study(), changes)
    if "backbone" in json.dumps(changes):
        values["pretrain"]["recipe"]["backbone"] = changes["pretrain"]["recipe"]["backbone"]
    with pytest.raises(ConfigError, match=said):
        check_study(plan_of(values))


@pytest.mark.enable_socket  # Dask talks to itself
def test_a_study_of_domains_runs_and_reports(
    tmp_path: Path, jet_store: Store, tops: Store, shower_store: Store
) -> None:
    stores = {"jets": str(jet_store.path), "top": str(tops.path), "showers": str(shower_store.path)}
    values = domain_study(**stores)
    del values["stores"]["events"], values["downstream"]["energy"]
    values["seeds"] = {"replicates": [1], "pretrain": [1]}
    result = study(values, output=tmp_path / "study", processes=2)
    assert result.complete, result.states
    text = (result.report or Path()).read_text()
    assert "the domains that they pre-train on (single: own; joint: all; own is that of the task)" in text
    (joint,) = (tmp_path / "study" / "runs").glob("joint-*")
    facts = json.loads((joint / "done.json").read_text())
    assert (facts["steps"], facts["rows"], facts["training_rows"]) == (4, 4 * 32, 800)
    assert (joint / "run" / "models" / "jets" / "card.md").exists()
    resume(joint / "run")
