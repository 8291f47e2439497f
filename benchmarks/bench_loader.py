"""Speed, padding and memory of the training loader from small and large stores, beside weaver's loader.

Synthetic jets with JetClass's multiplicity (mean 39.4, standard deviation 15.1); full features (17) and
four-momenta; finished torch batches; one core; a warm store. Weaver reads the same jets as Parquet from an
environment of its own, named by ``--weaver``::

    python benchmarks/bench_loader.py --weaver /path/to/weaver/bin/python -o benchmarks/results/loader.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import hepfm
from hepfm.core.ragged import Ragged
from hepfm.core.rng import numpy_generator
from hepfm.data import feature_set
from hepfm.data.content import Content
from hepfm.data.exporters.export import export_store
from hepfm.data.loader import TrainLoader
from hepfm.data.schemas.jets import JETCLASS_CLASSES, PID_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import StoreWriter

SIZES = (10_000, 1_000_000)
WEAVER_SIZE = 100_000
BATCH = 512
WARM_UP, WINDOW, WINDOWS = 100, 200, 7


def synthetic(count: int, *, chunk: int) -> dict[str, Any]:
    """Return jets whose numbers mean nothing, but for their multiplicity."""
    rng = numpy_generator(0, "bench.loader", chunk)
    lengths = np.clip(rng.normal(39.4, 15.1, count), 1, 128).astype(np.int64)
    total = int(lengths.sum())
    row = np.repeat(np.arange(count), lengths)
    pt = rng.exponential(10, total).astype(np.float32) + np.float32(0.1)
    pt = pt[np.lexsort((-pt, row))]
    eta, phi = (rng.normal(0, 0.3, total).astype(np.float32) for _ in range(2))
    lists = {"part_pt": pt, "part_eta": eta, "part_phi": phi, "part_energy": pt * np.cosh(eta)}
    for name in ("part_charge", "part_d0", "part_d0_error", "part_dz", "part_dz_error"):
        lists[name] = rng.random(total, np.float32)
    lists["part_pid"] = rng.integers(0, len(PID_CLASSES), total, np.int8)
    rows = {
        name: rng.random(count, np.float32) + np.float32(0.1)
        for name in jet_schema().names()
        if "jet" in name
    }
    labels = rng.integers(0, len(JETCLASS_CLASSES), count, np.int16)
    return {**rows, "jet_label": labels, **{n: Ragged.from_lengths(v, lengths) for n, v in lists.items()}}


def make_store(path: Path, size: int) -> Store:
    """Write a store of `size` synthetic jets, unless it is there."""
    if not path.exists():
        schema = jet_schema(JETCLASS_CLASSES)
        with StoreWriter(path, schema, provenance={"source": "bench_loader synthetic"}) as writer:
            for chunk in range(size // 10_000):
                writer.write(synthetic(10_000, chunk=chunk))
    return Store.open(path)


def resident_mb() -> float:
    """Return this process's resident memory in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(store: Store) -> dict[str, Any]:
    """Return speed, padding and memory of the loader on one core of this process."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    before = resident_mb()
    content = Content(feature_set("full"), labels=("jet_label",))
    loader = TrainLoader(store, content, rows=store.split("train"), batch_size=BATCH, seed=1)
    batches = iter(loader)
    for _ in itertools.islice(batches, WARM_UP):
        pass
    slots = real = 0
    peak = 0.0
    wall, cpu = [], []
    for _ in range(WINDOWS):
        jets, start = 0, (time.perf_counter(), time.process_time())
        for batch in itertools.islice(batches, WINDOW):
            jets += len(batch)
            slots += batch.mask_BN.numel()
            real += int(batch.mask_BN.sum())
            peak = max(peak, resident_mb())
        wall.append(jets / (time.perf_counter() - start[0]))
        cpu.append(jets / (time.process_time() - start[1]))
    return {
        "jets": store.num_rows,
        "jets_per_s": statistics.median(wall),
        "jets_per_s_range": [min(wall), max(wall)],
        "jets_per_cpu_s": statistics.median(cpu),
        "jets_per_cpu_s_range": [min(cpu), max(cpu)],
        "padding": 1 - real / slots,
        "resident_before_mb": before,
        "resident_peak_mb": peak,
    }


def alone(*arguments: str) -> dict[str, Any]:
    """Run a command that prints one JSON object, with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(work: Path, weaver: str | None) -> dict[str, Any]:
    """Make the stores, measure each in a process of its own, and weaver on the same jets."""
    results: dict[str, Any] = {
        "what": "full features and four-momenta to finished batches of 512, one core, warm store",
        "versions": {"hepfm": hepfm.__version__, "torch": torch.__version__, "numpy": np.__version__},
        "machine": {"processor": processor(), "cores": os.cpu_count(), "load_at_start": os.getloadavg()[0]},
        "hepfm": [],
    }
    for size in sorted({*SIZES, *([WEAVER_SIZE] if weaver else [])}):
        store = make_store(work / f"store-{size}", size)
        for _ in store.verify():
            pass
        results["hepfm"].append(alone(sys.executable, __file__, "--measure", str(store.path)))
        print(results["hepfm"][-1], flush=True)
    if weaver:
        file = work / "jets.parquet"
        export_store(Store.open(work / f"store-{WEAVER_SIZE}"), file)
        script = str(Path(__file__).with_name("weaver_loader.py"))
        results["weaver"] = alone(weaver, script, str(file), str(BATCH))
        print(results["weaver"], flush=True)
        ours = next(entry for entry in results["hepfm"] if entry["jets"] == WEAVER_SIZE)
        results["ratio_per_cpu_s"] = ours["jets_per_cpu_s"] / results["weaver"]["jets_per_cpu_s"]
        results["ratio_to_one_worker"] = ours["jets_per_s"] / results["weaver"]["one_worker_jets_per_s"]
    first, last = results["hepfm"][0], results["hepfm"][-1]
    results["resident_ratio_largest_to_smallest"] = last["resident_peak_mb"] / first["resident_peak_mb"]
    return results


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    names = [
        line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
    ]
    return names[0] if names else platform.processor()


def main() -> None:
    """Parse the command line and print or write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", type=Path, help="measure this store only, print JSON")
    parser.add_argument("--weaver", help="Python of an environment with weaver-core")
    parser.add_argument("--work", type=Path, help="folder for the stores, kept; a temporary one by default")
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(Store.open(options.measure))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        results = run(work, options.weaver)
    print(json.dumps(results, indent=2))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
