"""Speed of the simulation: share of Pythia in the processor time, jets a second, two processes against one.

The share is of processor time, so that other work on the machine does not change it; the ratio of two
processes to one is of wall time and needs two idle processors.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import frame

from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.jet_recipe import JetRecipe
from hepfm.simulate.jets import make_chunk
from hepfm.simulate.recipe import read_simulation
from hepfm.simulate.run import simulate

SCALING = ["only=[Hbb,Tbqq,QCD,Wqq]", "jets.val=0", "jets.test=0"]


def by_class(recipe: JetRecipe, classes: tuple[str, ...], jets: int) -> dict[str, dict[str, float]]:
    """Return the share of Pythia and the rate of each class, and of equal numbers of all classes together."""
    rows, pythia, total = {}, 0.0, 0.0
    for name in classes:
        chunk = make_chunk(recipe, ChunkKey(name, "train", 0, jets))
        rows[name] = {
            "pythia_share": chunk.pythia_seconds / chunk.seconds,
            "jets_per_cpu_second": jets / chunk.seconds,
            "rest_ms_per_event": 1e3 * (chunk.seconds - chunk.pythia_seconds) / chunk.events,
        }
        pythia, total = pythia + chunk.pythia_seconds, total + chunk.seconds
        print(f"{name:5s}", *(f"{key} {value:.3g}" for key, value in rows[name].items()))
    rows["all"] = {"pythia_share": pythia / total, "jets_per_cpu_second": jets * len(classes) / total}
    return rows


def scaling(jets: int) -> dict[str, float]:
    """Return the wall seconds of one and of two processes, start-up included, and their ratio."""
    seconds = {}
    overrides = [*SCALING, f"jets.train={jets}", f"chunk_jets={max(1, jets // 4)}"]
    with tempfile.TemporaryDirectory() as folder:
        for processes in (1, 2):

            def run(processes: int = processes) -> None:
                output = Path(folder) / str(processes)
                simulate("jetclass", output=output, overrides=overrides, processes=processes)

            seconds[processes] = frame.timed(run).wall
    return {"one": seconds[1], "two": seconds[2], "ratio": seconds[1] / seconds[2]}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return both measurements; the toy makes a few jets of one class, and leaves out the two processes."""
    jets = 2 if options.toy else options.jets
    result: dict[str, Any] = {
        "what": "hepfm simulate, processor time of one process",
        "jets_per_class": jets,
        "simulation_versions": read_simulation("jetclass").versions(),
        "peer": None,
    }
    for key, name in (("with_mpi", "jetclass"), ("without_mpi", "jetclass_fast")):
        recipe = read_simulation(name).config
        result[key] = by_class(recipe, recipe.class_names[:1] if options.toy else recipe.class_names, jets)
    if not options.toy:
        result["two_processes"] = scaling(2 * jets)
    return result


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--jets", type=int, default=200, help="jets a class")


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    frame.main(__doc__, "simulate", measure, add_options=add_options, arguments=arguments)


if __name__ == "__main__":
    main()
