"""Geometric products of multivectors, one component of a factor with one of the other at a time, for the CPU.

Each of the 16 components of a product is a sum of 16 products of components. With the components of all
tokens and channels one after the other in memory, each of these 256 terms is one pass over numbers that
mostly stay in the processor's cache, and nothing larger than the result is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hepfm.nn.kernels.function import call

Terms = Sequence[tuple[int, int, int, float]]
"""Component of the product, of the left and of the right factor, and the factor of this term."""


def geometric_products(factors: Sequence[Tensor], terms: Terms) -> tuple[Tensor, ...]:
    """Return products of multivectors whose components are cut into parts.

    Parameters
    ----------
    factors
        Left and right factors, (P, T, 2 * 2 * C): P pairs of components, C channels of the first component
        of the left factor, of its second one, and the same of the right factor.
    terms
        The terms of which the components are sums; the first pair of the first part are components 0 and 1.

    Returns
    -------
    products
        Parts (P, T, 2 * C).
    """
    out: tuple[Tensor, ...] = call(_GeometricProducts, terms, *factors)
    return out


class _GeometricProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, terms: Terms, *factors: Tensor) -> tuple[Tensor, ...]:
        both = _components(factors, 2)
        ctx.save_for_backward(both)
        ctx.terms, ctx.pairs = terms, [len(part) for part in factors]
        left, right = (part.unbind() for part in both)
        products = torch.zeros_like(both[0])
        out = products.unbind()
        for i, j, k, sign in terms:
            out[i].addcmul_(left[j], right[k], value=sign)
        return _parts(products[None], ctx.pairs)

    @staticmethod
    def backward(ctx: Any, *grad_parts: Tensor) -> tuple[Tensor | None, ...]:
        (both,) = ctx.saved_tensors
        grad = _components(grad_parts, 1)[0].unbind()
        left, right = (part.unbind() for part in both)
        grads = torch.zeros_like(both)
        grad_left, grad_right = (part.unbind() for part in grads)
        for i, j, k, sign in ctx.terms:
            grad_left[j].addcmul_(grad[i], right[k], value=sign)
            grad_right[k].addcmul_(grad[i], left[j], value=sign)
        return (None, *_parts(grads, ctx.pairs))


def _components(parts: Sequence[Tensor], factors: int) -> Tensor:
    """Return the components of the factors one after the other, (F, 16, T, C)."""
    tokens, channels = parts[0].shape[1], parts[0].shape[2] // (2 * factors)
    out_FR2TC = parts[0].new_empty(factors, sum(map(len, parts)), 2, tokens, channels)
    start = 0
    for part in parts:
        stop = start + len(part)
        out_FR2TC[:, start:stop] = torch.unflatten(part, 2, (factors, 2, channels)).permute(2, 0, 3, 1, 4)
        start = stop
    return out_FR2TC.flatten(1, 2)


def _parts(x_F16TC: Tensor, pairs: list[int]) -> tuple[Tensor, ...]:
    """Return components in parts; the way back of `_components`."""
    x_8TF2C = torch.unflatten(x_F16TC, 1, (-1, 2)).permute(1, 3, 0, 2, 4)
    return tuple(part.contiguous().flatten(2) for part in torch.split(x_8TF2C, pairs))
