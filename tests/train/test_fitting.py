"""What is measured before the first step: the standardisation, and only where it is new."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hepfm.backbones import BACKBONES
from hepfm.core.config import merge, resolve_component
from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.ragged import Ragged
from hepfm.data import context_set, feature_set
from hepfm.data.content import Content
from hepfm.data.loader import EvalLoader
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.models.check import check
from hepfm.models.directory import Model
from hepfm.models.fixture import random_batch
from hepfm.models.scores import score
from hepfm.networks.build import build_network, seeded_init
from hepfm.nn.feature_dropout import FeatureDropout
from hepfm.train.budget import training_rows
from hepfm.train.finetune import finetune
from hepfm.train.pretrain import pretrain

Values = dict[str, Any]


@pytest.fixture
def fitted_recipe(recipe: Values) -> Values:
    values = merge(recipe, {"data": {"features": "petfull", "context": "jet", "feature_dropout": 0.3}})
    return merge(values, {"train": {"steps": 4}})


@pytest.fixture
def plain_store(jet_store: Store, tmp_path: Path) -> Store:
    """The same jets without particle types and impact parameters."""
    schema = jet_schema(JETCLASS_CLASSES, identity=False, tracks=False)
    columns = jet_store.read(schema.names(), None)
    path = tmp_path / "plain"
    write_store(path, schema, [("train", columns)], provenance={"test": "jets"})
    return Store.open(path)


def test_standardised_training_rows_have_mean_zero_and_spread_one(
    fitted_recipe: Values, jet_store: Store, tmp_path: Path
) -> None:
    model = Model.load(pretrain(fitted_recipe, output=tmp_path / "run").model_path)
    features, context = feature_set("petfull"), context_set("jet")
    content = Content(features, context=context)
    loader = EvalLoader(jet_store, content, rows=jet_store.split("train"), batch_size=64)
    rows, values = [], []
    for batch in loader:
        assert batch.context_BC is not None
        values.append(model.network.standardize(batch.features_BNF, batch.mask_BN)[batch.mask_BN])
        assert model.network.conditioning is not None
        rows.append(model.network.conditioning.standardized(batch.context_BC))
    fitted = [index for index, fit in enumerate(features.fitted) if fit]
    assert {features.names[index] for index in fitted} >= {"deta", "dphi", "log_pt", "log_energy"}
    found = torch.cat(values)[:, fitted]
    # The clip at five spreads takes a little of the tails.
    torch.testing.assert_close(found.mean(0), torch.zeros(len(fitted)), atol=0.03, rtol=0)
    torch.testing.assert_close(found.std(0), torch.ones(len(fitted)), atol=0.06, rtol=0)
    torch.testing.assert_close(torch.cat(rows).mean(0), torch.zeros(4), atol=0.03, rtol=0)
    left = [index for index, fit in enumerate(features.fitted) if not fit]
    assert torch.equal(model.network.standardize.scale_F[left], torch.ones(len(left)))


def test_constants_are_loaded_with_the_weights_and_measured_anew_from_scratch(
    fitted_recipe: Values, finetune_recipe: Values, tmp_path: Path
) -> None:
    source = pretrain(fitted_recipe, output=tmp_path / "run").model_path
    tuned = finetune(source, finetune_recipe, output=tmp_path / "tuned").model_path
    scratch = finetune(source, finetune_recipe, output=tmp_path / "scratch", overrides=["init=scratch"])
    centres = [Model.load(path).network.standardize.centre_F for path in (source, tuned, scratch.model_path)]
    assert torch.equal(centres[0], centres[1])
    assert not torch.equal(centres[0], centres[2])
    assert max(check(tuned).values()) < 1e-6


def narrow(store: Store, path: Path) -> Store:
    """The same jets, ten times as narrow and with a hundredth of their momentum."""
    columns = dict(store.read(store.schema.names(), None))
    for name in ("part_eta", "part_phi"):
        axis = np.repeat(np.asarray(columns[name.replace("part", "jet")]), columns[name].lengths)  # type: ignore[union-attr]
        part = columns[name]
        assert isinstance(part, Ragged)
        columns[name] = Ragged((axis + 0.1 * (part.values - axis)).astype(np.float32), part.offsets)
    for name in ("part_pt", "part_energy"):
        part = columns[name]
        assert isinstance(part, Ragged)
        columns[name] = Ragged((0.01 * part.values).astype(np.float32), part.offsets)
    for name in ("jet_pt", "jet_energy"):
        columns[name] = (0.01 * np.asarray(columns[name])).astype(np.float32)
    write_store(path, store.schema, [("train", columns)], provenance={"test": "narrow"})
    return Store.open(path)


FLOW = {"name": "flow_matching", "label_dropout": 0.0}


@pytest.fixture
def generation(finetune_recipe: Values, jet_store: Store, tmp_path: Path) -> Values:
    """Fine-tuning of a generator to narrower jets."""
    store = narrow(jet_store, tmp_path / "narrow")
    return merge(finetune_recipe, {"objective": FLOW, "data": {"store": str(store.path)}})


def test_noise_of_a_new_generator_has_the_spread_of_the_rows_it_becomes(
    fitted_recipe: Values, generation: Values, tmp_path: Path
) -> None:
    source = pretrain(fitted_recipe, output=tmp_path / "run").model_path
    tuned = {
        name: Model.load(
            finetune(source, generation, output=tmp_path / name, overrides=overrides).model_path
        ).network
        for name, overrides in {"data": [], "model": ["standardize=model"]}.items()
    }
    index = feature_set("petfull").names.index("deta")
    spreads = {name: 1 / float(network.standardize.scale_F[index]) for name, network in tuned.items()}
    assert spreads["data"] == pytest.approx(0.1 * spreads["model"], rel=0.15)
    rows = Store.open(generation["data"]["store"])
    assert tuned["data"].conditioning is not None
    content = Content(feature_set("petfull"), context=context_set("jet"))
    loader = EvalLoader(rows, content, rows=None, batch_size=64)
    told = torch.cat([tuned["data"].conditioning.standardized(batch.context_BC) for batch in loader])
    assert float(told.mean(0).abs().max()) < 0.5


def test_a_generator_that_goes_on_keeps_its_constants(
    fitted_recipe: Values, generation: Values, tmp_path: Path
) -> None:
    source = pretrain({**fitted_recipe, "objective": FLOW}, output=tmp_path / "run").model_path
    before = Model.load(source).network.standardize.scale_F
    kept = finetune(source, generation, output=tmp_path / "kept").model_path
    anew = finetune(source, generation, output=tmp_path / "anew", overrides=["standardize=data"]).model_path
    assert torch.equal(Model.load(kept).network.standardize.scale_F, before)
    assert not torch.equal(Model.load(anew).network.standardize.scale_F, before)


@pytest.mark.parametrize("backbone", ["transformer", "post_norm_transformer", "pet"])
def test_other_constants_change_nothing_that_the_network_gives(backbone: str) -> None:
    features, context = feature_set("petfull"), context_set("jet")
    size = {} if backbone == "transformer" else {"size": "xs"}
    size = {"size": "xs"} if backbone == "pet" else size
    spec = {"name": backbone, **size, **({"depth": 1} if backbone != "pet" else {})}
    with seeded_init(0, "test"):
        network = build_network(
            resolve_component(BACKBONES, spec, where="test"), features, context=context
        ).eval()
    # Within the clip at five spreads; beyond it new constants clip elsewhere.
    batch = random_batch(features, context=context)
    inside = network.standardize(batch.features_BNF, batch.mask_BN).clamp(-2, 2)
    batch = replace(batch, features_BNF=network.standardize.inverse(inside, batch.mask_BN))
    with torch.no_grad():
        before = network.features(batch).tokens_BND
        network.restandardize(network.standardize.centre_F + 0.1, network.standardize.scale_F * 0.7)
        assert network.conditioning is not None
        network.conditioning.restandardize(torch.full((4,), 0.3), torch.tensor([2.0, 0.5, 1.0, 0.1]))
        after = network.features(batch).tokens_BND
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("wanted", "kept"), [("auto", False), ("off", False), ("keep", True)])
def test_a_tagger_is_not_told_the_jet_unless_that_is_asked_for(
    fitted_recipe: Values, finetune_recipe: Values, tmp_path: Path, wanted: str, kept: bool
) -> None:
    source = pretrain(fitted_recipe, output=tmp_path / "run").model_path
    values = merge(finetune_recipe, {"data": {"context": wanted}})
    tuned = Model.load(finetune(source, values, output=tmp_path / "tuned").model_path)
    assert (tuned.context is not None) == kept
    assert (tuned.network.conditioning is not None) == kept


def test_a_generator_is_told_the_jet_if_the_model_was(
    fitted_recipe: Values, generation: Values, tmp_path: Path
) -> None:
    source = pretrain(fitted_recipe, output=tmp_path / "run").model_path
    assert Model.load(finetune(source, generation, output=tmp_path / "tuned").model_path).context is not None


def test_a_model_trained_with_dropped_groups_works_without_them(
    fitted_recipe: Values, finetune_recipe: Values, plain_store: Store, tmp_path: Path
) -> None:
    source = pretrain(fitted_recipe, output=tmp_path / "run").model_path
    values = merge(finetune_recipe, {"data": {"store": str(plain_store.path)}})
    tuned = Model.load(finetune(source, values, output=tmp_path / "tuned").model_path)
    assert set(tuned.absent) == {"identity", "displacement"}
    scores = score(tuned, plain_store, rows=np.arange(20))["jet_label"]
    assert np.isfinite(scores).all()
    assert scores.shape == (20, len(JETCLASS_CLASSES))


def test_without_dropped_groups_in_training_the_same_data_are_refused(
    fitted_recipe: Values, finetune_recipe: Values, plain_store: Store, tmp_path: Path
) -> None:
    values = merge(fitted_recipe, {"data": {"feature_dropout": 0.0}})
    source = pretrain(values, output=tmp_path / "run").model_path
    plain = merge(finetune_recipe, {"data": {"store": str(plain_store.path)}})
    with pytest.raises(IncompatibleError, match=r"part_charge.*feature_dropout"):
        finetune(source, plain, output=tmp_path / "tuned")


def test_groups_are_dropped_for_whole_rows_at_the_asked_rate() -> None:
    torch.manual_seed(1)
    layer = FeatureDropout({"identity": [1, 2], "displacement": [3]}, 0.25)
    x_BNF = torch.ones(4000, 2, 4)
    assert torch.equal(layer.eval()(x_BNF), x_BNF)
    out = layer.train()(x_BNF)
    assert torch.equal(out[:, 0], out[:, 1])
    assert torch.equal(out[..., 1], out[..., 2])
    assert out[..., 0].min() == 1
    identity, displacement = (out[:, 0, column] == 0 for column in (1, 3))
    for dropped in (identity, displacement):
        assert abs(float(dropped.float().mean()) - 0.25) < 0.03
    both = float((identity & displacement).float().mean())
    assert abs(both - 0.0625) < 0.02


def test_training_rows_are_nested_and_seeded(jet_store: Store) -> None:
    small, large = (training_rows(jet_store, "train", count=count, seed=1) for count in (20, 50))
    assert set(np.asarray(small)) < set(np.asarray(large))
    other = training_rows(jet_store, "train", count=20, seed=2)
    assert set(np.asarray(small)) != set(np.asarray(other))
    with pytest.raises(DataError, match=r"data\.rows is 1000000"):
        training_rows(jet_store, "train", count=1_000_000, seed=1)


def test_seeds_of_single_purposes_change_what_they_name(recipe: Values, tmp_path: Path) -> None:
    def weights(name: str, *overrides: str) -> dict[str, torch.Tensor]:
        run = pretrain(recipe, output=tmp_path / name, overrides=["train.steps=1", *overrides])
        return dict(Model.load(run.model_path).network.state_dict())

    same, named = weights("a"), weights("b", "seeds.init=3", "seeds.order=3")
    assert all(torch.equal(same[name], named[name]) for name in same)
    frozen = ["train.optimizer.lr=1e-20", "train.optimizer.weight_decay=0"]
    start, order, init = (
        weights("c", *frozen),
        weights("d", *frozen, "seeds.order=9"),
        weights("e", *frozen, "seeds.init=9"),
    )
    name = "backbone.blocks.0.attention.in_proj.weight"
    assert torch.allclose(start[name], order[name])
    assert not torch.allclose(start[name], init[name])
