"""A workspace: one folder per run, with marks that appear whole or not at all, and locks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hepfm.core.errors import HepfmError
from hepfm.core.files import output_path, read_json, write_json
from hepfm.workflow.run import Run

RUN, DONE, FAILED, LOG, LOCK = "run.json", "done.json", "failed.json", "log.txt", "lock"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @property
    def training(self) -> Path:
        """Run directory of a pre-training or fine-tuning."""
        return self.path / "run"

    @property
    def model(self) -> Path:
        """Its model directory."""
        return self.training / "model"

    def model_of(self, domain: str | None) -> Path:
        """Return the model directory of a domain; None for a training that leaves one model."""
        return self.model if domain is None else self.training / "models" / domain

    @property
    def tokens(self) -> Path:
        """What a tokenizer loses: its report."""
        return self.path / "tokens"

    @property
    def store(self) -> Path:
        """Store of a simulation."""
        return self.path / "store"

    @property
    def result(self) -> Path:
        """Result directory of an evaluation."""
        return self.path / "result"

    def facts(self) -> dict[str, Any] | None:
        """Return what a finished run says of itself; None when it is not finished."""
        return read_json(self.path / DONE) if (self.path / DONE).exists() else None

    @property
    def core_seconds(self) -> float:
        """Wall seconds of the attempt that finished times its threads; 0 for a run that is not finished."""
        facts = self.facts() or {}
        return float(facts.get("seconds", 0.0)) * int(facts.get("threads", 1))

    def failure(self) -> dict[str, Any] | None:
        """Return why the run failed; None when it has not."""
        return read_json(self.path / FAILED) if (self.path / FAILED).exists() else None

    def begin(self, run: Run) -> None:
        """Write what the run is, and forget an earlier failure."""
        write_json(self.path / RUN, run.to_dict())
        (self.path / FAILED).unlink(missing_ok=True)

    def finish(self, facts: dict[str, Any]) -> None:
        """Mark the run as finished."""
        write_json(self.path / DONE, facts)

    def fail(self, *, kind: str, message: str, final: bool = False) -> None:
        """Mark the run as failed; a final failure would happen again in the same way."""
        write_json(self.path / FAILED, {"kind": kind, "message": message, "final": final})

    def clear(self, part: Path) -> None:
        """Remove a part that a stopped attempt left."""
        if part.exists():
            shutil.rmtree(part)


@dataclass(frozen=True)
class Workspace:
    """A directory of runs."""

    path: Path

    def run(self, name: str) -> RunFolder:
        """Return the folder of a run by its name."""
        return RunFolder(self.path / "runs" / name)

    def existing(self) -> set[str]:
        """Return the names of all runs that have a folder."""
        folder = self.path / "runs"
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

    def status(self, name: str) -> Literal["done", "failed", "waiting"]:
        """Return ``"done"``, ``"failed"`` for a failure that would repeat itself, else ``"waiting"``."""
        folder = self.run(name)
        if folder.facts() is not None:
            return "done"
        failure = folder.failure()
        return "failed" if failure and failure["final"] else "waiting"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for this process; raise `HepfmError` when another one has it."""
        output_path(self.path).mkdir(parents=True, exist_ok=True)
        with (self.path / LOCK).open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise HepfmError(
                    f"another process is at work in {self.path} "
                    f"({file.read().strip() or 'unknown process'}); "
                    "wait for it, or choose another output"
                ) from None
            file.seek(0)
            file.truncate()
            file.write(f"process {os.getpid()}\n")
            file.flush()
            yield


@contextlib.contextmanager
def run_lock(folder: RunFolder) -> Iterator[None]:
    """Hold a run for this process, waiting for another one that is still at it."""
    output_path(folder.path).mkdir(parents=True, exist_ok=True)
    with (folder.path / LOCK).open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
