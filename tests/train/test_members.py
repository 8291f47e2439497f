"""Training on members of groups: they come together in training and in validation, and what cannot work is
refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hepfm.core.config import merge
from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.rng import numpy_generator
from hepfm.data.groups import draw_whole
from hepfm.data.store import Store
from hepfm.train.distributed import World
from hepfm.train.finetune import finetune
from hepfm.train.pretrain import pretrain
from hepfm.train.pretraining import Pretraining
from hepfm.train.recipe import read_pretrain_recipe
from hepfm.train.run import read_metrics

MEMBERS = {"data": {"members": 2}, "objective": {"name": "contrastive", "positives": "members"}}


def with_store(recipe: dict[str, Any], store: Store, **changes: Any) -> dict[str, Any]:
    return merge(recipe, merge({**MEMBERS, "data": {"members": 2, "store": str(store.path)}}, changes))


def test_every_row_of_a_step_and_of_a_validation_has_another_of_its_event(
    recipe: dict[str, Any], grouped_store: Store
) -> None:
    values = with_store(recipe, grouped_store, train={"validation_rows": 50, "batch_size": 30})
    job = Pretraining.check(read_pretrain_recipe(values, where="test")).job(World(0, 1, torch.device("cpu")))
    assert job.validation is not None
    assert len(job.validation.rows) == 48
    validated = grouped_store.read(["jet_origin"], job.validation.rows)["jet_origin"]
    for events in (validated, next(iter(job.train)).group_B):
        assert np.unique(np.asarray(events), return_counts=True)[1].min() >= 2


def test_pretraining_on_members_runs_and_logs_how_many_are_found(
    recipe: dict[str, Any], grouped_store: Store, tmp_path: Path
) -> None:
    pretrain(with_store(recipe, grouped_store, train={"steps": 4}), output=tmp_path / "run")
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl", "train")
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    for line in lines:
        assert line["loss"] == line["nt_xent"] > 0
        assert 0 <= line["nearest"] <= 1


def test_rows_that_come_one_by_one_are_refused(
    recipe: dict[str, Any], grouped_store: Store, tmp_path: Path
) -> None:
    with pytest.raises(IncompatibleError, match=r"rows come one by one; set data\.members=2"):
        pretrain(with_store(recipe, grouped_store, data={"members": None}), output=tmp_path / "run")
    pretrain(with_store(recipe, grouped_store, train={"steps": 1}), output=tmp_path / "run")
    tuning = {key: recipe[key] for key in ("train", "seed")}
    tuning = {**tuning, "data": {"store": str(grouped_store.path)}, "objective": MEMBERS["objective"]}
    with pytest.raises(IncompatibleError, match="fine-tuning has no such setting"):
        finetune(tmp_path / "run" / "model", tuning, output=tmp_path / "tuned")


def test_events_of_one_row_each_are_refused(
    recipe: dict[str, Any], tmp_path: Path, store_of_singles: Store
) -> None:
    with pytest.raises(DataError, match=r"each of the 192 groups has one row only"):
        pretrain(with_store(recipe, store_of_singles), output=tmp_path / "run")


def test_training_rows_are_those_of_whole_groups_and_nested(
    recipe: dict[str, Any], grouped_store: Store
) -> None:
    def drawn(rows: int) -> np.ndarray:
        values = with_store(recipe, grouped_store, data={"rows": rows})
        return np.asarray(Pretraining.check(read_pretrain_recipe(values, where="test")).rows)

    few, many = drawn(50), drawn(100)
    assert (len(few), len(many)) == (48, 99)
    assert np.isin(few, many).all()
    events = grouped_store.read(["jet_origin"], few)["jet_origin"]
    assert set(np.unique(np.asarray(events), return_counts=True)[1]) == {3}


def test_a_draw_of_whole_groups_is_random_whole_and_within_the_limit() -> None:
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(40), 5))
    first, second = (draw_whole(groups, 52, numpy_generator(seed, "test")) for seed in (1, 2))
    assert len(first) == len(second) == 50
    assert not np.array_equal(first, second)
    assert (np.diff(first) > 0).all()
    assert set(np.unique(groups[first], return_counts=True)[1]) == {5}
    assert len(draw_whole(groups, 3, numpy_generator(1, "test"))) == 5
