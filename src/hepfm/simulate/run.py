"""The verb ``simulate``: chunks in parallel processes, each written once, then one shuffled store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepfm.core import log
from hepfm.core.errors import ConfigError, DataError
from hepfm.core.files import output_path, read_json, write_json
from hepfm.core.guards import writing
from hepfm.core.interrupts import advising
from hepfm.core.locks import locked
from hepfm.core.ragged import Columns
from hepfm.core.rng import numpy_generator
from hepfm.data.manifest import read_manifest
from hepfm.data.writer import StoreWriter
from hepfm.simulate.assemble import count, shuffled
from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.event_weights import collect_weights
from hepfm.simulate.recipe import read_simulation
from hepfm.simulate.simulation import SPLITS, Simulation
from hepfm.simulate.workers import processors, read_chunk, run_chunks

LOCK = ".lock"
"""Held by the process that is at work in such a folder."""

NOTE = "recipe.json"
"""What the chunks in a folder of unfinished work are made after."""


@dataclass(frozen=True)
class SimulationResult:
    """What `simulate` returns.

    Attributes
    ----------
    path
        The store.
    kind
        Kind of simulation, which is also what the rows are called: ``"jets"``, ``"events"``, ``"showers"``.
    rows
        Rows by split.
    events
        Events generated; None where each row is an event of its own.
    pythia_share
        Share of the processor time that was spent inside Pythia; None when the store was there already.
    seconds
        Processor time in all; None when the store was there already.
    """

    path: Path
    kind: str
    rows: dict[str, int]
    events: int | None
    pythia_share: float | None
    seconds: float | None


def simulate(
    recipe: str | Path | Mapping[str, Any],
    *,
    output: str | Path,
    overrides: Sequence[str] = (),
    processes: int | None = None,
    seed: int | None = None,
) -> SimulationResult:
    """Generate jets, events or showers after a recipe and write a store with the splits train, val and test.

    The same recipe and seed give the same rows for any number of processes. Work in progress is kept beside
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
    simulation = read_simulation(recipe, overrides=overrides, seed=seed)
    path = output_path(output)
    if path.exists():
        return _already_there(path, simulation)
    if processes is not None and processes < 1:
        raise ConfigError(f"processes must be at least 1, got {processes}")
    simulation.check()
    keys = simulation.chunks()
    with _work_folder(path, simulation) as work:
        _make_missing(simulation, keys, work, processes or processors())
        return _finish(simulation, keys, work, path)


def _already_there(path: Path, simulation: Simulation) -> SimulationResult:
    try:
        manifest = read_manifest(path)
    except DataError:
        raise DataError(f"{path} exists and is not a store; choose another output") from None
    if manifest.provenance.get("recipe_fingerprint") != simulation.fingerprint():
        raise DataError(f"{path} holds a store of another recipe or seed; remove it or choose another output")
    log.logger.info("%s is complete already; nothing to do", path)
    splits = {name: len(rows) for name, rows in manifest.splits().items()}
    events = _events(simulation, manifest.provenance["classes"])
    return SimulationResult(path, simulation.kind, splits, events, None, None)


def _events(simulation: Simulation, counts: Mapping[str, Mapping[str, Any]]) -> int | None:
    """Return the number of generated events of all classes."""
    return sum(row["events"] for row in counts.values()) if simulation.generates_events else None


@contextmanager
def _work_folder(path: Path, simulation: Simulation) -> Iterator[Path]:
    """Yield the folder of the chunks, made or found again, held for this process.

    It is removed when the block ends well. It is removed too when the recipe is to blame, or when there is no
    chunk to go on from: then it must not stand in the way of a corrected recipe, which has other chunks.
    """
    work = path.with_name(f".{path.name}.chunks")
    refusal = f"another simulation is at work on {path}; wait for it, or choose another output"
    with writing(path):
        work.mkdir(parents=True, exist_ok=True)
    with locked(work / LOCK, refusal=refusal), advising("complete chunks are kept; the same command goes on"):
        if path.exists():
            raise DataError(f"{path} was made by another call meanwhile; remove it or choose another output")
        try:
            _claim(work, simulation)
            yield work
        except BaseException as error:
            if isinstance(error, ConfigError) or not _chunks(work):
                shutil.rmtree(work, ignore_errors=True)
            raise
        shutil.rmtree(work)


def _claim(work: Path, simulation: Simulation) -> None:
    """Note what the chunks are made after; refuse those of another recipe."""
    note = work / NOTE
    mark = {"recipe_fingerprint": simulation.fingerprint(), "versions": simulation.versions()}
    if not (note.exists() and _chunks(work)):
        write_json(note, mark)
    elif read_json(note, DataError) != mark:
        raise DataError(
            f"{work} holds unfinished work of another recipe, seed or version; finish that one with its "
            f"own call, remove the folder, or choose another output"
        )


def _chunks(work: Path) -> list[Path]:
    """Return the chunks that are done."""
    return list(work.glob("*.npz"))


def _make_missing(simulation: Simulation, keys: Sequence[ChunkKey], work: Path, processes: int) -> None:
    missing = [key for key in keys if not (work / key.file).exists()]
    total = sum(key.rows for key in keys)
    with log.progress("simulate", total) as advance:
        done = total - sum(key.rows for key in missing)
        if done:
            advance(done, "found from an earlier call")
        for key in run_chunks(simulation, missing, work, min(processes, len(missing))):
            advance(key.rows, key.class_name)


def _finish(simulation: Simulation, keys: Sequence[ChunkKey], work: Path, path: Path) -> SimulationResult:
    counts = count(keys, work, rows=simulation.kind)
    weights = collect_weights(simulation, keys, work)
    described = {name: {**row, **weights.facts(name)} for name, row in counts.classes.items()}

    def read(key: ChunkKey) -> Columns:
        return weights.apply(key, read_chunk(work, key).columns, simulation.variant(key))

    schema = simulation.schema(weighted=weights.stored)
    with StoreWriter(path, schema, provenance=simulation.provenance(described)) as writer:
        for number, split in enumerate(SPLITS):
            mine = [key for key in keys if key.split == split]
            rng = numpy_generator(simulation.seed, "simulate shuffle", number)
            for columns in shuffled(mine, [counts.sizes[key] for key in mine], read, rng):
                writer.write(columns, split=split)
    rows = {split: sum(counts.sizes[key] for key in keys if key.split == split) for split in SPLITS}
    return SimulationResult(
        path,
        simulation.kind,
        {name: n for name, n in rows.items() if n},
        _events(simulation, counts.classes),
        counts.pythia_share,
        float(counts.seconds[1]),
    )
