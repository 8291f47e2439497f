"""Speed of the simulation: share of Pythia in the processor time, jets a second, two processes against one.

    python benchmarks/bench_simulate.py [--jets 200] [-o result.json]

The share is of processor time, so that other work on the machine does not change it; the ratio of two
processes to one is of wall time and needs two idle processors.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.jet_plan import versions
from hepfm.simulate.jets import make_chunk
from hepfm.simulate.recipe import Recipe, read_recipe
from hepfm.simulate.run import simulate

SCALING = ["only=[Hbb,Tbqq,QCD,Wqq]", "jets.val=0", "jets.test=0"]


def by_class(recipe: Recipe, jets: int) -> dict[str, dict[str, float]]:
    """Return the share of Pythia and the rate of each class, and of equal numbers of all classes together."""
    rows, pythia, total = {}, 0.0, 0.0
    for name in recipe.class_names:
        chunk = make_chunk(recipe, ChunkKey(name, "train", 0, jets))
        rows[name] = {
            "pythia_share": chunk.pythia_seconds / chunk.seconds,
            "jets_per_cpu_second": jets / chunk.seconds,
            "rest_ms_per_event": 1e3 * (chunk.seconds - chunk.pythia_seconds) / chunk.events,
        }
        pythia, total = pythia + chunk.pythia_seconds, total + chunk.seconds
        print(f"{name:5s}", *(f"{key} {value:.3g}" for key, value in rows[name].items()))
    rows["all"] = {
        "pythia_share": pythia / total,
        "jets_per_cpu_second": jets * len(recipe.class_names) / total,
    }
    return rows


def scaling(jets: int) -> dict[str, float]:
    """Return the wall seconds of one and of two processes, start-up included, and their ratio."""
    seconds = {}
    overrides = [*SCALING, f"jets.train={jets}", f"chunk_jets={max(1, jets // 4)}"]
    with tempfile.TemporaryDirectory() as folder:
        for processes in (1, 2):
            started = time.perf_counter()
            simulate(
                "jetclass", output=Path(folder) / str(processes), overrides=overrides, processes=processes
            )
            seconds[processes] = time.perf_counter() - started
    return {"one": seconds[1], "two": seconds[2], "ratio": seconds[1] / seconds[2]}


def main() -> None:
    """Run both measurements and print or write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jets", type=int, default=200, help="jets a class")
    parser.add_argument(
        "--no-scaling", action="store_true", help="leave out the runs of one and two processes"
    )
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {
        "machine": {"processor": platform.processor() or platform.machine(), "processors": os.cpu_count()},
        "versions": versions(),
        "jets_per_class": options.jets,
        "load_average_before": os.getloadavg()[0],
        "with_mpi": by_class(read_recipe("jetclass"), options.jets),
        "without_mpi": by_class(read_recipe("jetclass_fast"), options.jets),
    }
    if not options.no_scaling:
        result["two_processes"] = scaling(2 * options.jets)
        print("two processes against one:", result["two_processes"])
    print("share of Pythia:", {key: result[key]["all"] for key in ("with_mpi", "without_mpi")})
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
