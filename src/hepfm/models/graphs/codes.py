"""A tokenizer's two halves: constituents to codes, and codes to constituents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from hepfm.models.directory import Model
from hepfm.models.graphs.graph import Graph, GraphTrial, Stage
from hepfm.models.graphs.rows import (
    AXES,
    KnownFeatures,
    batch_of,
    describe,
    example,
    inputs_of,
    origin,
    probes,
)
from hepfm.networks.network import Network


class Encode(nn.Module):
    """Physical features to codes.

    Parameters
    ----------
    model
        The model.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network, self.known = model.network, KnownFeatures(model)

    def forward(self, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the codes, int64 (B, N)."""
        return (self.network.encode(batch_of({**given, "features": self.known(given["features"])})),)


class Decode(nn.Module):
    """Codes to physical features.

    Parameters
    ----------
    network
        The network.
    within
        Keep features within what networks are trained on, as generated ones are.
    """

    def __init__(self, network: Network, *, within: bool = False) -> None:
        super().__init__()
        self.network = network
        self.inverse = network.standardize.inverse_within if within else network.standardize.inverse

    def forward(self, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the features, (B, N, F)."""
        codes_BN = given["codes"]
        return (self.inverse(self.network.decode(codes_BN), codes_BN >= 0),)


def encode(model: Model) -> Graph:
    """Return the graph of constituents to codes."""
    given = inputs_of(model, example(model))
    inputs = {name: given[name] for name in ("features", "mask")}
    module, words = Encode(model), describe(model)

    def trials() -> Iterator[GraphTrial]:
        for batch in probes(model):
            given = inputs_of(model, batch)
            with torch.no_grad():
                yield GraphTrial({name: given[name] for name in inputs}, {"codes": module(given)[0]})

    return Graph(
        stages=(Stage(module, tuple(inputs), ("codes",)),),
        example=inputs,
        axes=AXES,
        inputs={name: words[name] for name in inputs},
        outputs={"codes": words["codes"]},
        trials=trials,
        rows_apart=1,
        words=origin(model, "encode"),
    )


def decode(model: Model) -> Graph:
    """Return the graph of codes to constituents."""
    module, words = Decode(model.network), describe(model)

    def trials() -> Iterator[GraphTrial]:
        for batch in probes(model):
            codes_BN = model.network.encode(batch)
            with torch.no_grad():
                yield GraphTrial({"codes": codes_BN}, {"features": module({"codes": codes_BN})[0]})

    return Graph(
        stages=(Stage(module, ("codes",), ("features",)),),
        example={"codes": model.network.encode(example(model))},
        axes=AXES,
        inputs={"codes": words["codes"]},
        outputs={"features": words["features"]},
        trials=trials,
        words=origin(model, "decode"),
    )
