"""A study of showers: simulated, trained, generated at the energies of real ones into cells, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from study_values import TINY, TRAIN, small_study

from hepfm.core.errors import ConfigError
from hepfm.data.store import Store
from hepfm.study.cost import estimate
from hepfm.study.folder import StudyFolder
from hepfm.study.study import prepare, study

pytestmark = pytest.mark.enable_socket  # Dask talks to itself

DATA = {"store": "", "features": "calo", "context": "incident", "max_constituents": 96}
FLOW = {"name": "flow_matching", "max_constituents": 96, "generator": {"name": "flow", "steps": 6}}


def values(**generate: Any) -> dict[str, Any]:
    """Return a study of scratch and flow matching from tungsten to lead."""
    recipe = {"data": DATA, "backbone": TINY, "objective": FLOW, "train": TRAIN}
    few = {"energy": {"min": 1, "max": 2}, "chunk_showers": 50}
    return {
        "stores": {
            "pretrain": {
                "simulate": "calo_showers",
                "rows": {"train": 60, "val": 20, "test": 20},
                "options": few,
            },
            "lead": {
                "simulate": "calo_showers",
                "rows": {"train": 60, "val": 20, "test": 120},
                "options": {**few, "absorber": "lead"},
                "seed": 5,
            },
        },
        "seeds": {"replicates": [1]},
        "pretrain": {"recipe": recipe, "sizes": {"tiny": {}}},
        "arms": {"scratch": None, "flow": FLOW},
        "downstream": {
            "shower_generation": {
                "store": "lead",
                "recipe": {"data": {"store": ""}, "train": TRAIN},
                "objective": FLOW,
                "budgets": [40],
                "generate": {"n": 60, "cells": "dataset_2", "steps": 2, **generate},
            }
        },
    }


def test_showers_are_generated_at_the_energies_of_the_store(tmp_path: Path) -> None:
    done = study(values(), output=tmp_path / "study", processes=1)
    assert done.complete, done.states
    folder, plan = StudyFolder(tmp_path / "study"), prepare(values())
    for trial in plan.trials:
        (name,) = plan.runs[trial.evaluate].parents["generated"]
        made = Store.open(folder.run(name).store)
        assert made.manifest.provenance["cells"] == "dataset_2"
        assert made.manifest.provenance["generator"]["steps"] == 2
        (parent,) = plan.runs[name].parents["store"]
        real = Store.open(folder.run(parent).store)
        assert made.manifest.provenance["like"] == real.fingerprint
        wanted = real.read(["incident_energy"], real.split("test")[:60])["incident_energy"]
        found = made.read(["incident_energy"])["incident_energy"]
        assert found == pytest.approx(wanted, rel=1e-5)
    assert "The jets of" not in (tmp_path / "study" / "report" / "report.html").read_text(encoding="utf-8")
    (table,) = (tmp_path / "study" / "report" / "csv").glob("*-results.csv")
    rows = table.read_text().splitlines()
    assert sum(",truth-vs-truth baseline," in row for row in rows) == len(
        {row.split(",")[0] for row in rows[1:]}
    )


def test_generation_costs_an_unknown_time_until_one_is_done(tmp_path: Path) -> None:
    cost = estimate(values(), output=tmp_path / "none")
    seconds = {one.verb: one.seconds for one in cost.estimates}
    assert (seconds["generate"], seconds["evaluate"]) == (None, None)
    assert all(seconds[verb] for verb in ("simulate", "pretrain", "finetune"))
    assert not any(one.problem for one in cost.estimates)


@pytest.mark.parametrize(
    ("generate", "message"),
    [
        ({"stepss": 4}, r"did you mean 'steps'"),
        ({"steps": 0}, r"'steps': .*greater than 0"),
        ({"top_p": 0.9}, r"unknown key 'top_p'"),
        ({"num_blocks": 3}, r"num_blocks of generator 'flow' is trained"),
        ({"cells": "dataset_7"}, r"dataset_2, dataset_3"),
        ({"n": 121}, r"generate.n asks for 121 rows, split 'test' of the store has 120"),
    ],
)
def test_a_generation_that_cannot_be_done_is_refused_before_anything_runs(
    generate: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare(values(**generate))


def test_an_objective_without_generator_is_refused() -> None:
    plain = values()
    plain["downstream"]["shower_generation"]["objective"] = {"name": "masked"}
    with pytest.raises(ConfigError, match="'masked' trains no generator"):
        prepare(plain)


def test_cells_of_jets_are_refused(jet_store: Store, tops: Store) -> None:
    jets = small_study(jet_store.path, tops.path)
    flow = {"name": "flow_matching", "label": None}
    recipe = {**jets["pretrain"]["recipe"], "data": {"store": "", "features": "pet", "context": "jet"}}
    jets["pretrain"] = {**jets["pretrain"], "recipe": recipe}
    entry = {**jets["downstream"]["top_tagging"], "task": "jet_generation", "objective": flow}
    for generate, message in (({"n": 60, "cells": "dataset_2"}, "cells are for showers"), ({"n": 60}, "")):
        changed = {**jets, "arms": {"scratch": None, "flow": flow}}
        changed["downstream"] = {"jets": {**entry, "generate": generate}}
        if message:
            with pytest.raises(ConfigError, match=message):
                prepare(changed)
        else:
            prepare(changed)
