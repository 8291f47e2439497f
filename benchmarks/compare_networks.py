"""Forward and backward passes of a network of ours and of a public one, which has an environment of its own.

One run measures everything: this process starts one worker per environment, with the same variables and
number of threads, and lets them take turns on the same jets. Each repetition draws new jets, so that lengths
and numbers of pairs are new each time, as in training. Float32, training mode, no optimiser.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import frame
import numpy as np
import torch
import torch.nn.functional as F
from matrix_bound import Bound, record

ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(8 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}
WARMUP = 2
Batch = tuple[torch.Tensor, ...]
"""Inputs of a network; the last entry are the labels."""
Network = Callable[[Batch], torch.Tensor]
"""Returns the logits of a batch."""


@dataclass(frozen=True)
class Jets:
    """How many jets there are in a repetition, and how long they are.

    Attributes
    ----------
    total, batch
        Jets of a repetition; jets of a batch where they are grouped by length.
    padded
        Jets of the one batch where they are padded: all together would take too much memory.
    slots
        Length to which they are padded.
    mean, spread, shortest
        Of a normal distribution of lengths, cut to `shortest` and `slots`.
    """

    total: int
    batch: int
    padded: int
    mean: int
    shortest: int
    spread: int = 15
    slots: int = 128

    def lengths(self, layout: str, seed: int) -> Iterator[tuple[torch.Tensor, int, torch.Generator]]:
        """Yield lengths, slots and a source of random numbers for each batch of a layout."""
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(self.total, generator=generator) * self.spread + self.mean
        lengths = drawn.round().clamp(self.shortest, self.slots).long()
        if layout == "padded":
            yield lengths[: self.padded], self.slots, generator
            return
        for part in lengths.sort().values.split(self.batch):
            yield part, int(part.max()), generator

    def __str__(self) -> str:
        return (
            f"{self.total} per repetition in batches of {self.batch}; where padded one batch of "
            f"{self.padded}; length {self.mean} +- {self.spread}, synthetic"
        )


@dataclass(frozen=True)
class Comparison:
    """One network of ours and its peer.

    Attributes
    ----------
    script
        The benchmark's file, which workers run.
    name, what
        Of the file of results; the benchmark in words.
    peer
        The package, as it is installed.
    jets, toy_jets
        The jets of the benchmark and of its toy.
    draw
        Makes a batch of lengths, slots and a source of random numbers.
    build
        Makes the network of a side and a size.
    cases
        Side and layout of each case by its title; ours first.
    sizes, toy_size
        Sizes to compare, and that of the toy.
    write_logits
        Writes a network's weights and its logits of a grouped repetition into a file.
    our_logits
        Returns our logits with the weights in that file.
    """

    script: str
    name: str
    what: str
    peer: str
    jets: Jets
    toy_jets: Jets
    draw: Callable[[torch.Tensor, int, torch.Generator], Batch]
    build: Callable[[str, str], tuple[torch.nn.Module, Network]]
    cases: Mapping[str, tuple[str, str]]
    sizes: tuple[str, ...]
    toy_size: str
    write_logits: Callable[[torch.nn.Module, Network, Path], None]
    our_logits: Callable[[Path], torch.Tensor]

    def batches(self, layout: str, seed: int, *, toy: bool = False) -> list[Batch]:
        """Return the batches of a repetition."""
        jets = self.toy_jets if toy else self.jets
        return [self.draw(*place) for place in jets.lengths(layout, seed)]

    def main(self, about: str, arguments: list[str] | None = None) -> None:
        """Run the benchmark, or serve as a worker of it."""
        if arguments is None and sys.argv[1:2] == ["--work"]:
            _work(self, int(sys.argv[2]))
            return
        frame.main(about, self.name, lambda options: _measure(self, options), arguments=arguments)


def save(module: torch.nn.Module, logits: torch.Tensor, path: Path) -> None:
    """Write weights and logits."""
    arrays = {f"state/{name}": value.numpy() for name, value in module.state_dict().items()}
    np.savez(path, logits=logits.numpy(), **arrays)


def saved_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights that `save` wrote."""
    arrays = np.load(path)
    names = (name for name in arrays.files if name.startswith("state/"))
    return {name.removeprefix("state/"): torch.from_numpy(arrays[name]) for name in names}


def _measure(comparison: Comparison, options: argparse.Namespace) -> dict[str, Any]:
    """Let the sides take turns on every size, and compare their logits."""
    sizes = (comparison.toy_size,) if options.toy else comparison.sizes
    peer: Any = frame.NO_PEER
    if options.peer_python:
        peer = frame.versions_of(options.peer_python, comparison.peer, "torch")
    with ExitStack() as stack:
        ours = stack.enter_context(Worker(comparison.script, sys.executable, options.threads))
        workers = {"hepfm": ours}
        if options.peer_python:
            workers["peer"] = stack.enter_context(
                Worker(comparison.script, options.peer_python, options.threads)
            )
        figures = {size: _compare(comparison, size, options, workers) for size in sizes}
    return {
        "what": comparison.what,
        "sizes": figures,
        "jets": str(comparison.toy_jets if options.toy else comparison.jets),
        "repeats": options.repeats,
        "malloc": ENVIRONMENT,
        "peer": peer,
    }


def _compare(
    comparison: Comparison, size: str, options: argparse.Namespace, workers: Mapping[str, Worker]
) -> dict[str, Any]:
    def case(side: str, layout: str, *, alone: bool = False) -> Callable[[int], dict[str, float]]:
        worker = workers["hepfm" if side == "hepfm" else "peer"]
        request = {"side": side, "size": size, "layout": layout, "toy": options.toy, "alone": alone}
        return lambda turn: worker.ask(**request, seed=turn)

    cases = {
        title: case(side, layout)
        for title, (side, layout) in comparison.cases.items()
        if side == "hepfm" or "peer" in workers
    }
    title, (side, layout) = next(iter(comparison.cases.items()))
    cases[f"the matrix products of {title}, alone"] = case(side, layout, alone=True)
    speeds = frame.take_turns(cases, repeats=options.repeats, warmup=0 if options.toy else WARMUP)
    difference = None
    if "peer" in workers:
        side = next(side for side, _ in comparison.cases.values() if side != "hepfm")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "logits.npz"
            workers["peer"].ask(side=side, size=size, logits=str(path))
            theirs = torch.from_numpy(np.load(path)["logits"])
            difference = float((comparison.our_logits(path) - theirs).abs().max())
    return {
        "per_second": _summary(speeds, "second"),
        "per_cpu_second": _summary(speeds, "cpu_second"),
        "largest_difference_of_logits": difference,
    }


def _summary(speeds: Mapping[str, list[dict[str, float]]], unit: str) -> dict[str, Any]:
    values = {title: [speed[unit] for speed in samples] for title, samples in speeds.items()}
    return {
        "jets": {title: frame.spread(samples) for title, samples in values.items()},
        "ratio_of_medians": frame.ratio_of_medians(values),
    }


class Worker:
    """A process of the benchmark's script in a given environment; a context manager."""

    def __init__(self, script: str, python: str, threads: int) -> None:
        environment = {**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": str(threads)}
        command = [python, script, "--work", str(threads)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def ask(self, **request: Any) -> Any:
        """Send a request and wait for the reply."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        reply = self.process.stdout.readline()
        if not reply:
            raise RuntimeError(f"the worker {self.process.args} ended; its error stands above")
        return json.loads(reply)


def _work(comparison: Comparison, threads: int) -> None:
    """Serve measurements: one JSON request per line in, one JSON reply per line out."""
    torch.set_num_threads(threads)
    networks: dict[tuple[str, str], tuple[torch.nn.Module, Network]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = (request["side"], request["size"])
        torch.manual_seed(0)
        if key not in networks:
            networks[key] = comparison.build(*key)
        module, network = networks[key]
        reply: Any = True
        if "logits" in request:
            comparison.write_logits(module, network, Path(request["logits"]))
        else:
            batches = comparison.batches(request["layout"], request["seed"], toy=request["toy"])
            reply = _speed(module, network, batches, alone=request["alone"])
        print(json.dumps(reply), flush=True)


def _speed(
    module: torch.nn.Module, network: Network, batches: list[Batch], *, alone: bool = False
) -> dict[str, float]:
    """Return jets per second and per processor second, forward and backward, or of the products alone."""
    module.train()

    def step_through() -> None:
        for batch in batches:
            module.zero_grad()
            F.cross_entropy(network(batch), batch[-1]).backward()

    timing = frame.timed(Bound(record(step_through)) if alone else step_through)
    count = sum(len(batch[-1]) for batch in batches)
    return {"second": count / timing.wall, "cpu_second": count / timing.cpu}
