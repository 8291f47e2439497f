"""Fine-tuning: what each mode changes, where labels come from, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hepfm.core.config import merge, parse_override
from hepfm.core.errors import ConfigError, DataError, HepfmError, IncompatibleError, TrainingError
from hepfm.core.files import read_json
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Field, Level
from hepfm.data.row_selection import RowSelection
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.models.check import check
from hepfm.models.directory import Model
from hepfm.models.scores import score
from hepfm.tasks.model_subject import training_facts
from hepfm.tasks.result import Training
from hepfm.train.budget import budget_rows
from hepfm.train.checkpoint import checkpoint_steps
from hepfm.train.finetune import check_finetune, dry_run, finetune
from hepfm.train.pretrain import check_pretrain, pretrain
from hepfm.train.recipe import FinetuneDataConfig
from hepfm.train.resume import resume
from hepfm.train.run import read_metrics

Values = dict[str, Any]


def weights(model: Path) -> dict[str, torch.Tensor]:
    return dict(Model.load(model).network.state_dict())


@pytest.mark.parametrize("mode", ["full", "frozen", "lora"])
def test_each_mode_changes_what_it_says(
    finetune_recipe: Values, tiny_run: Path, tmp_path: Path, mode: str
) -> None:
    result = finetune(
        tiny_run / "model", finetune_recipe, output=tmp_path / "run", overrides=[f"mode={mode}"]
    )
    before, after = weights(tiny_run / "model"), weights(result.model_path)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    backbone = {name for name in before if name.startswith("backbone.")}
    assert {"heads.jet_label.linear.weight", "heads.jet_label.linear.bias"} <= changed
    if mode == "full":
        assert backbone <= changed
    elif mode == "frozen":
        assert not backbone & changed
    else:
        assert all(name.endswith("weight") and before[name].ndim == 2 for name in backbone & changed)
        assert backbone & changed
    assert max(check(result.model_path).values()) < 1e-6


def test_the_head_swap_is_tabulated(finetune_recipe: Values, tiny_run: Path, tmp_path: Path) -> None:
    finetune(tiny_run / "model", finetune_recipe, output=tmp_path / "run")
    table = read_json(tmp_path / "run" / "loading.json")
    assert set(table["new"]) == set(table["dropped"]) == {"heads.jet_label"}
    assert "backbone.blocks" in table["loaded"]


def test_scratch_uses_none_of_the_weights(finetune_recipe: Values, tiny_run: Path, tmp_path: Path) -> None:
    finetune(tiny_run / "model", finetune_recipe, output=tmp_path / "run", overrides=["init=scratch"])
    table = read_json(tmp_path / "run" / "loading.json")
    assert table["loaded"] == {}
    assert set(table["new"]) == set(table["dropped"]) == {"backbone", "heads"}


def test_a_kept_head_starts_where_it_was(finetune_recipe: Values, tiny_run: Path, tmp_path: Path) -> None:
    options = ["head=keep", "train.steps=1", "train.optimizer.lr=1e-12", "early_stopping=null"]
    result = finetune(tiny_run / "model", finetune_recipe, output=tmp_path / "run", overrides=options)
    before, after = weights(tiny_run / "model"), weights(result.model_path)
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=1e-6, atol=1e-8)


def test_only_rows_of_the_budget_are_read(
    finetune_recipe: Values, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[int] = set()
    original = Store.read

    def spy(self: Store, names: Any, rows: Any = None) -> dict[str, Array | Ragged]:
        names = list(names)
        if "part_pt" in names:
            read.update(np.asarray(self.index(rows)).tolist())
        return original(self, names, rows)

    monkeypatch.setattr(Store, "read", spy)
    finetune(tiny_run / "model", finetune_recipe, output=tmp_path / "run")
    train = set(Store.open(finetune_recipe["data"]["store"]).split("train"))
    assert len(read) == 60
    assert read <= train


def test_the_model_keeps_a_row_baseline_fitted_to_the_same_labels(
    finetune_recipe: Values, tiny_run: Path, tmp_path: Path
) -> None:
    finetune(tiny_run / "model", finetune_recipe, output=tmp_path / "run")
    model = Model.load(tmp_path / "run" / "model")
    (values,) = model.provenance["baselines"].values()
    assert values["labels"] == finetune_recipe["data"]["budget"] == 60
    assert values["inputs"] == ["log_jet_pt", "jet_eta", "log_jet_mass", "num_constituents"]
    assert values["max_constituents"] == model.max_constituents
    assert len(values["fractions"]) == len(values["classes"]) == 10
    store = Store.open(finetune_recipe["data"]["store"])
    labels = np.asarray(store.read(["jet_label"], store.split("train"))["jet_label"])
    assert values["fractions"] == pytest.approx((np.bincount(labels, minlength=10) / len(labels)).tolist())


def test_early_stopping_keeps_the_best_validated_weights(
    finetune_recipe: Values, tiny_run: Path, tmp_path: Path
) -> None:
    """A learning rate that ruins the model at once: an early validation is the best, the run ends early."""
    options = [
        "train.steps=60",
        "train.optimizer.lr=3.0",
        "train.schedule=constant",
        "train.clip=null",
        "early_stopping.patience=3",
        "train.validate_every=1",
    ]
    result = finetune(tiny_run / "model", finetune_recipe, output=tmp_path / "run", overrides=options)
    validations = read_metrics(result.path / "metrics.jsonl", "validation")
    best = min(validations, key=lambda line: line["loss"])
    assert validations[-1]["step"] == best["step"] + 3 < 60
    assert Model.load(result.model_path).metrics["validation_loss"] == best["loss"]
    assert best["step"] in checkpoint_steps(result.path / "checkpoints")
    before = (result.model_path / "model.safetensors").read_bytes()
    resume(result.path)
    assert (result.model_path / "model.safetensors").read_bytes() == before


def test_pretraining_stops_early_too(recipe: Values, tmp_path: Path) -> None:
    options = ["train.steps=60", "train.optimizer.lr=3.0", "train.schedule=constant", "train.clip=null"]
    result = pretrain(
        recipe,
        output=tmp_path / "run",
        overrides=[*options, "train.validate_every=1", "early_stopping.patience=3", "train.ema=0.5"],
    )
    validations = read_metrics(result.path / "metrics.jsonl", "validation")
    best = min(validations, key=lambda line: line["loss"])
    assert validations[-1]["step"] == best["step"] + 3 < 60
    assert Model.load(result.model_path).metrics["validation_loss"] == best["loss"]
    before = (result.model_path / "model.safetensors").read_bytes()
    resume(result.path)
    assert (result.model_path / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("mode", ["full", "lora"])
def test_a_resumed_run_is_the_run_that_was_not_stopped(
    finetune_recipe: Values, tiny_run: Path, tmp_path: Path, mode: str
) -> None:
    result = finetune(
        tiny_run / "model", finetune_recipe, output=tmp_path / "run", overrides=[f"mode={mode}"]
    )
    expected = (result.model_path / "model.safetensors").read_bytes()
    for step in checkpoint_steps(result.path / "checkpoints")[1:]:
        shutil.rmtree(result.path / "checkpoints" / f"step-{step:08d}")
    shutil.rmtree(result.model_path)
    resume(result.path)
    assert (result.model_path / "model.safetensors").read_bytes() == expected


def test_resuming_with_another_model_is_refused(
    finetune_recipe: Values, tiny_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_run / "model", tmp_path / "model")
    result = finetune(tmp_path / "model", finetune_recipe, output=tmp_path / "run")
    shutil.rmtree(tmp_path / "model")
    shutil.copytree(result.model_path, tmp_path / "model")
    with pytest.raises(TrainingError, match="the model of"):
        resume(result.path)


@pytest.fixture(scope="module")
def lacking_store(jet_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The jets of eight of the ten classes; the schema has all ten."""
    path = tmp_path_factory.mktemp("stores") / "eight"
    rows = np.asarray(jet_store.split("train"))
    labels = np.asarray(jet_store.read(["jet_label"], rows)["jet_label"])
    columns = jet_store.read(jet_store.schema.names(), rows[(labels != 0) & (labels != 7)])
    write_store(path, jet_store.schema, [("train", columns)], provenance={})
    return path


@pytest.mark.parametrize("budget", [None, 80])
def test_a_class_that_the_rows_lack_is_refused_by_name(
    finetune_recipe: Values, tiny_run: Path, tmp_path: Path, lacking_store: Path, budget: int | None
) -> None:
    absent = (JETCLASS_CLASSES[0], JETCLASS_CLASSES[7])
    values = merge(finetune_recipe, {"data": {"store": str(lacking_store), "budget": budget}})
    with pytest.raises(
        DataError, match=rf"has jet_label {absent[0]} or {absent[1]} .*{absent[0]} 0, "
    ) as told:
        finetune(tiny_run / "model", values, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    advice = re.search(r"data\.lacking=\S+", str(told.value))
    assert advice is not None
    result = finetune(tiny_run / "model", values, output=tmp_path / "run", overrides=[advice[0]])
    assert Model.load(result.model_path).classes == {"jet_label": JETCLASS_CLASSES}
    one = [f"data.lacking=[{absent[0]}]"]
    with pytest.raises(DataError, match=rf"has jet_label {absent[1]} "):
        finetune(tiny_run / "model", values, output=tmp_path / "other", overrides=one)
    with pytest.raises(ConfigError, match=f"has a class 'QCDD'; did you mean '{absent[0]}'"):
        finetune(tiny_run / "model", values, output=tmp_path / "other", overrides=["data.lacking=[QCDD]"])


def test_a_budget_without_some_classes_is_balanced_over_the_others(lacking_store: Path) -> None:
    lacking = (JETCLASS_CLASSES[0], JETCLASS_CLASSES[7])
    data = FinetuneDataConfig(store="", budget=80, validation_fraction=0.25, lacking=lacking)
    store = Store.open(lacking_store)
    labels = np.asarray(store.read(["jet_label"])["jet_label"])
    train, validation = budget_rows(store, data, targets=("jet_label",), seed=1)
    for part, each in ((train, 7.5), (validation, 2.5)):
        counts = np.bincount(labels[part], minlength=10)
        assert counts[[0, 7]].tolist() == [0, 0]
        assert np.delete(counts, [0, 7]).tolist() == pytest.approx([each] * 8, abs=0.5)


def test_a_budget_of_some_classes_is_balanced_over_these(jet_store: Store, lacking_store: Path) -> None:
    only = RowSelection.of(["jet_label", "QCD", "Tbl", "Hbb"], jet_store.schema, where="test")
    data = FinetuneDataConfig(store="", budget=60, validation_fraction=0.25)
    parts = budget_rows(jet_store, data, targets=("jet_label",), seed=1, only=only)
    labels = np.asarray(jet_store.read(["jet_label"])["jet_label"])
    for rows, each in zip(parts, (15, 5), strict=True):
        counts = np.bincount(labels[rows], minlength=10)
        assert counts[list(only.numbers)].tolist() == [each] * 3
        assert counts.sum() == 3 * each
    with pytest.raises(DataError, match="rows with jet_label = QCD or Tbl or Hbb"):
        budget_rows(
            jet_store, data.model_copy(update={"budget": 599}), targets=("jet_label",), seed=1, only=only
        )
    eight = Store.open(lacking_store)
    only = RowSelection.of(["jet_label", JETCLASS_CLASSES[7], "Tbl"], eight.schema, where="test")
    with pytest.raises(DataError, match=f"has jet_label = {JETCLASS_CLASSES[7]}; leave it out of only"):
        budget_rows(eight, data, targets=("jet_label",), seed=1, only=only)


def test_a_budget_in_which_a_class_is_too_rare_names_it(jet_store: Store) -> None:
    data = FinetuneDataConfig(store="", budget=580)
    with pytest.raises(DataError, match=r"needs up to 58 rows of each class.*has \d+ of "):
        budget_rows(jet_store, data, targets=("jet_label",), seed=1)


def test_a_budget_with_fewer_rows_than_classes_is_refused(jet_store: Store) -> None:
    data = FinetuneDataConfig(store="", budget=6, validation_fraction=0.0)
    with pytest.raises(DataError, match="none of the 6 training rows"):
        budget_rows(jet_store, data, targets=("jet_label",), seed=1)


@pytest.mark.parametrize("fraction", [0.2, 0.25, 0.5])
def test_budgets_are_nested_balanced_and_disjoint(jet_store: Store, fraction: float) -> None:
    labels = np.asarray(jet_store.read(["jet_label"])["jet_label"])
    smaller: tuple[set[int], set[int]] = (set(), set())
    for budget in (100, 200, 300):
        data = FinetuneDataConfig(store="", budget=budget, validation_fraction=fraction)
        parts = budget_rows(jet_store, data, targets=("jet_label",), seed=1)
        train, validation = (set(part.tolist()) for part in parts)
        assert len(train) + len(validation) == budget
        assert not train & validation
        assert len(validation) == pytest.approx(budget * fraction, abs=10)
        assert np.ptp(np.bincount(labels[sorted(train)], minlength=10)) <= 1
        assert smaller[0] <= train
        assert smaller[1] <= validation
        smaller = (train, validation)


def test_without_a_budget_all_training_rows_are_used(jet_store: Store) -> None:
    data = FinetuneDataConfig(store="", validation_fraction=0.1)
    train, validation = budget_rows(jet_store, data, targets=("jet_label",), seed=1)
    assert sorted([*train, *validation]) == list(jet_store.split("train"))
    assert len(validation) == 60


def test_a_budget_beyond_the_data_is_refused(finetune_recipe: Values, tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 600 rows"):
        finetune(tiny_run / "model", finetune_recipe, output=tmp_path / "r", overrides=["data.budget=601"])


def test_a_budget_too_small_to_validate_is_refused(
    finetune_recipe: Values, tiny_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(IncompatibleError, match=r"raise data.budget"):
        finetune(tiny_run / "model", finetune_recipe, output=tmp_path / "r", overrides=["data.budget=10"])


def test_keeping_a_head_of_other_classes_is_refused(
    finetune_recipe: Values, tiny_run: Path, tmp_path: Path, jet_columns: Any
) -> None:
    columns = jet_columns(40, seed=1)
    columns["jet_label"] = (columns["jet_label"] > 4).astype(np.int16)
    write_store(tmp_path / "two", jet_schema(("light", "heavy")), [("train", columns)], provenance={})
    values = merge(finetune_recipe, {"data": {"store": str(tmp_path / "two"), "budget": None}})
    with pytest.raises(IncompatibleError, match="use head=new"):
        finetune(tiny_run / "model", values, output=tmp_path / "run", overrides=["head=keep"])
    result = finetune(tiny_run / "model", values, output=tmp_path / "run")
    assert Model.load(result.model_path).classes == {"jet_label": ("light", "heavy")}


def test_row_weights_reach_the_loss(
    finetune_recipe: Values, tiny_run: Path, tmp_path: Path, jet_columns: Any
) -> None:
    """Rows of weight zero do not count: their labels may be anything."""
    columns = jet_columns(64, seed=1)
    columns["jet_label"] = np.resize(np.arange(10, dtype=np.int16), 64)  # every class has a row that counts
    columns["jet_weight"] = np.repeat(np.float32([1, 0]), 32)
    schema = jet_schema(JETCLASS_CLASSES, extra=(Field("jet_weight", Level.OBJECT),))
    other = {**columns, "jet_label": columns["jet_label"].copy()}
    other["jet_label"][32:] = (other["jet_label"][32:] + 1) % 10
    models = []
    for name, rows in (("a", columns), ("b", other)):
        write_store(tmp_path / name, schema, [("train", rows)], provenance={})
        values = merge(finetune_recipe, {"data": {"store": str(tmp_path / name), "budget": None}})
        options = ["data.weights=jet_weight", "data.validation_fraction=0", "early_stopping=null"]
        result = finetune(
            tiny_run / "model",
            values,
            output=tmp_path / f"run-{name}",
            overrides=[*options, "train.batch_size=64"],
        )
        models.append(weights(result.model_path))
    for name, tensor in models[0].items():
        torch.testing.assert_close(models[1][name], tensor, rtol=1e-6, atol=1e-8)


def test_regression_of_a_continuous_field(finetune_recipe: Values, tiny_run: Path, tmp_path: Path) -> None:
    head = {"name": "regress", "centre": [100.0], "scale": [58.0]}
    objective = {"name": "supervised", "label": "jet_softdrop_mass", "head": head}
    result = finetune(
        tiny_run / "model", {**finetune_recipe, "objective": objective}, output=tmp_path / "run"
    )
    store = Store.open(finetune_recipe["data"]["store"])
    mass = score(Model.load(result.model_path), store)["jet_softdrop_mass"]
    assert mass.shape == (store.num_rows,)
    assert 50 < mass.mean() < 150
    assert "validation_mae" in Model.load(result.model_path).metrics


def test_a_dry_run_counts_what_is_trained(finetune_recipe: Values, tiny_run: Path) -> None:
    cost = dry_run(tiny_run / "model", merge(finetune_recipe, parse_override("mode=frozen")))
    assert cost.trained_parameters == 16 * 10 + 10 < cost.parameters


def test_mistakes_write_nothing(finetune_recipe: Values, tiny_run: Path, tmp_path: Path) -> None:
    for override, words in (
        ("mode=lorra", "'lora'"),
        ("initt=scratch", "'init'"),
        ("data.train=tain", "'train'"),
    ):
        with pytest.raises(HepfmError, match=f"did you mean {words}"):
            finetune(tiny_run / "model", finetune_recipe, output=tmp_path / "r", overrides=[override])
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("mode", ["full", "probe"])
def test_the_run_and_the_model_say_how_long_training_was(
    finetune_recipe: Values, tiny_run: Path, tmp_path: Path, mode: str
) -> None:
    """Six steps of 16 rows, which the log, written every 4 steps, does not tell; a probe has no steps."""
    options = [f"mode={mode}", "train.steps=6", "train.log_every=4", "early_stopping=null"]
    result = finetune(tiny_run / "model", finetune_recipe, output=tmp_path / "run", overrides=options)
    found = read_json(result.path / "training.json")
    training = Model.load(result.model_path).provenance["training"]
    assert {key: training[key] for key in found} == found
    facts = training_facts(Model.load(result.model_path).provenance)
    assert found["training_rows"] == 50
    assert found["labels"] == 60
    if mode == "probe":
        assert found["steps"] is found["rows_seen"] is found["best_step"] is None
        assert "steps" not in facts
        return
    lines = read_metrics(result.path / "metrics.jsonl", "validation")
    best = min(lines, key=lambda line: line["loss"])["step"]
    assert (found["steps"], found["rows_seen"], found["best_step"]) == (6, 96, best)
    assert found["first_validation"] == lines[0]["step"]
    assert facts["updates_per_label"] == pytest.approx(96 / 50)
    assert (facts["steps"], facts["best_step"]) == (6, best)


def test_an_early_end_is_told(finetune_recipe: Values, tiny_run: Path, tmp_path: Path) -> None:
    options = ["train.steps=60", "train.optimizer.lr=3.0", "train.clip=null", "train.validate_every=1"]
    result = finetune(
        tiny_run / "model",
        finetune_recipe,
        output=tmp_path / "run",
        overrides=[*options, "train.schedule=constant", "early_stopping.patience=3"],
    )
    found = read_json(result.path / "training.json")
    assert found["steps"] == found["best_step"] + 3 < 60
    assert training_facts(Model.load(result.model_path).provenance)["best_step"] == found["best_step"]


def test_without_validation_there_is_no_best_step(recipe: Values, tmp_path: Path) -> None:
    result = pretrain(recipe, output=tmp_path / "run", overrides=["data.validation=null", "train.steps=3"])
    found = read_json(result.path / "training.json")
    assert (found["steps"], found["best_step"], found["rows_seen"]) == (3, None, 192)
    assert (found["training_rows"], found["labels"]) == (600, None)
    assert Training(**training_facts(Model.load(result.model_path).provenance)).last_was_best is None


def test_the_config_of_a_run_is_what_its_file_gives_back(
    recipe: dict[str, Any], finetune_recipe: dict[str, Any], tiny_run: Path
) -> None:
    """Plain values: tuples and components would compare unequal after reading."""
    tuning, _ = check_finetune(tiny_run / "model", {**finetune_recipe, "mode": {"name": "probe"}})
    training, _ = check_pretrain(recipe)
    for config in (tuning.config(), training.config()):
        assert json.loads(json.dumps(config)) == config
