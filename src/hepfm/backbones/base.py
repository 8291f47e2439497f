"""The contract of a backbone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.nn.attention import KeyValueCache


@dataclass(frozen=True)
class Features:
    """What a backbone returns.

    Attributes
    ----------
    tokens_BND
        One feature vector per constituent; zero where the mask is false.
    pooled_BD
        One vector per row, if the backbone has a summary of its own (class token, registers); else None.
    registers_BKD
        The backbone's own vectors of the row, for heads that read them one by one; None without any.
    prefix_BKD
        Features of the prefix, in a causal pass; else None.
    vectors_BNV4
        V four-vectors (E, px, py, pz) per constituent, in the frame of `hepfm.core.batch.Batch.p4_BN4`, of an
        equivariant backbone; else None.
    mask_BN
        Which tokens are real, where these are groups of constituents; None where they are the constituents.
    """

    tokens_BND: Tensor
    pooled_BD: Tensor | None = None
    registers_BKD: Tensor | None = None
    prefix_BKD: Tensor | None = None
    vectors_BNV4: Tensor | None = None
    mask_BN: Tensor | None = None

    def token_mask(self, mask_BN: Tensor) -> Tensor:
        """Return which tokens are real, given which constituents are."""
        return mask_BN if self.mask_BN is None else self.mask_BN


@dataclass(frozen=True)
class Placeholder:
    """A learned vector in place of hidden constituents.

    Attributes
    ----------
    hidden_BN
        Boolean, True where the vector stands; such a constituent is real, and nothing of it is read.
    vector_D
        The vector.
    rank_BN
        Place in falling order of pt that each constituent has in its row, hidden ones counted: hidden
        constituents stand behind those that are shown. Only a backbone that supports ``"order"`` reads it.
    """

    hidden_BN: Tensor
    vector_D: Tensor
    rank_BN: Tensor

    def read(self, mask_BN: Tensor) -> Tensor:
        """Return which constituents are read, boolean (B, N), of those that are real: all but the hidden."""
        return mask_BN & ~self.hidden_BN

    def put(self, h_BND: Tensor) -> Tensor:
        """Return embedded constituents with the vector in place of the hidden ones."""
        return torch.where(self.hidden_BN[..., None], self.vector_D.to(h_BND.dtype), h_BND)


@dataclass(frozen=True)
class Modulation:
    """A factor and an offset of embedded constituents, e.g. by the time of their noise.

    Attributes
    ----------
    scale_BND, shift_BND
        ``h (1 + scale) + shift`` takes the place of the vectors h; zeros change nothing.
    """

    scale_BND: Tensor
    shift_BND: Tensor

    def put(self, h_BND: Tensor) -> Tensor:
        """Return the changed vectors."""
        return h_BND * (1 + self.scale_BND.to(h_BND.dtype)) + self.shift_BND.to(h_BND.dtype)


@dataclass(frozen=True)
class PartlyHidden(Placeholder):
    """Constituents of which the batch holds a part, e.g. what they are and not where; a learned vector, added
    to what is made of that, says so."""

    def read(self, mask_BN: Tensor) -> Tensor:
        """Return all: what is hidden of a constituent the batch does not hold."""
        return mask_BN

    def put(self, h_BND: Tensor) -> Tensor:
        """Return embedded constituents with the vector added to the hidden ones."""
        return h_BND + self.hidden_BN[..., None] * self.vector_D.to(h_BND.dtype)


class Backbone(nn.Module):
    """Constituents in, features out. Subclasses are built by ``cls(config, feature_names=("log_pt", ...))``.

    `embed` turns each constituent into a vector of size D, `encode` lets these vectors exchange
    information. They are two calls so that something can be inserted between them: learned placeholders of
    hidden constituents, subjets, patches.

    `feature_names` are the F columns of the input in their order. Inputs are already standardised; rows may
    be padded to any length, and the output of real constituents must not depend on the padding. A row without
    any constituent gives finite numbers.

    A backbone that supports ``"codes"`` can also be built with ``num_codes=C``: it then reads tokens, 0 to
    C - 1, int64 (B, N), negative for padding, instead of features. One that supports ``"causal"`` takes
    ``causal=True``, and new constituents of rows that grow by `extend`.
    """

    Config: ClassVar[type[Config]]
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    needs: ClassVar[frozenset[str]] = frozenset()
    """What `encode` must be given, of ``{"p4"}``."""
    supports: ClassVar[frozenset[str]] = frozenset()
    """Abilities, of ``{"prefix", "causal", "codes", "placeholder", "order", "embedding"}``: see tokens in
    front of a row; let constituents see only those before them; read tokens; accept for a hidden constituent
    a vector that is not from `embed`, and use nothing else of it; know the places of constituents in their
    row; let another module turn their numbers into vectors."""
    of_pairs: ClassVar[frozenset[str]] = frozenset()
    """Names of modules whose outputs belong to pairs of constituents, not to constituents or rows."""
    own_parts: ClassVar[frozenset[str] | None] = None
    """Names of modules and weights of its own that a backbone keeps when it shares all others with backbones
    of other kinds of rows: those of `embed`, those that depend on the feature set, those with running
    statistics of what they are given. None for one that cannot share its weights."""
    encodes: ClassVar[bool] = True
    """False for a stand-in without weights, where only a tokenizer is trained."""

    width: int
    """D, the size of the feature vectors."""
    massless: bool = False
    """Whether all momenta that it is given are those of massless constituents, made of decoded features."""

    @abstractmethod
    def embed(self, x_BNF: Tensor, mask_BN: Tensor, *, physical_BNF: Tensor | None = None) -> Tensor:
        """Return a vector of each constituent, (B, N, D); values in padding are arbitrary.

        Parameters
        ----------
        x_BNF
            Standardised features, or tokens (B, N) for a backbone that reads tokens.
        mask_BN
            Boolean, True = real; real constituents come first.
        physical_BNF
            The features before standardisation, for geometry; None stands for `x_BNF`.
        """

    @abstractmethod
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
        """Return the features of embedded constituents.

        Parameters
        ----------
        h_BND
            The vectors from `embed`, or their replacements.
        mask_BN
            Boolean, True = real; real constituents come first.
        p4_BN4
            Four-momenta, see `hepfm.core.batch.Batch.p4_BN4`, for backbones that need ``"p4"``.
        physical_BNF
            The features before standardisation, for geometry.
        prefix_BKD
            Tokens that every constituent sees (time, jet), for backbones that support ``"prefix"``. The
            features of constituents are returned without them.
        causal
            Whether constituents see only themselves and those before them.
        """

    def forward(
        self,
        x_BNF: Tensor,
        mask_BN: Tensor,
        p4_BN4: Tensor | None = None,
        *,
        physical_BNF: Tensor | None = None,
        prefix_BKD: Tensor | None = None,
        causal: bool = False,
        placeholder: Placeholder | None = None,
        modulation: Modulation | None = None,
    ) -> Features:
        """Return the features of a batch: `embed`, then `encode`; placeholder and modulation come between."""
        physical_BNF = x_BNF if physical_BNF is None else physical_BNF
        if placeholder is None:
            h_BND = self.embed(x_BNF, mask_BN, physical_BNF=physical_BNF)
        else:
            h_BND = self.embed_shown(x_BNF, mask_BN, placeholder, physical_BNF=physical_BNF)
        if modulation is not None:
            h_BND = modulation.put(h_BND)
        return self.encode(
            h_BND, mask_BN, p4_BN4, physical_BNF=physical_BNF, prefix_BKD=prefix_BKD, causal=causal
        )

    def embed_shown(
        self, x_BNF: Tensor, mask_BN: Tensor, placeholder: Placeholder, *, physical_BNF: Tensor | None = None
    ) -> Tensor:
        """Return embedded constituents with the placeholder in place of the hidden ones."""
        return placeholder.put(self.embed(x_BNF, placeholder.read(mask_BN), physical_BNF=physical_BNF))

    def replace_embedding(self, embedding: nn.Module) -> None:
        """Let a module turn the numbers of a constituent into its vector; only with ``"embedding"``.

        It takes the place of the part of `embed` that looks at each constituent by itself, and is given the
        input of `embed`, of whatever size: ``embedding(x)`` of (..., F') is (..., D).
        """
        raise NotImplementedError(f"{type(self).__name__} has no embedding that could be replaced")

    def start_cache(self, rows: int, max_tokens: int) -> list[KeyValueCache]:
        """Return an empty cache for `rows` rows of up to `max_tokens` vectors; only with ``"causal"``."""
        raise NotImplementedError(f"{type(self).__name__} does not support growing rows")

    def extend(
        self, x_BMF: Tensor | None, cache: list[KeyValueCache], prefix_BKD: Tensor | None = None
    ) -> Tensor:
        """Return the features of new constituents, or of first tokens, of growing rows, (B, M, D).

        The causal pass in pieces: first ``extend(None, cache, prefix_BKD)``, then constituent by constituent.

        Parameters
        ----------
        x_BMF
            The next constituents of each row; tokens (B, M) for a backbone that reads tokens.
        cache
            The cache from `start_cache`; it grows.
        prefix_BKD
            Vectors in front of the row.
        """
        raise NotImplementedError(f"{type(self).__name__} does not support growing rows")

    def context_network(self, num_context: int) -> nn.Sequential | None:
        """Return a new network from C standardised features of a row to the token of its context, (B, D).

        Its first layer is linear. None for that of `hepfm.nn.conditioning.Conditioning`.
        """
        return None

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the parameters in groups from input to output, for layer-wise learning rates."""
        return [list(self.parameters())]
