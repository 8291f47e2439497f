"""Tasks on taus: only jets of taus count for decay mode and momentum, and what is measured of them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from hepfm import api
from hepfm.core.config import validate
from hepfm.core.errors import DataError, IncompatibleError, ModelError
from hepfm.data.row_selection import RowSelection
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.schemas.taus import TAU_FIELDS
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.response import bias, relative_iqr, response_measurement
from hepfm.objectives.weighted_sum import WeightedSum
from hepfm.physics.taus import DECAY_MODES
from hepfm.tasks.base import load_task
from hepfm.tasks.evaluate import measure
from hepfm.train.finetune import Finetuning
from hepfm.train.recipe import read_finetune_recipe

TRAIN = {
    "steps": 6,
    "batch_size": 32,
    "accumulate": 1,
    "log_every": 2,
    "validate_every": 3,
    "checkpoint_every": 3,
    "validation_rows": 64,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory, jet_columns) -> Store:
    """Half quarks, half taus, whose momentum ratio is 1.2 or so."""
    parts = []
    for split, seed in (("train", 1), ("val", 3), ("test", 2)):
        columns = jet_columns(240, seed=seed)
        rng = np.random.default_rng(seed)
        tau = np.arange(240) % 2 == 1
        columns["jet_label"] = tau.astype(np.int16)
        mode = np.where(tau, rng.integers(0, 4, 240), DECAY_MODES.index("none"))
        columns["tau_decay_mode"] = mode.astype(np.int16)
        ratio = np.where(tau, rng.normal(0.2, 0.05, 240), 0.0)
        columns["tau_log_pt_ratio"] = ratio.astype(np.float32)
        for field in TAU_FIELDS[2:]:
            columns[field.name] = np.where(tau, 1.0, 0.0).astype(np.float32)
        parts.append((split, columns))
    path = tmp_path_factory.mktemp("taus") / "store"
    schema = jet_schema(("quark", "tau"), extra=TAU_FIELDS)
    return Store.open(write_store(path, schema, parts, provenance={"source": "test"}))


def train(store: Store, path: Path, **objective) -> Path:
    recipe = {
        "data": {"store": str(store.path), "features": "kinpid", "max_constituents": 32},
        "backbone": {"name": "transformer", "size": "xs"},
        "objective": {"name": "supervised", **objective},
        "train": {**TRAIN, "optimizer": {"name": "adamw", "lr": 0.01}, "steps": 60},
    }
    return api.pretrain(recipe, output=path).path / "model"


class Modes:
    """Scores that always name the first mode, and give `none` more than it."""

    classes = DECAY_MODES
    fingerprint = "0" * 16
    training: ClassVar = {"arm": "stub"}

    def score(self, store: Store, rows: np.ndarray) -> np.ndarray:
        scores = np.full((len(rows), 7), 0.05)
        scores[:, 0], scores[:, 6] = 0.2, 0.55
        return scores


def test_jets_without_tau_are_left_out_of_the_decay_mode(store: Store, tmp_path: Path) -> None:
    found = measure(Modes(), load_task("tau_decay_mode"), store, output=tmp_path / "result")
    rows = np.asarray(store.split("test"))
    modes = np.asarray(store.read(["tau_decay_mode"], rows)["tau_decay_mode"])
    taus = modes != DECAY_MODES.index("none")
    assert found.result.data.rows == int(taus.sum()) == 120
    assert "none" not in found.result.task.classes
    assert found.result.metric("accuracy").value == pytest.approx((modes[taus] == 0).mean())
    assert found.result.metric("efficiency_h").value == 1.0
    assert found.result.metric("purity_h").value == pytest.approx((modes[taus] == 0).mean())
    assert found.result.metric("efficiency_h_pi0").value == 0.0
    assert found.result.metric("purity_h_pi0").value is None, "no jet is called this"
    assert found.result.metric("efficiency_rare").value is None, "no jet is this"


def test_a_budget_of_taus_has_taus_only(store: Store, tmp_path: Path) -> None:
    model = train(store, tmp_path / "body")
    recipe = {
        "data": {"store": str(store.path), "budget": 50, "validation_fraction": 0.2},
        "objective": {"name": "supervised", "label": "tau_decay_mode", "only": ["jet_label", "tau"]},
        "train": TRAIN,
    }
    run = api.finetune(model, recipe, output=tmp_path / "run").path
    assert api.Model.load(run / "model").provenance["training"]["labels"] == 50
    plan = read_finetune_recipe(recipe, where="test")
    work = Finetuning.check(model, plan)
    labels = np.asarray(store.read(["jet_label"])["jet_label"])
    assert (labels[[*work.train_rows, *work.validation_rows]] == 1).all()
    assert len(work.validation_rows) == 10
    kept = api.finetune(run / "model", {**recipe, "head": "keep"}, output=tmp_path / "kept").path
    assert set(api.Model.load(kept / "model").outputs) == {"tau_decay_mode"}
    every = {**recipe, "data": {**recipe["data"], "budget": None}}
    whole = Finetuning.check(model, read_finetune_recipe(every, where="test"))
    assert len(whole.train_rows) + len(whole.validation_rows) == 120
    with pytest.raises(DataError, match="has 120 rows with jet_label = tau"):
        api.finetune(model, recipe, output=tmp_path / "more", overrides=["data.budget=121"])


def test_several_heads_are_measured_each_on_its_task(store: Store, tmp_path: Path) -> None:
    only = {"only": ["jet_label", "tau"]}
    terms = [
        {"name": "supervised", "label": "jet_label"},
        {"name": "supervised", "label": "tau_decay_mode", **only},
        {"name": "supervised", "label": "tau_log_pt_ratio", **only},
    ]
    recipe = {
        "data": {"store": str(store.path), "features": "kinpid", "max_constituents": 32},
        "backbone": {"name": "transformer", "size": "xs"},
        "objective": {"name": "weighted_sum", "terms": terms},
        "train": TRAIN,
    }
    model = api.pretrain(recipe, output=tmp_path / "run").path / "model"
    for task, rows in (("tau_identification", 240), ("tau_decay_mode", 120), ("tau_momentum", 120)):
        result = api.evaluate(model, task, store.path, output=tmp_path / task).result
        assert result.data.rows == rows
    schema, cls = store.schema, WeightedSum
    both = validate(cls.Config, {"terms": terms[1:]}, where="test")
    assert cls.requirements(both, schema).rows == RowSelection("jet_label", ("tau",), (1,))
    assert cls.requirements(validate(cls.Config, {"terms": terms}, where="test"), schema).rows is None


def test_momentum_is_learned_of_taus_alone(store: Store, tmp_path: Path) -> None:
    model = train(store, tmp_path / "tau", label="tau_log_pt_ratio", only=["jet_label", "tau"])
    result = api.evaluate(model, "tau_momentum", store.path, output=tmp_path / "result").result
    assert result.data.rows == 120
    alone = result.metric("response_bias").value
    assert alone is not None
    assert alone < 0.06
    mixed = train(store, tmp_path / "mixed", label="tau_log_pt_ratio")
    both = api.evaluate(mixed, "tau_momentum", store.path, output=tmp_path / "other").result
    diluted = both.metric("response_bias").value
    assert diluted is not None
    assert diluted > alone, "zeros of quarks pull the prediction down"
    assert result.metric("response_iqr_h").n < 120


def test_models_and_stores_of_other_kinds_are_refused(store: Store, jet_store: Store, tmp_path: Path) -> None:
    model = train(
        store, tmp_path / "mode", label="tau_decay_mode", only=["jet_label", "tau"], focal_gamma=2.0
    )
    with pytest.raises(ModelError, match="tau_log_pt_ratio"):
        api.evaluate(model, "tau_momentum", store.path, output=tmp_path / "result")
    with pytest.raises(DataError, match="needs it"):
        api.evaluate(model, "tau_momentum", jet_store.path, output=tmp_path / "result")
    for wrong in (["jet_label", "muon"], ["tau_visible_pt", "tau"]):
        with pytest.raises(IncompatibleError, match="no class"):
            train(store, tmp_path / "wrong", label="tau_decay_mode", only=wrong)


def test_response_is_measured_in_quantiles() -> None:
    response = np.random.default_rng(1).normal(1.1, 0.1, 20_000)
    width = response_measurement(response, relative_iqr, definition="response_iqr.v1")
    assert width.value == pytest.approx(1.349 * 0.1 / 1.1, rel=0.03)
    assert width.low < width.value < width.high
    assert bias(response) == pytest.approx(0.1, abs=0.003)
    with pytest.raises(DataError, match="no row"):
        response_measurement(np.zeros(0), bias, definition="response_bias.v1")
