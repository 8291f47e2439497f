"""The obvious next command, so that it works as it is printed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def command_line(*parts: object) -> str:
    """Return a command of hepfm for a shell, with quotes where they are needed; None is left out.

    >>> command_line("pretrain", "my recipe.yaml", None, "seed=3")
    "hepfm pretrain 'my recipe.yaml' seed=3"
    """
    return shlex.join(["hepfm", *(str(part) for part in parts if part is not None)])


def in_earnest(
    verb: Sequence[object], overrides: Sequence[str], *, output: str | None, smoke: bool = False
) -> str:
    """Return the command of a dry run without ``--dry-run``, everything else kept."""
    options: list[object] = ["-o", output] if output is not None else []
    return command_line(*verb, *overrides, *options, *(["--smoke"] if smoke else []))


def after_training(run: str | Path) -> str:
    """Return what to do with the model of a finished run: measure, generate, tokenize, predict or look at it.

    A model is measured on the test rows of the store that it was trained on, where they are of a task that
    the model's classes answer. Of joint pre-training it is said of the first domain.
    """
    from hepfm.core.files import read_json_object

    config = read_json_object(Path(run) / "config.json")
    if "domains" in config:
        domain, one = next(iter(config["domains"].items()))
        return _of_model(Path(run) / "models" / domain, one["data"]["store"], beside=Path(run))
    return _of_model(Path(run) / "model", config.get("data", {}).get("store"), beside=Path(run))


def _of_model(model: Path, store: str | None, *, beside: Path) -> str:
    """Return what to do with a model that was trained on a store; what is made of it goes beside it."""
    from hepfm.core.files import read_json_object
    from hepfm.data.manifest import read_manifest

    config = read_json_object(model / "config.json")
    if store is None or not Path(store).is_dir():
        return command_line("check", model)
    store = _shortest(store)
    if config.get("heads"):
        manifest = read_manifest(Path(store))
        task = task_of(config.get("classes", {}), manifest.schema) if "test" in manifest.splits() else None
        if task is not None:
            return command_line("evaluate", model, "--on", task, "--store", store)
        return command_line("predict", model, store, "-o", beside / "scores.parquet")
    if config.get("generator"):
        return command_line("generate", model, "-n", 1000, "-o", beside / "generated")
    if config.get("tokenizer"):
        return command_line("tokenize", model, "--on", store, "-o", beside / "tokens-test")
    return command_line("check", model)


def task_of(classes: dict[str, list[str]], schema: Any) -> str | None:
    """Return a task of classification that a model answers on a store, None where there is none.

    Parameters
    ----------
    classes
        Class names by head.
    schema
        Schema of the store.
    """
    from hepfm.tasks import TASKS

    for name in TASKS:
        task = TASKS.load(name)
        told, label = set(getattr(task, "classes", ())), getattr(task, "label", "")
        known = set(schema[label].classes) if label in schema else set()
        if told and told == set(classes.get(label, ())) and told <= known:
            return name
    return None


def _shortest(path: str) -> str:
    """Return a path from here where that is inside the working directory."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def workflow_command(
    verb: str,
    recipe: str,
    overrides: Sequence[str],
    output: str | None,
    processes: int | None,
    cluster: str | None,
) -> str:
    """Return the command of a dry run of many runs without ``--dry-run``.

    >>> workflow_command("study", "demo", ["seed=2"], None, 4, None)
    'hepfm study demo seed=2 --processes 4'
    """
    options = {"-o": output, "--processes": processes, "--cluster": cluster}
    given = [part for name, value in options.items() if value is not None for part in (name, value)]
    return command_line(verb, recipe, *overrides, *given)
