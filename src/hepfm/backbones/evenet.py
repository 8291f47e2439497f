"""EveNet: a Point Edge Transformer of an event's objects, then gated attention with the event's globals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from hepfm.backbones.base import Backbone, Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError, did_you_mean
from hepfm.nn.attention import MultiHeadAttention, key_bias
from hepfm.nn.drop_path import DropPath
from hepfm.nn.edge_mean import EdgeMean
from hepfm.nn.feedforward import FeedForward
from hepfm.nn.gated import GatedBlock, GatedEmbedding, GatedLayer
from hepfm.nn.layers import Layers
from hepfm.nn.linear import Linear
from hepfm.nn.neighbours import Neighbours, nearest_neighbours
from hepfm.nn.packing import Packing

_ETA, _PHI, _SIN_COS = ("eta", "deta"), ("phi", "dphi"), ("sin_phi", "cos_phi")


class EveNetConfig(Config):
    """Options of `EveNet`.

    Attributes
    ----------
    width
        D, a multiple of `num_heads` and of `encoder_heads`.
    depth, local_depth, encoder_depth
        Blocks of attention between objects; layers over the neighbours of every object; blocks of the
        encoder, which sees the event's globals.
    num_heads, encoder_heads
        Attention heads of the blocks and of the encoder.
    encoder_layers
        Gated layers of each token before the encoder's attention.
    num_neighbours
        K.
    type_width
        Size of the learned vector that tells objects from globals.
    layer_scale
        Start of the factors of both branches of a block.
    dropout
        Rate on attention weights and hidden activations; also the probability of leaving out, for a row, a
        branch of a block (stochastic depth), and all features of the objects in their embedding, which local
        layers still read. All 0.1 as published.
    standardised_neighbours
        Whether the first neighbours are near in standardised eta and phi, where phi has a seam, as published,
        in place of physical ones.
    normal_scores
        Features that are uniform, standardised to mean 0 and standard deviation 1, and read as the normal
        variable of the same rank: phi in the published networks.
    """

    width: PositiveInt = 256
    depth: PositiveInt = 16
    local_depth: PositiveInt = 10
    encoder_depth: PositiveInt = 2
    num_heads: PositiveInt = 16
    encoder_heads: PositiveInt = 8
    encoder_layers: PositiveInt = 2
    num_neighbours: PositiveInt = 3
    type_width: PositiveInt = 32
    layer_scale: Annotated[float, Field(gt=0)] = 1e-5
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    standardised_neighbours: bool = False
    normal_scores: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> EveNetConfig:
        for name in ("num_heads", "encoder_heads"):
            if self.width % getattr(self, name):
                raise ValueError(f"width {self.width} is not a multiple of {name} {getattr(self, name)}")
        return self


class EveNet(Backbone):
    """EveNet's body (2601.17126): Point Edge Transformer, then the object encoder.

    Objects are embedded from all features, local layers over nearest neighbours are added, blocks of
    attention follow. The encoder then lets objects, the prefix (the event's globals) and a learned event
    token see each other, through gates. Neighbours are near in pseudorapidity and azimuth at first, in the
    features of the layer before from then on. Four-momenta are not read.

    `pooled_BD` is the event token, `registers_BKD` the event token and the prefix as they leave the encoder.

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of an object; a pseudorapidity and an azimuth, or its sine and cosine, among them.
    """

    Config: ClassVar[type[Config]] = EveNetConfig
    supports = frozenset({"prefix"})
    own_parts = frozenset({"embedding", "local"})
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"width": 32, "depth": 3, "local_depth": 2, "num_heads": 4, "encoder_heads": 4},
        "s": {"width": 128, "depth": 6, "local_depth": 3, "num_heads": 8},
        "20M": {},
        "100M": {"width": 512, "depth": 20, "num_heads": 32, "encoder_heads": 16},
    }

    def __init__(self, config: EveNetConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.width = width = config.width
        self.eta, self.phi = _position(feature_names)
        self.scored = _columns(config.normal_scores, feature_names)
        self.embedding = nn.Sequential(
            Linear(len(feature_names), 2 * width), nn.GELU(), Linear(2 * width, width), nn.GELU()
        )
        sizes = [len(feature_names), *([width] * config.local_depth)]
        self.local: Layers[EdgeMean] = Layers([EdgeMean(a, b) for a, b in pairwise(sizes)])
        self.blocks: Layers[EveNetBlock] = Layers([EveNetBlock(config) for _ in range(config.depth)])
        self.encoder = ObjectEncoder(config)

    def context_network(self, num_context: int) -> nn.Sequential:
        """Return the embedding of the event's globals; see `Backbone.context_network`."""
        return GatedEmbedding(num_context, self.width, dropout=self.config.dropout)

    def embed(self, x_BNF: Tensor, mask_BN: Tensor, *, physical_BNF: Tensor | None = None) -> Tensor:
        """Return each object's vector, local features included; see `Backbone.embed`."""
        x_BNF = self._scored(x_BNF)
        packing = Packing.of(mask_BN)
        x_TF = packing.pack(x_BNF)
        h_TD: Tensor = self.embedding(self._dropped(x_TF, packing))
        physical_BNF = x_BNF if physical_BNF is None or self.config.standardised_neighbours else physical_BNF
        return packing.unpack(h_TD + self._local(x_TF, self._points(physical_BNF), packing))

    def _scored(self, x_BNF: Tensor) -> Tensor:
        if not self.scored:
            return x_BNF
        root = math.sqrt(3.0)
        rank = (x_BNF[..., self.scored] + root) / (2 * root)
        scores = torch.special.ndtri(rank.clamp(1e-6, 1 - 1e-6))
        return x_BNF.index_copy(-1, torch.tensor(self.scored, device=x_BNF.device), scores.to(x_BNF.dtype))

    def _dropped(self, x_TF: Tensor, packing: Packing) -> Tensor:
        rate = self.config.dropout if self.training else 0.0
        if rate == 0.0:
            return x_TF
        mask_BN = packing.mask_BN
        kept_B11 = (torch.rand(mask_BN.shape[0], 1, 1, device=mask_BN.device) >= rate).to(x_TF.dtype)
        return x_TF * packing.pack(kept_B11.expand(*mask_BN.shape, 1))

    def _points(self, values_BNF: Tensor) -> Tensor:
        eta_BN, phi = values_BNF[..., self.eta], values_BNF[..., self.phi]
        phi_BN = phi[..., 0] if len(self.phi) == 1 else torch.atan2(phi[..., 0], phi[..., 1])
        return torch.stack((eta_BN, phi_BN), dim=-1)

    def _local(self, x_TC: Tensor, points_BN2: Tensor, packing: Packing) -> Tensor:
        num, periodic = self.config.num_neighbours, not self.config.standardised_neighbours
        neighbours: Neighbours | None = None
        for layer in self.local:
            if neighbours is None:
                neighbours = nearest_neighbours(points_BN2, packing, num, periodic=periodic)
            else:
                neighbours = nearest_neighbours(packing.unpack(x_TC), packing, num)
            x_TC = layer(x_TC, neighbours, packing)
        return x_TC

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
        """Return objects, event token and globals; see `Backbone.encode`. Four-momenta are not used."""
        packing = Packing.of(mask_BN)
        h_TD = packing.pack(h_BND)
        x_TD, bias = h_TD, key_bias(mask_BN, h_TD.dtype)
        for block in self.blocks:
            x_TD = block(x_TD, packing, bias)
        return self.encoder(packing.unpack(x_TD + h_TD), mask_BN, prefix_BKD)

    def layers(self) -> list[list[nn.Parameter]]:
        """Return everything before the blocks, each block, then the encoder."""
        first = [*self.embedding.parameters(), *self.local.parameters()]
        return [first, *(list(block.parameters()) for block in self.blocks), list(self.encoder.parameters())]


class EveNetBlock(nn.Module):
    """LayerNorm and attention, then LayerNorm and feed-forward, each scaled and added (2103.17239).

    Parameters
    ----------
    config
        Options of the backbone.
    """

    def __init__(self, config: EveNetConfig) -> None:
        super().__init__()
        width, dropout = config.width, config.dropout
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, num_heads=config.num_heads, dropout=dropout)
        self.feedforward_norm = nn.LayerNorm(width)
        self.feedforward = FeedForward(width, ratio=2, dropout=dropout)
        self.scale_2D = nn.Parameter(torch.full((2, width), config.layer_scale))
        self.drop_path = DropPath(dropout)

    def forward(self, x_TD: Tensor, packing: Packing, bias: Tensor) -> Tensor:
        """Return packed objects after the block, (T, D); `bias` is added to the attention logits."""
        branch_TD = self.attention.packed(self.attention_norm(x_TD), packing, bias) * self.scale_2D[0]
        x_TD = x_TD + self.drop_path.packed(branch_TD, packing)
        branch_TD = self.feedforward(self.feedforward_norm(x_TD)) * self.scale_2D[1]
        return x_TD + self.drop_path.packed(branch_TD, packing)


class ObjectEncoder(nn.Module):
    """Objects, globals and an event token, which see each other through gated blocks.

    The LayerNorm and the feed-forward part between the blocks are one for all of them, as published.

    Parameters
    ----------
    config
        Options of the backbone.
    """

    def __init__(self, config: EveNetConfig) -> None:
        super().__init__()
        width, dropout = config.width, config.dropout
        self.kinds_2K = nn.Parameter(torch.randn(2, config.type_width))
        self.event_D = nn.Parameter(torch.randn(width))
        self.combine = GatedLayer(width + config.type_width, width, ratio=1, gate=False)
        self.layers: Layers[GatedLayer] = Layers(
            [GatedLayer(width, width, dropout=dropout) for _ in range(config.encoder_layers)]
        )
        self.blocks: Layers[GatedBlock] = Layers(
            [
                GatedBlock(width, num_heads=config.encoder_heads, dropout=dropout)
                for _ in range(config.encoder_depth)
            ]
        )
        self.norm = nn.LayerNorm(width)
        self.feedforward = FeedForward(width, ratio=2, dropout=dropout)

    def forward(self, x_BND: Tensor, mask_BN: Tensor, prefix_BKD: Tensor | None) -> Features:
        """Return what is known of objects and event.

        Parameters
        ----------
        x_BND
            Objects.
        mask_BN
            Which are real.
        prefix_BKD
            Tokens of the globals, None without any.
        """
        # Not len(): it would fix the number of rows in an exported file.
        rows, num = mask_BN.shape[0], 0 if prefix_BKD is None else prefix_BKD.shape[1]
        both = x_BND if prefix_BKD is None else torch.cat((prefix_BKD.to(x_BND.dtype), x_BND), dim=1)
        real = Packing.of(F.pad(mask_BN, (num, 0), value=True))
        kind_B_K = self.kinds_2K[(torch.arange(both.shape[1], device=mask_BN.device) < num).long()]
        tokens = torch.cat((both, kind_B_K.to(both.dtype).expand(rows, -1, -1)), dim=-1)
        y_TD = self.combine(real.pack(tokens))
        for layer in self.layers:
            y_TD = layer(y_TD)
        event_B1D = self.event_D.to(y_TD.dtype).expand(rows, 1, -1)
        seen = Packing.of(F.pad(mask_BN, (num + 1, 0), value=True))
        y_TD = seen.pack(torch.cat((event_B1D, real.unpack(y_TD)), dim=1))
        bias = key_bias(seen.mask_BN, y_TD.dtype)
        for block in self.blocks:
            y_TD = y_TD + block.packed(y_TD, seen, bias)
            y_TD = y_TD + self.feedforward(self.norm(y_TD))
        y_BMD = seen.unpack(y_TD)
        registers_BLD = y_BMD[:, : num + 1]
        return Features(y_BMD[:, num + 1 :] * mask_BN[..., None], registers_BLD[:, 0], registers_BLD)


def _position(names: Sequence[str]) -> tuple[int, list[int]]:
    """Return the positions of pseudorapidity and azimuth, or its sine and cosine, among the features."""
    eta = [names.index(name) for name in _ETA if name in names]
    phi = [[names.index(name)] for name in _PHI if name in names]
    if set(_SIN_COS) <= set(names):
        phi.append([names.index(name) for name in _SIN_COS])
    if not eta or not phi:
        raise IncompatibleError(
            "the evenet backbone finds neighbours in pseudorapidity and azimuth, and the features "
            f"{', '.join(names)} have no {' or '.join(_ETA)} with {' or '.join(_PHI)} or "
            f"{' and '.join(_SIN_COS)}; use the feature set event or one of jets with angles"
        )
    return eta[0], phi[0]


def _columns(wanted: Sequence[str], names: Sequence[str]) -> list[int]:
    for name in wanted:
        if name not in names:
            raise IncompatibleError(
                f"normal_scores of the evenet backbone: no feature {name!r}{did_you_mean(name, names)}"
            )
    return [names.index(name) for name in wanted]
