"""What grows with the rows of a store and what does not: seconds and memory of the verbs at rising sizes.

Synthetic jets of few constituents, so that large numbers of rows fit on a disk. Each verb runs in a process
of its own, whose peak of resident memory the system tells. From the two largest sizes follows what a billion
rows would take, by a straight line: marked as extrapolated, for it was not run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import frame
import numpy as np

from hepfm.core.ragged import Ragged
from hepfm.core.rng import numpy_generator
from hepfm.data import feature_set
from hepfm.data.content import Content
from hepfm.data.loader import TrainLoader
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import StoreWriter

SIZES, TOY_SIZES = (100_000, 1_000_000, 10_000_000), (400, 800)
EXTRAPOLATED = 1_000_000_000
CONSTITUENTS = 5
BATCHES, TOY_BATCHES = 2000, 20
SCHEMA = jet_schema(("QCD", "Tbqq"), identity=False, tracks=False, substructure=False)
_CHUNK = 200_000
_TRAIN = "{steps: 4, batch_size: 128, validate_every: 2, checkpoint_every: 2, log_every: 2, device: cpu}"

_STUDY = """
description: scale
stores: {{pretrain: '{store}', top: '{store}'}}
seeds: {{replicates: [1]}}
pretrain:
  recipe:
    data: {{store: '', features: kin}}
    backbone: {{name: transformer, size: xs, depth: 1}}
    train: {train}
  sizes: [xs]
arms: {{masked: masked}}
downstream:
  top_tagging: {{store: top, budgets: [40], recipe: {{data: {{store: ''}}, train: {train}}}}}
"""


def jets(rows: int, seed: int) -> dict[str, Any]:
    """Return random jets of two classes, with one to nine constituents."""
    rng = numpy_generator(seed, "benchmark.scale")
    lengths = rng.integers(1, 2 * CONSTITUENTS, rows)
    row = np.repeat(np.arange(rows), lengths)
    pt = rng.exponential(15, lengths.sum()).astype(np.float32) + 0.5
    pt = pt[np.lexsort((-pt, row))]
    eta, phi = rng.normal(0, 0.2, (2, len(pt))).astype(np.float32)
    lists = {"part_pt": pt, "part_eta": eta, "part_phi": phi, "part_energy": pt * np.cosh(eta)}
    jet_pt = np.bincount(row, pt).astype(np.float32)
    rows_of = {"jet_pt": jet_pt, "jet_eta": 0 * jet_pt, "jet_phi": 0 * jet_pt, "jet_energy": 1.05 * jet_pt}
    label = rng.integers(0, 2, rows, np.int16)
    return {
        **rows_of,
        "jet_label": label,
        **{name: Ragged.from_lengths(values, lengths) for name, values in lists.items()},
    }


def write(path: Path, rows: int) -> dict[str, Any]:
    """Write a store: a hundredth of the rows, at least 100, are for validation and as many for tests."""
    few = max(rows // 100, 100)
    start = time.perf_counter()
    with StoreWriter(path, SCHEMA, provenance={"source": "benchmark, synthetic"}) as writer:
        seeds = itertools.count()
        for split, count in (("train", rows - 2 * few), ("val", few), ("test", few)):
            for first in range(0, count, _CHUNK):
                writer.write(jets(min(_CHUNK, count - first), next(seeds)), split=split)
    return {"seconds": time.perf_counter() - start}


def load(path: Path, batches: int) -> dict[str, Any]:
    """Open a store and read batches: seconds to the first, and memory early and late."""
    start = time.perf_counter()
    store = Store.open(path)
    opened = time.perf_counter()
    content = Content(feature_set("kin"), labels=("jet_label",))
    loader = iter(TrainLoader(store, content, rows=store.split("train"), batch_size=512, seed=1))
    next(loader)
    first = time.perf_counter()
    for _ in itertools.islice(loader, batches // 10):
        pass
    early = peak_mb()
    for _ in itertools.islice(loader, batches - batches // 10):
        pass
    return {
        "open_seconds": opened - start,
        "first_batch_seconds": first - opened,
        "batches": batches,
        "peak_mb_after_a_tenth": early,
        "peak_mb_at_the_end": peak_mb(),
    }


def peak_mb() -> float:
    """Return the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def alone(*command: str) -> dict[str, Any]:
    """Run a command in a process of its own; return its seconds, peak memory and what it prints as JSON.

    The system gives a new process the peak of the one that started it: smaller ones are not seen.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as problems:
        process = subprocess.Popen([sys.executable, *command], env=environment, stdout=out, stderr=problems)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, problems):
            file.seek(0)
            texts.append(file.read())
    if status:
        raise RuntimeError(f"{' '.join(command)} failed:\n{texts[1][-2000:]}")
    printed = json.loads(texts[0].splitlines()[-1]) if command[0] == __file__ else {}
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1e3,
        **printed,
    }


def measure_size(rows: int, work: Path, batches: int, *, quick: bool) -> dict[str, Any]:
    """Return the figures of the verbs at one size, quick: of the first few; the store is deleted again."""
    store, run, verb = work / "store", work / "run", ("-m", "hepfm")
    recipe, study = work / "recipe.yaml", work / "study.yaml"
    head = "data: {store: '%s', features: kin}\nbackbone: {name: transformer, size: xs, depth: 1}\n"
    recipe.write_text(head % store + f"objective: supervised\ntrain: {_TRAIN}\nseed: 1\n", encoding="utf-8")
    study.write_text(_STUDY.format(store=store, train=_TRAIN), encoding="utf-8")
    figures = {"write": alone(__file__, "--write", str(store), str(rows))}
    size = sum(file.stat().st_size for file in store.iterdir())
    figures["load"] = alone(__file__, "--load", str(store), str(batches))
    figures["data info"] = alone(*verb, "data", "info", str(store))
    if quick:
        shutil.rmtree(work)
        return {"rows": rows, "bytes": size, "figures": figures}
    figures["data check"] = alone(*verb, "data", "check", str(store))
    figures["pretrain --dry-run"] = alone(*verb, "pretrain", str(recipe), "--dry-run")
    figures["pretrain, 4 steps"] = alone(*verb, "pretrain", str(recipe), "-o", str(run))
    shutil.rmtree(run / "model")
    shutil.rmtree(run / "checkpoints" / "step-00000004")
    figures["resume, 2 steps"] = alone(*verb, "resume", str(run))
    figures["study --dry-run"] = alone(*verb, "study", str(study), "-o", str(work / "study"), "--dry-run")
    shutil.rmtree(work)
    return {"rows": rows, "bytes": size, "figures": figures}


def extrapolate(smaller: dict[str, Any], larger: dict[str, Any], rows: int) -> dict[str, Any]:
    """Return what follows for more rows from two sizes, by a straight line; never below the larger."""

    def line(first: float, second: float) -> float:
        slope = (second - first) / (larger["rows"] - smaller["rows"])
        return second + max(slope, 0.0) * (rows - larger["rows"])

    kept = ("seconds", "cpu_seconds", "peak_mb")
    return {
        "rows": rows,
        "extrapolated": True,
        "bytes": line(smaller["bytes"], larger["bytes"]),
        "figures": {
            verb: {key: line(smaller["figures"][verb][key], values[key]) for key in kept}
            for verb, values in larger["figures"].items()
        },
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure each size."""
    sizes = TOY_SIZES if options.toy else tuple(options.rows)
    found = []
    for rows in sizes:
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            work = Path(folder) / "scale"
            work.mkdir()
            batches = TOY_BATCHES if options.toy else BATCHES
            found.append(measure_size(rows, work, batches, quick=options.toy))
            print(json.dumps(found[-1]), flush=True)
    return {
        "what": f"synthetic jets of {CONSTITUENTS} constituents on average, kinematics; one process a verb",
        "peer": None,
        "stores": found,
        "follows": extrapolate(found[-2], found[-1], EXTRAPOLATED) if len(found) > 1 else None,
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--rows", type=int, nargs="+", default=list(SIZES), help="sizes of the stores")
    parser.add_argument("--work", type=Path, help="folder for the stores, which are deleted after use")


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark, or one of its processes."""
    if arguments is None and sys.argv[1:2] in (["--write"], ["--load"]):
        work = write if sys.argv[1] == "--write" else load
        print(json.dumps(work(Path(sys.argv[2]), int(sys.argv[3]))))
        return
    frame.main(__doc__, "scale", measure, add_options=add_options, arguments=arguments)


if __name__ == "__main__":
    main()
