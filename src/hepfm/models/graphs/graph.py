"""A graph: named tensors in, named tensors out, in stages; some stages are repeated.

Sampling is a loop around a network, e.g. the steps of a flow. Written out step by step it would be a file of
hundreds of networks, so that a stage is captured once and the files repeat it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

PLACE = "place"
"""Name under which a repeated stage reads which repetition it is, int64 ()."""

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Stage:
    """A part of a graph.

    Attributes
    ----------
    module
        Called with a dictionary of tensors by name, it returns a tuple of tensors.
    reads
        Names of what it is given: inputs of the graph, or what stages before it gave.
    gives
        Names of what it returns. A repeated stage returns the next of what it reads under these names.
    times
        How often it is repeated: a number, or an input and the axis whose size is that; None for once.
    """

    module: nn.Module
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    times: int | tuple[str, int] | None = None

    def example(self, values: Mapping[str, Tensor]) -> Tensors:
        """Return what the module is given first, out of all values so far."""
        given = {name: values[name] for name in self.reads}
        return given if self.times is None else {PLACE: torch.tensor(0), **given}

    def run(self, values: Mapping[str, Tensor]) -> Tensors:
        """Return what the stage gives."""
        if self.times is None:
            return dict(zip(self.gives, self.module(self.example(values)), strict=True))
        times = self.times
        count = times if isinstance(times, int) else values[times[0]].shape[times[1]]
        given = dict(values)
        for place in range(count):
            step = {**self.example(given), PLACE: torch.tensor(place)}
            given.update(zip(self.gives, self.module(step), strict=True))
        return {name: given[name] for name in self.gives}


@dataclass(frozen=True)
class GraphTrial:
    """Inputs of a graph, and the outputs that the package itself has for them, by name."""

    inputs: Tensors
    expected: Tensors


@dataclass(frozen=True)
class Graph:
    """What a file computes.

    Attributes
    ----------
    stages
        Run one after the other.
    example
        The inputs, of other sizes than 0 and 1 along the free axes.
    axes
        Names of the free axes of inputs and of what stages give, by their number.
    inputs, outputs
        JSON-ready words on each input and output, in their order.
    trials
        Inputs with the outputs that they must have.
    words
        JSON-ready words on the whole.
    rows_apart
        How many of some twenty rows or more may come out otherwise, where rounding can decide which of two
        codes a constituent has.
    """

    stages: tuple[Stage, ...]
    example: Tensors
    axes: Mapping[str, Mapping[int, str]]
    inputs: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Mapping[str, Any]]
    trials: Callable[[], Iterator[GraphTrial]]
    words: Mapping[str, Any] = field(default_factory=dict)
    rows_apart: int = 0

    def examples(self) -> Iterator[tuple[Stage, Tensors]]:
        """Yield each stage with what it is given for the example."""
        values = dict(self.example)
        for stage in self.stages:
            yield stage, stage.example(values)
            with torch.no_grad():
                once = zip(stage.gives, stage.module(stage.example(values)), strict=True)
            values.update(once)

    def run(self, inputs: Mapping[str, Tensor]) -> Tensors:
        """Return the outputs by torch, without any file."""
        values = dict(inputs)
        with torch.no_grad():
            for stage in self.stages:
                values.update(stage.run(values))
        return {name: values[name] for name in self.outputs}

    def description(self, used: list[str]) -> dict[str, Any]:
        """Return JSON-ready words on a file that has only some of the inputs."""
        return {
            "inputs": {name: dict(self.inputs[name]) for name in used},
            "outputs": {name: dict(words) for name, words in self.outputs.items()},
            **self.words,
        }
