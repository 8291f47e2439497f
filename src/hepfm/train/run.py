"""Run directory: recipe, resolved config, environment, metrics, checkpoints and the model."""

from __future__ import annotations

import json
import os
import platform
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from hepfm.core.config import fingerprint
from hepfm.core.errors import TrainingError
from hepfm.core.files import atomic_path, output_path, read_json_object, read_text, write_json, write_text
from hepfm.core.guards import reading, writing
from hepfm.core.interrupts import advising
from hepfm.core.locks import locked
from hepfm.core.provenance import code_commit
from hepfm.nn.kernels.switch import switched_on
from hepfm.train.checkpoint import checkpoint_steps

FAILED = "failed.json"
"""Why a run ended before its first checkpoint."""

LOCK = ".lock"
"""Held by the process that is at work in a run directory."""


@dataclass(frozen=True)
class RunResult:
    """What training returns: the run directory and the model directory in it."""

    path: Path
    model_path: Path
    """The model directory; of joint pre-training the folder with one of each domain."""
    warning: str | None = None
    """What must be said at the end, e.g. that the embedding has collapsed."""
    models: Mapping[str, Path] = field(default_factory=dict)
    """The model directory of each domain of joint pre-training; empty otherwise."""


@dataclass(frozen=True)
class Length:
    """How long a training was.

    Attributes
    ----------
    steps
        Optimizer steps that were done; None where nothing is trained by steps (a probe).
    best_step
        The step with the lowest validation loss; None without validation.
    first_validation
        The step after which was validated for the first time; None without validation.
    batch_size
        Rows of a step, over all processes and parts.
    training_rows
        Rows that were trained on.
    labels
        Label budget, validation part included; None in pre-training.
    """

    steps: int | None
    best_step: int | None
    first_validation: int | None
    batch_size: int
    training_rows: int
    labels: int | None = None

    @property
    def rows_seen(self) -> int | None:
        """Rows that all steps together were shown, the same row again and again included."""
        return None if self.steps is None else self.steps * self.batch_size

    def to_dict(self) -> dict[str, int | None]:
        """Return JSON-ready values."""
        return {**asdict(self), "rows_seen": self.rows_seen}


@dataclass(frozen=True)
class RunDirectory:
    """Paths and small files of a run."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The model directory."""
        return self.path / "model"

    @property
    def models(self) -> Path:
        """Folder with the model directories of joint pre-training; it is there when all are written."""
        return self.path / "models"

    @property
    def metrics(self) -> Path:
        """Metrics, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def length(self) -> Path:
        """How long the training was, one JSON object; there when it has ended."""
        return self.path / "training.json"

    @classmethod
    def create(cls, path: Path, *, recipe: Mapping[str, Any], config: Mapping[str, Any]) -> RunDirectory:
        """Start a run directory; refuse a place where something stands, unless that failed at its start.

        Parameters
        ----------
        path
            The directory to make.
        recipe
            The recipe as given, overrides applied.
        config
            The resolved config, with every option spelled out.
        """
        target = output_path(path)
        if target.exists() and not target.is_dir():
            raise TrainingError(
                f"{path} is a file; a run directory cannot stand there: choose another output"
            )
        if target.exists() and any(target.iterdir()) and not cls(path).failed_at_start:
            raise TrainingError(_occupied(path))
        with atomic_path(path) as temporary:
            temporary.mkdir()
            write_recipe(temporary / "recipe.yaml", recipe)
            write_json(temporary / "config.json", {**config, "fingerprint": fingerprint(_placeless(config))})
            write_json(temporary / "environment.json", environment())
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Open an existing run directory; refuse one that failed at its start, and say of what."""
        if not (path / "config.json").exists():
            raise TrainingError(f"{path} is not a run directory: it has no config.json")
        run = cls(path)
        if run.failed_at_start:
            error = read_json_object(path / FAILED, TrainingError).get("error")
            raise TrainingError(
                f"{path} has no checkpoint to go on from, it failed at its start: {error}\nStart it anew; "
                "the same output can be used"
            )
        return run

    @property
    def finished(self) -> bool:
        """Whether the model, or the models, are there."""
        return self.model.exists() or self.models.exists()

    @property
    def failed_at_start(self) -> bool:
        """Whether the run ended with an error before its first checkpoint: nothing in it is of use."""
        return (self.path / FAILED).exists() and not checkpoint_steps(self.checkpoints)

    @contextmanager
    def attempt(self, *, first: bool = True) -> Iterator[None]:
        """Hold the directory for this process, and note an error that ends the run before a checkpoint.

        A Ctrl-C in the block tells how to go on.

        Parameters
        ----------
        first
            Whether this process writes, the first of several.
        """
        if not first:
            yield
            return
        refusal = f"another process is at work in {self.path}; wait for it or choose another output"
        with locked(self.path / LOCK, refusal=refusal), advising(self._how_to_go_on):
            try:
                yield
            except Exception as error:
                if not checkpoint_steps(self.checkpoints):
                    write_json(self.path / FAILED, {"kind": type(error).__name__, "error": str(error)})
                raise

    @property
    def _how_to_go_on(self) -> str:
        return f"go on with `hepfm resume {shlex.quote(str(self.path))}`"

    def config(self) -> dict[str, Any]:
        """Return the resolved config; raise `TrainingError` when its fingerprint does not fit."""
        values = read_json_object(self.path / "config.json", TrainingError)
        stored = values.pop("fingerprint", None)
        with reading(self.path / "config.json", TrainingError):
            altered = stored != fingerprint(_placeless(values))
        if altered:
            raise TrainingError(
                f"{self.path / 'config.json'} was altered; start a new run with the changed recipe"
            )
        return {**values, "fingerprint": stored}


def _occupied(path: Path) -> str:
    """Return why no run can be started at a path where something stands."""
    if not (path / "config.json").exists():
        return f"{path} is not empty and no run directory; choose another output"
    if RunDirectory(path).finished:
        return f"{path} holds a finished run; choose another output"
    return f"{path} holds a run that was stopped; go on with `hepfm resume {path}` or choose another output"


def _placeless(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config without paths, so that equal runs in other places have one fingerprint."""
    kept = {key: value for key, value in config.items() if key != "model"}
    if "data" in kept:
        kept["data"] = {key: value for key, value in kept["data"].items() if key != "store"}
    if "domains" in kept:
        kept["domains"] = {name: _placeless(one) for name, one in kept["domains"].items()}
    return kept


def write_recipe(path: Path, values: Mapping[str, Any]) -> None:
    """Write a recipe as YAML."""
    import io

    from ruamel.yaml import YAML

    text = io.StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.dump(json.loads(json.dumps(values)), text)
    write_text(path, text.getvalue())


def environment() -> dict[str, Any]:
    """Return versions, commit and processor of this run; nothing that names the machine or its user."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("hepfm", "torch", "numpy", "pyarrow", "safetensors")},
        "commit": code_commit(),
        "cpu_count": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "kernels": switched_on(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


class MetricsLog:
    """``metrics.jsonl``: whole lines only; on resume it is cut back to the checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8")

    @classmethod
    def resume(cls, path: Path, step: int) -> MetricsLog:
        """Open for a run that goes on after `step`: later lines, and a half one at the end, are dropped."""
        text = read_text(path, TrainingError) if path.exists() else ""
        whole = "".join(line for line in text.splitlines(keepends=True) if line.endswith("\n"))
        kept = [line for line in _metrics(whole, path) if line["step"] <= step]
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
        return cls(path)

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Add one line."""
        with writing(self.path):
            self._file.write(json.dumps({"kind": kind, "step": step, **values}, allow_nan=False) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_metrics(path: Path, kind: str) -> list[dict[str, Any]]:
    """Return the lines of one kind, ``"train"`` or ``"validation"``, of a ``metrics.jsonl``.

    Raises
    ------
    TrainingError
        When the file is missing or a line is damaged; its number is named.
    """
    return [line for line in _metrics(read_text(path, TrainingError), path) if line["kind"] == kind]


def _metrics(text: str, path: Path) -> list[dict[str, Any]]:
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            values = None
        if not _is_metrics(values):
            raise TrainingError(
                f"{path} is damaged in line {number}: expected an object with kind, step and numbers, got "
                f"{line[:80]!r}; remove the line to go on without it"
            )
        lines.append(values)
    return lines


def _is_metrics(values: Any) -> bool:
    if not isinstance(values, dict) or not isinstance(values.get("kind"), str):
        return False
    rest = [value for name, value in values.items() if name != "kind"]
    plain = all(isinstance(value, int | float) and not isinstance(value, bool) for value in rest)
    return plain and isinstance(values.get("step"), int)
