"""Vectors times a function of the inner product of others, in few passes over memory, for the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from hepfm.nn.kernels.function import call
from hepfm.nn.kernels.switch import cpu_kernels_allowed


def gated_vectors(v_4TX: Tensor, metric: Sequence[float], gate: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the first third of vectors times a gate, (4, T, C).

    Parameters
    ----------
    v_4TX
        X = 3 C vectors.
    metric
        Factors of the components in the product of the second third with the last.
    gate
        Function of this product, number by number, without weights.
    """
    if cpu_kernels_allowed(v_4TX):
        out: Tensor = call(_GatedVectors, v_4TX, metric, gate)
        return out
    value, left, right = v_4TX.chunk(3, dim=-1)
    factors = left.new_tensor(metric)[:, None, None]
    return gate((left * right * factors).sum(0)) * value


class _GatedVectors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v_4TX: Tensor, metric: Sequence[float], gate: Callable[[Tensor], Tensor]) -> Tensor:
        value, left, right = v_4TX.chunk(3, dim=-1)
        inner = left[0] * right[0] * metric[0]
        for component, other, sign in zip(left[1:], right[1:], metric[1:], strict=True):
            inner.addcmul_(component, other, value=sign)
        ctx.save_for_backward(v_4TX, inner)
        ctx.metric, ctx.gate = metric, gate
        return gate(inner) * value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        v_4TX, inner = ctx.saved_tensors
        value, left, right = v_4TX.chunk(3, dim=-1)
        grad_gate = grad[0] * value[0]
        for component, other in zip(grad[1:], value[1:], strict=True):
            grad_gate.addcmul_(component, other)
        with torch.enable_grad():
            gates = ctx.gate(inner.requires_grad_())
        (grad_inner,) = torch.autograd.grad(gates, inner, grad_gate)
        grad_v = torch.empty_like(v_4TX)
        grad_value, grad_left, grad_right = grad_v.chunk(3, dim=-1)
        torch.mul(grad, gates.detach(), out=grad_value)
        for place, sign in enumerate(ctx.metric):
            signed = grad_inner * sign
            torch.mul(signed, right[place], out=grad_left[place])
            torch.mul(signed, left[place], out=grad_right[place])
        return grad_v, None, None
