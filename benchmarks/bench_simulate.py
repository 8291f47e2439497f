"""Speed of the simulation: share of Pythia in the processor time, rows a second, two processes against one.

Rows are jets, or whole events that pass the selection of their recipe.

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
from hepfm.simulate.collision_simulation import CollisionSimulation
from hepfm.simulate.recipe import read_simulation
from hepfm.simulate.run import simulate
from hepfm.simulate.simulation import Simulation

RECIPES = {"with_mpi": "jetclass", "without_mpi": "jetclass_fast"}
EVENTS = {"ttbar_dilepton": ("tt",), "processes": ("ttH", "Zjets")}
"""Recipes of whole events, with multi-parton interactions, and which of their classes are made."""
GROUPED = ("zjets", "zjets_fast", "dijet_resonance")
"""Recipes whose numbers of jets are those of events with several jets each."""
PARTS = ("jets", "events", "grouped")
SCALING = ["only=[Hbb,Tbqq,QCD,Wqq]", "jets.val=0", "jets.test=0"]


def by_class(
    simulation: Simulation, classes: tuple[str, ...], rows: int, what: str
) -> dict[str, dict[str, float]]:
    """Return the share of Pythia and the rate of each class, and of equal numbers of all classes together."""
    found, pythia, total = {}, 0.0, 0.0
    for name in classes:
        chunk = simulation.make(ChunkKey(name, "train", 0, rows))
        found[name] = {
            "pythia_share": chunk.pythia_seconds / chunk.seconds,
            f"{what}_per_cpu_second": rows / chunk.seconds,
            "rest_ms_per_event": 1e3 * (chunk.seconds - chunk.pythia_seconds) / chunk.events,
        }
        pythia, total = pythia + chunk.pythia_seconds, total + chunk.seconds
        print(f"{name:5s}", *(f"{key} {value:.3g}" for key, value in found[name].items()))
    found["all"] = {"pythia_share": pythia / total, f"{what}_per_cpu_second": rows * len(classes) / total}
    return found


def of_events(events: int, *, toy: bool) -> dict[str, dict[str, float]]:
    """Return the same of classes of whole events; the toy makes one."""
    rates: dict[str, dict[str, float]] = {}
    for recipe, classes in list(EVENTS.items())[: 1 if toy else None]:
        found = by_class(read_simulation(recipe), classes, events, "events")
        rates |= {f"{recipe}, {name}": found[name] for name in classes}
    return rates


def of_grouped_jets(events: int, *, toy: bool) -> dict[str, dict[str, float]]:
    """Return the same of events of several jets; the toy makes one recipe."""
    rates: dict[str, dict[str, float]] = {}
    for recipe in GROUPED[-1:] if toy else GROUPED:
        simulation = read_simulation(recipe)
        assert isinstance(simulation, CollisionSimulation)
        classes = simulation.config.class_names
        found = by_class(simulation, classes, events, "events")
        rates |= {f"{recipe}, {name}": found[name] for name in classes}
    return rates


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
    """Return all measurements; the toy makes a few rows of one class, and leaves out the two processes."""
    jets, events = (2, 2) if options.toy else (options.jets, options.events)
    result: dict[str, Any] = {
        "what": "hepfm simulate, processor time of one process",
        "simulation_versions": read_simulation("jetclass").versions(),
        "peer": None,
    }
    if "jets" in options.parts:
        result["jets_per_class"] = jets
        for key, name in RECIPES.items():
            simulation = read_simulation(name)
            assert isinstance(simulation, CollisionSimulation)
            classes = simulation.config.class_names
            result[key] = by_class(simulation, classes[:1] if options.toy else classes, jets, "jets")
        if not options.toy:
            result["two_processes"] = scaling(2 * jets)
    if "events" in options.parts:
        result["events"] = {"events_per_class": events, "rates": of_events(events, toy=options.toy)}
    if "grouped" in options.parts:
        grouped = of_grouped_jets(events, toy=options.toy)
        result["grouped"] = {"events_per_class": events, "rates": grouped}
    return result


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--jets", type=int, default=200, help="jets a class")
    parser.add_argument("--events", type=int, default=500, help="events a class")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what is measured")


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    frame.main(__doc__, "simulate", measure, add_options=add_options, arguments=arguments)


if __name__ == "__main__":
    main()
