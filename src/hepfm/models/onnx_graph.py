"""What an exported model computes: tensors in, a tensor for each head out, and words on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hepfm.core.batch import Batch
from hepfm.core.rng import torch_generator
from hepfm.core.schema import Field, Kind
from hepfm.models.directory import Model
from hepfm.models.fixture import random_batch

UNITS = "GeV, mm, rad; log_x is ln(x/GeV); fractions and tanh have no unit"


class Graph(nn.Module):
    """The network with tensors in and out: probabilities or values of each head, in order of their names.

    Features that the data of the training lacked are set to zero, as they are by `Model.predict`.

    Parameters
    ----------
    model
        The model; its heads are those of `Model.outputs`.
    """

    keep_F: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network = model.network
        self.categorical = {
            name: output.field.kind is Kind.CATEGORICAL for name, output in model.outputs.items()
        }
        keep = [name not in absent_features(model) for name in model.features.names]
        self.all_kept = all(keep)
        self.register_buffer("keep_F", torch.tensor(keep, dtype=torch.float32))

    def forward(
        self, features: Tensor, mask: Tensor, p4: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Return the outputs, (B, K) each; see `hepfm.models.export.export` for the inputs."""
        rows = torch.zeros(features.shape[0], dtype=torch.int64)
        features = features if self.all_kept else features * self.keep_F
        batch = Batch(features, mask, rows, p4_BN4=p4, context_BC=context)
        seen, heads = self.network.features(batch), self.network.heads
        outputs = {name: heads[name](seen, mask) for name in self.categorical}
        return tuple(
            outputs[name].softmax(-1) if categorical else outputs[name]
            for name, categorical in self.categorical.items()
        )


def absent_features(model: Model) -> tuple[str, ...]:
    """Return the features that the data of the training lacked, and that the model reads as zero."""
    groups = {group.name: group.features for group in model.features.optional}
    return tuple(model.features.names[number] for name in model.absent for number in groups[name])


def inputs_of(batch: Batch) -> dict[str, Tensor]:
    """Return the tensors of a batch by the names of the file's inputs."""
    assert batch.p4_BN4 is not None
    inputs = {"features": batch.features_BNF, "mask": batch.mask_BN, "p4": batch.p4_BN4}
    return inputs if batch.context_BC is None else {**inputs, "context": batch.context_BC}


def probe(model: Model, lengths: Sequence[int], *, size: int, seed: int) -> Batch:
    """Return random rows of given lengths, padded to `size`; features lie where the model expects them.

    Parameters
    ----------
    model
        The model.
    lengths
        Constituents of each row; 0 for an empty one.
    size
        N.
    seed
        Of the draws.
    """
    batch = random_batch(model.features, context=model.context, lengths=np.asarray(lengths), seed=seed)
    extra = size - batch.mask_BN.shape[1]
    assert extra >= 0
    assert batch.p4_BN4 is not None
    mask_BN = nn.functional.pad(batch.mask_BN, (0, extra))
    noise_BNF = torch.randn(*mask_BN.shape, len(model.features), generator=torch_generator(seed, "onnx"))
    return replace(
        batch,
        features_BNF=model.network.standardize.inverse(noise_BNF, mask_BN),
        mask_BN=mask_BN,
        p4_BN4=nn.functional.pad(batch.p4_BN4, (0, 0, 0, extra)),
    )


def describe(model: Model, used: Sequence[str]) -> dict[str, Any]:
    """Return JSON-ready words on a file: its inputs in their order, its outputs, its limits, its origin.

    Parameters
    ----------
    model
        The model.
    used
        Names of the inputs that the file has.
    """
    inputs: dict[str, dict[str, Any]] = {
        "features": {
            "shape": ["batch", "constituents", len(model.features)],
            "type": "float32",
            "columns": list(model.features.names),
            "units": UNITS,
            "padding": "zero",
        },
        "mask": {"shape": ["batch", "constituents"], "type": "bool", "true": "a real constituent"},
        "p4": {
            "shape": ["batch", "constituents", 4],
            "type": "float32",
            "columns": ["E", "px", "py", "pz"],
            "units": "GeV",
            **({"row_pt": model.features.row_pt} if model.features.row_pt is not None else {}),
            "padding": "zero",
        },
    }
    if model.context is not None:
        inputs["context"] = {
            "shape": ["batch", len(model.context)],
            "type": "float32",
            "columns": list(model.context.names),
            "units": UNITS,
        }
    return {
        "inputs": {name: words for name, words in inputs.items() if name in used},
        "outputs": {name: _output(output.field) for name, output in model.outputs.items()},
        "feature_set": model.features.name,
        "context_set": model.context.name if model.context else None,
        "backbone_inputs": model.network.inputs,
        "read_as_zero": list(absent_features(model)),
        "max_constituents": model.max_constituents,
        "order": "real constituents first; of a row with more than max_constituents give the leading in pt",
        "provenance": dict(model.provenance.get("training", {})),
    }


def _output(field: Field) -> dict[str, Any]:
    if field.kind is Kind.CATEGORICAL:
        return {"shape": ["batch", len(field.classes)], "values": "probabilities", "columns": field.classes}
    return {"shape": ["batch", 1], "values": field.description, "units": field.unit}
