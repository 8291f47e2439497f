"""The fully connected graph network of the pre-trained event classification model (2412.10665)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Backbone, Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.nn.graph_block import GraphBlock, GraphMLP
from hepfm.nn.graph_edges import GraphEdges, geometry
from hepfm.nn.layers import Layers
from hepfm.nn.packing import Packing
from hepfm.nn.precision import at_least_single
from hepfm.nn.tracing import is_traced

AXES = (("eta", "sin_phi", "cos_phi"), ("deta", "dphi"))
"""Columns that tell where a constituent is, of events and of jets."""
_ROWS = 64
"""Rows that pass together on a CPU: the vectors of their edges then stay in its cache."""


class EventGraphConfig(Config):
    """Options of `EventGraph`; the defaults are the published configuration with shared weights.

    Attributes
    ----------
    width
        D of nodes, edges and global.
    steps
        P, the number of processing steps.
    layers
        Linear layers of each small network.
    shared
        Whether all steps have the same weights.
    dropout
        Rate on the hidden layers of the small networks.
    """

    width: PositiveInt = 64
    steps: PositiveInt = 4
    layers: Annotated[int, Field(ge=2)] = 4
    shared: bool = True
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class EventGraph(Backbone):
    """Graph network in which every constituent of a row is connected with every other.

    Nodes are the constituents, edges have their distances d eta, d phi and dR, and the global starts from the
    number of constituents; encoders, P processing steps (`hepfm.nn.graph_block.GraphBlock`) and a decoder of
    the global, which is `pooled_BD`. Tokens in front of a row are added to the encoded global. With seven
    features and a linear layer to twelve classes there are 135,244 parameters, or 372,172 without shared
    weights (size ``"m"``).

    It reads the columns ``eta``, ``sin_phi`` and ``cos_phi``, or ``deta`` and ``dphi``, in physical units. It
    always works in single precision: many layers without shortcuts add up what bfloat16 rounds.

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent.

    Raises
    ------
    IncompatibleError
        When no columns tell where a constituent is.
    """

    Config: ClassVar[type[Config]] = EventGraphConfig
    supports = frozenset({"prefix", "embedding"})
    of_pairs = frozenset({"edge_encoder"})
    own_parts = frozenset({"embedding"})
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"width": 32, "steps": 2, "layers": 3},
        "s": {},
        "m": {"shared": False},
    }

    def __init__(self, config: EventGraphConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.width = width = config.width
        self.axes = _axes(feature_names)
        options: dict[str, Any] = {"depth": config.layers, "dropout": config.dropout}
        self.embedding: nn.Module = GraphMLP(len(feature_names), width, **options)
        self.edge_encoder = GraphMLP(3, width, **options)
        self.global_encoder = GraphMLP(1, width, **options)
        blocks = 1 if config.shared else config.steps
        self.blocks: Layers[GraphBlock] = Layers([GraphBlock(width, **options) for _ in range(blocks)])
        self.decoder = GraphMLP(width, width, **options)

    def embed(self, x_BNF: Tensor, mask_BN: Tensor, *, physical_BNF: Tensor | None = None) -> Tensor:
        """Return the encoded nodes; see `Backbone.embed`."""
        packing = Packing.of(mask_BN)
        with torch.autocast(x_BNF.device.type, enabled=False):
            return packing.unpack(self.embedding(packing.pack(at_least_single(x_BNF))))

    def replace_embedding(self, embedding: nn.Module) -> None:
        """Put another module in place of the embedding."""
        self.embedding = embedding

    def encode(
        self,
        h_BND: Tensor,
        mask_BN: Tensor,
        p4_BN4: Tensor | None = None,
        *,
        physical_BNF: Tensor | None = None,
        prefix_BKD: Tensor | None = None,
        causal: bool = False,
    ) -> Features:
        """Return the nodes after the last step and the decoded global; see `Backbone.encode`.

        Rows pass in parts, of which none depends on another.
        """
        assert physical_BNF is not None
        h_BND = at_least_single(h_BND)
        whole = h_BND, mask_BN, self._place(at_least_single(physical_BNF)), self._start(mask_BN, prefix_BKD)
        at_once = is_traced() or h_BND.device.type != "cpu" or h_BND.shape[0] <= _ROWS
        with torch.autocast(h_BND.device.type, enabled=False):
            if at_once:
                return Features(*self._encode(*whole))
            parts = [
                self._encode(*part) for part in zip(*(torch.split(x, _ROWS) for x in whole), strict=True)
            ]
        return Features(torch.cat([nodes for nodes, _ in parts]), torch.cat([pooled for _, pooled in parts]))

    def _start(self, mask_BN: Tensor, prefix_BKD: Tensor | None) -> Tensor:
        """Return the encoded globals, (B, D)."""
        with torch.autocast(mask_BN.device.type, enabled=False):
            number_B1 = mask_BN.sum(1, keepdim=True).to(self.decoder.norm.weight.dtype)
            whole_BD: Tensor = self.global_encoder(number_B1.log1p())
        return whole_BD if prefix_BKD is None else whole_BD + at_least_single(prefix_BKD).sum(1)

    def _encode(
        self, h_BND: Tensor, mask_BN: Tensor, place_BN3: Tensor, whole_BD: Tensor
    ) -> tuple[Tensor, Tensor]:
        packing = Packing.of(mask_BN)
        edges = GraphEdges.of(packing)
        place_T3 = packing.pack(place_BN3)
        edge_ED = self.edge_encoder(geometry(place_T3[:, 0], place_T3[:, 1:], edges))
        node_TD = packing.pack(h_BND)
        for block in self._steps():
            edge_ED, node_TD, whole_BD = block(edge_ED, node_TD, whole_BD, edges)
        return packing.unpack(node_TD) * mask_BN[..., None], self.decoder(whole_BD)

    def _steps(self) -> list[GraphBlock]:
        blocks = list(self.blocks)
        return blocks * self.config.steps if self.config.shared else blocks

    def _place(self, physical_BNF: Tensor) -> Tensor:
        """Return eta and sine and cosine of the azimuth, (B, N, 3)."""
        columns = physical_BNF[..., self.axes].unbind(-1)
        if len(columns) == len(AXES[0]):
            return torch.stack(columns, dim=-1)
        return torch.stack((columns[0], columns[1].sin(), columns[1].cos()), dim=-1)

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the encoders, each step (all of them together where they share weights), the decoder."""
        encoders = nn.ModuleList([self.embedding, self.edge_encoder, self.global_encoder])
        return [list(part.parameters()) for part in (encoders, *self.blocks, self.decoder)]


def _axes(names: Sequence[str]) -> list[int]:
    """Return the positions of the columns of the first of `AXES` that is there."""
    for axes in AXES:
        if all(name in names for name in axes):
            return [list(names).index(name) for name in axes]
    choices = " or ".join(", ".join(axes) for axes in AXES)
    raise IncompatibleError(
        f"the event_graph backbone needs the features {choices}, for the distances of its edges, and there "
        f"are {', '.join(names)}; use a feature set that has them, e.g. event or kin"
    )
