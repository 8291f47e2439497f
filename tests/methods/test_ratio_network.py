"""The estimator `network`: what it adapts, what it leaves behind, what it refuses."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ratio_toys import JETS, TINY, TOYS

from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, DivergedError, IncompatibleError, ModelError
from hepfm.core.schema import Schema
from hepfm.data.table import Table
from hepfm.methods.ratio import RATIO_ESTIMATORS
from hepfm.methods.ratio.base import RatioEstimator, TwoWeights
from hepfm.methods.ratio.network import NetworkRatio
from hepfm.methods.ratio.source_rows import SourceRows, write_training_store
from hepfm.models.directory import Model
from hepfm.train.finetune import finetune
from hepfm.train.pretrain import pretrain
from hepfm.workflow.run import Run
from hepfm.workflow.verbs.samples import make_estimator, name_models, needs_of

TOY = TOYS["network"]
ROWS = 120
FEW = {"steps": 8, "batch_size": 32, "validate_every": 4, "device": "cpu"}
ADAPTED = {"name": "network", "train": {**FEW, "optimizer": {"name": "adamw", "lr": 1e-2}}}


def made(**options: Any) -> RatioEstimator[Any]:
    component = resolve_component(RATIO_ESTIMATORS, {**ADAPTED, **options}, where="test")
    estimator: RatioEstimator[Any] = component.cls(component.config)
    return estimator


def rows_of(estimator: RatioEstimator[Any]) -> Any:
    parts = [TOY.sample(which, ROWS, seed=1) for which in ("numerator", "denominator")]
    return estimator.join([estimator.read(part, np.arange(ROWS)) for part in parts])


WEIGHTS = TwoWeights.stacked(np.ones(ROWS), np.ones(ROWS))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, jet_store: Any) -> Path:
    """A model that was trained to tell jets apart, for a few steps."""
    recipe = {
        "data": {"store": str(jet_store.path), "features": "kin", "max_constituents": 20},
        "backbone": TINY,
        "train": {**FEW, "batch_size": 64, "accumulate": 1},
    }
    return pretrain(recipe, output=tmp_path_factory.mktemp("models") / "run").model_path


def backbone(model: Model) -> dict[str, torch.Tensor]:
    return dict(model.network.backbone.state_dict())


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("mode", "kept"), [("frozen", True), ("full", False), ("lora", False)])
def test_a_model_is_adapted_as_its_mode_says(model: Path, mode: str, kept: bool) -> None:
    estimator = made(model=str(model), mode=mode)
    estimator.check(JETS)
    ratio = estimator.fit(rows_of(estimator), WEIGHTS, seed=1)
    assert isinstance(ratio, NetworkRatio)
    assert same(backbone(ratio.model), backbone(Model.load(model))) == kept
    assert set(ratio.model.outputs) == {"ratio_sample"}
    assert ratio.facts["steps"] == 8


def test_scratch_takes_the_architecture_alone(model: Path) -> None:
    still = {"train": {**FEW, "optimizer": {"name": "adamw", "lr": 1e-12}}}
    for init in ("pretrained", "scratch"):
        estimator = made(model=str(model), init=init, **still)
        ratio = estimator.fit(rows_of(estimator), WEIGHTS, seed=1)
        before, after = backbone(Model.load(model)), backbone(ratio.model)
        near = all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
        assert near == (init == "pretrained")


def test_long_rows_keep_the_leading_constituents(model: Path) -> None:
    ratios = {}
    for most in (None, 2):
        estimator = made(model=str(model), max_constituents=most)
        ratios[most] = estimator.fit(rows_of(estimator), WEIGHTS, seed=1)
    assert ratios[None].model.max_constituents == 20
    assert ratios[2].model.max_constituents == 2


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    estimator = made(backbone=TINY, features="kin")
    x = rows_of(estimator)
    ratio = estimator.fit(x, WEIGHTS, seed=1)
    assert list(tmp_path.iterdir()) == []
    assert np.isfinite(ratio.log_ratio(x)).all()
    wild = made(backbone=TINY, features="kin", train={**FEW, "clip": None, "optimizer": {"lr": 1e30}})
    with pytest.raises(DivergedError, match=r"lower train.optimizer.lr") as caught:
        wild.fit(x, WEIGHTS, seed=1)
    assert str(tmp_path) not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_saved_ratio_is_a_model_like_any_other(tmp_path: Path) -> None:
    estimator = made(backbone=TINY, features="kin")
    x = rows_of(estimator)
    ratio = estimator.fit(x, WEIGHTS, seed=1)
    ratio.model.save(tmp_path / "model")
    said = Model.load(tmp_path / "model").predict(TOY.sample("numerator", ROWS, seed=1))["ratio_sample"]
    np.testing.assert_allclose(
        np.log(said[:, 1] / said[:, 0]), ratio.log_ratio(x)[:ROWS], rtol=1e-3, atol=1e-5
    )


def test_the_training_store_holds_what_is_read_with_both_weights(tmp_path: Path) -> None:
    source = TOY.sample("numerator", 10, seed=1)
    x = SourceRows.of(source, np.array([7, 2, 4, 3]))
    weights = TwoWeights(np.array([1.0, 0.0, 3.0, 0.0]), np.array([1.0, 4.0, 0.0, 0.0]))
    store = write_training_store(tmp_path / "store", x, weights, ["part_pt", "jet_pt"])
    assert set(store.schema.names()) == {
        "part_pt",
        "jet_pt",
        "ratio_numerator",
        "ratio_denominator",
        "ratio_event",
    }
    columns = store.read(store.schema.names())
    np.testing.assert_allclose(columns["ratio_numerator"], [0.5, 0.0, 1.5])  # each sums to 4 / 2
    np.testing.assert_allclose(columns["ratio_denominator"], [0.4, 1.6, 0.0])
    np.testing.assert_array_equal(columns["jet_pt"], source.read(["jet_pt"], [7, 2, 4])["jet_pt"])


def test_a_source_of_several_parts_is_read_once() -> None:
    first, second = (TOY.sample("numerator", 5, seed=seed) for seed in (1, 2))
    x = SourceRows.joined([SourceRows.of(s, np.arange(2)) for s in (first, second, first)])
    assert len(x.sources) == 2
    assert {source: places.tolist() for source, places, _ in x.by_source()} == {
        first: [0, 1, 4, 5],
        second: [2, 3],
    }


def test_rows_without_what_the_network_reads_are_refused(model: Path) -> None:
    lacking = JETS.having([name for name in JETS.names() if name != "part_eta"])
    for estimator in (made(model=str(model)), made(backbone=TINY, features="kin")):
        with pytest.raises(IncompatibleError, match="part_eta"):
            estimator.check(lacking)
    without_momenta = JETS.having([name for name in JETS.names() if name != "part_energy"])
    estimator = made(backbone={"name": "particle_transformer", "size": "xs"}, features="kin")
    estimator.check(JETS)
    with pytest.raises(IncompatibleError, match=r"four-momenta|part_energy"):
        estimator.check(without_momenta)


def test_fields_that_mean_something_else_elsewhere_are_refused() -> None:
    columns = TOY.sample("numerator", 5, seed=1).read(JETS.names())
    fields = [field for field in JETS if field.name != "part_pt"]
    other = Schema((*fields, type(JETS["part_pt"])(**{**vars(JETS["part_pt"]), "unit": "1"})))
    tables = [Table.from_dict(columns, schema) for schema in (JETS, other)]
    x = SourceRows.joined([SourceRows.of(table, np.arange(5)) for table in tables])
    with pytest.raises(IncompatibleError, match="'part_pt' is continuous"):
        x.schema(["part_pt", "jet_pt"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give model"),
        ({"backbone": TINY}, "give model"),
        ({"model": "m", "features": "kin"}, "either it or these"),
        ({"model": "m", "context": "jet"}, "context is that of the model"),
        ({"model": "m", "mode": "probe"}, "fits classes of rows"),
        ({"model": "m", "train": {"shard": True}}, "learned in one process; set train.shard to false"),
        ({"backbone": TINY, "features": "kin", "mode": "frozen"}, "random weights untrained"),
        ({"model": "m", "train": {"step": 3}}, "did you mean 'steps'"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_component(RATIO_ESTIMATORS, {"name": "network", **options}, where="test")


def test_runs_name_models_by_what_is_in_them(model: Path, tmp_path: Path) -> None:
    spec = {"name": "network", "model": str(model)}
    (named, perceptron), paths = name_models([spec, {"name": "perceptron"}])
    assert paths == {named["model"]: str(model.resolve())}
    assert perceptron == {"name": "perceptron"}
    run = Run("unfold", {}, {}, paths)
    made_again = make_estimator(named, (), run)
    assert made_again.config.model == str(model.resolve())  # type: ignore[attr-defined]
    loaded = Model.load(model)
    loaded.save(tmp_path / "copy")
    (moved,), _ = name_models([{**spec, "model": str(tmp_path / "copy")}])
    assert moved == named
    with torch.no_grad():
        next(loaded.network.backbone.parameters()).add_(1)
    loaded.save(tmp_path / "other")
    (other,), _ = name_models([{**spec, "model": str(tmp_path / "other")}])
    assert other["model"] != named["model"]
    with pytest.raises(ModelError, match="not a model directory"):
        name_models([{**spec, "model": str(tmp_path / "none")}])


def test_runs_with_a_network_on_a_gpu_occupy_it() -> None:
    assert needs_of([{"name": "perceptron"}, {"name": "network", "train": {"device": "cuda"}}]).gpus == 1
    assert needs_of([{"name": "perceptron"}, {"name": "network", "train": {"device": "auto"}}]).gpus == 0


def test_modes_that_fit_classes_are_refused_in_fine_tuning_too(model: Path, tmp_path: Path) -> None:
    source = TOY.sample("numerator", 40, seed=1)
    weights = TwoWeights(np.ones(40), np.linspace(0.5, 1.5, 40))
    write_training_store(tmp_path / "store", SourceRows.of(source, np.arange(40)), weights, JETS.names())
    recipe = {
        "data": {"store": str(tmp_path / "store")},
        "objective": "density_ratio",
        "mode": "probe",
        "train": {"steps": 1, "batch_size": 16, "accumulate": 1},
    }
    with pytest.raises(IncompatibleError, match="needs a categorical label of rows"):
        finetune(model, recipe, output=tmp_path / "run")
