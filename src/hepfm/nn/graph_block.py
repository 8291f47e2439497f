"""Blocks of graph networks: edges, nodes and the whole graph are updated in turn (1806.01261)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.graph_edges import GraphEdges
from hepfm.nn.layers import Layers
from hepfm.nn.linear import Linear, linear


class GraphMLP(nn.Module):
    """Linear layers of one width with ReLU between them, then LayerNorm.

    The input may be several tensors side by side. The first layer is then split into what it makes of each
    of them, so that tensors that many entries share are multiplied once.

    Parameters
    ----------
    inputs
        Size of the input, of all parts together.
    width
        Size of every layer.
    depth
        Number of linear layers, at least 2.
    dropout
        Rate on what the hidden layers return.
    """

    def __init__(self, inputs: int, width: int, *, depth: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = Linear(inputs, width)
        self.others: Layers[Linear] = Layers([Linear(width, width) for _ in range(depth - 1)])
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_SC: Tensor) -> Tensor:
        """Return the output, (S, D), of an input (S, C)."""
        return self.rest(self.first(x_SC))

    def parts(self, *sizes: int) -> tuple[Tensor, ...]:
        """Return the first layer's weights for each part of the input, (D, size) each."""
        return torch.split(self.first.weight, list(sizes), dim=1)

    def rest(self, x_SD: Tensor) -> Tensor:
        """Return the output, given what the first layer returns."""
        for layer in self.others:
            x_SD = layer(self.dropout(F.relu(x_SD)))
        out_SD: Tensor = self.norm(x_SD)
        return out_SD


class GraphBlock(nn.Module):
    """One step of message passing: edges from edge, source, target and global; nodes from the mean of the
    edges that end there, node and global; the global from the means of edges and nodes, and global.

    Parameters
    ----------
    width
        D of edges, nodes and global.
    depth
        Linear layers of each small network.
    dropout
        Rate on their hidden layers.
    """

    def __init__(self, width: int, *, depth: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = width
        self.edge = GraphMLP(4 * width, width, depth=depth, dropout=dropout)
        self.node = GraphMLP(3 * width, width, depth=depth, dropout=dropout)
        self.whole = GraphMLP(3 * width, width, depth=depth, dropout=dropout)

    def forward(
        self, edge_ED: Tensor, node_TD: Tensor, whole_BD: Tensor, edges: GraphEdges
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return new vectors of the edges (E, D), of the packed nodes (T, D) and of the graphs (B, D)."""
        size_B1 = edges.size_B[:, None]
        edge_ED = self._edges(edge_ED, node_TD, whole_BD, edges)
        sums_TD = edges.to_targets(edge_ED)
        others_T1 = (size_B1 - 1).clamp(min=1).index_select(0, edges.row_T)
        node_TD = self.node(
            torch.cat((sums_TD / others_T1, node_TD, whole_BD.index_select(0, edges.row_T)), dim=1)
        )
        edges_B1 = (size_B1 * (size_B1 - 1)).clamp(min=1)
        means = edges.to_rows(sums_TD) / edges_B1, edges.to_rows(node_TD) / size_B1.clamp(min=1)
        return edge_ED, node_TD, self.whole(torch.cat((*means, whole_BD), dim=1))

    def _edges(self, edge_ED: Tensor, node_TD: Tensor, whole_BD: Tensor, edges: GraphEdges) -> Tensor:
        of_edge, of_source, of_target, of_whole = self.edge.parts(*(4 * [self.width]))
        shared_BD = linear(whole_BD, of_whole, self.edge.first.bias)
        target_TD = linear(node_TD, of_target) + shared_BD.index_select(0, edges.row_T)
        source_TD = linear(node_TD, of_source)
        x_ED = linear(edge_ED, of_edge)
        x_ED = x_ED + target_TD.index_select(0, edges.target_E)
        return self.edge.rest(x_ED + source_TD.index_select(0, edges.source_E))
