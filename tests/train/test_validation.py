"""Validation is the loss over all its rows at once: how they come in batches does not matter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from builders import number

from hepfm.core.config import merge
from hepfm.core.draws import Draws
from hepfm.data import feature_set
from hepfm.data.content import Content
from hepfm.data.loader import EvalLoader
from hepfm.data.store import Store
from hepfm.train.distributed import World
from hepfm.train.learner import Learner
from hepfm.train.pretraining import Pretraining
from hepfm.train.recipe import read_pretrain_recipe
from hepfm.train.validation import validate

Values = dict[str, Any]
WORLD = World(0, 1, torch.device("cpu"))
NO_AUTOCAST = torch.autocast("cpu", enabled=False)
OBJECTIVES: dict[str, Any] = {
    "classes": "supervised",
    "only_some_rows": {"name": "supervised", "label": "jet_eta", "only": ["jet_label", "QCD"]},
    "masked": "masked",
    "croppings": {"name": "lejepa", "directions": 16},
}


def built(recipe: Values, objective: Any) -> Learner:
    work = Pretraining.check(read_pretrain_recipe(merge(recipe, {"objective": objective})))
    return work.job(WORLD).learner.eval()


def loader(store: Store, learner: Learner, batch_size: int) -> EvalLoader:
    content = Content(feature_set("kin"), learner.requirements.labels, "jet_pt")
    return EvalLoader(store, content, rows=store.split("val"), batch_size=batch_size)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_batches_of_any_size_give_the_loss_of_all_rows(
    recipe: Values, jet_store: Store, objective: Any
) -> None:
    made = built(recipe, objective)
    values = [
        validate(made, loader(jet_store, made, size), WORLD, NO_AUTOCAST, seed=1) for size in (7, 10_000)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_weights_and_rows_that_count_are_those_of_the_definition(recipe: Values, jet_store: Store) -> None:
    made = built(recipe, OBJECTIVES["only_some_rows"])
    (batch,) = loader(jet_store, made, 10_000)
    found = validate(made, loader(jet_store, made, 16), WORLD, NO_AUTOCAST, seed=1)["mae"]
    assert batch.weights_B is not None
    with torch.no_grad():
        error = (made.network(batch)["jet_eta"][:, 0] - batch.labels["jet_eta"]).abs().numpy()
    weights = batch.weights_B.numpy() * (batch.labels["jet_label"].numpy() == 0)
    assert 0 < (weights > 0).sum() < len(weights)
    assert found == pytest.approx(np.average(error, weights=weights), rel=1e-4)


def test_the_same_rows_get_the_same_draws_in_every_validation(recipe: Values, jet_store: Store) -> None:
    made = built(recipe, "masked")
    (batch,) = loader(jet_store, made, 10_000)
    draws = Draws(1, "validation")
    first, second = (
        number(made(made.views(one, draws), draws), "regression")
        for one in (batch, replace(batch, mask_BN=batch.mask_BN.clone()))
    )
    assert first == second
    assert number(made(made.views(batch, Draws(2, "validation")), draws), "regression") != first
