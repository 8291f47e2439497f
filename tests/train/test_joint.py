"""Joint pre-training: one backbone, gradients that add up, exact resume, a model of each domain."""

from __future__ import annotations

import copy
import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from event_rows import PROCESSES, event_columns
from torch import Tensor

from hepfm.core.config import merge
from hepfm.core.draws import Draws
from hepfm.core.errors import ModelError, TrainingError
from hepfm.core.files import read_json
from hepfm.data.joint_loader import JointBatch, JointEvalLoader
from hepfm.data.schemas.events import event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.models.check import check
from hepfm.models.directory import Model
from hepfm.models.folder import model_directory
from hepfm.models.weights import load_tensors
from hepfm.networks.sharing import shared_parts
from hepfm.train.checkpoint import checkpoint_steps, load_checkpoint
from hepfm.train.distributed import World
from hepfm.train.finetune import finetune
from hepfm.train.joint_learner import JointLearner
from hepfm.train.joint_pretraining import JointPretraining
from hepfm.train.joint_recipe import read_joint_recipe
from hepfm.train.loop import Trainer
from hepfm.train.pretrain import dry_run, pretrain
from hepfm.train.resume import resume
from hepfm.train.run import RunDirectory, read_metrics

Values = dict[str, Any]
HERE = World(0, 1, torch.device("cpu"))
DOMAINS = ("events", "jets", "showers")


def lines(run: Path) -> list[Values]:
    """Return all lines of the metrics but for the speed, which is the clock's."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "rows_per_s"} for line in found]


def learner_of(values: Values) -> tuple[JointLearner, list[JointBatch]]:
    """Return the learner of a recipe, ready for its first step, and the parts of that step."""
    job = JointPretraining.check(read_joint_recipe(values)).job(HERE)
    assert job.fitting is not None
    job.fitting.fit(job.learner)  # type: ignore[arg-type]
    batches = iter(job.train)
    return job.learner, [next(batches) for _ in range(values["train"]["accumulate"])]  # type: ignore[misc]


def gradient(learner: JointLearner, parts: list[JointBatch], folder: Path, values: Values) -> Values:
    """Return the gradients of a step that the loop makes, by the number of the domain's network and name."""
    job = JointPretraining.check(read_joint_recipe(values)).job(HERE)
    trainer = Trainer(job, RunDirectory(folder), HERE)
    trainer.learner = trainer.model = learner
    learner.zero_grad()
    trainer._backward(list(parts))
    named = learner.network.named_parameters(remove_duplicate=False)
    return {name: copy.deepcopy(weight.grad) for name, weight in named}


def test_the_gradient_of_what_is_shared_is_the_weighted_sum_of_the_domains(
    joint_recipe: Values, tmp_path: Path
) -> None:
    values = merge(joint_recipe, {"backbone": {"dropout": 0.0}})
    learner, parts = learner_of(values)
    learner.eval()
    whole = gradient(learner, parts, tmp_path, values)
    alone = []
    for domain, single in learner.domains.items():
        one = JointLearner({domain: single}, {domain: learner.weights[domain]})
        mine = [JointBatch({domain: part.batches[domain]}) for part in parts]
        alone.append(gradient(one, mine, tmp_path, values))
    for name, weight in learner.domains["jets"].network.backbone.named_parameters():
        if name.split(".")[0] == "embedding":
            continue
        parts_of_it = [grads[f"0.backbone.{name}"] for grads in alone]
        assert all(part is not None and part.any() for part in parts_of_it), name
        torch.testing.assert_close(whole[f"1.backbone.{name}"], sum(parts_of_it), rtol=1e-4, atol=1e-7)
        assert whole[f"1.backbone.{name}"].shape == weight.shape
    own = "0.backbone.embedding.0.weight"
    torch.testing.assert_close(whole[own], alone[0][own])


def test_what_is_shared_is_one_object_and_the_rest_is_not(joint_recipe: Values) -> None:
    learner, _ = learner_of(joint_recipe)
    backbones = [single.network.backbone for single in learner.learners]
    assert shared_parts(backbones[0]) == ["blocks", "norm", "registers"]
    for one, other in pairwise(backbones):
        assert all(getattr(one, name) is getattr(other, name) for name in shared_parts(one))
        assert one.embedding is not other.embedding
    weights = [id(weight) for weight in learner.parameters()]
    assert len(weights) == len(set(weights))
    shared = sum(
        weight.numel() for name in ("blocks", "norm") for weight in getattr(backbones[0], name).parameters()
    )
    shared += backbones[0].registers.numel()
    each = sum(weight.numel() for single in learner.learners for weight in single.parameters())
    assert sum(weight.numel() for weight in learner.parameters()) == each - 2 * shared
    assert dry_run(joint_recipe).parameters == each - 2 * shared


def test_the_first_domain_alone_is_an_ordinary_training(joint_recipe: Values, tmp_path: Path) -> None:
    """With next to no weight on the others it is shown the same rows and gets the same losses."""
    values = merge(joint_recipe, {"backbone": {"dropout": 0.0}, "train": {"clip": None}})
    for other in ("jets", "showers"):
        values = merge(values, {"domains": {other: {"weight": 1e-12}}})
    one = values["domains"]["events"]
    single = {key: value for key, value in {**values, **one}.items() if key != "domains"}
    pretrain(values, output=tmp_path / "joint")
    pretrain(single, output=tmp_path / "single")
    joint, alone = (read_metrics(tmp_path / run / "metrics.jsonl", "train") for run in ("joint", "single"))
    assert len(joint) == len(alone) == 8
    for ours, theirs in zip(joint, alone, strict=True):
        assert ours["events.loss"] == pytest.approx(theirs["loss"], rel=1e-4)
    assert joint[0]["events.loss"] == alone[0]["loss"]


def test_metrics_have_each_domain_and_the_weighted_sum(joint_recipe: Values, tmp_path: Path) -> None:
    run = pretrain(joint_recipe, output=tmp_path / "run").path
    for line in lines(run):
        total = line["events.loss"] + line["jets.loss"] + 0.5 * line["showers.loss"]
        assert line["loss"] == pytest.approx(total, rel=1e-5)
        assert line["jets.cross_entropy"] == pytest.approx(line["jets.loss"])
    watched = {name for line in lines(run) for name in line if ".embedding_" in name}
    assert watched == {f"showers.embedding_{name}" for name in ("rankme", "spread", "lidar")}
    length = read_json(run / "training.json")
    assert (length["training_rows"], length["batch_size"], length["rows_seen"]) == (890, 96, 768)


def test_models_are_ordinary_and_share_their_weights_byte_for_byte(
    joint_recipe: Values, tmp_path: Path, finetune_recipe: Values, event_store: Store, shower_store: Store
) -> None:
    result = pretrain(joint_recipe, output=tmp_path / "run")
    assert tuple(result.models) == DOMAINS
    tensors: dict[str, dict[str, Tensor]] = {}
    for domain, path in result.models.items():
        assert max(check(path).values()) < 1e-6
        tensors[domain] = load_tensors(path / "model.safetensors")
        card = (path / "card.md").read_text()
        assert f"- domain: {domain}" in card
        assert "events (weight 1, 90 rows), jets (weight 1, 600 rows), showers (weight 0.5, 200 rows)" in card
    model = Model.load(result.models["jets"])
    assert model.metrics["validation_loss"] == lines(result.path)[-1]["jets.loss"]
    names = [
        name
        for name in tensors["jets"]
        if name.split(".")[:2] in ([["backbone", part] for part in shared_parts(model.network.backbone)])
    ]
    assert len(names) > 20
    for name in names:
        assert all(tensors[domain][name].equal(tensors["jets"][name]) for domain in DOMAINS), name
    with pytest.raises(ModelError, match=r"a run with a model of each domain; say which: .*models/events, "):
        model_directory(result.path)
    stores = {"jets": finetune_recipe["data"]["store"], "events": str(event_store.path)}
    for domain, store in stores.items():
        values = merge(finetune_recipe, {"data": {"store": store}})
        tuned = finetune(result.models[domain], values, output=tmp_path / domain)
        loaded = read_json(tuned.path / "loading.json")
        assert {"backbone.registers", "backbone.blocks", "backbone.norm"} <= set(loaded["loaded"])
    masked = {**finetune_recipe, "data": {"store": str(shower_store.path)}, "head": "keep"}
    masked = {**masked, "objective": joint_recipe["domains"]["showers"]["objective"]}
    assert finetune(result.models["showers"], masked, output=tmp_path / "showers").model_path.exists()


class Stopped(Exception):
    """Ends a run in the middle."""


@pytest.mark.parametrize("log_every", [1, 3])
def test_a_resumed_run_is_the_run_that_was_not_stopped(
    joint_recipe: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_every: int
) -> None:
    values = merge(joint_recipe, {"train": {"log_every": log_every}})
    whole = pretrain(values, output=tmp_path / "whole")
    original = JointLearner.after_step

    def stop(self: JointLearner, step: int, num_steps: int) -> None:
        original(self, step, num_steps)
        if step == 7:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(JointLearner, "after_step", stop)
        with pytest.raises(Stopped):
            pretrain(values, output=tmp_path / "halves")
    assert checkpoint_steps(tmp_path / "halves" / "checkpoints") == [4]
    halves = resume(tmp_path / "halves")
    assert lines(halves.path) == lines(whole.path)
    for domain in DOMAINS:
        one, other = (run.models[domain] / "model.safetensors" for run in (whole, halves))
        assert one.read_bytes() == other.read_bytes()
    before = (halves.models["jets"] / "model.safetensors").read_bytes()
    again = resume(tmp_path / "halves")
    assert (again.models["jets"] / "model.safetensors").read_bytes() == before


def test_a_checkpoint_holds_what_is_shared_once(joint_recipe: Values, tmp_path: Path) -> None:
    run = pretrain(joint_recipe, output=tmp_path / "run").path
    written = load_tensors(run / "checkpoints" / "step-00000008" / "state.safetensors")
    assert "learner.network.0.backbone.registers" in written
    assert "learner.network.1.backbone.registers" not in written
    read = load_checkpoint(run / "checkpoints", 8).part("learner")
    assert read["network.1.backbone.registers"].equal(read["network.2.backbone.registers"])


def test_early_stopping_goes_by_the_sum_of_all_domains(joint_recipe: Values, tmp_path: Path) -> None:
    values = merge(joint_recipe, {"train": {"steps": 40, "validate_every": 2, "optimizer": {"lr": 0.3}}})
    values = {**values, "early_stopping": {"patience": 2}}
    run = pretrain(values, output=tmp_path / "run").path
    validations = read_metrics(run / "metrics.jsonl", "validation")
    best = min(validations, key=lambda line: line["loss"])
    length = read_json(run / "training.json")
    assert (length["best_step"], length["steps"]) == (best["step"], best["step"] + 4)
    assert length["steps"] < 40
    model = Model.load(run / "models" / "jets")
    assert model.metrics["validation_loss"] == best["jets.loss"]


def test_validation_counts_every_row_of_each_domain_once(joint_recipe: Values) -> None:
    loader = JointPretraining.check(read_joint_recipe(joint_recipe)).job(HERE).validation
    assert isinstance(loader, JointEvalLoader)
    batches = list(loader)
    assert [tuple(batch.batches) for batch in batches] == [DOMAINS, ("jets",)]
    assert len(loader) == 2
    assert sum(map(len, batches)) == 200 + 40 + 32


def test_rows_of_a_step_that_fails_are_named_with_their_domain(joint_recipe: Values, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"Rows of the step: events [0-9]+, events"):
        pretrain(merge(joint_recipe, {"train": {"optimizer": {"lr": 1e30}}}), output=tmp_path / "run")
    rows = read_json(tmp_path / "run" / "failure.json")["rows"]
    assert {row.split()[0] for row in rows} == set(DOMAINS)


def test_smoke_and_dry_run_work(joint_recipe: Values, tmp_path: Path) -> None:
    result = pretrain(joint_recipe, output=tmp_path / "run", smoke=True)
    assert lines(result.path)[-1]["step"] == 6
    cost = dry_run(joint_recipe)
    assert cost.rows_per_s * cost.seconds_per_step == pytest.approx(96)
    assert cost.validation_seconds > 0


def test_a_run_whose_store_changed_is_not_resumed(
    joint_recipe: Values, tmp_path: Path, event_store: Store
) -> None:
    copied = tmp_path / "events"
    shutil.copytree(event_store.path, copied)
    values = merge(joint_recipe, {"domains": {"events": {"data": {"store": str(copied)}}}})
    run = pretrain(values, output=tmp_path / "run").path
    shutil.rmtree(copied)
    shards = [("train", event_columns(90, seed=7)), ("val", event_columns(40, seed=8))]
    write_store(copied, event_schema(PROCESSES, truth=True), shards, provenance={})
    with pytest.raises(TrainingError, match=r"the store of .* is not the one it was trained on"):
        resume(run)


def test_views_of_one_row_are_those_of_a_training_of_its_domain_alone(joint_recipe: Values) -> None:
    learner, parts = learner_of(joint_recipe)
    draws = Draws(3, "objective", 0, 0.0)
    views = learner.views(parts[0], draws)
    assert {name.partition(".")[0] for name in views} == set(DOMAINS)
    alone = learner.domains["showers"].views(parts[0].batches["showers"], draws)
    for name, view in alone.items():
        assert torch.equal(views[f"showers.{name}"].batch.mask_BN, view.batch.mask_BN)
