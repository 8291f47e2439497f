"""Graphs as ONNX: read by ONNX Runtime and by many other programs."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from hepfm.core.errors import missing_extra
from hepfm.models.graphs.capture import Captured, quiet
from hepfm.models.graphs.graph import PLACE, Graph, Stage, Tensors

WORDS = "hepfm"
"""Name of the words on the graph among the file's metadata."""


def require() -> None:
    """Raise `MissingExtraError` where a library of the extra ``onnx`` is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing_extra(str(error.name), "onnx") from None


def write(graph: Graph, captured: Captured, path: Path) -> None:
    """Write a graph, opset 18 or later; its words are among the metadata.

    Parameters
    ----------
    graph
        The graph.
    captured
        Its stages.
    path
        The file.
    """
    import onnx

    models = [_stage(stage, program, path) for stage, program in captured]
    file = (
        models[0] if len(models) == 1 and captured[0][0].times is None else _joined(graph, captured, models)
    )
    read = set(_read(file.graph))
    used = [entry for entry in file.graph.input if entry.name in read]
    del file.graph.input[:]
    file.graph.input.extend(used)
    words = graph.description([entry.name for entry in used])
    file.metadata_props.add(key=WORDS, value=json.dumps(words))
    onnx.save(file, path)


def _stage(stage: Stage, program: ExportedProgram, path: Path) -> Any:
    """Return one stage as a model whose inputs and outputs have the names of the stage."""
    import onnx

    names = list(stage.reads) if stage.times is None else [PLACE, *stage.reads]
    own = {name: _next(name) if stage.times is not None else name for name in stage.gives}
    with _quiet_exporter():
        torch.onnx.export(
            program,
            (),
            path,
            input_names=names,
            output_names=list(own.values()),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    return onnx.load(path)


def _next(name: str) -> str:
    return f"{name}_next"


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Leave out what torch's exporter says of its own internals and of absent libraries."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with quiet():
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _read(graph: Any) -> Iterator[str]:
    """Yield the names that the nodes of an ONNX graph read, those of loops and branches too."""
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _read(inner)
    yield from (entry.name for entry in graph.output)


def _joined(graph: Graph, captured: Captured, models: list[Any]) -> Any:
    """Return the models of the stages as one model, in which values have the names of the graph."""
    from onnx import compose, helper

    nodes: list[Any] = []
    weights: list[Any] = []
    entries: dict[str, Any] = {}
    now = {name: name for name in graph.inputs}
    for number, ((stage, _), model) in enumerate(zip(captured, models, strict=True)):
        for entry in model.graph.input:
            if entry.name in graph.inputs:
                entries.setdefault(entry.name, entry)
        entries.update({entry.name: entry for entry in model.graph.output})
        prefix = f"stage_{number}/"
        renamed = compose.add_prefix(model, prefix).graph
        weights += renamed.initializer
        read = set(_read(renamed))
        loop = stage.gives if stage.times is not None else ()
        nodes += [
            helper.make_node("Identity", [now[name]], [f"{prefix}{name}"])
            for name in stage.reads
            if f"{prefix}{name}" in read and name not in loop
        ]
        if stage.times is None:
            nodes += renamed.node
            now.update({name: f"{prefix}{name}" for name in stage.gives})
        else:
            nodes += _loop(stage, renamed, prefix, now)
            now.update({name: f"{prefix}{name}_last" for name in stage.gives})
    nodes += [helper.make_node("Identity", [now[name]], [name]) for name in graph.outputs]
    whole = helper.make_graph(
        nodes,
        "hepfm",
        [entries[name] for name in graph.inputs if name in entries],
        [entries[name] for name in graph.outputs],
        initializer=weights,
    )
    return helper.make_model(whole, opset_imports=models[0].opset_import, ir_version=models[0].ir_version)


def _loop(stage: Stage, body: Any, prefix: str, now: Mapping[str, str]) -> list[Any]:
    """Return the nodes that repeat a stage; its weights and what never changes lie outside."""
    from onnx import TensorProto, helper

    go, count = f"{prefix}go", f"{prefix}count"
    own = {entry.name: entry for entry in body.input}
    states = [f"{prefix}{name}" for name in stage.gives]
    inner = helper.make_graph(
        [helper.make_node("Identity", [go], [f"{go}_on"]), *body.node],
        f"{prefix}body",
        [
            helper.make_tensor_value_info(f"{prefix}{PLACE}", TensorProto.INT64, []),
            helper.make_tensor_value_info(go, TensorProto.BOOL, []),
            *(own[name] for name in states),
        ],
        [helper.make_tensor_value_info(f"{go}_on", TensorProto.BOOL, []), *body.output],
    )
    last = [f"{name}_last" for name in states]
    given = [count, "", *(now[name] for name in stage.gives)]
    return [*_count(stage, count, now), helper.make_node("Loop", given, last, body=inner)]


def _count(stage: Stage, count: str, now: Mapping[str, str]) -> list[Any]:
    """Return the nodes of the number of repetitions."""
    from onnx import helper

    if isinstance(stage.times, int):
        return [helper.make_node("Constant", [], [count], value_int=stage.times)]
    assert stage.times is not None
    name, axis = stage.times
    sizes, place = f"{count}_sizes", f"{count}_axis"
    return [
        helper.make_node("Shape", [now[name]], [sizes]),
        helper.make_node("Constant", [], [place], value_int=axis),
        helper.make_node("Gather", [sizes, place], [count]),
    ]


class OnnxSession:
    """A file that is run.

    Parameters
    ----------
    path
        The file.
    threads
        Of a call; the runtime's own choice when None.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.words = json.loads(self.session.get_modelmeta().custom_metadata_map[WORDS])

    def run(self, inputs: Mapping[str, Tensor]) -> Tensors:
        """Return the outputs of inputs by name, of which it takes those that it has."""
        given = {name: inputs[name].numpy() for name in self.words["inputs"]}
        names = [entry.name for entry in self.session.get_outputs()]
        found = self.session.run(names, given)
        return {name: torch.from_numpy(value) for name, value in zip(names, found, strict=True)}
