"""Vector quantisation that sees no padding: nearest codes with gradients to vectors and codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import torch.distributed
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.tokenizers.codebook import CodeSearch, fit_codes

_PER_CODE = 32
"""Largest number of vectors per code in the k-means fit of the start."""

_JITTER = 0.01
"""Noise of a replaced code, relative to the vector that replaces it (public code of 2305.08842)."""


class QuantizerConfig(Config):
    """Options of `Quantizer`; the defaults are those of OmniJet-alpha (2403.05618, public configuration).

    Attributes
    ----------
    codes
        Number of codes.
    dim
        K, size of a code.
    codebook_fraction
        Fraction of the quantisation loss that moves codes to vectors; the rest moves vectors to codes.
    synchronised
        Fraction of the decoder's gradient that also goes to the codes (nu of 2305.08842).
    affine_lr
        Learning rate, over that of the codes, of a scale and an offset per dimension, common to all codes
        (2305.08842, the learned variant); 0 for none.
    alternating
        How far codes move to the mean of their vectors before each step, in [0, 1]: the in-place codebook
        update of 2305.08842; 0 for none.
    replace_after
        Steps after which an unused code is replaced by a random vector of the step; 0 for never.
    kmeans_start
        Whether codes start as centroids of encoded constituents.
    seed
        Seed of that fit.
    """

    codes: Annotated[int, Field(ge=2, le=65536)] = 8192
    dim: Annotated[int, Field(ge=1)] = 4
    codebook_fraction: Annotated[float, Field(ge=0, le=1)] = 0.9
    synchronised: Annotated[float, Field(ge=0)] = 1.0
    affine_lr: Annotated[float, Field(ge=0)] = 2.0
    alternating: Annotated[float, Field(ge=0, le=1)] = 0.0
    replace_after: NonNegativeInt = 10
    kmeans_start: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Quantized:
    """Codes of vectors, with gradients, (T, K); the loss of each, (T,); and the tokens, (T,)."""

    z_TK: Tensor
    loss_T: Tensor
    ids_T: Tensor


class Quantizer(nn.Module):
    """A codebook: vectors of real constituents take the nearest code, after Huh et al. (2305.08842).

    Distances are computed in float32 whatever the precision of the network. Departures from the public
    package of that paper: padding never enters; a replaced code is chosen so that the shared scale and offset
    map it to the chosen vector.

    Parameters
    ----------
    config
        Options.
    """

    unused_C: Tensor
    """Steps since each code was last used; 1 if it was used in the last step."""

    def __init__(self, config: QuantizerConfig) -> None:
        super().__init__()
        self.config = config
        self.codes_CK = nn.Parameter(torch.randn(config.codes, config.dim))
        affine = config.affine_lr > 0
        self.scale_K = nn.Parameter(torch.zeros(config.dim)) if affine else None
        self.offset_K = nn.Parameter(torch.zeros(config.dim)) if affine else None
        self.register_buffer("unused_C", torch.zeros(config.codes, dtype=torch.int64))
        self.last: list[Tensor] = []
        self.search = CodeSearch()

    def codebook(self) -> Tensor:
        """Return the codes scaled, shifted and projected, (C, K)."""
        codes_CK: Tensor = self.codes_CK
        if self.scale_K is not None and self.offset_K is not None:
            codes_CK = self._factor() * codes_CK + self.config.affine_lr * self.offset_K
        return self.project(codes_CK)

    def project(self, z: Tensor) -> Tensor:
        """Return vectors in the form that is compared with codes, float32."""
        return z.float()

    @torch.no_grad()
    def assign(self, z_TK: Tensor) -> Tensor:
        """Return the token, the number of the nearest code, of each vector, (T,)."""
        return self.search.nearest(self.project(z_TK), self.codebook())

    def lookup(self, ids: Tensor) -> Tensor:
        """Return the codes of tokens (...), shape (..., K)."""
        return self.codebook()[ids]

    def forward(self, z_TK: Tensor) -> Quantized:
        """Replace vectors by their nearest codes."""
        z_TK = self.project(z_TK)
        if self.training and self.config.alternating:
            self._move(z_TK.detach())
        ids_T = self.assign(z_TK)
        code_TK = self.lookup(ids_T)
        if self.training:
            self._record_use(z_TK.detach(), ids_T)
        fraction, nu = self.config.codebook_fraction, self.config.synchronised
        to_vectors = (z_TK - code_TK.detach()).square().mean(-1)
        to_codes = (z_TK.detach() - code_TK).square().mean(-1)
        straight_TK = z_TK + (code_TK - z_TK).detach() + nu * (code_TK - code_TK.detach())
        return Quantized(straight_TK, (1 - fraction) * to_vectors + fraction * to_codes, ids_T)

    @torch.no_grad()
    def start(self, z_TK: Tensor, *, where: str) -> None:
        """Set the codes to centroids of vectors; raise `DataError` for more codes than different vectors."""
        points = self.project(z_TK).cpu().numpy()
        max_points = _PER_CODE * self.config.codes
        if len(points) > max_points:
            points = np.random.default_rng(self.config.seed).choice(points, max_points, replace=False)
        fitted = fit_codes(points, self.config.codes, seed=self.config.seed, where=where)
        self.codes_CK.copy_(self._unscaled(torch.from_numpy(fitted).to(self.codes_CK.device)))

    @torch.no_grad()
    def after_step(self) -> None:
        """Replace codes that have long been unused by random vectors of the last step; in training only.

        With several processes all take part, whatever their batches contain, and end with the codes of the
        first.
        """
        if not self.training:
            return
        if self.config.replace_after:
            self._replace()
        self.last = []
        if torch.distributed.is_initialized() and (self.config.replace_after or self.config.alternating):
            torch.distributed.broadcast(self.codes_CK.data, 0)

    def _replace(self) -> None:
        self.unused_C += 1
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(self.unused_C, torch.distributed.ReduceOp.MIN)
        dead_D = (self.unused_C > self.config.replace_after).nonzero()[:, 0]
        last_TK = torch.cat(self.last) if self.last else self.codes_CK[:0]
        if not len(last_TK):
            return
        chosen_DK = last_TK[torch.randint(len(last_TK), (len(dead_D),), device=dead_D.device)]
        noise_DK = torch.randn_like(chosen_DK) * chosen_DK.norm(dim=-1, keepdim=True)
        self.codes_CK[dead_D] = self._unscaled(chosen_DK + _JITTER * noise_DK)
        self.unused_C[dead_D] = 1

    def _record_use(self, z_TK: Tensor, ids_T: Tensor) -> None:
        self.unused_C[ids_T] = 0
        self.last.append(z_TK)

    @torch.no_grad()
    def _move(self, z_TK: Tensor) -> None:
        """Move codes towards the mean of their vectors, in place."""
        ids_T = self.assign(z_TK)
        used_U, place_T, count_U = torch.unique(ids_T, return_inverse=True, return_counts=True)
        mean_UK = torch.zeros(len(used_U), z_TK.shape[1], device=z_TK.device).index_add_(0, place_T, z_TK)
        mean_UK /= count_U[:, None]
        self.codes_CK[used_U] = self.codes_CK[used_U].lerp(self._unscaled(mean_UK), self.config.alternating)

    def _factor(self) -> Tensor:
        assert self.scale_K is not None
        return 1 + self.config.affine_lr * self.scale_K

    def _unscaled(self, codes: Tensor) -> Tensor:
        if self.scale_K is None or self.offset_K is None:
            return codes
        return (codes - self.config.affine_lr * self.offset_K) / self._factor()


class CosineQuantizer(Quantizer):
    """A codebook of directions: vectors and codes are scaled to length 1 before they are compared."""

    def project(self, z: Tensor) -> Tensor:
        """Return vectors of length 1, float32."""
        return F.normalize(z.float(), dim=-1)
