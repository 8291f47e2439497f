"""Dry run: one real step tells what a run would cost."""

from __future__ import annotations

import datetime as dt
import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import torch

from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.core.writable import scratch_folder
from hepfm.data.joint_loader import JointBatch
from hepfm.train.distributed import World
from hepfm.train.loop import Job, Trainer
from hepfm.train.run import RunDirectory
from hepfm.train.validation import validate

_STEPS = 3


@dataclass(frozen=True)
class Cost:
    """What a run would cost on this machine.

    Attributes
    ----------
    parameters, trained_parameters
        Numbers of weights.
    seconds_per_step
        Of forward, backward and optimizer, the fastest of a few.
    rows_per_s
        Rows of all processes.
    validation_seconds
        Of one validation, from a few of its batches, with the watch on collapse; 0 without.
    total_seconds
        All steps and validations.
    peak_memory_bytes
        Largest memory so far: of the CUDA device, or resident memory of the process.
    loss
        Loss of the first batch.
    """

    parameters: int
    trained_parameters: int
    seconds_per_step: float
    rows_per_s: float
    validation_seconds: float
    total_seconds: float
    peak_memory_bytes: int
    loss: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return words for people."""
        total = dt.timedelta(seconds=round(self.total_seconds))
        return [
            f"weights     {self.parameters:,}, {self.trained_parameters:,} of them trained",
            f"step        {self.seconds_per_step * 1e3:.1f} ms, {self.rows_per_s:,.0f} rows/s",
            f"validation  {self.validation_seconds:.1f} s each",
            f"all steps   {total} with validations",
            f"memory      {self.peak_memory_bytes / 1e9:.2f} GB at the most so far",
            f"first loss  {self.loss:.4f}",
        ]


def estimate_cost(job: Job[Any], world: World) -> Cost:
    """Train a few steps in a temporary folder and return what the whole run would cost."""
    with scratch_folder() as folder:
        trainer = Trainer(job, RunDirectory(folder), world)
        seconds, losses = [], []
        with torch.random.fork_rng(devices=[]):
            batches: Iterator[Batch | JointBatch] = iter(job.train)
            trainer.train_mode()
            for _ in range(min(_STEPS, trainer.config.steps)):
                start = time.perf_counter()
                losses.append(_step(trainer, batches))
                seconds.append(time.perf_counter() - start)
        validation = _validation_seconds(trainer)
    step = min(seconds)
    validations = trainer.steps // trainer.config.validate_every
    weights = list(job.learner.parameters())
    return Cost(
        parameters=sum(weight.numel() for weight in weights),
        trained_parameters=sum(weight.numel() for weight in weights if weight.requires_grad),
        seconds_per_step=step,
        rows_per_s=trainer.clock.rows / len(seconds) / step,
        validation_seconds=validation,
        total_seconds=step * trainer.steps + validation * validations,
        peak_memory_bytes=_peak_memory(world.device),
        loss=losses[0],
    )


def _validation_seconds(trainer: Trainer) -> float:
    """Time a few batches and return the time of all of them, and of what is watched of the embedding."""
    loader = trainer.job.validation
    if loader is None or not len(loader):
        return 0.0
    batches: list[Batch | JointBatch] = list(islice(loader, _STEPS))
    start = time.perf_counter()
    validate(trainer.learner, batches, trainer.world, trainer.autocast(), seed=trainer.job.seed)
    seconds = (time.perf_counter() - start) / len(batches) * len(loader)
    start = time.perf_counter()
    if trainer.job.watch is not None:
        trainer.job.watch.measure(trainer.learner, trainer.world.device)
    return seconds + time.perf_counter() - start


def _step(trainer: Trainer, batches: Iterator[Batch | JointBatch]) -> float:
    """Do one step and return its loss; the loss alone where there is nothing to train by steps."""
    if trainer.steps:
        return trainer.train_step(batches)["loss"]
    batch = next(batches).to(trainer.world.device)
    trainer.clock.count(len(batch))
    draws = Draws(trainer.job.seed, "objective")
    with torch.no_grad():
        return float(trainer.learner(trainer.learner.views(batch, draws), draws).total)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
