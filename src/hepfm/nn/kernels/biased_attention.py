"""Attention with a gradient to its bias, and with dropout, for the CPU, where torch has no kernel for it.

The same products as written out with torch's operators, but without their copies and extra passes. In half
precision products are in the type of query, key and value, and the softmax, forward and backward, in single
precision, as in torch's kernels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hepfm.nn.kernels.function import as_output, call
from hepfm.nn.kernels.switch import cpu_kernels_allowed

_SHORT = 48
"""Up to this length torch's kernel for the CPU takes up to twice the time of the products written out."""


def biased_attention_is_faster(qkv_3BHNK: Tensor, bias: Tensor, rate: float) -> bool:
    """Tell whether `biased_attention` may be used and beats torch's kernel, given the rate of dropout."""
    if not cpu_kernels_allowed(qkv_3BHNK):  # first: where torch traces, sizes must not be asked for
        return False
    learned = bias.requires_grad and torch.is_grad_enabled()
    return rate > 0 or learned or qkv_3BHNK.shape[3] <= _SHORT


def biased_attention(qkv_3BHNK: Tensor, bias: Tensor, factors_BHNN: Tensor | None) -> Tensor:
    """Return ``(softmax(q k^T / sqrt(K) + bias) * factors) v``, shape (B, H, N, K).

    Parameters
    ----------
    qkv_3BHNK
        Query, key and value.
    bias
        Added to the logits; broadcasts to (B, H, N, N).
    factors_BHNN
        Factors of the attention weights, from dropout; they get no gradient. None for none.
    """
    out: Tensor = call(_BiasedAttention, qkv_3BHNK, bias, factors_BHNN)
    return out


class _BiasedAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv_3BHNK: Tensor, bias: Tensor, factors_BHNN: Tensor | None) -> Tensor:
        # Autocast would choose types here that the backward pass, which is outside of it, does not know of.
        with torch.autocast("cpu", enabled=False):
            q, k, v = (part.flatten(0, 1) for part in qkv_3BHNK)
            scale = q.shape[-1] ** -0.5
            logits_BHNN = torch.bmm(q, k.transpose(1, 2)).view(*qkv_3BHNK.shape[1:4], k.shape[1])
            weights_BHNN = torch.add(bias, _exact(logits_BHNN), alpha=scale).softmax(-1)
            used = weights_BHNN if factors_BHNN is None else weights_BHNN * factors_BHNN
            saved = () if factors_BHNN is None else (factors_BHNN,)
            ctx.save_for_backward(qkv_3BHNK, weights_BHNN, *saved)
            ctx.bias_shape, ctx.bias_type = bias.shape, bias.dtype
            return as_output(torch.bmm(used.flatten(0, 1).to(v.dtype), v).view(qkv_3BHNK.shape[1:]))

    @staticmethod
    def backward(ctx: Any, grad_BHNK: Tensor) -> tuple[Tensor, Tensor | None, None]:
        qkv_3BHNK, weights_BHNN, *factors = ctx.saved_tensors
        q, k, v = (part.flatten(0, 1) for part in qkv_3BHNK)
        grad = grad_BHNK.contiguous().flatten(0, 1)
        grad_qkv = torch.empty_like(qkv_3BHNK, memory_format=torch.contiguous_format)
        grad_q, grad_k, grad_v = (part.flatten(0, 1) for part in grad_qkv)
        used = weights_BHNN * factors[0] if factors else weights_BHNN
        torch.bmm(used.flatten(0, 1).to(v.dtype).transpose(1, 2), grad, out=grad_v)
        grad_weights = torch.bmm(grad, v.transpose(1, 2)).view_as(weights_BHNN).to(weights_BHNN.dtype)
        if factors:
            grad_weights *= factors[0]
        grad_logits = torch._softmax_backward_data(grad_weights, weights_BHNN, -1, weights_BHNN.dtype)
        flat = grad_logits.flatten(0, 1).to(q.dtype)
        scale = q.shape[-1] ** -0.5
        torch.baddbmm(grad_q, flat, k, beta=0, alpha=scale, out=grad_q)
        torch.baddbmm(grad_k, flat.transpose(1, 2), q, beta=0, alpha=scale, out=grad_k)
        grad_bias = None
        if ctx.needs_input_grad[1]:
            grad_bias = grad_logits.sum_to_size(ctx.bias_shape).to(ctx.bias_type)
        return grad_qkv, grad_bias, None


def _exact(x: Tensor) -> Tensor:
    """Return numbers of half precision in single precision, others as they are."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
