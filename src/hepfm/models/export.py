"""``hepfm export``: a model as one ONNX file, compared with torch before it is kept."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hepfm.core.batch import Batch
from hepfm.core.errors import HepfmError, ModelError, missing_extra
from hepfm.core.files import atomic_path, refuse_existing
from hepfm.models.directory import Model
from hepfm.models.onnx_graph import Graph, describe, inputs_of, probe

TOLERANCE = 1e-4
"""Largest difference of an output between torch and ONNX Runtime, over 1 or its largest value, if above."""

_LONGEST = 40
"""Constituents of the longest random row of the comparison, where the model reads so many."""


def export(model: str | Path, *, output: str | Path, overwrite: bool = False) -> dict[str, float]:
    """Write what the heads of a model say as ONNX (opset 18 or later).

    Inputs, with B rows and N constituents of any number; a file has only those that it needs:

    - ``features`` (B, N, F) float32: the feature set in physical units, zero where there is no constituent;
    - ``mask`` (B, N) bool: True = real, real constituents first;
    - ``p4`` (B, N, 4) float32: (E, px, py, pz) in GeV, for backbones with pair features of four-momenta;
    - ``context`` (B, C) float32, for a model with a context set: its features in physical units.

    There is one output per head, called by its field: probabilities (B, K), or a value in its unit (B, 1).
    A model with a tokenizer has it in its file, and a generator is left out. Names, order and units of all
    columns, classes, and limits are JSON in the file's metadata, under ``hepfm``.

    Parameters
    ----------
    model
        The model directory.
    output
        The file to write.
    overwrite
        Replace a file that is there already.

    Returns
    -------
    dict
        Largest difference from torch of each output, over its largest value where that is above 1: over
        random rows of 0 to many constituents in batches of several shapes, and the model's fixture.

    Raises
    ------
    ModelError
        When the model has no head, when torch cannot write a part of it as ONNX, or when the file computes
        something else than torch. Then no file is kept.
    HepfmError
        When the file exists and is not to be replaced.
    """
    refuse_existing(output, overwrite=overwrite)
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing_extra(str(error.name), "onnx") from None
    source = Model.load(model)
    _check_heads(source, model)
    lists = [name for name, spec in source.outputs.items() if spec.head.cls.level != "row"]
    if lists:
        raise ModelError(
            f"{model} cannot be exported: {', '.join(lists)} are predicted for constituents, which ONNX "
            "files do not hold yet; use `hepfm predict`"
        )
    if source.network.grouping is not None:
        raise ModelError(
            f"{model} cannot be exported: its tokens are groups of constituents, which ONNX files "
            "do not hold yet; use `hepfm predict`"
        )
    graph = Graph(source).eval().requires_grad_(False)
    with atomic_path(Path(output)) as temporary:
        with _refused(source, model):
            _write(graph, source, temporary)
            _finish(source, temporary)
            session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
            differences = _differences(graph, source, session)
        if not max(differences.values()) <= TOLERANCE:
            raise ModelError(
                f"{model}: the ONNX file differs from torch by {max(differences.values()):.2g}, allowed is "
                f"{TOLERANCE:g}; score with `hepfm predict {model} STORE -o FILE`"
            )
    return differences


def _check_heads(source: Model, path: str | Path) -> None:
    if source.outputs:
        return
    why = f"{path} has no head to export"
    if source.network.generator_spec is not None:
        raise ModelError(
            f"{why}, and a generator is not exported: make rows with `hepfm generate {path}`, or fine-tune "
            f"it first with `hepfm finetune {path} RECIPE`"
        )
    if not source.backbone.cls.encodes:
        raise ModelError(
            f"{why}, it is a tokenizer alone: use it with `hepfm tokenize {path} --on STORE`, or pre-train "
            f"and fine-tune a model with tokenizer.model={path}"
        )
    raise ModelError(f"{why}; fine-tune it first with `hepfm finetune {path} RECIPE`")


@contextlib.contextmanager
def _refused(source: Model, path: str | Path) -> Iterator[None]:
    """Turn whatever torch's exporter or the runtime does not support into one line."""
    try:
        yield
    except HepfmError:
        raise
    except Exception as error:  # they raise errors of many kinds, and any component may be a plug-in's
        parts = [f"backbone {source.backbone.name}"]
        parts += [
            f"head {name}" for name in dict.fromkeys(spec.head.name for spec in source.outputs.values())
        ]
        if source.network.tokenizer_spec is not None:
            parts.append(f"tokenizer {source.network.tokenizer_spec.tokenizer.name}")
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
        said = f"{type(cause).__name__}: {lines[0] if lines else 'no message'}"
        raise ModelError(
            f"{path} ({', '.join(parts)}) cannot be written as ONNX: {said[:300]}; score with "
            f"`hepfm predict {path} STORE -o FILE`"
        ) from error


def _write(graph: Graph, source: Model, path: Path) -> None:
    """Write the file, with free numbers of rows and constituents."""
    rows, constituents = torch.export.Dim("batch", min=1), torch.export.Dim("constituents", min=1)
    inputs = inputs_of(probe(source, (7, 1, 3, 11), size=11, seed=0))
    dims = {name: {0: rows} if name == "context" else {0: rows, 1: constituents} for name in inputs}
    with _quiet_exporter():
        # Captured first: left to itself the exporter answers a fixed size with a file of that size.
        program = torch.export.export(
            graph, tuple(inputs.values()), dynamic_shapes=tuple(dims.values()), strict=False
        )
        torch.onnx.export(
            program,
            (),
            path,
            input_names=list(inputs),
            output_names=list(graph.categorical),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Leave out what torch's exporter says of its own internals and of absent libraries."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _finish(source: Model, path: Path) -> None:
    """Drop the inputs that nothing reads, and say in the metadata what the others are."""
    import onnx

    file = onnx.load(path)
    read = set(_read(file.graph))
    used = [entry for entry in file.graph.input if entry.name in read]
    del file.graph.input[:]
    file.graph.input.extend(used)
    words = describe(source, [entry.name for entry in used])
    file.metadata_props.add(key="hepfm", value=json.dumps(words))
    onnx.save(file, path)


def _read(graph: Any) -> Iterator[str]:
    """Yield the names that the nodes of an ONNX graph read, those of loops and branches too."""
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _read(inner)


def _batches(source: Model) -> Iterator[Batch]:
    """Rows of many lengths, one of them empty, in batches of several shapes; some with constituents that
    coincide, as those of equal codes do; then the fixture's, padded."""
    longest = min(source.max_constituents, _LONGEST)
    yield probe(source, (1,), size=1, seed=1)
    yield probe(source, (1, 0, min(2, longest)), size=longest, seed=2)
    yield probe(source, tuple(range(longest + 1)), size=longest + 3, seed=3)
    yield _coincident(probe(source, (longest, longest, 1), size=longest, seed=4))
    if source.fixture is not None and source.fixture.p4_BN4 is not None:
        yield source.fixture


def _coincident(batch: Batch) -> Batch:
    """Return a batch in which every second constituent is the one before it again."""
    again_N = torch.arange(batch.mask_BN.shape[1]) // 2 * 2
    p4_BN4 = None if batch.p4_BN4 is None else batch.p4_BN4[:, again_N]
    real_BN1 = batch.mask_BN[..., None]
    return replace(
        batch,
        features_BNF=batch.features_BNF[:, again_N] * real_BN1,
        p4_BN4=None if p4_BN4 is None else p4_BN4 * real_BN1,
    )


def _differences(graph: Graph, source: Model, session: Any) -> dict[str, float]:
    largest = dict.fromkeys(graph.categorical, 0.0)
    used = [entry.name for entry in session.get_inputs()]
    for batch in _batches(source):
        inputs = inputs_of(batch)
        with torch.no_grad():
            expected = graph(*inputs.values())
        outputs = session.run(None, {name: inputs[name].numpy() for name in used})
        for name, ours, theirs in zip(largest, expected, outputs, strict=True):
            scale = max(1.0, float(ours.abs().max()))
            largest[name] = max(largest[name], float(np.abs(ours.numpy() - theirs).max()) / scale)
    return largest
