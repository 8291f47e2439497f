"""The verb ``simulate``: chunks in parallel processes, each written once, then one shuffled store."""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import types
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import hepfm
from hepfm.core import log
from hepfm.core.errors import ConfigError, DataError, HepfmError
from hepfm.core.files import atomic_path, read_json, write_json
from hepfm.core.ragged import Array, concatenate, take_rows
from hepfm.core.rng import numpy_generator
from hepfm.data.manifest import read_manifest
from hepfm.data.writer import StoreWriter
from hepfm.simulate.chunk import Chunk, ChunkKey, make_chunk, pack, unpack
from hepfm.simulate.pythia import configured
from hepfm.simulate.recipe import SPLITS, Recipe, read_recipe

SHUFFLE_ROWS = 50_000
"""Rows held in memory while the final store is written."""


@dataclass(frozen=True)
class Simulation:
    """What `simulate` returns.

    Attributes
    ----------
    path
        The store.
    jets
        Jets by split.
    events
        Events generated.
    pythia_share
        Share of the processor time that was spent inside Pythia; None when the store was there already.
    """

    path: Path
    jets: dict[str, int]
    events: int
    pythia_share: float | None


def simulate(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    output: str | Path,
    overrides: Sequence[str] = (),
    processes: int | None = None,
    seed: int | None = None,
) -> Simulation:
    """Generate jets after a recipe and write a store with the splits train, val and test.

    The same recipe and seed give the same jets for any number of processes. Work in progress is kept beside
    the output: after a stop the same call goes on, having lost at most the chunks that were being made.

    Parameters
    ----------
    recipe
        Name of a built-in recipe, path of a YAML file, or plain values.
    output
        Directory of the store to make.
    overrides
        ``key=value`` texts, e.g. ``["jets.train=1000", "mpi=false"]``.
    processes
        Parallel processes; all processors of this process when not given.
    seed
        Replaces the recipe's seed.

    Raises
    ------
    ConfigError
        For a recipe that cannot work, before anything is generated.
    DataError
        When something else stands at `output`, or the work beside it belongs to another recipe.
    """
    checked = read_recipe(recipe, overrides=overrides, seed=seed)
    path = Path(output)
    keys = plan(checked)
    if path.exists():
        return _already_there(path, checked)
    if processes is not None and processes < 1:
        raise ConfigError(f"processes must be at least 1, got {processes}")
    check_lines(checked)
    with _work_folder(path, checked) as work:
        _make_missing(checked, keys, work, processes or _processors())
        return _finish(checked, keys, work, path)


def plan(recipe: Recipe) -> list[ChunkKey]:
    """Return the chunks of a recipe; no chunk serves two splits, so no event does."""
    return [
        ChunkKey(name, split, index, size)
        for split in SPLITS
        for name in recipe.class_names
        for index, size in enumerate(_chunk_sizes(recipe, name, getattr(recipe.jets, split)))
    ]


def _chunk_sizes(recipe: Recipe, name: str, jets: int) -> list[int]:
    """Cut a number of jets into chunks; the variants of a class get equally many."""
    variants = max(1, len(recipe.classes[name].variants))
    chunks = variants * -(-jets // (variants * recipe.chunk_jets))
    return [size for size in (jets // chunks + (i < jets % chunks) for i in range(chunks)) if size]


def check_lines(recipe: Recipe) -> None:
    """Let Pythia read the lines of every class, without starting it; raise `ConfigError` for a bad one."""
    for name in recipe.class_names:
        for variant in range(max(1, len(recipe.classes[name].variants))):
            configured(recipe.lines(name, variant), where=f"class {name}")


def _already_there(path: Path, recipe: Recipe) -> Simulation:
    try:
        manifest = read_manifest(path)
    except DataError:
        raise DataError(f"{path} exists and is not a store; choose another output") from None
    if manifest.provenance.get("recipe_fingerprint") != recipe.fingerprint():
        raise DataError(f"{path} holds a store of another recipe or seed; remove it or choose another output")
    log.logger.info("%s is complete already; nothing to do", path)
    splits = {name: len(rows) for name, rows in manifest.splits().items()}
    return Simulation(
        path, splits, sum(row["events"] for row in manifest.provenance["classes"].values()), None
    )


@contextmanager
def _work_folder(path: Path, recipe: Recipe) -> Iterator[Path]:
    """Yield the folder of the chunks, made or found again; it is removed when the block ends well."""
    work = path.with_name(f".{path.name}.chunks")
    note = work / "recipe.json"
    mark = {"recipe_fingerprint": recipe.fingerprint(), "versions": versions()}
    if note.exists():
        found = read_json(note, DataError)
        if found != mark:
            raise DataError(
                f"{work} holds unfinished work of another recipe, seed or version; finish that one with its "
                f"own call, remove the folder, or choose another output"
            )
    else:
        write_json(note, mark)
    yield work
    shutil.rmtree(work)


def _make_missing(recipe: Recipe, keys: Sequence[ChunkKey], work: Path, processes: int) -> None:
    missing = [key for key in keys if not (work / key.file).exists()]
    total = sum(key.jets for key in keys)
    with log.progress("simulate", total) as advance:
        done = total - sum(key.jets for key in missing)
        if done:
            advance(done, "found from an earlier call")
        for key in _run(recipe, missing, work, min(processes, len(missing))):
            advance(key.jets, key.class_name)


def _run(recipe: Recipe, keys: Sequence[ChunkKey], work: Path, processes: int) -> Iterator[ChunkKey]:
    """Make chunks and yield the key of each when its file is there."""
    if processes <= 1:
        for key in keys:
            yield write_chunk(recipe, key, work)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_set_up_worker) as pool:
        with _hidden_main():
            futures: list[Future[ChunkKey]] = [pool.submit(write_chunk, recipe, key, work) for key in keys]
        try:
            for future in as_completed(futures):
                yield future.result()
        except KeyboardInterrupt:
            log.logger.warning("stopping when the chunks in flight are done")
            raise
        except BrokenProcessPool:
            raise HepfmError(
                "a worker process was killed, perhaps for memory (try fewer processes); complete chunks are "
                "kept, run the same command again"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Keep workers that start meanwhile from importing the caller's script, which they do not need.

    So a script needs no ``if __name__ == "__main__":``, and may come from standard input.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _set_up_worker() -> None:
    """Leave Ctrl-C to the parent, which lets chunks in flight end; do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def write_chunk(recipe: Recipe, key: ChunkKey, work: Path) -> ChunkKey:
    """Make one chunk and write its file, whole or not at all."""
    arrays = pack(make_chunk(recipe, key))
    with atomic_path(work / key.file) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    return key


def read_chunk(work: Path, key: ChunkKey) -> Chunk:
    """Read a chunk's file; raise `DataError` when it is damaged."""
    try:
        with (work / key.file).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return unpack(dict(arrays))
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{work / key.file} is damaged ({error}); remove it and run the same command again"
        ) from None


def _finish(recipe: Recipe, keys: Sequence[ChunkKey], work: Path, path: Path) -> Simulation:
    counts, seconds = _counts(recipe, keys, work)
    with StoreWriter(path, recipe.store_schema(), provenance=provenance(recipe, counts)) as writer:
        for number, split in enumerate(SPLITS):
            mine = [key for key in keys if key.split == split]
            rng = numpy_generator(recipe.seed, "simulate shuffle", number)
            for columns in _shuffled(mine, work, rng):
                writer.write(columns, split=split)
    jets = {split: sum(key.jets for key in keys if key.split == split) for split in SPLITS}
    share = float(seconds[0] / seconds[1])
    return Simulation(
        path, {name: n for name, n in jets.items() if n}, sum(row["events"] for row in counts.values()), share
    )


def _counts(recipe: Recipe, keys: Sequence[ChunkKey], work: Path) -> tuple[dict[str, dict[str, int]], Array]:
    counts = {name: {"events": 0, "jets_found": 0, "jets_kept": 0} for name in recipe.class_names}
    seconds = np.zeros(2)
    for key in keys:
        chunk = read_chunk(work, key)
        row = counts[key.class_name]
        row["events"] += chunk.events
        row["jets_found"] += chunk.found
        row["jets_kept"] += key.jets
        seconds += (chunk.pythia_seconds, chunk.seconds)
    return counts, seconds


def _shuffled(keys: Sequence[ChunkKey], work: Path, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield the rows of these chunks in one random order, a bounded number at a time."""
    first = np.concatenate([[0], np.cumsum([key.jets for key in keys])]).astype(np.int64)
    order = rng.permutation(first[-1])
    for start in range(0, len(order), SHUFFLE_ROWS):
        piece = order[start : start + SHUFFLE_ROWS]
        parts, places = [], []
        for number, key in enumerate(keys):
            here = np.flatnonzero((piece >= first[number]) & (piece < first[number + 1]))
            if len(here):
                parts.append(take_rows(read_chunk(work, key).columns, piece[here] - first[number]))
                places.append(here)
        yield take_rows(concatenate(parts), np.argsort(np.concatenate(places)))


def provenance(recipe: Recipe, counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Return what the store says about its making."""
    return {
        "source": "simulated with Pythia 8 and FastJet by hepfm",
        "recipe": recipe.model_dump(mode="json"),
        "recipe_fingerprint": recipe.fingerprint(),
        "seed": recipe.seed,
        "detector": recipe.detector_component().spec(),
        "versions": versions(),
        "classes": {
            name: {
                **counts[name],
                "pythia": list(recipe.lines(name, 0)),
                "variants": [list(v) for v in recipe.classes[name].variants],
            }
            for name in recipe.class_names
        },
    }


def versions() -> dict[str, str]:
    """Return the versions that the jets depend on."""
    libraries = {name: importlib.metadata.version(name) for name in ("pythia8mc", "fastjet", "numpy")}
    return {"hepfm": hepfm.__version__, **libraries}
