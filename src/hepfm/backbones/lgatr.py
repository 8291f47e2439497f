"""L-GATr: a transformer of multivectors of the space-time algebra and scalars (2405.14806)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import PositiveInt, model_validator
from torch import Tensor

from hepfm.backbones.equivariant import EquivariantBackbone, EquivariantConfig, add_biases, lgatr_package
from hepfm.core.config import Config
from hepfm.nn.dual_pairs import Algebra
from hepfm.nn.equivariant import PackedAttention, State
from hepfm.nn.multivectors import run_lgatr


class LGATrConfig(EquivariantConfig):
    """Options of `LGATr`; the defaults are those of the published tagger.

    Attributes
    ----------
    multivectors
        Number of multivectors of a token.
    attention_ratio, feedforward_ratio
        Hidden channels of attention and feed-forward parts over those of a token.
    beam
        Besides those of vectors ``"xyplane"``, the bivector of the plane across the beam, which boosts along
        it do not change; the first paper's.
    sparse_product
        Whether geometric products leave out what is zero: the same numbers up to rounding, in less memory and
        time.
    """

    width: PositiveInt = 32
    multivectors: PositiveInt = 16
    attention_ratio: PositiveInt = 2
    feedforward_ratio: PositiveInt = 2
    beam: Literal["lightlike", "xyplane", "none"] = "lightlike"  # type: ignore[assignment]
    sparse_product: bool = True

    @model_validator(mode="after")
    def _check_vectors(self) -> LGATrConfig:
        if self.num_vectors > self.width:
            raise ValueError(
                f"num_vectors {self.num_vectors} is more than width {self.width}: vectors are parts of the "
                "multivectors whose scalar parts are the features"
            )
        return self


class LGATr(EquivariantBackbone):
    """L-GATr, a network of package ``lgatr``; see `EquivariantBackbone`.

    As in the published tagger, outputs are multivectors: features are their scalar parts, and four-vectors
    are the vector parts of the first ones. `pooled_BD` is the row's token. The size ``"s"`` is the published
    tagger.
    """

    Config: ClassVar[type[Config]] = LGATrConfig
    config: LGATrConfig
    name = "lgatr"
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"width": 16, "depth": 3, "num_heads": 4, "multivectors": 8},
        "s": {},
    }

    def __init__(self, config: LGATrConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__(config, feature_names=feature_names)
        package = lgatr_package()
        primitives = package.PrimitivesConfig(sparse_gp=config.sparse_product)
        self.net = package.LGATr(
            num_blocks=config.depth,
            in_mv_channels=1,
            out_mv_channels=config.width,
            hidden_mv_channels=config.multivectors,
            in_s_channels=config.width,
            out_s_channels=0,
            hidden_s_channels=config.width,
            attention={
                "num_heads": config.num_heads,
                "attn_ratio": config.attention_ratio,
                "head_scale": True,
            },
            mlp={"mlp_ratio": config.feedforward_ratio},
            primitives=primitives,
            dropout_prob=config.dropout or None,
            norm_elementwise_affine=config.norm_gain,
        )
        if config.qkv_bias:
            for block in self.net.blocks:
                linear = block.attention.qkv_module.in_linear
                add_biases(linear.s2mvs, linear.mvs2s)
        # Vectors have no scalar part, of which these weights would make something.
        self.net.linear_in.mvs2s.weight.requires_grad_(False)
        beam = None if config.beam == "none" else config.beam
        references_R16 = package.get_spurions(beam_spurion=beam, add_time_spurion=config.time)
        self.register_buffer("references_RC", references_R16, persistent=False)
        self.algebra = Algebra(package, primitives)
        self._embed = package.embed_vector

    def _read(self, momenta_BN4: Tensor) -> Tensor:
        return self._embed(momenta_BN4)

    def _run(self, state: State, attend: PackedAttention) -> State:
        first, vectors, _ = run_lgatr(self.net, (state[0][:, None], state[1]), attend, self.algebra)
        return vectors[..., : self.config.num_vectors].permute(1, 2, 0), first[0, :, : self.width]
