"""What a model says of rows: the outputs of its heads, or the summary vector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hepfm.core.schema import Kind
from hepfm.models.directory import Model
from hepfm.models.fixture import EMBEDDING
from hepfm.models.graphs.graph import Graph, GraphTrial, Stage
from hepfm.models.graphs.rows import (
    AXES,
    KnownFeatures,
    batch_of,
    describe,
    example,
    inputs_of,
    origin,
    output_words,
    probes,
)
from hepfm.nn.pooling import summary


class Heads(nn.Module):
    """Probabilities or values of each head, in order of their names.

    Parameters
    ----------
    model
        The model; its heads are those of `Model.outputs`.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network, self.known = model.network, KnownFeatures(model)
        self.categorical = {
            name: output.field.kind is Kind.CATEGORICAL for name, output in model.outputs.items()
        }

    def forward(self, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the outputs, (B, K) each."""
        batch = batch_of({**given, "features": self.known(given["features"])})
        seen, heads = self.network.features(batch), self.network.heads
        outputs = {name: heads[name](seen, batch.mask_BN) for name in self.categorical}
        return tuple(
            outputs[name].softmax(-1) if categorical else outputs[name]
            for name, categorical in self.categorical.items()
        )


class EmbeddingGraph(nn.Module):
    """The summary vector of each row, as `Model.embed` gives it.

    Parameters
    ----------
    model
        The model.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network, self.known = model.network, KnownFeatures(model)

    def forward(self, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the vectors, (B, D)."""
        batch = batch_of({**given, "features": self.known(given["features"])})
        features = self.network.features(batch)
        return (summary(features.tokens_BND, features.pooled_BD, batch.mask_BN).float(),)


def heads(model: Model) -> Graph:
    """Return the graph of what the heads say of rows."""
    outputs = {name: output_words(output.field) for name, output in model.outputs.items()}
    return _of_rows(model, Heads(model), "heads", outputs)


def embed(model: Model) -> Graph:
    """Return the graph of the summary vector of rows."""
    width = model.network.backbone.width
    outputs = {EMBEDDING: {"shape": ["batch", width], "values": "summary vector of the row"}}
    return _of_rows(model, EmbeddingGraph(model), "embed", outputs)


def _of_rows(model: Model, module: nn.Module, part: str, outputs: Mapping[str, Mapping[str, Any]]) -> Graph:
    inputs = inputs_of(model, example(model))

    def trials() -> Iterator[GraphTrial]:
        for batch in probes(model):
            given = inputs_of(model, batch)
            with torch.no_grad():
                yield GraphTrial(given, dict(zip(outputs, module(given), strict=True)))

    words = describe(model)
    return Graph(
        stages=(Stage(module, tuple(inputs), tuple(outputs)),),
        example=inputs,
        axes=AXES,
        inputs={name: words[name] for name in inputs},
        outputs=outputs,
        trials=trials,
        words=origin(model, part),
    )
