"""Stages of a graph captured by torch, with free sizes; the files are written from these."""

from __future__ import annotations

import contextlib
import operator
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from hepfm.models.graphs.graph import Graph, Stage, Tensors

Captured = list[tuple[Stage, ExportedProgram]]


@torch.no_grad()
def capture(graph: Graph) -> Captured:
    """Return every stage of a graph, captured.

    Both kinds of file are written from this: left to themselves torch's exporters answer a size that is fixed
    by mistake with a file of that size, where capturing raises an error.
    """
    with quiet():
        return [(stage, _captured(stage, given, graph.axes)) for stage, given in graph.examples()]


def _captured(stage: Stage, given: Tensors, axes: Mapping[str, Mapping[int, str]]) -> ExportedProgram:
    free = {name: torch.export.Dim(name, min=1) for names in axes.values() for name in names.values()}
    shapes = {name: {axis: free[of] for axis, of in axes.get(name, {}).items()} for name in given}
    module = stage.module.eval().requires_grad_(False)
    return torch.export.export(module, (given,), dynamic_shapes=(shapes,), strict=False)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leave out what torch says of its own internals."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def plain(stage: Stage, program: ExportedProgram) -> tuple[fx.GraphModule, list[str]]:
    """Return a captured stage as a module of operators only, and the names that it reads, in their order.

    The module's inputs have these names. Checks of shapes are left out, parts of their own (without
    gradients, in full precision) are written in line, and what is made on a device is made on that of the
    first input.
    """
    source = program.module(check_guards=False)
    graph = fx.Graph()
    values: dict[fx.Node, Any] = {}
    starts = [node for node in source.graph.nodes if node.op == "placeholder"]
    given = list(stage.reads) if stage.times is None else ["place", *stage.reads]
    for node, name in zip(starts, given, strict=True):
        values[node] = graph.placeholder(name)
    device = graph.call_function(getattr, (values[starts[-1]], "device"))
    graph.output(_write(source, values, graph, device))
    graph.eliminate_dead_code()
    read = []
    for node in [node for node in graph.nodes if node.op == "placeholder"]:
        if node.users:
            read.append(str(node.target))
        else:
            graph.erase_node(node)
    return fx.GraphModule(source, graph), read


def _write(module: fx.GraphModule, values: dict[fx.Node, Any], graph: fx.Graph, device: fx.Node) -> Any:
    """Write the operators of a captured module into a graph; return its outputs there."""
    for node in module.graph.nodes:
        if node.op == "output":
            return _put(node.args[0], values)
        if node.op == "placeholder" or node.op == "call_module" or "assert" in str(node.target):
            continue
        if node.op == "get_attr" and not isinstance(operator.attrgetter(node.target)(module), Tensor):
            continue
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            values[node] = _write_part(module, node, values, graph, device)
        elif node.target is operator.getitem and isinstance(values[node.args[0]], (tuple, list)):
            values[node] = values[node.args[0]][node.args[1]]
        else:
            values[node] = _write_operator(node, values, graph, device)
    raise AssertionError("a graph has an output")


def _write_part(
    module: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Any], graph: fx.Graph, device: fx.Node
) -> Any:
    """Write the operators of a part of its own, such as those without gradients."""
    for number, argument in enumerate(node.args):
        if isinstance(argument, fx.Node) and argument.op == "get_attr":
            part = getattr(module, str(argument.target))
            starts = [inner for inner in part.graph.nodes if inner.op == "placeholder"]
            given = _put(list(node.args[number + 1 :]), values)
            return _write(part, dict(zip(starts, given, strict=True)), graph, device)
    raise NotImplementedError(f"{node.target} has no place in a file")


def _write_operator(node: fx.Node, values: dict[fx.Node, Any], graph: fx.Graph, device: fx.Node) -> fx.Node:
    copy = graph.node_copy(node, lambda used: values[used])
    copy.type = None
    if isinstance(copy.target, torch._ops.OpOverload):
        # TorchScript knows operators without the names of their overloads, and chooses by the arguments.
        copy.target = copy.target.overloadpacket
    if copy.kwargs.get("device") is not None:
        copy.kwargs = {**copy.kwargs, "device": device}
    return copy


def _put(argument: Any, values: Mapping[fx.Node, Any]) -> Any:
    return fx.node.map_arg(argument, lambda node: values[node])
