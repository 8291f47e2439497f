"""Speed, padding and memory of the training loader from small and large stores, beside weaver's loader.

Full features (17) and four-momenta of synthetic jets; finished torch batches; one core; a warm store. Weaver
reads the same jets as Parquet from an environment of its own, named by ``--peer-python``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import frame
import torch
from synthetic import synthetic_store

from hepfm.data import feature_set
from hepfm.data.content import Content
from hepfm.data.exporters.export import export_store
from hepfm.data.loader import TrainLoader
from hepfm.data.store import Store

SIZES, TOY_SIZES = (10_000, 1_000_000), (200,)
PEER_SIZE = 100_000
BATCH = 512


def resident_mb() -> float:
    """Return this process's resident memory in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_store(store: Store, *, batch: int, warmup: int, window: int, windows: int) -> dict[str, Any]:
    """Return speed, padding and memory of the loader on one core of this process."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    before = resident_mb()
    content = Content(feature_set("full"), labels=("jet_label",))
    loader = TrainLoader(store, content, rows=store.split("train"), batch_size=batch, seed=1)
    batches = iter(loader)
    for _ in itertools.islice(batches, warmup):
        pass
    counts = {"jets": 0, "slots": 0, "real": 0}
    peak = 0.0

    def load() -> None:
        nonlocal peak
        for batch in itertools.islice(batches, window):
            counts["jets"] += len(batch)
            counts["slots"] += batch.mask_BN.numel()
            counts["real"] += int(batch.mask_BN.sum())
            peak = max(peak, resident_mb())

    timings = frame.take_turns({"hepfm": lambda _: frame.timed(load)}, repeats=windows, warmup=0)["hepfm"]
    jets = counts["jets"] / windows
    return {
        "jets": store.num_rows,
        "jets_per_second": frame.spread([jets / timing.wall for timing in timings]),
        "jets_per_cpu_second": frame.spread([jets / timing.cpu for timing in timings]),
        "padding": 1 - counts["real"] / counts["slots"],
        "resident_before_mb": before,
        "resident_peak_mb": peak,
    }


def alone(*command: str) -> dict[str, Any]:
    """Run a command that prints one JSON object, with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return values


def peer(work: Path, python: str) -> dict[str, Any]:
    """Return the speed of weaver's loader on the jets of one of the stores."""
    file = work / "jets.parquet"
    export_store(Store.open(work / f"store-{PEER_SIZE}"), file)
    script = str(Path(__file__).with_name("weaver_loader.py"))
    return alone(python, script, str(file), str(BATCH))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Make the stores, measure each in a process of its own, and weaver on the same jets."""
    sizes = (
        TOY_SIZES if options.toy else tuple(sorted({*SIZES, *([PEER_SIZE] if options.peer_python else [])}))
    )
    lengths = ("16", "1", "2", "2") if options.toy else (str(BATCH), "100", "200", str(options.repeats))
    result: dict[str, Any] = {
        "what": f"full features and four-momenta to finished batches of {lengths[0]}, one core, warm store",
        "hepfm": [],
        "peer": frame.NO_PEER,
    }
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        for size in sizes:
            store = synthetic_store(work / f"store-{size}", size, full=True)
            for _ in store.verify():
                pass
            result["hepfm"].append(alone(sys.executable, __file__, "--store", str(store.path), *lengths))
        if options.peer_python and not options.toy:
            result["peer"] = peer(work, options.peer_python)
            ours = next(entry for entry in result["hepfm"] if entry["jets"] == PEER_SIZE)
            speed = {name: ours[name]["median"] for name in ("jets_per_second", "jets_per_cpu_second")}
            result["ratio_to_one_worker"] = speed["jets_per_second"] / result["peer"]["one_worker_jets_per_s"]
            result["ratio_per_cpu_s"] = speed["jets_per_cpu_second"] / result["peer"]["jets_per_cpu_s"]
    first, last = result["hepfm"][0], result["hepfm"][-1]
    result["resident_ratio_largest_to_smallest"] = last["resident_peak_mb"] / first["resident_peak_mb"]
    return result


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--work", type=Path, help="folder for the stores, kept; a temporary one by default")


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark, or measure one store."""
    if arguments is None and sys.argv[1:2] == ["--store"]:
        batch, warmup, window, windows = map(int, sys.argv[3:])
        sizes = {"batch": batch, "warmup": warmup, "window": window, "windows": windows}
        print(json.dumps(measure_store(Store.open(Path(sys.argv[2])), **sizes)))
        return
    frame.main(__doc__, "loader", measure, add_options=add_options, arguments=arguments)


if __name__ == "__main__":
    main()
