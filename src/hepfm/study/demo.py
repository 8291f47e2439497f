"""The demo: from proton collisions to a fine-tuned tagger and an honest report, in minutes on two cores."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import pydantic

from hepfm.core.config import Config, merge, parse_override, validate
from hepfm.core.log import configure, logger, progress

TASK = "top_tagging"
INITS = ("pretrained", "scratch")


class DemoConfig(Config):
    """What the demo runs.

    Attributes
    ----------
    pretrain_jets
        Simulated jets of each of the ten classes to pre-train on.
    finetune_jets
        Jets of each class of the top-tagging task that label budgets are drawn from.
    test_jets
        Its test jets of each class.
    pretrain_steps, finetune_steps
        Optimizer steps; fine-tuning stops earlier, at its plateau.
    budgets
        Label budgets of fine-tuning, validation labels included.
    seeds
        Trainings per starting point and budget; each draws its own labels, weights and order.
    seed
        Seed of the simulation and of pre-training.
    """

    pretrain_jets: int = pydantic.Field(1500, ge=1)
    finetune_jets: int = pydantic.Field(1000, ge=1)
    test_jets: int = pydantic.Field(2000, ge=1)
    pretrain_steps: int = pydantic.Field(700, ge=1)
    finetune_steps: int = pydantic.Field(600, ge=1)
    budgets: tuple[int, ...] = (100, 1000)
    seeds: int = pydantic.Field(5, ge=1)
    seed: int = pydantic.Field(1, ge=0)


@dataclass(frozen=True)
class Trial:
    """One fine-tuning run and its evaluation."""

    model: Path
    store: Path
    run: Path
    result: Path
    overrides: tuple[str, ...]

    @property
    def done(self) -> bool:
        """Whether its result is there."""
        return (self.result / "results.json").exists()


def demo(output: str | Path = "demo", *, overrides: Sequence[str] = (), processes: int = 2) -> Path:
    """Simulate, pre-train on ten classes, fine-tune to top tagging from few labels, evaluate, report.

    What is complete is kept: a second call goes on where the first was stopped.

    Parameters
    ----------
    output
        Directory for everything; created if needed.
    overrides
        ``key=value`` settings of `DemoConfig`.
    processes
        Processes of the simulation and of the fine-tuning runs, one thread each.

    Returns
    -------
    Path
        The report, ``output/report/report.html``.
    """
    from hepfm.report.compare import compare

    values: dict[str, Any] = reduce(merge, map(parse_override, overrides), {})
    config = validate(DemoConfig, values, where="demo")
    folder = Path(output)
    stores = _simulate(folder / "stores", config, processes)
    model = _in_child(_pretrain, folder / "runs" / "pretrain", stores[0], config)
    trials = _trials(folder, model, stores[1], config)
    _run_trials(trials, processes)
    logger.info("report")
    compare([trial.result for trial in trials], output=folder / "report", stores=stores)
    return folder / "report" / "report.html"


def _simulate(folder: Path, config: DemoConfig, processes: int) -> tuple[Path, Path]:
    from hepfm.simulate.run import simulate

    jets, tops = folder / "jetclass", folder / "top_tagging"
    sizes = {
        ("jetclass_fast", jets): (
            config.pretrain_jets,
            config.pretrain_jets // 10 + 1,
            config.pretrain_jets // 5 + 1,
        ),
        ("top_tagging", tops): (config.finetune_jets, 0, config.test_jets),
    }
    for (recipe, store), (train, val, test) in sizes.items():
        if not store.exists():
            logger.info("simulate %s -> %s", recipe, store)
            numbers = [f"jets.train={train}", f"jets.val={val}", f"jets.test={test}"]
            simulate(recipe, output=store, overrides=numbers, processes=processes, seed=config.seed)
    return jets, tops


def _in_child(function: Callable[..., Path], *arguments: object) -> Path:
    """Call in a process of its own, which gives all its memory back at the end."""
    quiet = not logger.isEnabledFor(logging.INFO)
    with ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn"), initializer=_log, initargs=(quiet,)
    ) as pool:
        return pool.submit(function, *arguments).result()


def _log(quiet: bool) -> None:
    configure(quiet=quiet)


def _pretrain(run: Path, store: Path, config: DemoConfig) -> Path:
    from hepfm.train.pretrain import pretrain
    from hepfm.train.resume import resume

    if (run / "model").exists():
        return run / "model"
    logger.info("pretrain demo -> %s", run)
    if run.exists():
        return resume(run).model_path
    overrides = [f"data.store={store}", f"train.steps={config.pretrain_steps}", f"seed={config.seed}"]
    return pretrain("demo", output=run, overrides=overrides).model_path


def _trials(folder: Path, model: Path, store: Path, config: DemoConfig) -> list[Trial]:
    return [
        Trial(
            model,
            store,
            folder / "runs" / f"{init}-{budget}-{seed}",
            folder / "results" / f"{init}-{budget}-{seed}",
            (
                f"data.store={store}",
                f"data.budget={budget}",
                f"init={init}",
                f"train.steps={config.finetune_steps}",
                f"seed={seed}",
            ),
        )
        for seed in range(1, config.seeds + 1)
        for budget in config.budgets
        for init in INITS
    ]


def _run_trials(trials: Sequence[Trial], processes: int) -> None:
    waiting = [trial for trial in trials if not trial.done]
    logger.info("fine-tune and evaluate: %d runs, %d done", len(trials), len(trials) - len(waiting))
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(processes, mp_context=context, initializer=_one_thread) as pool,
        progress("fine-tuning", len(waiting)) as advance,
    ):
        for future in as_completed([pool.submit(_run_trial, trial) for trial in waiting]):
            future.result()
            advance()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _run_trial(trial: Trial) -> None:
    from hepfm.tasks.evaluate import evaluate
    from hepfm.train.finetune import finetune
    from hepfm.train.resume import resume

    if trial.run.exists() and not (trial.run / "model").exists():
        resume(trial.run)
    elif not trial.run.exists():
        finetune(trial.model, "demo", output=trial.run, overrides=trial.overrides)
    evaluate(trial.run / "model", TASK, trial.store, output=trial.result)
