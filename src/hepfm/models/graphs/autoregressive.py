"""Uniform numbers to rows, token by token, with the whole loop within the graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hepfm.core.batch import Batch
from hepfm.core.rng import torch_generator
from hepfm.generators.autoregressive import Autoregressive, AutoregressiveConfig, draw
from hepfm.models.directory import Model
from hepfm.models.graphs.codes import Decode
from hepfm.models.graphs.graph import PLACE, Graph, GraphTrial, Stage, Tensors
from hepfm.models.graphs.rows import AXES, LONGEST, describe, origin, probe
from hepfm.models.graphs.sampling import label_words, labels_of
from hepfm.networks.network import Network
from hepfm.tokenizers.base import PADDING

_UNIFORM = "uniform"


class Start(nn.Module):
    """Rows without any token."""

    def forward(self, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return them, int64 (B, T), all padding."""
        return (torch.full_like(given[_UNIFORM], PADDING, dtype=torch.int64),)


class NextTokenGraph(nn.Module):
    """Rows with one token more, if they have not stopped.

    The backbone sees the whole row again, as in training: without the cache of `Network.generate`, whose
    growing shapes the formats do not hold.

    Parameters
    ----------
    network
        The network.
    generator
        Its generator.
    config
        How tokens are drawn.
    """

    def __init__(self, network: Network, generator: Autoregressive, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.network, self.generator, self.config = network, generator, config

    def forward(self, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the tokens, int64 (B, T), with those of this place."""
        codes_BT, place_1 = given["codes"], given[PLACE].view(1)
        logits_BC = self._logits(given, place_1)
        uniform_B = given[_UNIFORM].index_select(1, place_1)[:, 0]
        drawn_B = draw(logits_BC, uniform_B, self.config)
        is_alive_B = (codes_BT >= 0).sum(1) == place_1
        stops_B = ~is_alive_B | (drawn_B == self.generator.vocabulary.stop)
        here_T = torch.arange(codes_BT.shape[1], device=codes_BT.device) == place_1
        return (torch.where(here_T, drawn_B.masked_fill(stops_B, PADDING)[:, None], codes_BT),)

    def _logits(self, given: Mapping[str, Tensor], place_1: Tensor) -> Tensor:
        """Return the logits of what stands at a place; no row stops before its first constituent."""
        codes_BT = given["codes"]
        mask_BT = codes_BT >= 0
        batch = Batch(
            torch.zeros((*mask_BT.shape, len(self.network.feature_names)), device=codes_BT.device),
            mask_BT,
            torch.zeros_like(codes_BT[:, 0]),
            context_BC=given.get("context"),
        )
        generator = self.generator
        hidden = generator.num_classes
        label_B = labels_of(given, like=codes_BT) if hidden else torch.zeros_like(codes_BT[:, 0])
        features = self.network.features(
            batch, codes_BN=codes_BT, prefix_BKD=generator.starts(label_B)[:, None], causal=True
        )
        before_BD = generator.before(features).index_select(1, place_1)[:, 0]
        logits_BC: Tensor = generator.linear(before_BD).float()
        is_stop_C = torch.arange(logits_BC.shape[1], device=codes_BT.device) == generator.vocabulary.stop
        return logits_BC.masked_fill(is_stop_C & (place_1 == 0), -math.inf)


def generate(model: Model, generator: Autoregressive, config: AutoregressiveConfig) -> Graph:
    """Return the graph of rows drawn by uniform numbers."""
    inputs = _replay(model, generator, config, 4, seed=0).inputs
    label = tuple(name for name in ("label",) if name in inputs)
    context = tuple(name for name in ("context",) if name in inputs)
    step = NextTokenGraph(model.network, generator, config)
    words = {**describe(model), **label_words(model), _UNIFORM: _uniform_words(generator)}

    def trials() -> Iterator[GraphTrial]:
        for rows, seed in ((2, 1), (24, 2)):
            yield _replay(model, generator, config, rows, seed=seed)

    return Graph(
        stages=(
            Stage(Start(), (_UNIFORM,), ("codes",)),
            Stage(step, ("codes", _UNIFORM, *context, *label), ("codes",), times=(_UNIFORM, 1)),
            Stage(Decode(model.network, within=True), ("codes",), ("features",)),
        ),
        example=inputs,
        axes={**AXES, _UNIFORM: {0: "batch", 1: "constituents"}},
        inputs={name: words[name] for name in inputs},
        outputs={name: words[name] for name in ("features", "codes")},
        trials=trials,
        rows_apart=1,
        words={
            **origin(model, "generate"),
            "generator": {"name": "autoregressive", **config.model_dump(mode="json")},
        },
    )


def _uniform_words(generator: Autoregressive) -> dict[str, Any]:
    return {
        "shape": ["batch", "constituents"],
        "type": "float32",
        "values": "uniform in [0, 1)",
        "size": f"as many constituents as a row may have, {generator.max_constituents} at most",
    }


@torch.no_grad()
def _replay(
    model: Model, generator: Autoregressive, config: AutoregressiveConfig, rows: int, *, seed: int
) -> GraphTrial:
    """Return what `Network.generate` makes, with the random numbers that it draws, up to some length.

    What stands in a row's first places does not depend on how long the row may be.
    """
    length = min(generator.max_constituents, LONGEST)
    label_B = torch.arange(rows) % (generator.num_classes + 1)
    context_BC = None
    if model.context is not None:
        context_BC = probe(model, [3] * rows, size=3, seed=seed).context_BC
    draws = torch_generator(seed, "export")
    made = model.network.generate(label_B, context_BC, draws, options=config)
    shape = (rows, generator.max_constituents)
    uniform_BT = torch.rand(shape, generator=torch_generator(seed, "export"))[:, :length]
    inputs: Tensors = {_UNIFORM: uniform_BT.contiguous()}
    if generator.num_classes:
        inputs["label"] = label_B
    if context_BC is not None:
        inputs["context"] = context_BC
    return GraphTrial(inputs, {"features": _of_length(model, made.x_BNF, made.mask_BN, length)})


def _of_length(model: Model, x_BNF: Tensor, mask_BN: Tensor, length: int) -> Tensor:
    """Return physical features cut or padded to a length, (B, length, F)."""
    features_BNF = model.network.standardize.inverse_within(x_BNF, mask_BN)[:, :length]
    return nn.functional.pad(features_BNF, (0, 0, 0, length - features_BNF.shape[1]))
