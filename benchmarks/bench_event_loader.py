"""Speed of the training loader on events: features and four-momenta of about ten objects, one core.

    python benchmarks/bench_event_loader.py

Cases: objects alone, with the event's context, with roles and types of objects as labels.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import frame
import torch
from bench_loader import alone
from synthetic_events import event_store

from hepfm.data import context_set, feature_set
from hepfm.data.content import Content
from hepfm.data.loader import TrainLoader
from hepfm.data.store import Store

ROWS, TOY_ROWS = 400_000, 300
BATCH = 512
CASES = {
    "objects": Content(feature_set("event"), ("event_label",)),
    "objects and context": Content(feature_set("event"), ("event_label",), context=context_set("event")),
    "objects, context, roles": Content(
        feature_set("event"), ("object_role", "object_type"), context=context_set("event")
    ),
    "EveNet's inputs": Content(feature_set("evenet"), ("event_label",), context=context_set("evenet")),
}


def measure_case(
    store: Store, name: str, *, batch: int, warmup: int, window: int, windows: int
) -> dict[str, Any]:
    """Return speed and padding of the loader on one core of this process."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    loader = TrainLoader(store, CASES[name], rows=store.split("train"), batch_size=batch, seed=1)
    batches = iter(loader)
    for _ in itertools.islice(batches, warmup):
        pass
    counts = {"events": 0, "slots": 0, "real": 0}

    def load() -> None:
        for one in itertools.islice(batches, window):
            counts["events"] += len(one)
            counts["slots"] += one.mask_BN.numel()
            counts["real"] += int(one.mask_BN.sum())

    timings = frame.take_turns({"hepfm": lambda _: frame.timed(load)}, repeats=windows, warmup=0)["hepfm"]
    events = counts["events"] / windows
    return {
        "case": name,
        "events_per_second": frame.spread([events / timing.wall for timing in timings]),
        "events_per_cpu_second": frame.spread([events / timing.cpu for timing in timings]),
        "objects_per_event": counts["real"] / counts["events"],
        "padding": 1 - counts["real"] / counts["slots"],
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Make the store and measure each case in a process of its own."""
    lengths = ("16", "1", "2", "2") if options.toy else (str(BATCH), "100", "200", str(options.repeats))
    with tempfile.TemporaryDirectory() as folder:
        store = event_store(Path(folder) / "store", TOY_ROWS if options.toy else ROWS)
        for _ in store.verify():
            pass
        cases = [
            alone(sys.executable, __file__, "--store", str(store.path), name, *lengths) for name in CASES
        ]
    return {
        "what": f"features and four-momenta of events to finished batches of {lengths[0]}, one core",
        "cases": cases,
        "peer": None,
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark, or measure one case."""
    if arguments is None and sys.argv[1:2] == ["--store"]:
        batch, warmup, window, windows = map(int, sys.argv[4:])
        sizes = {"batch": batch, "warmup": warmup, "window": window, "windows": windows}
        print(json.dumps(measure_case(Store.open(Path(sys.argv[2])), sys.argv[3], **sizes)))
        return
    frame.main(__doc__, "event_loader", measure, arguments=arguments)


if __name__ == "__main__":
    main()
