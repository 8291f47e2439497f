"""Event weights in training: taken from the store, in validation and probe too, refused where absurd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from hepfm.core.config import merge
from hepfm.core.errors import DataError, IncompatibleError
from hepfm.data import feature_set
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.weights import AUTO
from hepfm.data.writer import write_store
from hepfm.models.directory import Model
from hepfm.models.scores import score
from hepfm.train.distributed import World
from hepfm.train.finetune import finetune
from hepfm.train.prepare import Loaders
from hepfm.train.pretrain import pretrain
from hepfm.train.probe import Labelled, fit_logistic
from hepfm.train.recipe import TrainConfig
from hepfm.train.run import read_metrics
from hepfm.train.weights import check_weights

MakeStore = Callable[..., Store]
RNG = np.random.default_rng(3)
UNEVEN = RNG.exponential(1.0, 400)


@pytest.fixture
def weighted(jet_columns: Any, tmp_path: Path) -> MakeStore:
    """Return a function that writes 400 train and 100 val jets with weights made of their columns."""

    def make(weigh: Callable[[dict[str, Any]], Any], name: str = "store") -> Store:
        parts = []
        for seed, (split, number) in enumerate({"train": 400, "val": 100}.items()):
            columns = jet_columns(number, seed=seed)
            parts.append((split, {**columns, "jet_weight": np.asarray(weigh(columns), np.float32)}))
        schema = jet_schema(JETCLASS_CLASSES, weight=True)
        return Store.open(write_store(tmp_path / name, schema, parts, provenance={}))

    return make


def size(columns: dict[str, Any]) -> int:
    return len(columns["jet_label"])


def check(store: Store, *, signed: bool = True, weights: str | None = AUTO) -> None:
    check_weights(store, store.split("train"), weights, signed=signed, objective="supervised")


@pytest.mark.parametrize(
    ("weigh", "message"),
    [
        (lambda c: np.zeros(size(c)), "all 400 weights 'jet_weight' are zero"),
        (lambda c: -np.ones(size(c)), "'jet_weight' sum to -400 over 400 rows"),
        (lambda c: np.where(c["jet_label"] == 3, -1.0, 1.0), "'jet_weight' of class Hgg sum to -"),
        (lambda c: np.where(c["jet_label"] == 3, 0.0, 1.0), "'jet_weight' of class Hgg sum to 0 "),
        (lambda c: np.where(np.arange(size(c)) == 7, 1e4, 1.0), "leave 1.1 effective rows of 400"),
    ],
)
def test_weights_that_teach_nothing_are_refused(
    weighted: MakeStore, weigh: Callable[[dict[str, Any]], Any], message: str
) -> None:
    store = weighted(weigh)
    with pytest.raises(DataError, match=message):
        check(store)
    check(store, weights=None)  # with equal weights the same rows are fine


def test_negative_weights_are_refused_by_objectives_that_take_none(weighted: MakeStore) -> None:
    store = weighted(lambda c: np.where(np.arange(size(c)) % 5 == 0, -1.0, 1.0))
    check(store, signed=True)
    with pytest.raises(IncompatibleError, match=r"80 of 400 weights 'jet_weight' are negative.*'supervised'"):
        check(store, signed=False)


def test_uneven_weights_and_small_budgets_pass(weighted: MakeStore) -> None:
    store = weighted(lambda c: UNEVEN[: size(c)])
    check(store, signed=False)
    check_weights(store, [0, 1, 2], AUTO, signed=False, objective="supervised")
    check_weights(store, [0, 1, 2], "jet_pt", signed=False, objective="supervised")
    with pytest.raises(DataError, match="'jet_label' cannot be a weight"):
        check_weights(store, [0, 1], "jet_label", signed=False, objective="supervised")


@pytest.mark.parametrize(("setting", "field"), [(AUTO, "jet_weight"), (None, None), ("jet_pt", "jet_pt")])
def test_loaders_of_training_and_validation_take_the_stores_weights(
    weighted: MakeStore, setting: str | None, field: str | None
) -> None:
    store = weighted(lambda c: UNEVEN[: size(c)])
    loaders = Loaders(
        store=store,
        features=feature_set("kin"),
        max_constituents=64,
        weights=setting,
        fields=("jet_label",),
        targets=(),
        config=TrainConfig(steps=1, batch_size=32, accumulate=1),
        seed=0,
        world=World(0, 1, torch.device("cpu")),
    )
    train, validation = loaders.train(store.split("train")), loaders.validation(store.split("val"))
    fitted = loaders.fitting(store.split("train"), constants="measure").sample
    assert validation is not None
    for batch in (next(iter(train)), next(iter(validation))):
        if field is None:
            assert batch.weights_B is None
            continue
        expected = store.read([field], batch.rows_B.numpy())[field]
        np.testing.assert_array_equal(batch.weights_B, expected)
    assert next(iter(fitted)).weights_B is None  # units of inputs are no estimates


@pytest.mark.parametrize(
    ("weigh", "setting"),
    [(lambda c: np.zeros(size(c)), AUTO), (lambda c: np.ones(size(c)), "jet_label")],
)
def test_a_refused_training_leaves_nothing_behind(
    weighted: MakeStore,
    recipe: dict[str, Any],
    finetune_recipe: dict[str, Any],
    tiny_run: Path,
    tmp_path: Path,
    weigh: Callable[[dict[str, Any]], Any],
    setting: str,
) -> None:
    data = {"data": {"store": str(weighted(weigh).path), "weights": setting}}
    with pytest.raises(DataError, match=r"all 400 weights|cannot be a weight"):
        pretrain(merge(recipe, data), output=tmp_path / "run")
    with pytest.raises(DataError, match=r"all \d+ weights|cannot be a weight"):
        finetune(tiny_run / "model", merge(finetune_recipe, data), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_validation_loss_is_the_weighted_one(
    weighted: MakeStore, recipe: dict[str, Any], tmp_path: Path
) -> None:
    store = weighted(lambda c: np.where(c["jet_label"] == 0, 20.0, 0.2))
    values = merge(recipe, {"data": {"store": str(store.path)}})
    run = pretrain(values, output=tmp_path / "run")
    logged = read_metrics(run.path / "metrics.jsonl", "validation")[-1]["loss"]
    rows = np.asarray(store.split("val"))
    columns = store.read(["jet_label", "jet_weight"], rows)
    model = Model.load(run.model_path)
    loss = -np.log(score(model, store, rows=rows)["jet_label"][np.arange(100), columns["jet_label"]])
    assert logged == pytest.approx(np.average(loss, weights=columns["jet_weight"]), rel=1e-4)
    assert logged != pytest.approx(loss.mean(), rel=0.02)
    assert model.provenance["data"]["weights"] == "jet_weight"


def test_a_row_of_weight_two_counts_in_the_probe_like_two_rows() -> None:
    rng = np.random.default_rng(0)
    features, label = rng.normal(0, 1, (200, 3)), rng.integers(0, 2, 200)
    features[:, 0] += label
    times = np.where(np.arange(200) < 60, 2, 1)
    twice = np.repeat(np.arange(200), times)
    weak = 1e8  # a penalty would see the standardisation, which is not weighted
    model = fit_logistic(Labelled(features, label, times.astype(float)), 2, weak)
    expected = LogisticRegression(C=weak, max_iter=2000).fit(features[twice], label[twice])
    np.testing.assert_allclose(model[1, :3], expected.coef_[0], rtol=1e-3)
    assert model[1, 3] == pytest.approx(expected.intercept_[0], rel=1e-2)
    plain = fit_logistic(Labelled(features, label), 2, weak)
    assert np.abs(plain - model).max() > 0.01


def test_the_probe_uses_the_stores_weights_and_refuses_negative_ones(
    weighted: MakeStore, finetune_recipe: dict[str, Any], tiny_run: Path, tmp_path: Path
) -> None:
    store = weighted(lambda c: np.where(c["jet_label"] == 0, 20.0, 0.2))
    data = {"store": str(store.path), "budget": 200}
    values = merge(finetune_recipe, {"data": data, "mode": "probe"})
    models = []
    for name, setting in (("w", AUTO), ("plain", None)):
        chosen = merge(values, {"data": {"weights": setting}})
        models.append(Model.load(finetune(tiny_run / "model", chosen, output=tmp_path / name).model_path))
    rows = np.asarray(store.split("val"))
    called_qcd = [(score(model, store, rows=rows)["jet_label"].argmax(1) == 0).mean() for model in models]
    assert called_qcd[0] > called_qcd[1] + 0.2
    signed = weighted(lambda c: np.where(np.arange(size(c)) % 5 == 0, -1.0, 1.0), "signed")
    refused = merge(values, {"data": {"store": str(signed.path)}})
    with pytest.raises(IncompatibleError, match=r"weights 'jet_weight' are negative.*\(mode probe\)"):
        finetune(tiny_run / "model", refused, output=tmp_path / "bad")
