"""One run of a study, from its parents' folders to its own; the same function on every executor."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hepfm
from hepfm.core.config import merge
from hepfm.core.errors import HepfmError
from hepfm.core.files import read_json
from hepfm.core.log import configure
from hepfm.core.provenance import code_commit
from hepfm.data.weights import AUTO
from hepfm.study.choice import choose, learning_rate
from hepfm.study.config import Values
from hepfm.study.folder import LOG, RunFolder, StudyFolder, run_lock
from hepfm.study.plan import Run, set_rate

_MAX_RSS = 1 if sys.platform == "darwin" else 1024
"""Bytes in a unit of the system's largest resident size."""


def execute(folder: StudyFolder, run: Run, *, processes: int = 1) -> str:
    """Do one run unless it is done, and mark how it ended.

    Returns
    -------
    str
        ``"done"`` or ``"failed"``; a failure is written into the run's folder, never raised.
    """
    own = folder.run(run.name)
    with run_lock(own):
        if own.facts() is not None:
            return "done"
        start = time.perf_counter()
        again = own.path.joinpath("run.json").exists()
        own.begin(run)
        try:
            found = _VERBS[run.verb](folder, run, processes)
        except HepfmError as error:
            own.fail(kind=type(error).__name__, message=str(error))
            return "failed"
        except Exception as error:  # one run's bug must not stop the others; the diagnosis is kept
            own.fail(kind=type(error).__name__, message=traceback.format_exc(limit=-8))
            return "failed"
        own.finish({**found, **_facts(time.perf_counter() - start, processes, again)})
    return "done"


def _facts(seconds: float, processes: int, again: bool) -> Values:
    """Return what every run notes of its cost; seconds are those of the last attempt."""
    return {
        "seconds": round(seconds, 3),
        "threads": processes,
        "after_a_stop": again,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAX_RSS,
        "hepfm": hepfm.__version__,
        "commit": code_commit(),
    }


def in_child(folder: str, run: Values, processes: int) -> None:
    """Do one run in a process of its own: one thread, messages into the run's log, an end with the parent."""
    study, chosen = StudyFolder(Path(folder)), Run.from_dict(run)
    own = study.run(chosen.name).path
    own.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(own / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    configure()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    one_thread()
    execute(study, chosen, processes=processes)


def one_thread() -> None:
    """Let torch use one thread."""
    import torch

    torch.set_num_threads(1)


def _end_with_parent() -> None:
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# -- the verbs


def _simulate(folder: StudyFolder, run: Run, processes: int) -> Values:
    from hepfm.simulate.run import simulate

    made = simulate(run.values["recipe"], output=folder.run(run.name).store, processes=processes)
    return {"jets": made.rows}


def _tokenize(folder: StudyFolder, run: Run, processes: int) -> Values:
    from hepfm.inference.tokenize import tokenize_store

    own, recipe = folder.run(run.name), _recipe_of(folder, run)
    found = _pretrain(folder, run, processes)
    own.clear(own.tokens)
    data = recipe["data"]
    report = tokenize_store(own.model, data["store"], output=own.tokens, split=data["validation"] or "test")
    return {**found, "code_use": report["code_use"], "perplexity": report["perplexity"]}


def _pretrain(folder: StudyFolder, run: Run, processes: int) -> Values:
    from hepfm.train.pretrain import pretrain

    recipe = _recipe_of(folder, run)
    return _train(folder.run(run.name), lambda output: pretrain(recipe, output=output))


def _finetune(folder: StudyFolder, run: Run, processes: int) -> Values:
    from hepfm.train.finetune import finetune

    recipe = _recipe_of(folder, run)
    if "choice" in run.parents:
        chosen = choose([folder.run(name) for name in run.parents["choice"]])
        recipe = set_rate(recipe, learning_rate(chosen))
    (parent,) = run.parents["model"]
    model = folder.run(parent).model
    found = _train(folder.run(run.name), lambda output: finetune(model, recipe, output=output))
    return {**found, "rate": learning_rate(folder.run(run.name))}


def _train(own: RunFolder, start: Callable[[Path], object]) -> Values:
    """Train from the last checkpoint of a stopped attempt, or from the start."""
    from hepfm.train.resume import resume
    from hepfm.train.run import RunDirectory

    if not own.model.exists():
        if (own.training / "config.json").exists() and not RunDirectory(own.training).failed_at_start:
            resume(own.training)
        else:
            own.clear(own.training)
            start(own.training)
    return training_facts(own)


def training_facts(own: RunFolder) -> Values:
    """Return steps, rows seen and weights of a finished training."""
    from hepfm.train.run import RunDirectory

    length = read_json(RunDirectory(own.training).length)
    return {
        "steps": length["steps"] or 0,
        "rows": length["rows_seen"] or 0,
        "best_step": length["best_step"],
        "training_rows": length["training_rows"],
        "parameters": _parameters(own.model / "model.safetensors"),
    }


def _parameters(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    return sum(_product(shape) for shape in shapes)


def _product(shape: list[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _generate(folder: StudyFolder, run: Run, processes: int) -> Values:
    from hepfm.inference.generate import generate

    chosen = choose([folder.run(name) for name in run.parents["model"]])
    own, options = folder.run(run.name), {key: value for key, value in run.values.items() if key != "store"}
    own.clear(own.store)
    like = store_path(folder, run) if "store" in run.parents or "store" in run.paths else None
    generate(chosen.model, output=own.store, like=like, **options)
    return {"model": chosen.path.name}


def _evaluate(folder: StudyFolder, run: Run, processes: int) -> Values:
    from hepfm.tasks.evaluate import evaluate

    store, own = store_path(folder, run), folder.run(run.name)
    weights = run.values.get("weights", AUTO)
    if "generated" in run.parents:
        made = folder.run(run.parents["generated"][0])
        evaluate(made.store, run.values["task"], store, weights=weights, output=own.result)
        return {"model": (made.facts() or {})["model"]}
    chosen = choose([folder.run(name) for name in run.parents["model"]])
    evaluate(chosen.model, run.values["task"], store, weights=weights, output=own.result)
    return {"model": chosen.path.name}


def store_path(folder: StudyFolder, run: Run) -> Path:
    """Return where a run's store lies."""
    if "store" in run.parents:
        return folder.run(run.parents["store"][0]).store
    return Path(run.paths["store"])


def _recipe_of(folder: StudyFolder, run: Run) -> Values:
    """Return the recipe of a training with the paths of its store and its tokenizer."""
    recipe: Mapping[str, Any] = run.values["recipe"]
    paths: Values = {"data": {"store": str(store_path(folder, run))}}
    if "tokenizer" in run.parents:
        paths["tokenizer"] = {"model": str(folder.run(run.parents["tokenizer"][0]).model)}
    return merge(recipe, paths)


_VERBS: Mapping[str, Callable[[StudyFolder, Run, int], Values]] = {
    "simulate": _simulate,
    "tokenize": _tokenize,
    "pretrain": _pretrain,
    "finetune": _finetune,
    "generate": _generate,
    "evaluate": _evaluate,
}
