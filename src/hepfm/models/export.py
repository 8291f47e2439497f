"""``hepfm export``: a model as one ONNX file, compared with torch before it is kept."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hepfm.core.batch import Batch
from hepfm.core.errors import ModelError, missing_extra
from hepfm.core.files import atomic_path
from hepfm.core.schema import Kind
from hepfm.models.directory import Model
from hepfm.models.fixture import random_batch

TOLERANCE = 1e-4
"""Largest absolute difference of an output between torch and ONNX Runtime."""

_SHAPES = ((3, 11), (5, 29))
"""(B, N) of the batches on which the file is compared; the export itself sees another."""


class _Exported(nn.Module):
    """The network with tensors in and out: probabilities or values of each head, in order of their names."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network = model.network
        self.categorical = {
            name: output.field.kind is Kind.CATEGORICAL for name, output in model.outputs.items()
        }

    def forward(
        self, features: Tensor, mask: Tensor, p4: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        rows = torch.zeros(features.shape[0], dtype=torch.int64)
        outputs = self.network(Batch(features, mask, rows, p4_BN4=p4, context_BC=context))
        return tuple(
            outputs[name].softmax(-1) if categorical else outputs[name]
            for name, categorical in self.categorical.items()
        )


def export(model: str | Path, *, output: str | Path) -> dict[str, float]:
    """Write a model as ONNX (opset 18 or later).

    Inputs, with B rows and N constituents of any number:

    - ``features`` (B, N, F) float32: the feature set in physical units, zero where there is no constituent;
    - ``mask`` (B, N) bool: True = real, real constituents first;
    - ``p4`` (B, N, 4) float32: (E, px, py, pz) in GeV;
    - ``context`` (B, C) float32, for a model with a context set: its features in physical units.

    There is one output per head, called by its field: probabilities (B, K), or a value in its unit (B, 1).
    Names of features and classes are in the file's metadata under ``hepfm``.

    Parameters
    ----------
    model
        The model directory.
    output
        The file to write.

    Returns
    -------
    dict
        Largest absolute difference from torch of each output, over two batches of other shapes.

    Raises
    ------
    ModelError
        When the exported file computes something else than torch; it is not kept.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing_extra(str(error.name), "onnx") from None
    source = Model.load(model)
    if not source.outputs:
        raise ModelError(f"{model} has no head to export; fine-tune it first")
    network = _Exported(source).eval()
    with atomic_path(Path(output)) as temporary:
        _write(network, source, temporary)
        file = onnx.load(temporary)
        file.metadata_props.add(key="hepfm", value=json.dumps(_metadata(source)))
        onnx.save(file, temporary)
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        found = _differences(network, source, session)
        worst = max(found.values())
        if not worst <= TOLERANCE:
            raise ModelError(f"the ONNX file differs from torch by {worst:.2g}, allowed is {TOLERANCE:g}")
    return found


def _write(network: _Exported, model: Model, path: Path) -> None:
    batch, constituents = torch.export.Dim("batch", min=1), torch.export.Dim("constituents", min=1)
    inputs = _inputs(model, rows=4)
    shapes = tuple({0: batch} if name == "context" else {0: batch, 1: constituents} for name in inputs)
    with _quiet_exporter():
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            path,
            input_names=list(inputs),
            output_names=list(network.categorical),
            dynamic_shapes=shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Leave out what torch's exporter says of its own internals and of absent libraries."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _inputs(model: Model, *, rows: int, seed: int = 0, length: int | None = None) -> dict[str, Tensor]:
    batch = random_batch(model.features, context=model.context, rows=rows, seed=seed)
    assert batch.p4_BN4 is not None
    inputs = {"features": batch.features_BNF, "mask": batch.mask_BN, "p4": batch.p4_BN4}
    inputs = {name: part[:, :length] for name, part in inputs.items()}
    return inputs if batch.context_BC is None else {**inputs, "context": batch.context_BC}


def _differences(network: _Exported, model: Model, session: Any) -> dict[str, float]:
    largest = dict.fromkeys(network.categorical, 0.0)
    for seed, (rows, length) in enumerate(_SHAPES):
        inputs = _inputs(model, rows=rows, seed=seed, length=length)
        with torch.no_grad():
            expected = network(*inputs.values())
        found = session.run(None, {name: part.numpy() for name, part in inputs.items()})
        for name, ours, theirs in zip(largest, expected, found, strict=True):
            largest[name] = max(largest[name], float(np.abs(ours.numpy() - theirs).max()))
    return largest


def _metadata(model: Model) -> dict[str, Any]:
    return {
        "features": list(model.features.names),
        "feature_set": model.features.name,
        "context": list(model.context.names) if model.context else [],
        "max_constituents": model.max_constituents,
        "classes": {name: list(classes) for name, classes in model.classes.items()},
        "units": "GeV, mm, rad; p4 is (E, px, py, pz)",
        "provenance": dict(model.provenance.get("training", {})),
    }
