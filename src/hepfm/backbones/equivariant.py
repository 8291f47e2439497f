"""What the Lorentz-equivariant backbones share: the row's frame, reference vectors, tokens and options."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from types import ModuleType
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from hepfm.backbones.base import Backbone, Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError, missing_extra
from hepfm.data.feature_names import DISPLACEMENT, IDENTITY
from hepfm.nn.attention import key_bias
from hepfm.nn.equivariant import PackedAttention, State
from hepfm.nn.frames import Frame, at_least_mass, inverse, row_frame, transform
from hepfm.nn.packing import Packing
from hepfm.nn.precision import at_least_single

INVARIANT = (*IDENTITY, *DISPLACEMENT)
"""Features that no Lorentz transformation is taken to change."""


class EquivariantConfig(Config):
    """Options that the equivariant backbones share.

    Attributes
    ----------
    width
        D, number of scalar channels, a multiple of `num_heads`.
    depth
        Number of blocks.
    num_heads
        H.
    scalars
        Which features are scalars of the constituents: ``"all"``; ``"invariant"``, those of charge, type and
        impact parameters that there are; ``"none"``.
    beam
        Reference for the beam: ``"lightlike"``, the two vectors (1, 0, 0, 1) and (1, 0, 0, -1); ``"none"``.
    time
        Whether (1, 0, 0, 0) is a reference.
    frame
        In which momenta are read, see `hepfm.nn.frames.row_frame`.
    momentum_scale
        Momenta are divided by it (GeV).
    mass_regulator
        Smallest mass of a constituent (GeV); energies are raised to it. 0 raises those below the momentum
        only.
    num_vectors
        V, number of four-vectors returned for each constituent; 0 for none. Ask for them where they are read:
        weights that only they depend on are otherwise not trained.
    norm_gain
        Whether the norms have learned gains; version 1.4 of the package had none.
    qkv_bias
        Whether queries, keys and values have biases; version 1.4 of the package had them.
    dropout
        Rate on what attention and feed-forward parts return; 0 in the published networks.
    """

    width: PositiveInt
    depth: PositiveInt = 12
    num_heads: PositiveInt = 8
    scalars: Literal["all", "invariant", "none"] = "all"
    beam: Literal["lightlike", "none"] = "lightlike"
    time: bool = True
    frame: Frame = "longitudinal"
    momentum_scale: PositiveFloat = 20.0
    mass_regulator: NonNegativeFloat = 5e-3
    num_vectors: NonNegativeInt = 0
    norm_gain: bool = False
    qkv_bias: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _check_width(self) -> EquivariantConfig:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        return self


def lgatr_package() -> ModuleType:
    """Return package ``lgatr``; raise `MissingExtraError` if it is not installed."""
    try:
        # Networks are built on the meta device where nothing but sizes is asked for; the package compares
        # tensors when it is imported, which has no meaning there.
        with torch.device("cpu"):
            import lgatr
    except ImportError as error:
        raise missing_extra(error.name or "lgatr", "lgatr") from None
    package: ModuleType = lgatr
    return package


class EquivariantBackbone(Backbone):
    """A network of package ``lgatr`` with tokens of the row and of reference vectors before the constituents.

    The network itself commutes with every Lorentz transformation of its vectors. What is left of this
    symmetry is decided by what it is given: without references and with invariant scalars all of it; with
    references, which stand in the row's own frame (`hepfm.nn.frames`), rotations about the beam and boosts
    along it, which is what the contract of a batch asks for; features of the row's axes keep these too,
    but know the direction of the row.

    It always works in single precision, or double, also under autocast, as the published runs did.

    A subclass sets `net` and `references_RC`, and implements `_read` and `_run`.

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent.
    """

    needs = frozenset({"p4"})
    supports = frozenset({"prefix", "embedding"})
    own_parts = frozenset({"embedding"})
    config: EquivariantConfig
    name: ClassVar[str]
    net: Any
    """The package's network."""
    references_RC: Tensor
    """The references as the subclass's network reads them."""

    def __init__(self, config: EquivariantConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        columns = _columns(config.scalars, feature_names)
        self.columns: list[int] | slice = columns
        self.embedding: nn.Module | None = nn.Linear(len(columns), config.width) if columns else None
        # The published networks give the row's token a channel of its own, with the value 1.
        self.row_token = nn.Parameter(torch.randn(1, 1, config.width) * config.width**-0.5)

    def embed(self, x_BNF: Tensor, mask_BN: Tensor, *, physical_BNF: Tensor | None = None) -> Tensor:
        """Return the scalars of each constituent, (B, N, D); see `Backbone.embed`."""
        if self.embedding is None:
            return at_least_single(x_BNF.new_zeros(*x_BNF.shape[:2], self.width))
        with torch.autocast(x_BNF.device.type, enabled=False):
            h_BND: Tensor = self.embedding(at_least_single(x_BNF)[..., self.columns])
        return h_BND

    def replace_embedding(self, embedding: nn.Module) -> None:
        """Put another module in place of the embedding of scalars; it reads all features."""
        if self.config.scalars != "all":
            raise IncompatibleError(
                f"the {self.name} backbone with scalars={self.config.scalars} cannot be given an embedding "
                "of all features; set scalars=all, or embedding=ordinary"
            )
        self.embedding, self.columns = embedding, slice(None)

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
        """Return constituents, four-vectors if asked for, and the row's token; see `Backbone.encode`."""
        if p4_BN4 is None:
            raise IncompatibleError(
                f"the {self.name} backbone reads four-momenta, but the batch has none; use data with "
                "four-momenta, or features of which they can be made: log_pt, deta and dphi"
            )
        with torch.autocast(h_BND.device.type, enabled=False):
            h_BND, real_BN1 = at_least_single(h_BND), mask_BN[..., None]
            frame_B44, momenta_BN4 = self._momenta(p4_BN4, mask_BN)
            tokens_BMD, vectors_BMV4, num = self._encode(
                h_BND, mask_BN, momenta_BN4.to(h_BND.dtype), prefix_BKD
            )
            vectors = None
            if self.config.num_vectors:
                vectors = transform(inverse(frame_B44), vectors_BMV4[:, num:].double()).to(h_BND.dtype)
                vectors = vectors * real_BN1[..., None] * self.config.momentum_scale
        return Features(tokens_BMD[:, num:] * real_BN1, tokens_BMD[:, 0], vectors_BNV4=vectors)

    def _momenta(self, p4_BN4: Tensor, mask_BN: Tensor) -> tuple[Tensor, Tensor]:
        """Return the transformations to the rows' frames, and scaled momenta there; in double precision."""
        p4_BN4 = torch.where(mask_BN[..., None], p4_BN4.double(), 0.0)
        frame_B44 = row_frame(p4_BN4, self.config.frame)
        momenta_BN4 = at_least_mass(transform(frame_B44, p4_BN4), self.config.mass_regulator)
        return frame_B44, momenta_BN4 / self.config.momentum_scale

    def _encode(
        self, h_BND: Tensor, mask_BN: Tensor, momenta_BN4: Tensor, prefix_BKD: Tensor | None
    ) -> tuple[Tensor, Tensor, int]:
        """Return scalars and vectors of all tokens, and the number of those before the constituents."""
        rows = h_BND.shape[0]
        row_B1D = self.row_token.expand(rows, -1, -1)
        none_BRD = h_BND.new_zeros(rows, len(self.references_RC), self.width)
        prefix = () if prefix_BKD is None else (at_least_single(prefix_BKD),)
        s_BMD = torch.cat((row_B1D, none_BRD, *prefix, h_BND), dim=1)
        num = s_BMD.shape[1] - h_BND.shape[1]
        seen = Packing.of(F.pad(mask_BN, (num, 0), value=True))
        attend = PackedAttention(seen, key_bias(seen.mask_BN, s_BMD.dtype))
        known_BMC = self._vectors(momenta_BN4, num)
        v, s_TD = self._run((seen.pack(known_BMC), seen.pack(s_BMD)), attend)
        vectors_BMV4 = seen.unpack(v.flatten(1)).view(*seen.mask_BN.shape, -1, 4)
        return seen.unpack(s_TD), vectors_BMV4, num

    def _vectors(self, momenta_BN4: Tensor, num: int) -> Tensor:
        """Return what the network reads of the tokens' vectors: none, references, none, constituents."""
        known_BNC = self._read(momenta_BN4)
        references_RC = F.pad(self.references_RC, (0, 0, 1, num - 1 - len(self.references_RC)))
        first_BLC = references_RC.to(known_BNC.dtype).expand(known_BNC.shape[0], -1, -1)
        return torch.cat((first_BLC, known_BNC), dim=1)

    @abstractmethod
    def _read(self, momenta_BN4: Tensor) -> Tensor:
        """Return momenta as the network reads them, (B, N, C)."""

    @abstractmethod
    def _run(self, state: State, attend: PackedAttention) -> State:
        """Return V vectors (T, V, 4) and scalars (T, D) of packed tokens, given what is read of them."""

    def layers(self) -> list[list[nn.Parameter]]:
        """Return what makes tokens, each block, then the output layer."""
        first = [self.row_token, *(self.embedding.parameters() if self.embedding else ())]
        first += list(self.net.linear_in.parameters())
        blocks = [list(block.parameters()) for block in self.net.blocks]
        return [first, *blocks, list(self.net.linear_out.parameters())]


def add_biases(*linears: nn.Linear) -> None:
    """Add biases, zero at first, to layers that the package makes without."""
    for linear in linears:
        linear.bias = nn.Parameter(linear.weight.new_zeros(linear.out_features))


def _columns(scalars: str, feature_names: Sequence[str]) -> list[int]:
    """Return the places of the features that are scalars of the network."""
    if scalars == "none":
        return []
    wanted = feature_names if scalars == "all" else INVARIANT
    return [place for place, name in enumerate(feature_names) if name in wanted]
