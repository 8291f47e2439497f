"""The graph network of events: published sizes, and the same numbers as loops over pairs."""

from __future__ import annotations

import math

import pytest
import torch
from builders import built, mask_of
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.backbones.event_graph import EventGraph
from hepfm.core.errors import IncompatibleError
from hepfm.nn.graph_block import GraphMLP
from hepfm.nn.graph_edges import GraphEdges, geometry
from hepfm.nn.packing import Packing

FEATURES = ("log_pt", "eta", "sin_phi", "cos_phi", "log_energy", "charge", "b_tag")


def build(features: tuple[str, ...] = FEATURES, **options: object) -> EventGraph:
    network = built(BACKBONES, {"name": "event_graph", **options}, feature_names=features)
    assert isinstance(network, EventGraph)
    return network.double()


def events(counts: list[int], seed: int = 1) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    mask = mask_of(counts)
    x = torch.randn(*mask.shape, len(FEATURES), generator=draw, dtype=torch.float64)
    phi = (2 * torch.rand(mask.shape, generator=draw, dtype=torch.float64) - 1) * math.pi
    x[..., 2], x[..., 3] = phi.sin(), phi.cos()
    return x * mask[..., None], mask


def mlp(network: GraphMLP, *parts: Tensor) -> Tensor:
    x = network.first(torch.cat(parts))
    for layer in network.others:
        x = layer(x.relu())
    out: Tensor = network.norm(x)
    return out


def by_hand(network: EventGraph, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return nodes and decoded global of one event, edge by edge."""
    n, phi = len(x), torch.atan2(x[:, 2], x[:, 3])
    nodes = [mlp(network.embedding, one) for one in x]
    edges = {}
    for i in range(n):
        for j in range(n):
            if i != j:
                dphi = (phi[j] - phi[i] + math.pi) % (2 * math.pi) - math.pi
                deta = x[j, 1] - x[i, 1]
                inputs = torch.stack((deta, dphi, (deta**2 + dphi**2).sqrt()))
                edges[i, j] = mlp(network.edge_encoder, inputs)
    whole = mlp(network.global_encoder, torch.tensor([math.log(1 + n)], dtype=x.dtype))
    zero = torch.zeros(network.width, dtype=x.dtype)
    blocks = list(network.blocks)
    for step in range(network.config.steps):
        block = blocks[step % len(blocks)]
        edges = {(i, j): mlp(block.edge, e, nodes[j], nodes[i], whole) for (i, j), e in edges.items()}
        into = [[e for (i, _), e in edges.items() if i == k] for k in range(n)]
        around = [torch.stack(each).mean(0) if each else zero for each in into]
        nodes = [mlp(block.node, a, h, whole) for a, h in zip(around, nodes, strict=True)]
        means = [torch.stack(list(all_)).mean(0) if all_ else zero for all_ in (edges.values(), nodes)]
        whole = mlp(block.whole, *means, whole)
    return torch.stack(nodes) if nodes else x.new_zeros(0, network.width), mlp(network.decoder, whole)


@pytest.mark.parametrize("shared", [True, False])
def test_it_is_what_loops_over_pairs_give(shared: bool) -> None:
    counts = [5, 1, 0, 2] * 20  # more rows than pass together
    x, mask = events(counts)
    network = build(size="xs", shared=shared, steps=3)
    features = network(x, mask)
    for row, count in enumerate(counts[:5]):
        nodes, pooled = by_hand(network, x[row, :count])
        torch.testing.assert_close(features.tokens_BND[row, :count], nodes)
        torch.testing.assert_close(features.pooled_BD[row], pooled)
    last = network(x[-3:], mask[-3:])
    torch.testing.assert_close(features.pooled_BD[-3:], last.pooled_BD)


@pytest.mark.parametrize(("size", "number"), [("s", 135_244), ("m", 372_172)])
def test_the_numbers_of_parameters_are_those_of_the_published_configuration(size: str, number: int) -> None:
    """4 linear layers of width 64 and a LayerNorm in each small network, 4 steps, 12 processes."""
    network = build(size=size)
    assert sum(weight.numel() for weight in network.parameters()) + 64 * 12 + 12 == number


def test_azimuths_are_differences_on_a_circle() -> None:
    mask = mask_of([2])
    eta, phi = torch.tensor([0.5, -0.5]), torch.tensor([3.0, -3.0])
    edges = GraphEdges.of(Packing.of(mask))
    place = Packing.of(mask).pack(torch.stack((eta, phi.sin(), phi.cos()), -1)[None])
    deta, dphi, distance = geometry(place[:, 0], place[:, 1:], edges)[: edges.count].unbind(1)
    torch.testing.assert_close(deta, torch.tensor([-1.0, 1.0]))
    torch.testing.assert_close(dphi, torch.tensor([1.0, -1.0]) * (2 * math.pi - 6.0))
    torch.testing.assert_close(distance, torch.full((2,), math.hypot(1.0, 2 * math.pi - 6.0)))


def test_another_origin_of_the_azimuth_changes_the_nodes_alone() -> None:
    x, mask = events([6])
    turned = x.clone()
    turned[..., 2], turned[..., 3] = x[..., 3], -x[..., 2]
    network = build(size="xs")
    h = network.embed(x, mask)
    same, other = (network.encode(h, mask, physical_BNF=physical) for physical in (x, turned))
    torch.testing.assert_close(same.pooled_BD, other.pooled_BD)
    moved = x.clone()
    moved[0, 0, 1] += 0.5
    pooled = network.encode(h, mask, physical_BNF=moved).pooled_BD
    assert pooled is not None
    assert same.pooled_BD is not None
    assert not torch.allclose(pooled, same.pooled_BD)


def test_features_that_tell_no_place_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="eta, sin_phi, cos_phi or deta, dphi"):
        build(features=("log_pt", "log_energy", "deta"))
