"""L-GATr-slim: attention and gated layers of vectors and scalars (2512.17011)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import PositiveInt
from torch import Tensor

from hepfm.backbones.equivariant import EquivariantBackbone, EquivariantConfig, add_biases, lgatr_package
from hepfm.core.config import Config
from hepfm.nn.equivariant import PackedAttention, State, run_slim


class LGATrSlimConfig(EquivariantConfig):
    """Options of `LGATrSlim`; the defaults are those of the published tagger.

    Attributes
    ----------
    vector_channels
        Number of vectors of a token.
    attention_ratio, feedforward_ratio
        Hidden channels of attention and feed-forward parts over those of a token.
    vector_gate
        Activation of the gates of vectors; version 1.4 of the package had ``"gelu"``, as for scalars.
    """

    width: PositiveInt = 96
    vector_channels: PositiveInt = 32
    attention_ratio: PositiveInt = 1
    feedforward_ratio: PositiveInt = 4
    vector_gate: Literal["gelu", "sigmoid"] = "gelu"


class LGATrSlim(EquivariantBackbone):
    """L-GATr-slim, a network of package ``lgatr``; see `EquivariantBackbone`.

    `pooled_BD` is the row's token. The size ``"s"`` is the published tagger; ``"100k"``, ``"10k"`` and
    ``"1k"`` are the published small ones, named after their number of weights.
    """

    Config: ClassVar[type[Config]] = LGATrSlimConfig
    config: LGATrSlimConfig
    name = "lgatr_slim"
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"width": 32, "depth": 3, "num_heads": 4, "vector_channels": 8, "feedforward_ratio": 2},
        "s": {},
        "m": {"width": 192, "vector_channels": 64},
        "1k": {"width": 16, "depth": 1, "num_heads": 4, "vector_channels": 4, "feedforward_ratio": 1},
        "10k": {"width": 32, "depth": 2, "vector_channels": 8, "feedforward_ratio": 1},
        "100k": {"width": 64, "depth": 4, "vector_channels": 16, "feedforward_ratio": 1},
    }

    def __init__(self, config: LGATrSlimConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__(config, feature_names=feature_names)
        package = lgatr_package()
        self.net = package.LGATrSlim(
            num_blocks=config.depth,
            in_v_channels=1,
            out_v_channels=config.num_vectors,
            hidden_v_channels=config.vector_channels,
            in_s_channels=config.width,
            out_s_channels=config.width,
            hidden_s_channels=config.width,
            num_heads=config.num_heads,
            nonlinearity_v=config.vector_gate,
            mlp_ratio=config.feedforward_ratio,
            attn_ratio=config.attention_ratio,
            dropout_prob=config.dropout or None,
            norm_elementwise_affine=config.norm_gain,
        )
        if config.qkv_bias:
            add_biases(*(block.attention.linear_in.linear_s for block in self.net.blocks))
        beam = None if config.beam == "none" else config.beam
        references_R16 = package.get_spurions(beam_spurion=beam, add_time_spurion=config.time)
        self.register_buffer("references_RC", package.extract_vector(references_R16), persistent=False)

    def _read(self, momenta_BN4: Tensor) -> Tensor:
        return momenta_BN4

    def _run(self, state: State, attend: PackedAttention) -> State:
        v_4TV, s_TD = run_slim(self.net, (state[0].T[..., None], state[1]), attend)
        return v_4TV.permute(1, 2, 0), s_TD
