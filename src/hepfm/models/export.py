"""``hepfm export``: a model as one ONNX or TorchScript file, compared with the package before it is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from hepfm.core.errors import ConfigError, HepfmError, ModelError
from hepfm.core.files import atomic_path, refuse_existing
from hepfm.models.directory import Model
from hepfm.models.graphs import onnx_file, torchscript_file
from hepfm.models.graphs.capture import capture
from hepfm.models.graphs.graph import Graph
from hepfm.models.graphs.onnx_file import OnnxSession
from hepfm.models.graphs.parts import build_part
from hepfm.models.graphs.torchscript_file import TorchScriptSession

TOLERANCE = 1e-4
"""Largest difference of an output between torch and the file, over 1 or its largest value, if above."""

_MANY = 20
"""Rows of which some may come out otherwise; see `Graph.rows_apart`."""


@dataclass(frozen=True)
class _Format:
    """A kind of file: its name for people, its endings, the module that writes it, and what runs it."""

    title: str
    endings: tuple[str, ...]
    module: ModuleType
    session: Callable[..., OnnxSession | TorchScriptSession]


FORMATS = {
    "onnx": _Format("ONNX", (".onnx",), onnx_file, onnx_file.OnnxSession),
    "torchscript": _Format(
        "TorchScript", (".pt", ".ts", ".torchscript"), torchscript_file, torchscript_file.TorchScriptSession
    ),
}
"""Kinds of files by their name."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    format, part
        The kind of file, and what of the model it computes.
    differences
        Largest difference of each output from the package, over its largest value where that is above 1;
        of codes and masks the fraction of rows with another one.
    inputs, outputs
        Their names in order.
    """

    format: str
    part: str
    differences: dict[str, float]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def export(
    model: str | Path,
    *,
    output: str | Path,
    format: str | None = None,
    part: str | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Exported:
    """Write what a model computes as one file that needs nothing of this package.

    With B rows and N constituents of any number a file has those of these inputs that its part needs:

    - ``features`` (B, N, F) float32: the feature set in physical units, zero where there is no constituent;
    - ``mask`` (B, N) bool: True = real, real constituents first;
    - ``p4`` (B, N, 4) float32: (E, px, py, pz) in GeV, for backbones with pair features of four-momenta;
    - ``context`` (B, C) float32, for a model with a context set: its features in physical units;
    - ``codes`` (B, N) int64, -1 where there is no constituent;
    - random numbers and the class ``label`` (B,) int64, to generate rows.

    Standardisation, a tokenizer and the steps of a generator are inside. Names, order and units of all
    columns, classes, limits and the training's commit are JSON in the file: under ``hepfm`` of ONNX metadata,
    in the extra file ``hepfm.json`` of TorchScript.

    Parameters
    ----------
    model
        The model directory.
    output
        The file to write.
    format
        ``onnx`` (opset 18 or later) or ``torchscript``; by default that of the file's ending.
    part
        What the file computes. ``heads``: probabilities (B, K), or a value in its unit (B, 1), of each head,
        called by its field; ``embed``: the summary vector; ``encode`` and ``decode``: features to a
        tokenizer's codes and codes to features; ``generate``: random numbers to features of new rows;
        ``generate_like``: the same of given kinematics. By default ``heads``, or ``generate`` without heads.
    overwrite
        Replace a file that is there already.
    **options
        Options of the generator that need no new training, e.g. ``steps`` and ``solver`` of a flow; they are
        fixed in the file.

    Returns
    -------
    Exported
        What was written, and how far it is from the package: over random rows of 0 to many constituents in
        batches of several shapes and the model's fixture, or over rows that `Network.generate` makes of the
        same random numbers.

    Raises
    ------
    ModelError
        When the model does not have the part, when torch cannot write it, or when the file computes something
        else than the package. Then no file is kept.
    ConfigError
        When the format or an option is unknown.
    HepfmError
        When the file exists and is not to be replaced.
    """
    chosen = _format(output, format)
    kind = FORMATS[chosen]
    refuse_existing(output, overwrite=overwrite)
    kind.module.require()
    source = Model.load(model)
    name, graph = build_part(source, part, path=model, options=options)
    with atomic_path(Path(output)) as temporary:
        with _refused(source, model, kind.title):
            kind.module.write(graph, capture(graph), temporary)
            session = kind.session(temporary)
            differences = _differences(graph, session.run)
        if not max(differences.values()) <= TOLERANCE:
            raise ModelError(
                f"{model}: the {kind.title} file differs from torch by {max(differences.values()):.2g}, "
                f"allowed is {TOLERANCE:g}; use the model itself, e.g. `hepfm predict {model} STORE -o FILE`"
            )
    return Exported(chosen, name, differences, tuple(session.words["inputs"]), tuple(graph.outputs))


def _format(output: str | Path, name: str | None) -> str:
    """Return the name of the format that is asked for, or that of a file's ending."""
    if name is not None and name not in FORMATS:
        raise ConfigError(f"unknown format {name!r}; choose from: {', '.join(FORMATS)}")
    ending = Path(output).suffix.lower()
    of_ending = next((key for key, kind in FORMATS.items() if ending in kind.endings), None)
    endings = ", ".join(f"{kind.endings[0]} for {kind.title}" for kind in FORMATS.values())
    if name is None and of_ending is None:
        raise ConfigError(f"{output}: the ending of the file says its format: {endings}; or give --format")
    if name is not None and of_ending not in (None, name):
        raise ConfigError(f"{output} has not the ending of format {name}: {endings}")
    return name or str(of_ending)


@contextlib.contextmanager
def _refused(source: Model, path: str | Path, title: str) -> Iterator[None]:
    """Turn whatever torch or the runtime does not support into one line."""
    try:
        yield
    except HepfmError:
        raise
    except Exception as error:  # they raise errors of many kinds, and any component may be a plug-in's
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
        said = f"{type(cause).__name__}: {lines[0] if lines else 'no message'}"
        raise ModelError(
            f"{path} ({', '.join(_components(source))}) cannot be written as {title}: {said[:300]}; use the "
            f"model itself, e.g. `hepfm predict {path} STORE -o FILE`"
        ) from error


def _components(source: Model) -> Iterator[str]:
    network = source.network
    yield f"backbone {source.backbone.name}"
    for name in dict.fromkeys(spec.head.name for spec in source.outputs.values()):
        yield f"head {name}"
    if network.tokenizer_spec is not None:
        yield f"tokenizer {network.tokenizer_spec.tokenizer.name}"
    if network.generator_spec is not None:
        yield f"generator {network.generator_spec.generator.name}"


def _differences(
    graph: Graph, run: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
) -> dict[str, float]:
    largest = dict.fromkeys(graph.outputs, 0.0)
    for trial in graph.trials():
        found = run(trial.inputs)
        for name in largest:
            if name in trial.expected:
                apart = _apart(trial.expected[name], found[name], graph.rows_apart)
                largest[name] = max(largest[name], apart)
    return largest


def _apart(ours: Tensor, theirs: Tensor, rows_apart: int) -> float:
    """Return the largest difference of floating-point numbers, or the fraction of rows with other ones."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        raise ModelError(
            f"the file gives {theirs.dtype} of shape {tuple(theirs.shape)} where torch gives {ours.dtype} of "
            f"shape {tuple(ours.shape)}"
        )
    rows = len(ours)
    left_out = rows_apart if rows >= _MANY else 0
    if not ours.is_floating_point():
        other_B = (ours != theirs).reshape(rows, -1).any(1)
        return max(int(other_B.sum()) - left_out, 0) / rows
    scale = max(1.0, float(ours.abs().max()))
    apart_B = torch.nan_to_num((ours - theirs).abs(), nan=torch.inf).reshape(rows, -1).amax(1)
    return float(apart_B.sort().values[rows - 1 - left_out]) / scale
