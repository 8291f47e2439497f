"""Rows as a file is given them: random ones for comparisons, and words on their tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

LONGEST = 40
"""Constituents of the longest random row of the comparison, where the model reads so many."""

AXES: Mapping[str, Mapping[int, str]] = {
    "features": {0: "batch", 1: "constituents"},
    "mask": {0: "batch", 1: "constituents"},
    "p4": {0: "batch", 1: "constituents"},
    "codes": {0: "batch", 1: "constituents"},
    "context": {0: "batch"},
    "label": {0: "batch"},
}
"""Free axes of tensors of rows."""


class KnownFeatures(nn.Module):
    """Sets features to zero that the data of the training lacked, as `Model.predict` does.

    Parameters
    ----------
    model
        The model.
    """

    keep_F: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        keep = [name not in absent_features(model) for name in model.features.names]
        self.all_kept = all(keep)
        self.register_buffer("keep_F", torch.tensor(keep, dtype=torch.float32))

    def forward(self, features_BNF: Tensor) -> Tensor:
        """Return the features, (B, N, F)."""
        return features_BNF if self.all_kept else features_BNF * self.keep_F


def batch_of(given: Mapping[str, Tensor]) -> Batch:
    """Return the batch of tensors by the names of a file's inputs."""
    features, mask = given["features"], given["mask"]
    rows = torch.zeros_like(mask[:, 0], dtype=torch.int64)
    return Batch(features, mask, rows, p4_BN4=given.get("p4"), context_BC=given.get("context"))


def absent_features(model: Model) -> tuple[str, ...]:
    """Return the features that the data of the training lacked, and that the model reads as zero."""
    groups = {group.name: group.features for group in model.features.optional}
    return tuple(model.features.names[number] for name in model.absent for number in groups[name])


def inputs_of(model: Model, batch: Batch) -> dict[str, Tensor]:
    """Return those tensors of a batch that a model reads, by the names of the file's inputs.

    Momenta that are not read are left out here: torch would ask them for the numbers of rows.
    """
    inputs: dict[str, Tensor | None] = {"features": batch.features_BNF, "mask": batch.mask_BN}
    if "p4" in model.backbone.cls.needs and model.network.inputs != "decoded":
        inputs["p4"] = batch.p4_BN4
    inputs["context"] = batch.context_BC
    return {name: tensor for name, tensor in inputs.items() if tensor is not None}


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


def example(model: Model) -> Batch:
    """Return rows of other sizes than 0 and 1 along every axis."""
    return probe(model, (7, 1, 3, 11), size=11, seed=0)


def probes(model: Model) -> Iterator[Batch]:
    """Yield rows of many lengths, one of them empty, in batches of several shapes; some with constituents
    that coincide, as those of equal codes do; then the fixture's, padded."""
    longest = min(model.max_constituents, LONGEST)
    yield probe(model, (1,), size=1, seed=1)
    yield probe(model, (1, 0, min(2, longest)), size=longest, seed=2)
    yield probe(model, tuple(range(longest + 1)), size=longest + 3, seed=3)
    yield _coincident(probe(model, (longest, longest, 1), size=longest, seed=4))
    if model.fixture is not None and model.fixture.p4_BN4 is not None:
        yield model.fixture


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


def describe(model: Model) -> dict[str, dict[str, Any]]:
    """Return JSON-ready words on each tensor of rows of a model, by its name."""
    words: dict[str, dict[str, Any]] = {
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
        words["context"] = {
            "shape": ["batch", len(model.context)],
            "type": "float32",
            "columns": list(model.context.names),
            "units": UNITS,
        }
    if model.network.tokenizer is not None:
        words["codes"] = {
            "shape": ["batch", "constituents"],
            "type": "int64",
            "values": f"0 to {model.network.tokenizer.num_codes - 1}",
            "padding": "-1",
        }
    return words


def origin(model: Model, part: str) -> dict[str, Any]:
    """Return JSON-ready words on what a file is made of: its part, its model's limits and its training."""
    return {
        "part": part,
        "feature_set": model.features.name,
        "context_set": model.context.name if model.context else None,
        "backbone": model.backbone.name,
        "backbone_inputs": model.network.inputs,
        "read_as_zero": list(absent_features(model)),
        "max_constituents": model.max_constituents,
        "order": "real constituents first; of a row with more than max_constituents give the leading in pt",
        "provenance": dict(model.provenance.get("training", {})),
    }


def output_words(field: Field) -> dict[str, Any]:
    """Return JSON-ready words on what a head gives for a field."""
    if field.kind is Kind.CATEGORICAL:
        return {"shape": ["batch", len(field.classes)], "values": "probabilities", "columns": field.classes}
    return {"shape": ["batch", 1], "values": field.description, "units": field.unit}
