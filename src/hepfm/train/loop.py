"""The training loop: every objective, pre-training and fine-tuning run through it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, NoReturn, TypeVar

import torch
from torch import Tensor, nn

from hepfm.core import log
from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.core.errors import DivergedError, TrainingError
from hepfm.core.files import write_json
from hepfm.core.interrupts import StopRequest, Terminated, deferred_sigterm
from hepfm.core.rng import integer_seed
from hepfm.data.joint_loader import JointBatch, JointEvalLoader, JointTrainLoader
from hepfm.data.loader import EvalLoader, TrainLoader
from hepfm.models.weights import load_strictly
from hepfm.objectives.base import View
from hepfm.objectives.loss import Loss, added
from hepfm.train.checkpoint import (
    Checkpoint,
    checkpoint_path,
    checkpoint_steps,
    describe_last,
    load_checkpoint,
    pack_optimizer,
    prune_checkpoints,
    save_checkpoint,
    unpack_optimizer,
)
from hepfm.train.distributed import World
from hepfm.train.early_stopping import Best, EarlyStoppingConfig
from hepfm.train.ema import Ema, averaged_weights
from hepfm.train.fitting import Fitting
from hepfm.train.joint_parts import JointFitting, JointWatch
from hepfm.train.meter import Clock, Meter
from hepfm.train.optimizers import parameter_groups, set_factor
from hepfm.train.recipe import TrainConfig
from hepfm.train.replicas import spread
from hepfm.train.run import Length, RunDirectory
from hepfm.train.trackers import Recorder
from hepfm.train.trainable import Trainable
from hepfm.train.validation import validate
from hepfm.train.watch import Watch, describe_collapse

IDLE_STEPS = 20
"""So many steps in a row without a gradient are taken for data that the objective cannot learn from."""
_KEEP = 2

LearnerT = TypeVar("LearnerT", bound=Trainable)


@dataclass(frozen=True)
class Job(Generic[LearnerT]):
    """What is to be trained, on what, and how.

    Attributes
    ----------
    learner
        The network with its objective, or several of them.
    train
        Endless loader of this process's part of each batch.
    validation
        Finite loader of this process's part of the validation rows; None for no validation.
    config
        The section ``train`` of the recipe.
    seed
        Seed of every random draw.
    fixed
        Modules that stay in evaluation mode.
    early_stopping
        When to stop; None trains for all steps and keeps the last weights.
    fitting
        What is measured on the training rows before the first step.
    new
        Names of the network's weights that did not come from a model; None where none did.
    watch
        What is measured of the embedding at each validation; None where it is not what is trained.
    """

    learner: LearnerT
    train: TrainLoader | JointTrainLoader
    validation: EvalLoader | JointEvalLoader | None
    config: TrainConfig
    seed: int
    fixed: tuple[nn.Module, ...] = ()
    early_stopping: EarlyStoppingConfig | None = None
    fitting: Fitting | JointFitting | None = None
    new: frozenset[str] | None = None
    watch: Watch | JointWatch | None = None


class Trainer:
    """One run of a job in a run directory.

    Parameters
    ----------
    job
        What to train.
    run
        Where files go.
    world
        This process among all.
    """

    def __init__(self, job: Job[Any], run: RunDirectory, world: World) -> None:
        self.job, self.run, self.world = job, run, world
        self.config = job.config
        if job.fitting and not checkpoint_steps(run.checkpoints):
            job.fitting.fit(job.learner)
        if self.config.compile:
            for learner in job.learner.learners:
                learner.network.backbone.compile(dynamic=True)
        self.spread = spread(job.learner, world, shard=self.config.shard)
        # Any: loaders, fitting and watch of the job are those of its kind of learner.
        self.learner: Any = self.spread.learner
        self.model = self.spread.model
        self.ema = Ema(self.spread.averaged, self.config.ema) if self.config.ema else None
        options = self.config.optimizer.config
        groups = parameter_groups(
            job.learner,
            lr=options.lr,  # type: ignore[attr-defined]
            weight_decay=options.weight_decay,  # type: ignore[attr-defined]
            layer_decay=self.config.layer_decay,
            head_factor=self.config.head_factor,
            new=job.new,
        )
        for group in groups:
            group["params"] = [self.spread.piece(parameter) for parameter in group["params"]]
        self.parameters = [piece for group in groups for piece in group["params"]]
        # A tokenizer may have constants only, which are fitted by now: then there are no steps to do.
        self.steps = self.config.steps if groups else 0
        nothing = [{"params": [nn.Parameter(torch.zeros(1))], "lr": 0.0, "peak_lr": 0.0, "weight_decay": 0.0}]
        self.optimizer: torch.optim.Optimizer = self.config.optimizer.cls.build(options, groups or nothing)
        self.schedule = self.config.schedule.cls(self.config.schedule.config)
        self.step, self.best, self.meter, self.clock = 0, Best(), Meter(), Clock()
        self._idle = 0
        self.collapse: str | None = None
        """What is to be said of the embedding at the last validation; None where it has not collapsed."""

    def fit(self) -> None:
        """Train to the end, from the last checkpoint if there is one; the network gets the final weights."""
        steps = checkpoint_steps(self.run.checkpoints)
        if steps:
            self.restore(load_checkpoint(self.run.checkpoints, steps[-1]))
        recorder = Recorder(self.run, step=self.step, names=self.config.trackers, active=self.world.first)
        cuda = [self.world.device] if self.world.device.type == "cuda" else []
        try:
            with (
                torch.random.fork_rng(cuda),
                flushed_denormals(),
                deferred_sigterm("a checkpoint is written after this step") as stop,
            ):
                self._steps(recorder, stop)
        finally:
            recorder.close()
        self._choose_weights()

    def _steps(self, recorder: Recorder, stop: StopRequest) -> None:
        batches: Iterator[Batch | JointBatch] = iter(self.job.train)
        self.train_mode()
        self.clock = Clock()
        with log.progress("training", self.steps) as advance:
            advance(self.step)
            while self.step < self.steps and not self._stopped():
                values = self.train_step(batches)
                self.meter.add(values)
                advance(1, f"loss {values['loss']:.4f}")
                if self._due(self.config.log_every):
                    self._log(recorder)
                if self.job.validation is not None and self._due(self.config.validate_every):
                    with self.clock.paused():
                        self._validate(self.job.validation, recorder)
                stopping = self.world.any(stop.came)
                if stopping or self._due(self.config.checkpoint_every) or self.best.step == self.step:
                    with self.clock.paused():
                        self.save()
                if stopping:
                    self._leave()

    def _leave(self) -> None:
        """End after a SIGTERM, when the checkpoint is written."""
        kept = describe_last(self.run.checkpoints)
        stop = Terminated(
            f"stopped after step {self.step}, kept: {kept}; go on with `hepfm resume {self.run.path}`"
        )
        if self.world.first:
            log.logger.warning(stop.message)
        raise stop

    def _log(self, recorder: Recorder) -> None:
        means = self.meter.shared(self.world).means()
        recorder.log("train", self.step, {**means, "rows_per_s": self.clock.lap()})
        self.meter = Meter()

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.config.steps

    def _stopped(self) -> bool:
        stopping = self.job.early_stopping
        return stopping is not None and self.best.since >= stopping.patience

    def train_mode(self) -> None:
        """Put everything but the fixed modules into training mode."""
        self.learner.train()
        for module in self.job.fixed:
            self.spread.at_work(module).eval()

    def train_step(self, batches: Iterator[Batch | JointBatch]) -> dict[str, float]:
        """Do one optimizer step; return the logged values."""
        factor = self.schedule.factor(self.step, self.config.steps)
        rate = set_factor(self.optimizer.param_groups, factor)
        torch.manual_seed(integer_seed(self.job.seed, "train.step", self.world.rank, self.step))
        batches_of_step = [self._next(batches) for _ in range(self.config.accumulate)]
        loss = self._backward(batches_of_step)
        self.spread.reduce()
        norm = self.spread.clip(self.parameters, self.config.clip)
        if not math.isfinite(norm):
            self._fail(batches_of_step, f"the gradient's norm is {norm}")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._idle = 0 if norm else self._idle + 1
        if self._idle >= min(IDLE_STEPS, self.steps):
            self._nothing_to_learn()
        self.learner.after_step(self.step, self.steps)
        if self.ema:
            self.ema.update()
        return {**loss, "grad_norm": norm, "lr": rate}

    def _nothing_to_learn(self) -> NoReturn:
        raise TrainingError(
            f"{self._idle} steps in a row without a gradient, up to step {self.step}: no row has anything to "
            "learn from. Rows may have a weight of 0, too few constituents to hide any, or no other row that "
            "belongs to them; see the data, train.batch_size and the objective's options"
        )

    def _next(self, batches: Iterator[Batch | JointBatch]) -> Batch | JointBatch:
        batch = next(batches).to(self.world.device, non_blocking=True)
        self.clock.count(len(batch) * self.world.size)
        return batch

    def _backward(self, parts: list[Batch | JointBatch]) -> dict[str, float]:
        """Add up the gradients of the parts of a step and return the numbers of its loss.

        Sums are divided by the count of the whole step, over parts and processes. Where a term is a statistic
        of the whole step all parts are kept until the end; else each is done with before the next.
        """
        draws = Draws(self.job.seed, "objective", self.step, self.step / self.steps)
        with self.autocast():
            views = [self.learner.views(part, draws) for part in parts]
        counts = self._counts(views)
        losses: list[Loss] = []
        waiting: list[Loss] = []
        for number, view in enumerate(views):
            last = number == len(views) - 1
            with self.spread.part_of_step(last):
                with self.autocast():
                    waiting.append(self.model(view, draws))
                if last or not self.learner.whole_step:
                    loss = added(waiting)
                    waiting = []
                    share = loss.share(counts, processes=self.world.size)
                    if not math.isfinite(value := float(share.detach())):
                        self._fail(parts, f"the loss is {value}")
                    torch.autograd.backward(share)
                    losses.append(loss.detached())
        return self.learner.numbers(self.world.loss(added(losses)))

    def _counts(self, views: list[dict[str, View]]) -> Mapping[str, Tensor]:
        """Return what the sum of each term is divided by: its count over all parts and processes."""
        parts = [self.learner.counts(view) for view in views]
        names = list(parts[0])
        total = torch.stack([torch.stack([part[name].float() for name in names]) for part in parts]).sum(0)
        return dict(zip(names, self.world.sum(total), strict=True))

    def autocast(self) -> torch.autocast:
        """Return the context of the recipe's precision."""
        enabled = self.config.precision == "bfloat16"
        return torch.autocast(self.world.device.type, dtype=torch.bfloat16, enabled=enabled)

    def _fail(self, parts: list[Batch | JointBatch], what: str) -> None:
        rows = [row for part in parts for row in self.learner.rows(part)]
        write_json(self.run.path / "failure.json", {"step": self.step, "what": what, "rows": rows})
        shown = ", ".join(str(row) for row in rows[:8]) + (", ..." if len(rows) > 8 else "")
        raise DivergedError(
            f"at step {self.step} {what}. Rows of the step: {shown} "
            f"(all in {self.run.path / 'failure.json'}). "
            f"Kept: {describe_last(self.run.checkpoints)}. Lower train.optimizer.lr, set train.clip, "
            "or look at the rows"
        )

    def _validate(self, loader: EvalLoader | JointEvalLoader, recorder: Recorder) -> None:
        with self.ema.applied() if self.ema else contextlib.nullcontext():
            values = validate(
                self.learner,
                loader,
                self.world,
                self.autocast(),
                seed=self.job.seed,
                progress=self.step / self.steps,
            )
            if self.job.watch is not None:
                values |= self.job.watch.measure(self.learner, self.world.device)
        self.train_mode()
        if not math.isfinite(values["loss"]):
            raise DivergedError(
                f"the validation loss is {values['loss']} at step {self.step}. "
                f"Kept: {describe_last(self.run.checkpoints)}. Lower train.optimizer.lr or set train.clip"
            )
        delta = self.job.early_stopping.min_delta if self.job.early_stopping else 0.0
        self.best.update(values["loss"], self.step, min_delta=delta)
        recorder.log("validation", self.step, values)
        self.collapse = describe_collapse(values)
        if self.collapse and self.world.first:
            log.logger.warning("step %d: %s", self.step, self.collapse)

    def save(self) -> None:
        """Write a checkpoint of everything that the next step depends on."""
        checkpoint = self._checkpoint(self.meter.shared(self.world))
        if self.world.first:
            save_checkpoint(self.run.checkpoints, checkpoint)
            prune_checkpoints(self.run.checkpoints, keep=_KEEP, also=[self.best.step])
        self.world.wait()

    def _checkpoint(self, meter: Meter) -> Checkpoint:
        optimizer, values = pack_optimizer(self.optimizer, self.spread.whole)
        parts = {
            "learner": self.spread.gather(),
            "optimizer": optimizer,
            "ema": self.spread.average(self.ema) if self.ema else {},
        }
        tensors = {f"{part}.{name}": value for part, state in parts.items() for name, value in state.items()}
        info = {
            "optimizer": values,
            "loader": self.job.train.state(),
            "best": asdict(self.best),
            "meter": asdict(meter),
            "collapse": self.collapse,
        }
        return Checkpoint(self.step, tensors, info)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to a checkpoint."""
        self.step = checkpoint.step
        self._load_weights(checkpoint)
        state, values = checkpoint.part("optimizer"), checkpoint.values["optimizer"]
        unpack_optimizer(self.optimizer, state, values, self.spread.part)
        self.job.train.restore(checkpoint.values["loader"])
        self.best = Best(**checkpoint.values["best"])
        self.meter = Meter(**checkpoint.values["meter"])
        self.collapse = checkpoint.values["collapse"]

    def _load_weights(self, checkpoint: Checkpoint) -> None:
        where = checkpoint_path(self.run.checkpoints, checkpoint.step)
        load_strictly(self.job.learner, checkpoint.part("learner"), where=where)
        self.spread.scatter()
        if self.ema:
            self.spread.set_average(self.ema, checkpoint.part("ema"))

    @property
    def final_step(self) -> int:
        """Step of the weights that are kept: the best validated with early stopping, else the last."""
        stopping = self.job.early_stopping is not None and self.best.step >= 0
        return self.best.step if stopping else self.step

    def length(self, *, rows: int, labels: int | None = None, by_steps: bool = True) -> Length:
        """Return how long the training was, on so many rows; see `Length`."""
        validated = by_steps and self.best.step >= 0
        return Length(
            steps=self.step if by_steps else None,
            best_step=self.best.step if validated else None,
            first_validation=min(self.config.validate_every, self.step) if validated else None,
            batch_size=self.config.batch_size,
            training_rows=rows,
            labels=labels,
        )

    def _choose_weights(self) -> None:
        if self.final_step != self.step:
            self._load_weights(load_checkpoint(self.run.checkpoints, self.final_step))
        self.spread.gather()
        if self.ema:
            self.job.learner.network.load_state_dict(averaged_weights(self.spread.average(self.ema)))
        self.job.learner.eval()


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Treat denormal numbers as zero within the block: they slow a CPU down and carry no information here."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
