"""The graph network of events, forward and backward, against a plain one on padded matrices of pairs.

    python benchmarks/bench_event_graph.py

The plain network has the same weights and gives the same numbers (the test of the backbone compares them): it
is written with what torch has, on (B, N, N) pairs with a mask, as one would write it down.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import frame
import numpy as np
import torch
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.backbones.event_graph import EventGraph
from hepfm.core.config import resolve_component
from hepfm.nn.graph_block import GraphBlock, GraphMLP

FEATURES = ("log_pt", "eta", "sin_phi", "cos_phi", "log_energy", "charge", "b_tag")


def draw(lengths: Sequence[int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return features (B, N, F) and mask (B, N) of events of so many objects."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    x = torch.randn(*mask.shape, len(FEATURES), generator=generator)
    phi = torch.rand(mask.shape, generator=generator) * 6.2
    x[..., 2], x[..., 3] = phi.sin(), phi.cos()
    return x * mask[..., None], mask


def plain(network: EventGraph, x: Tensor, mask: Tensor) -> Tensor:
    """Return the decoded global, (B, D), computed on all pairs."""
    length = mask.shape[1]
    pair = mask[:, :, None] & mask[:, None, :] & ~torch.eye(length, dtype=torch.bool)
    deta = x[:, None, :, 1] - x[:, :, None, 1]
    phi = torch.atan2(x[..., 2], x[..., 3])
    dphi = phi[:, None, :] - phi[:, :, None]
    dphi = torch.atan2(dphi.sin(), dphi.cos())
    edge = mlp(network.edge_encoder, torch.stack((deta, dphi, torch.hypot(deta, dphi)), -1))
    node = mlp(network.embedding, x)
    whole = mlp(network.global_encoder, mask.sum(1, keepdim=True).to(x.dtype).log1p())
    blocks: list[GraphBlock] = list(network.blocks)
    for step in range(network.config.steps):
        block = blocks[step % len(blocks)]
        shape = (-1, length, length, -1)
        parts = (edge, node[:, None].expand(*shape), node[:, :, None].expand(*shape))
        edge = mlp(block.edge, torch.cat((*parts, whole[:, None, None].expand(*shape)), -1))
        around = mean(edge, pair, 2)
        node = mlp(block.node, torch.cat((around, node, whole[:, None].expand(-1, length, -1)), -1))
        means = mean(edge.flatten(1, 2), pair.flatten(1), 1), mean(node, mask, 1)
        whole = mlp(block.whole, torch.cat((*means, whole), -1))
    return mlp(network.decoder, whole)


def mlp(network: GraphMLP, x: Tensor) -> Tensor:
    """Return what a small network makes of the last dimension."""
    x = torch.nn.functional.linear(x, network.first.weight, network.first.bias)
    for layer in network.others:
        x = torch.nn.functional.linear(x.relu(), layer.weight, layer.bias)
    out: Tensor = network.norm(x)
    return out


def mean(x: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Return the mean over one dimension of what is in the mask."""
    return (x * mask[..., None]).sum(dim) / mask.sum(dim).clamp(min=1)[..., None]


def step(network: Callable[[], Tensor]) -> float:
    """Return the seconds of a pass forward and backward."""

    def work() -> None:
        torch.autograd.backward(network().square().sum())

    return frame.timed(work).wall


def build(size: str) -> EventGraph:
    """Return a network."""
    component = resolve_component(BACKBONES, {"name": "event_graph", "size": size}, where="benchmark")
    torch.manual_seed(0)
    network: EventGraph = component.cls(component.config, feature_names=FEATURES)
    return network


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return seconds of forward and backward passes of a batch by size of the network, and their ratio."""
    rows, sizes = (8, ("xs",)) if options.toy else (1024, ("s", "m"))
    lengths = np.clip(np.random.default_rng(0).poisson(8.0, rows), 3, 16).tolist()
    x, mask = draw(lengths)
    found: dict[str, Any] = {}
    result: dict[str, Any] = {
        "what": "event_graph, forward + backward, float32",
        "peer": None,
        "events": rows,
        "objects": {"mean": float(np.mean(lengths)), "padded to": max(lengths)},
    }
    for size in sizes:
        network = build(size)

        def ours(_: int, network: EventGraph = network) -> float:
            return step(lambda: network(x, mask).pooled_BD)

        def theirs(_: int, network: EventGraph = network) -> float:
            return step(lambda: plain(network, x, mask))

        cases = {"plain": theirs, "hepfm": ours}
        samples = frame.take_turns(cases, repeats=options.repeats, warmup=1)
        found[size] = {
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "seconds": {name: frame.spread(values) for name, values in samples.items()},
            "ratio": frame.ratio_of_medians(samples),
        }
    return {**result, "sizes": found}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the results."""
    frame.main(str(__doc__), "event_graph", measure, arguments=arguments)


if __name__ == "__main__":
    main()
