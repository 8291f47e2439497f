"""Scaling laws of a study: refused when wrong, registered first, read from finished runs, told on a page."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from study_values import TINY, TRAIN, small_study
from torch.utils.flop_counter import FlopCounterMode

from hepfm.core.errors import ConfigError
from hepfm.data.store import Store
from hepfm.metrics.power_law import PowerLaw
from hepfm.study.config import read_study
from hepfm.study.folder import StudyFolder
from hepfm.study.plan import Plan, ScaledTraining
from hepfm.study.registration import read_registration, register, registered_content, registration_text
from hepfm.study.scaling_part import arm_scalings
from hepfm.study.scaling_runs import (
    FLOPS,
    count_parameters,
    measured_trainings,
    planned_parameters,
    plateau_mark,
)
from hepfm.study.study import prepare
from hepfm.study.study_report import write_report
from hepfm.train.pretraining import new_network
from hepfm.train.recipe import read_pretrain_recipe
from hepfm.workflow.verbs.pretrain import Pretrain

WIDTHS = {"a": 4, "b": 8, "c": 16}
LARGER = {"larger": {"size": "d", "rows": 400}}
LAW = PowerLaw(1.0, (0.2, 0.5), (0.5, 0.4), (1000.0, 100.0))


def scaling_study(store: Any = "a", **scaling: Any) -> dict[str, Any]:
    """Return a study of three sizes and four numbers of rows, with a larger cell predicted."""
    values = small_study(store, store, arms={"classification": "supervised"}, downstream={})
    values["seeds"] = {"replicates": [1], "pretrain": [1, 2]}
    recipe = {**values["pretrain"]["recipe"], "early_stopping": {"patience": 2}}
    sizes = {name: {"backbone": {"width": width}} for name, width in WIDTHS.items()}
    values["pretrain"] = {"recipe": recipe, "sizes": sizes, "rows": [20, 50, 100, 200]}
    section = {"sizes": {"d": {"backbone": {"width": 32}}}, "predict": LARGER, "resamples": 40, **scaling}
    return {**values, "scaling": section}


@pytest.fixture
def plan(jet_store: Store) -> Plan:
    return prepare(scaling_study(jet_store.path))


Loss = Callable[[ScaledTraining, float, int], list[float]]


def plain(one: ScaledTraining, parameters: float, rows: int) -> list[float]:
    """Return validation losses of a training that follows the law and reached its plateau."""
    noise = 0.004 * np.random.default_rng([one.seed, rows, int(parameters)]).normal()
    best = float(LAW.loss(np.array([[parameters, rows]], float))[0] * np.exp(noise))
    return [1.5 * best, best, 1.001 * best, 1.002 * best]


def finish(plan: Plan, folder: StudyFolder, losses: Loss = plain, *, predicted: bool = True) -> None:
    """Write what finished pre-trainings leave."""
    for one in plan.scaled:
        if one.predicted and not predicted:
            continue
        run = folder.run(one.run)
        parameters, rows = planned_parameters(plan.runs[one.run]), one.rows or 600
        found = losses(one, parameters, rows)
        lines = [
            {"kind": "validation", "step": 10 * (place + 1), "loss": loss} for place, loss in enumerate(found)
        ]
        run.model.mkdir(parents=True)
        (run.training / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        weights = {"backbone.block": (parameters,), "backbone.embedding.0": (7,), "heads.weight": (5,)}
        save_file({k: np.zeros(v, np.float32) for k, v in weights.items()}, run.model / "model.safetensors")
        best = 10 * (int(np.argmin(found)) + 1)
        facts = {"steps": 10 * len(found), "rows": 160 * len(found), "best_step": best}
        run.finish({**facts, "training_rows": rows, "parameters": parameters + 12, "seconds": 2.0})


def report(plan: Plan, folder: StudyFolder) -> str:
    states: Any = {name: folder.status(name) for name in plan.runs}
    page = write_report(plan, folder, states)
    assert page is not None
    return page.read_text(encoding="utf-8")


def rows_of(folder: StudyFolder, name: str) -> list[dict[str, str]]:
    with (folder.report / "csv" / f"scaling-{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        ({"arms": ["clasification"]}, "names no arm with pre-training ('clasification'; did you mean"),
        ({"arms": []}, "scaling has no arm"),
        (
            {"predict": {"x": {"size": "e", "rows": 10}}, "sizes": {}},
            "scaling.predict.x.size names no size ('e'",
        ),
        ({"predict": {}}, "scaling.sizes.d is of no use: no cell of scaling.predict has it"),
        (
            {"sizes": {"a": {}}, "predict": {"x": {"size": "a", "rows": 9}}},
            "scaling.sizes.a is a size of pretrain",
        ),
        ({"predict": {**LARGER, "again": LARGER["larger"]}}, "scaling.predict names a cell twice"),
        ({"level": 95}, "scaling.level"),
        ({"huber": 0}, "scaling.huber"),
        ({"resamples": 10}, "scaling.resamples"),
        ({"improving": "drop"}, "scaling.improving"),
        ({"predict": {"x": {"size": "d", "rows": None}}}, "scaling.predict.x.rows"),
        ({"form": "log"}, "unknown key 'scaling.form'"),
    ],
)
def test_what_is_wrong_with_the_section_is_said(scaling: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_study(scaling_study(**scaling))
    assert message in str(error.value)


def test_too_few_sizes_or_rows_are_refused_before_anything_runs() -> None:
    values = scaling_study()
    values["pretrain"]["rows"] = [20, 50]
    del values["pretrain"]["sizes"]["c"]
    with pytest.raises(ConfigError) as error:
        read_study(values)
    for what in ("pretrain.sizes", "pretrain.rows"):
        assert f"scaling needs at least 3 {what} outside scaling.predict, there are 2" in str(error.value)
    kept = {f"{size}{rows}": {"size": size, "rows": rows} for size in "abc" for rows in (20, 50)}
    more = {"x": {"size": "a", "rows": 100}}
    with pytest.raises(ConfigError, match=r"at least 3 pretrain\.rows outside"):
        read_study(scaling_study(predict=kept, sizes={}))
    diagonal = {
        f"{size}{rows}": {"size": size, "rows": rows}
        for size, only in (("a", (20, 50)), ("b", (50, 100)), ("c", (100,)))
        for rows in (20, 50, 100, 200)
        if rows not in only
    }
    with pytest.raises(ConfigError, match="scaling has 5 cells for a law of 5 parameters"):
        read_study(scaling_study(predict=diagonal, sizes={}))
    assert len(read_study(scaling_study(predict=more, sizes={})).scaling.predict) == 1


def test_a_study_without_tasks_needs_scaling_and_an_arm_with_pretraining() -> None:
    values = scaling_study()
    without = {key: value for key, value in values.items() if key != "scaling"}
    with pytest.raises(ConfigError, match="downstream is empty"):
        read_study(without)
    with pytest.raises(ConfigError, match="scaling has no arm"):
        read_study({**values, "arms": {"scratch": None}})


def test_predicted_cells_are_planned_beside_the_grid(plan: Plan) -> None:
    assert plan.count("pretrain") == len(plan.scaled) == (12 + 1) * 2
    larger = [one for one in plan.scaled if one.predicted]
    assert [(one.size, one.rows, one.seed) for one in larger] == [("d", 400, 1), ("d", 400, 2)]
    recipe = plan.runs[larger[0].run].values["recipe"]
    assert recipe["backbone"]["width"] == 32
    assert recipe["data"]["rows"] == 400


def test_a_cell_larger_than_the_store_is_refused(jet_store: Store) -> None:
    with pytest.raises(ConfigError, match=r"data\.rows"):
        prepare(scaling_study(jet_store.path, predict={"larger": {"size": "d", "rows": 601}}))


def test_the_law_is_registered_with_its_prediction_and_changes_are_told(tmp_path: Path) -> None:
    config, folder = read_study(scaling_study()), StudyFolder(tmp_path)
    asked = registered_content(config)["scaling"]
    assert asked["predict"] == LARGER
    assert ["a", 20] in asked["fitted"]
    assert ["d", 400] not in asked["fitted"]
    assert "in the interval of the mean of as many trainings" in asked["agreement"]
    assert asked["sizes"]["d"] == {"backbone": {"width": 32}}
    registered = register(config, folder, ["pretrain-1"])
    assert registered is not None
    assert registered.beforehand
    assert not registered.asks_contrasts
    folder.run("pretrain-1").path.mkdir(parents=True)
    folder.run("pretrain-1").finish({"seconds": 1.0})
    register(read_study(scaling_study(level=0.68)), folder, ["pretrain-1"])
    changed = read_registration(folder)
    assert changed is not None
    assert "Changed: the scaling law." in registration_text(changed)


def test_other_studies_register_what_they_did() -> None:
    assert "scaling" not in registered_content(read_study(small_study("a", "b")))


def test_a_known_law_is_found_and_its_prediction_agrees(plan: Plan, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    register(plan.config, folder, plan.runs)
    finish(plan, folder)
    page = report(plan, folder)
    assert "before the first run" in page
    assert "Registered contrasts" not in page
    (prediction,) = rows_of(folder, "predictions")
    assert prediction["verdict"] == "agrees"
    assert (
        float(prediction["predicted_low"])
        < float(prediction["measured"])
        < float(prediction["predicted_high"])
    )
    assert float(prediction["largest_fitted"]) > float(prediction["measured"])
    assert "measured" in page
    assert "agrees" in page
    found = {(row["law"], row["parameter"]): row for row in rows_of(folder, "parameters")}
    for symbol, truth in (("E", 1.0), ("alpha", 0.5), ("beta", 0.4)):
        assert float(found["joint", symbol]["low"]) < truth < float(found["joint", symbol]["high"])
    assert {law for law, _ in found} >= {"joint", "parameters", "rows"}
    trainings = rows_of(folder, "trainings")
    assert len(trainings) == 26
    one = trainings[0]
    constituents = float(one["constituents_seen"])
    assert float(one["flop"]) == pytest.approx(6 * int(one["parameters"]) * constituents)
    assert int(one["all_parameters"]) == int(one["parameters"]) + 12
    assert (one["best_step"], one["steps"], one["mark"]) == ("20", "40", "")
    assert float(one["epochs"]) == pytest.approx(20 * 16 / 20)
    for figure in ("parameters", "rows", "compute", "residuals"):
        assert f'<figure id="scaling-classification-{figure}">' in page
        assert rows_of(folder, f"classification-{figure}")
    assert page == report(plan, folder)


def test_a_prediction_stands_before_its_run_and_the_run_does_not_move_it(plan: Plan, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    finish(plan, folder, predicted=False)
    page = report(plan, folder)
    (before,) = rows_of(folder, "predictions")
    assert before["verdict"] == "not measured yet"
    assert "2 planned trainings have no result yet." in page
    parameters = planned_parameters(plan.runs[plan.scaled[-1].run])
    assert before["parameters"] == str(parameters)

    def worse(one: ScaledTraining, parameters: float, rows: int) -> list[float]:
        return [1.2 * loss for loss in plain(one, parameters, rows)]

    after_folder = StudyFolder(tmp_path / "after")
    finish(plan, after_folder, lambda one, n, d: (worse if one.predicted else plain)(one, n, d))
    report(plan, after_folder)
    (after,) = rows_of(after_folder, "predictions")
    assert after["verdict"] == "does not agree"
    for key in ("predicted", "predicted_low", "predicted_high"):
        assert after[key] == before[key]


def test_trainings_without_a_plateau_are_marked_and_left_out(
    plan: Plan, tmp_path: Path, jet_store: Store
) -> None:
    def losses(one: ScaledTraining, parameters: float, rows: int) -> list[float]:
        best = plain(one, parameters, rows)[1]
        if (one.size, one.rows) == ("a", 20):
            return [3 * best, 2.5 * best, 2 * best] if one.seed == 1 else [best, 1.1 * best, 1.2 * best]
        if (one.size, one.rows) == ("c", 20):
            return [1.5 * best, best, 1.5 * best, 2 * best]
        return plain(one, parameters, rows)

    folder = StudyFolder(tmp_path)
    finish(plan, folder, losses)
    page = report(plan, folder)
    marks = {(row["size"], row["rows"], row["seed"]): row["mark"] for row in rows_of(folder, "trainings")}
    assert marks["a", "20", "1"] == "still improving"
    assert marks["a", "20", "2"] == "best at the first validation"
    assert marks["c", "20", "1"] == marks["c", "20", "2"] == "overfits after its best"
    assert "2 had no plateau (1 still improving, 1 best at the first validation)" in page
    assert "They are left out of every fit." in page
    assert "2 overfitted" in page
    (joint, *_) = rows_of(folder, "laws")
    assert (joint["cells"], joint["trainings"]) == ("11", "22")
    kept = prepare(scaling_study(jet_store.path, improving="keep"))
    page = report(kept, folder)
    assert "They count all the same." in page
    assert rows_of(folder, "laws")[0]["trainings"] == "24"


def test_a_prediction_without_a_plateau_is_no_measurement(plan: Plan, tmp_path: Path) -> None:
    def losses(one: ScaledTraining, parameters: float, rows: int) -> list[float]:
        found = plain(one, parameters, rows)
        return found[:2] if one.predicted else found

    folder = StudyFolder(tmp_path)
    finish(plan, folder, losses)
    report(plan, folder)
    (prediction,) = rows_of(folder, "predictions")
    assert (prediction["verdict"], prediction["measured"]) == ("no plateau", "")


def test_too_few_finished_cells_are_told_and_not_fitted(plan: Plan, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)

    def losses(one: ScaledTraining, parameters: float, rows: int) -> list[float]:
        found = plain(one, parameters, rows)
        return found if one.size == "a" else found[:2]

    finish(plan, folder, losses, predicted=False)
    page = report(plan, folder)
    assert "no law of N and D. variable 1 has 1 different values" in page
    (prediction,) = rows_of(folder, "predictions")
    assert (prediction["verdict"], prediction["predicted"]) == ("no law", "")


def test_an_offset_at_nothing_is_not_printed(plan: Plan, tmp_path: Path) -> None:
    pure = PowerLaw(0.0, (0.8, 0.8), (0.1, 0.1), (1000.0, 100.0))

    def losses(one: ScaledTraining, parameters: float, rows: int) -> list[float]:
        factor = pure.loss(np.array([[parameters, rows]]))[0] / LAW.loss(np.array([[parameters, rows]]))[0]
        return [float(factor) * loss for loss in plain(one, parameters, rows)]

    folder = StudyFolder(tmp_path)
    finish(plan, folder, losses)
    assert "E not determined (its interval reaches 0)" in report(plan, folder)


def test_a_loss_below_nothing_has_no_law(plan: Plan, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    finish(plan, folder, lambda one, n, d: [2.0, -1.0, 0.1, 0.2])
    states: Any = {name: folder.status(name) for name in plan.runs}
    (arm,) = arm_scalings(plan, measured_trainings(plan, folder, states))
    assert arm.joint.fit is None
    assert "a power law is fitted to logarithms" in arm.joint.why


def test_a_plateau_without_early_stopping_is_a_best_that_is_neither_first_nor_last() -> None:
    losses = [(10, 1.0), (20, 0.9), (30, 0.91)]
    assert plateau_mark(losses, 20, patience=None) == ""
    assert plateau_mark(losses[:2], 20, patience=None) == "still improving"
    assert plateau_mark(losses, 10, patience=None) == "best at the first validation"


def test_numbers_of_a_training_that_was_run_are_its_own(jet_store: Store, tmp_path: Path) -> None:
    values = scaling_study(jet_store.path)
    train = {**TRAIN, "steps": 8, "validate_every": 1, "schedule": "constant", "ema": 0.5}
    values["pretrain"]["recipe"] = {**values["pretrain"]["recipe"], "backbone": TINY, "train": train}
    plan, folder = prepare(values), StudyFolder(tmp_path)
    planned = plan.scaled[-1]
    run = folder.run(planned.run)
    run.begin(plan.runs[planned.run])
    run.finish({**Pretrain().run(folder, plan.runs[planned.run], cores=1), "seconds": 3.0, "threads": 2})
    states: Any = {name: folder.status(name) for name in plan.runs}
    (one,) = measured_trainings(plan, folder, states)
    path = run.model / "model.safetensors"
    assert one.parameters == planned_parameters(plan.runs[planned.run]) == count_parameters(path)
    assert one.parameters < one.all_parameters
    assert (one.training_rows, one.batch_size, one.core_seconds) == (400, 16, 6.0)
    assert one.loss == min(loss for _, loss in one.losses)
    lengths = jet_store.lengths("constituent", jet_store.split("train"))
    assert one.constituents == pytest.approx(float(np.minimum(lengths, 128).mean()))


def test_the_built_in_study_can_work_and_predicts_beyond_its_grid() -> None:
    pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
    plan = prepare("scaling_cpu")
    assert {verb: plan.count(verb) for verb in ("simulate", "pretrain", "finetune")} == {
        "simulate": 1,
        "pretrain": (3 * 4 + 1) * 3,
        "finetune": 0,
    }
    numbers = {one.predicted: planned_parameters(plan.runs[one.run]) for one in plan.scaled}
    fitted = [planned_parameters(plan.runs[one.run]) for one in plan.scaled if not one.predicted]
    assert numbers["larger"] > 2 * max(fitted)
    train = plan.config.pretrain.recipe["train"]  # type: ignore[index]
    stopping = plan.config.pretrain.recipe["early_stopping"]  # type: ignore[index]
    assert train["schedule"]["name"] == "constant"
    assert train["steps"] >= 4 * stopping["patience"] * train["validate_every"]
    assert train["validation_rows"] == 10 * plan.config.stores["pretrain"].rows["val"]  # type: ignore[union-attr]


@pytest.mark.parametrize("width", [8, 16, 32, 48])
def test_the_convention_of_compute_is_half_to_all_of_what_torch_counts(width: int) -> None:
    """Matrix products of a step on rows of 30 constituents: attention and heads are beside 6 N."""
    backbone = {"name": "transformer", "width": width, "depth": 2, "num_heads": 4}
    data = {"store": "", "features": "kin", "max_constituents": 30}
    network = new_network(
        read_pretrain_recipe({"data": data, "backbone": backbone, "train": {"steps": 1}}), None
    ).backbone
    parameters = sum(
        weight.numel() for name, weight in network.named_parameters() if not name.startswith("embedding.")
    )
    mask, x = torch.ones(8, 30, dtype=torch.bool), torch.randn(8, 30, 7)
    with FlopCounterMode(display=False) as counter:
        network.encode(network.embed(x, mask), mask).pooled_BD.sum().backward()
    share = FLOPS * parameters * 8 * 30 / counter.get_total_flops()
    assert 0.5 < share < 1.1
