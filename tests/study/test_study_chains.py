"""Weak supervision and showers as one study each: mixtures by replicate, the control, the page."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from study_values import TRAIN, small_study

from hepfm.core.errors import ConfigError
from hepfm.data.mixtures import MIXED, SAMPLE
from hepfm.data.store import Store
from hepfm.report.figures.signal_strength import Strength
from hepfm.study.config import read_study
from hepfm.study.folder import StudyFolder
from hepfm.study.signals_part import FoundSignal
from hepfm.study.study import prepare, study
from hepfm.workflow.open_stores import open_stores
from hepfm.workflow.store_entries import MixedStore

COUNTS = {"none": 0, "some": 20}


@pytest.fixture
def study_values(tops: Store, jet_store: Store) -> dict[str, Any]:
    """Return a study of two signals, of which one is none."""
    return values(tops, jet_store)


def values(jets: Store, pretrain: Store) -> dict[str, Any]:
    """Return a study of two signals, of which one is none, with three replicates."""
    mix = {"mix": "jets", "signal": "Tbqq", "background": "QCD", "seed": "replicate"}
    entry = {
        "task": {"name": "weak_supervision", "background_efficiencies": [0.1]},
        "recipe": {"data": {"store": ""}, "train": TRAIN},
        "objective": "supervised",
        "budgets": [None],
    }
    plain = small_study("", "")
    return {
        **plain,
        "stores": {
            "jets": str(jets.path),
            "pretrain": str(pretrain.path),
            **{f"mixed_{name}": {**mix, "count": count} for name, count in COUNTS.items()},
        },
        "seeds": {"replicates": [1, 2]},
        "downstream": {name: {**entry, "store": f"mixed_{name}"} for name in COUNTS},
        "contrasts": {
            "helps": {"contrast": "classification - scratch", "family": "gain", "task": "some"},
        },
    }


def test_every_replicate_trains_on_a_mixture_of_its_own_and_all_are_measured_on_the_same_rows(
    study_values: dict[str, Any],
) -> None:
    plan = prepare(study_values)
    assert plan.count("mix") == 4
    mixtures: dict[tuple[str, int], set[str]] = {}
    measured: dict[str, set[str]] = {}
    for trial in plan.trials:
        (model,) = trial.models
        (mixture,) = plan.runs[model].parents["store"]
        seed, count = (plan.runs[mixture].values[key] for key in ("seed", "count"))
        assert (seed, count) == (trial.replicate, COUNTS[trial.cell.task])
        mixtures.setdefault((trial.cell.task, trial.replicate), set()).add(mixture)
        measured.setdefault(trial.cell.task, set()).update(plan.runs[trial.evaluate].parents["store"])
    assert len(set.union(*mixtures.values())) == 4
    assert all(len(found) == 1 for found in (*mixtures.values(), *measured.values()))
    # An estimate puts the mixtures of all replicates in one line.
    assert {plan.kinds[name] for name, run in plan.runs.items() if run.verb == "mix"} == {
        "mixed_none",
        "mixed_some",
    }


def columns(store: Store, split: str) -> dict[str, Any]:
    return dict(store.read(["jet_pt", "jet_label", SAMPLE], store.split(split)))


def test_draws_of_a_mixture_have_the_same_test_rows_and_other_signal(tops: Store, tmp_path: Path) -> None:
    from hepfm.data.mixtures import mix

    sides = {"signal": "Tbqq", "background": "QCD", "count": 20}
    made = [Store.open(mix(tops, tmp_path / str(seed), **sides, seed=seed)) for seed in (1, 2)]
    tests, trainings = ([columns(store, split) for store in made] for split in ("test", "train"))
    for name in ("jet_pt", SAMPLE):
        assert np.array_equal(tests[0][name], tests[1][name])
    signals = [set(one["jet_pt"][one["jet_label"] == 1].tolist()) for one in trainings]
    assert len(signals[0]) == len(signals[1]) == 20
    assert signals[0] != signals[1]


@pytest.mark.enable_socket  # Dask talks to itself
def test_the_page_sets_every_arm_beside_its_control(study_values: dict[str, Any], tmp_path: Path) -> None:
    done = study(study_values, output=tmp_path / "study", processes=1)
    assert done.complete, done.states
    folder = StudyFolder(tmp_path / "study")
    with (folder.report / "csv" / "signals1-table.csv").open() as file:
        rows = {(row["arm"], int(row["signal"])): row for row in csv.DictReader(file)}
    assert set(rows) == {(arm, count) for arm in ("scratch", "classification") for count in (0, 20)}
    store = Store.open(next(path for path in folder.path.glob("runs/mix-*/store")))
    labels = columns(store, "train")
    background = int(((labels[SAMPLE] == 1) & (labels["jet_label"] == 0)).sum())
    for (arm, count), row in rows.items():
        assert int(row["background"]) == background
        assert float(row["s_over_sqrt_b"]) == pytest.approx(count / background**0.5)
        after = float(row["mean"]) * count / background**0.5
        assert float(row["s_over_sqrt_b_after"]) == pytest.approx(after)
        control = rows[arm, 0]
        assert control["verdict"] == "control"
        assert control["p_holm"] == control["difference"] == ""
        if count:
            assert float(row["difference"]) == pytest.approx(float(row["mean"]) - float(control["mean"]))
            assert row["verdict"] != "control"
    page = (folder.report / "report.html").read_text(encoding="utf-8")
    for text in ("random scores", "without signal", "signal rows in training", "2 draws of labels"):
        assert text in page
    assert "commonest class" not in page
    assert "all labels" not in page.partition("Compute")[0].partition("What is found")[2].split("<table")[0]


def group(values: list[float]) -> Any:
    """Return trainings that know the seed and the value of their only metric."""

    def file(value: float) -> Any:
        return SimpleNamespace(metric=lambda name: SimpleNamespace(value=value, scale="difference"))

    return SimpleNamespace(
        results=[SimpleNamespace(seed=seed, file=file(value)) for seed, value in enumerate(values)]
    )


METRIC: Any = SimpleNamespace(name="improvement", scale="difference")
CONTROL = [0.1, 0.3, 0.1, 0.2, 0.2]


@pytest.mark.parametrize(
    ("signal", "trainings", "control", "verdict"),
    [
        (50, [2.1, 2.4, 2.0, 2.3, 2.2], CONTROL, "above the control"),
        (50, [0.05, 0.24, 0.05, 0.14, 0.15], CONTROL, "below the control"),
        # As much above zero, and no more than a control that scatters: a search on its own would claim it.
        (50, [2.1, 2.4, 2.0, 2.3, 2.2], [4.0, 0.1, 5.0, 0.2, 1.0], "not resolved"),
        (50, [2.1, 2.4, 2.0, 2.3, 2.2], None, "no control"),
        (50, [2.1, 2.4], CONTROL[:2], "not resolved: fewer than 3 pairs of trainings (2)"),
        (0, CONTROL, CONTROL, "control"),
    ],
)
def test_a_signal_is_found_by_what_an_arm_has_beyond_its_control(
    signal: int, trainings: list[float], control: list[float] | None, verdict: str
) -> None:
    row = FoundSignal(
        "arm", Strength(signal, 100), group(trainings), METRIC, group(control) if control else None
    )
    row = replace(row, adjusted_p=row.p)
    assert row.verdict == verdict
    assert row.is_found == (verdict == "above the control")


def test_signal_is_told_in_numbers_of_the_mixture() -> None:
    assert Strength(50, 5000).significance == pytest.approx(0.7071, abs=1e-4)
    assert Strength(50, 5000).text == "50 (S/B 1 %)"
    assert Strength(0, 5000).text == "none (control)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 500}, r"store 'mixed_some@1': split 'train' of the store has \d+ rows of signal, 500"),
        ({"signal": "Tbq"}, "no class 'Tbq'; did you mean 'Tbqq'"),
        ({"background": "Tbqq"}, "signal and background are both 'Tbqq'"),
        ({"count": -1}, "greater than or equal to 0"),
        ({"seed": "replicates"}, "seed"),
        ({"mix": "jetz"}, r"stores\.mixed_some\.mix names no store of the study"),
        ({"mix": "mixed_none"}, "of which every replicate has its own"),
    ],
)
def test_a_mixture_that_cannot_be_made_is_refused(
    study_values: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    wrong = study_values
    wrong["stores"]["mixed_some"] = {**wrong["stores"]["mixed_some"], **change}
    with pytest.raises(ConfigError, match=message):
        prepare(wrong)


def test_what_all_replicates_share_reads_no_store_of_one_of_them(
    study_values: dict[str, Any], tops: Store
) -> None:
    wrong = study_values
    wrong["pretrain"] = {**wrong["pretrain"], "store": "mixed_some"}
    with pytest.raises(ConfigError, match=r"pretrain\.store names 'mixed_some', of which every replicate"):
        read_study(wrong)
    own = MixedStore(mix="jets", signal="Tbqq", background="QCD", count=1, seed="replicate")
    with pytest.raises(ConfigError, match="seed: replicate is for stores that the tasks of a study read"):
        open_stores({"jets": str(tops.path), "mixed": own})


def test_signal_beyond_half_of_a_split_is_counted_as_it_is(study_values: dict[str, Any], tops: Store) -> None:
    plan = prepare(study_values)
    trial = next(one for one in plan.trials if one.cell.task == "some")
    info = plan.graph.store(plan.runs[trial.models[0]])
    truth = np.asarray(tops.read(["jet_label"], tops.split("train"))["jet_label"])
    background = int(np.count_nonzero(truth == 0))
    assert info.class_counts("train", SAMPLE)[MIXED] == 20 + -(-background // 2)


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        (
            "weak_supervision_cpu",
            {"simulate": 2, "mix": 20, "pretrain": 16, "finetune": 80, "generate": 0, "evaluate": 80},
        ),
        (
            "weak_supervision",
            {"simulate": 2, "mix": 20, "pretrain": 16, "finetune": 80, "generate": 0, "evaluate": 80},
        ),
        (
            "showers_cpu",
            {
                "simulate": 2,
                "mix": 0,
                "tokenize": 1,
                "pretrain": 6,
                "finetune": 12,
                "generate": 10,
                "evaluate": 10,
            },
        ),
    ],
)
def test_built_in_studies_of_chains_can_work(name: str, runs: dict[str, int]) -> None:
    pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
    plan = prepare(name)
    assert {verb: plan.count(verb) for verb in runs} == runs
    contrasts = {one.task for one in plan.config.contrasts.values()}
    assert contrasts <= set(plan.config.downstream)


def test_showers_are_trained_to_a_plateau_from_several_pretrainings() -> None:
    """The withdrawn comparison had few steps, one rate, and one pre-training."""
    config = read_study("showers_cpu")
    recipe: Any = config.downstream["lead"].recipe
    train = recipe["train"]
    patience = recipe["early_stopping"]["patience"] * train["validate_every"]
    assert train["steps"] >= 4 * patience
    assert train["schedule"]["name"] == "constant"
    assert len(config.seeds.pretrain) == len(config.seeds.replicates) == 5
    assert config.search is not None
    assert len(config.search.learning_rates) > 1
    arm = config.arms["tungsten"]
    assert arm is not None
    assert arm.objective == config.downstream["lead"].objective


def test_a_task_that_is_null_is_left_out_with_its_contrasts(study_values: dict[str, Any]) -> None:
    config = read_study(study_values, ["downstream.some=null"])
    assert list(config.downstream) == ["none"]
    assert not config.contrasts
    with pytest.raises(ConfigError, match="downstream is empty"):
        read_study(study_values, ["downstream.some=null", "downstream.none=null"])
    kept = read_study(study_values, ["downstream.none=null"])
    assert list(kept.contrasts) == ["helps"]
