"""Every hand-written kernel against its layer's plain formula: values, gradients, odd sizes, empty rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from builders import built, mask_of
from torch import Tensor, nn

from hepfm.backbones import BACKBONES
from hepfm.core.errors import ConfigError
from hepfm.nn.attention import attention, key_bias
from hepfm.nn.batchnorm import LinearBatchNorm
from hepfm.nn.dropout import Dropout
from hepfm.nn.dynamic_tanh import DynamicTanh
from hepfm.nn.kernels.biased_attention import biased_attention
from hepfm.nn.kernels.convolution import linear_by_convolution
from hepfm.nn.kernels.dropout_mask import LEVELS, dropout_mask
from hepfm.nn.kernels.fast_tanh import fast_tanh
from hepfm.nn.kernels.gated_vectors import gated_vectors
from hepfm.nn.kernels.gather import pack_rows, split_heads, unpack_rows
from hepfm.nn.kernels.invariant_norm import Invariants, normalised, normalised_heads
from hepfm.nn.kernels.moments import sum_and_gram
from hepfm.nn.linear import linear
from hepfm.nn.packing import Packing
from hepfm.train.run import environment

FEATURES = ("deta", "dphi", "log_pt", "log_energy")
MASK = mask_of([7, 0, 3, 1])
"""A full row, an empty one, one of some constituents, one of a single one."""

Formula = Callable[..., Tensor | tuple[Tensor, ...]]


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    torch.manual_seed(0)
    precision: torch.dtype = request.param
    return precision


def assert_alike(kernel: Formula, plain: Formula, *inputs: Tensor, size: float = 1.0) -> None:
    """Compare values and gradients to all inputs; rounding is that of numbers of the given size."""
    tolerance = {torch.float32: 2e-6, torch.float64: 1e-13}[inputs[0].dtype] * size
    results = []
    for formula in (kernel, plain):
        leaves = [value.detach().requires_grad_() for value in inputs]
        values = formula(*leaves)
        values = values if isinstance(values, tuple) else (values,)
        generator = torch.Generator().manual_seed(1)
        total = sum(
            (value * torch.randn(value.shape, generator=generator, dtype=value.dtype)).sum()
            for value in values
        )
        results.append((*(value.detach() for value in values), *torch.autograd.grad(total, leaves)))
    for kernels_own, expected in zip(*results, strict=True):
        scale = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
        torch.testing.assert_close(kernels_own, expected, atol=tolerance * scale, rtol=0)


@pytest.mark.parametrize("shape", [(33, 47, 5), (48, 3), (1, 1), (16, 2, 9, 4)])
@pytest.mark.parametrize("outputs", [1, 7, 1025])  # 1025 x 5: beyond the few weights with their own gradient
def test_convolution(dtype: torch.dtype, shape: tuple[int, ...], outputs: int) -> None:
    x = torch.randn(shape, dtype=dtype)
    weight, bias = torch.randn(outputs, shape[-1], dtype=dtype), torch.randn(outputs, dtype=dtype)
    assert_alike(linear_by_convolution, F.linear, x, weight, bias, size=4)
    assert_alike(lambda a, b: linear_by_convolution(a, b, None), F.linear, x, weight, size=4)


def attention_formula(qkv: Tensor, bias: Tensor, factors: Tensor | None) -> Tensor:
    q, k, v = qkv
    weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + bias).softmax(-1)
    return (weights if factors is None else weights * factors) @ v


@pytest.mark.parametrize("bias_shape", [(4, 2, 7, 7), (4, 1, 1, 7), (1, 1, 7, 7)])
@pytest.mark.parametrize("dropped", [False, True])
def test_attention(dtype: torch.dtype, bias_shape: tuple[int, ...], dropped: bool) -> None:
    qkv, bias = torch.randn(3, 4, 2, 7, 3, dtype=dtype), torch.randn(bias_shape, dtype=dtype)
    if bias_shape[0] == len(MASK):
        bias = bias + key_bias(MASK, dtype)
    factors = 2.0 * (torch.rand(4, 2, 7, 7) < 0.5).to(dtype) if dropped else None
    assert_alike(
        lambda a, b: biased_attention(a, b, factors),
        lambda a, b: attention_formula(a, b, factors),
        qkv,
        bias,
    )


@pytest.mark.parametrize("shape", [(0, 3), (1,), (4, 7, 5)])
def test_tanh(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x = 4 * torch.randn(shape, dtype=dtype)
    assert_alike(fast_tanh, lambda a, b: torch.tanh(b * a), x, torch.tensor([0.7], dtype=dtype))


def test_tanh_far_out_is_one(dtype: torch.dtype) -> None:
    x = torch.tensor([-1e4, -50.0, 50.0, 1e4], dtype=dtype)
    assert fast_tanh(x, x.new_ones(1)).tolist() == [-1, -1, 1, 1]


def test_gathers(dtype: torch.dtype) -> None:
    index = MASK.flatten().nonzero()[:, 0]
    count, slots = len(index), MASK.numel()
    padded, packed = torch.randn(slots, 12, dtype=dtype), torch.randn(count + 5, 12, dtype=dtype)

    def unpacked(x: Tensor) -> Tensor:
        return x.new_zeros(slots, x.shape[1]).index_copy(0, index, x[:count])

    def heads(x: Tensor) -> Tensor:
        return unpacked(x).view(*MASK.shape, 3, 2, 2).permute(2, 0, 3, 1, 4)

    real = MASK[None, :, None, :, None]
    assert_alike(lambda x: pack_rows(x, index, count + 5), lambda x: F.pad(x[index], (0, 0, 0, 5)), padded)
    assert_alike(lambda x: unpack_rows(x, index, slots), unpacked, packed)
    shape = torch.Size((3, 4, 2, 7, 2))
    assert_alike(lambda x: split_heads(x, index, shape) * real, heads, packed)
    assert split_heads(packed, index, shape).isfinite().all()


@pytest.mark.parametrize(("rows", "count"), [(9, 9), (9, 5), (9, 0), (1, 1)])
def test_moments(dtype: torch.dtype, rows: int, count: int) -> None:
    x = torch.randn(rows, 3, dtype=dtype)
    assert_alike(
        lambda a: sum_and_gram(a, count), lambda a: (a[:count].sum(0), a[:count].T @ a[:count]), x, size=4
    )


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(401, 999), (3, 1), (0, 4)])
def test_dropout_factors(dtype: torch.dtype, rate: float, shape: tuple[int, ...]) -> None:
    """Of the distribution of torch's: each factor 0 or 1 / keep, its mean 1, neighbours independent."""
    rate = round(rate * LEVELS) / LEVELS
    factors = dropout_mask(torch.Size(shape), torch.empty(0, dtype=dtype), rate)
    assert factors.shape == shape
    assert factors.dtype == dtype
    kept = (factors != 0).double()
    torch.testing.assert_close(factors, (kept / (1 - rate)).to(dtype))
    if factors.numel() > 1000:
        sigma = (rate * (1 - rate) / factors.numel()) ** 0.5
        assert abs(kept.mean().item() - (1 - rate)) < 5 * sigma
        flat = kept.flatten()
        for lag in (1, 2, 3, 4, 5):  # four factors come from one number of the generator
            correlation = torch.corrcoef(torch.stack((flat[:-lag], flat[lag:])))[0, 1]
            assert abs(correlation) < 5 / factors.numel() ** 0.5


def custom_functions(output: Tensor) -> set[str]:
    """Return the names of our hand-written functions that an output was computed by, not of packages."""
    names, seen, queue = set(), set(), [output.grad_fn]
    while queue:
        node = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction) and _is_ours(node):
            names.add(type(node).__name__)
        queue += [before for before, _ in node.next_functions]
    return names


def _is_ours(node: torch.autograd.function.BackwardCFunction) -> bool:
    return node._forward_cls.__module__.startswith("hepfm.")


def layers() -> dict[str, tuple[str, Callable[[], Tensor]]]:
    """Return for each kernel its function's name and a call of its layer that uses it."""
    packing = Packing.of(MASK)
    padded, packed = torch.randn(*MASK.shape, 12), torch.randn(64, 12)
    weight = torch.randn(7, 12, requires_grad=True)
    bias = torch.randn(1, 1, 7, 7, requires_grad=True)
    norm = LinearBatchNorm(12, 3).train()
    return {
        "linear": ("_FewWeights", lambda: linear(torch.randn(32, 100, 12), weight, torch.randn(7))),
        "attention": (
            "_BiasedAttention",
            lambda: attention(torch.randn(3, 4, 2, 7, 3), bias, Dropout(0.0)),
        ),
        "tanh": ("_FastTanh", lambda: DynamicTanh(12)(padded)),
        "pack": ("_Pack", lambda: packing.pack(padded.requires_grad_())),
        "unpack": ("_Unpack", lambda: packing.unpack(packed.requires_grad_())),
        "heads": ("_SplitHeads", lambda: packing.heads(packed.requires_grad_(), parts=3, heads=2)),
        "batchnorm": ("_Moments", lambda: norm(packed.requires_grad_(), 11)),
    }


@pytest.mark.parametrize("name", layers())
def test_layer_uses_its_kernel_unless_it_is_switched_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hepfm.nn.kernels.convolution._has_wide_vectors", lambda: True)
    torch.manual_seed(0)
    function, call = layers()[name]
    torch.manual_seed(1)
    by_kernel = call()
    assert f"{function}Backward" in custom_functions(by_kernel)
    monkeypatch.setenv("HEPFM_KERNELS", "off")
    torch.manual_seed(1)
    plain = call()
    assert not custom_functions(plain)
    where = MASK[None, :, None, :, None] if name == "heads" else torch.tensor(True)
    torch.testing.assert_close(by_kernel * where, plain * where, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", layers())
def test_what_a_layer_returns_may_be_changed_in_place(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the plain formula's may: torch refuses a view that a hand-written function returns."""
    monkeypatch.setattr("hepfm.nn.kernels.convolution._has_wide_vectors", lambda: True)
    gradients = []
    for switch in ("off", "on"):
        monkeypatch.setenv("HEPFM_KERNELS", switch)
        torch.manual_seed(0)
        call = layers()[name][1]
        out = call()
        leaves = [node.variable for node in leaf_nodes(out)]
        real = MASK[None, :, None, :, None] if name == "heads" else torch.tensor(True)
        try:
            total = (out.mul_(2.0) * real).square().sum()
            gradients.append(torch.autograd.grad(total, leaves))
        except RuntimeError as error:
            if switch == "on":
                raise
            pytest.skip(f"the plain formula keeps its output for the gradient: {error}")
    for plain, kernels in zip(*gradients, strict=True):
        torch.testing.assert_close(kernels, plain, atol=1e-3, rtol=1e-4)


def leaf_nodes(output: Tensor) -> list[Any]:
    """Return the nodes at which gradients of an output end, in the order in which they are met."""
    found, queue = {}, [output.grad_fn]
    while queue:
        node = queue.pop(0)
        if node is None:
            continue
        if hasattr(node, "variable"):
            found[id(node.variable)] = node
        queue += [before for before, _ in node.next_functions]
    return list(found.values())


def test_dropout_draws_torchs_numbers_when_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    dropout, x = Dropout(0.25).train(), torch.randn(50, 30)
    torch.manual_seed(1)
    expected = F.dropout(x, 0.25)
    torch.manual_seed(1)
    assert not torch.equal(dropout(x), expected)
    monkeypatch.setenv("HEPFM_KERNELS", "off")
    torch.manual_seed(1)
    torch.testing.assert_close(dropout(x), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "none"])
def test_backbones_are_the_same_without_kernels(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features, gradients and running statistics of a step, in training mode, from one set of weights."""
    torch.manual_seed(0)
    spec = {"name": name, "size": "xs", "dropout": 0.0}
    x = torch.randn(*MASK.shape, len(FEATURES), dtype=dtype) * MASK[..., None]
    p4 = torch.cat((1 + x[..., :3].norm(dim=-1, keepdim=True), x[..., :3]), dim=-1) * MASK[..., None]
    states, functions = [], []
    for switch in ("on", "off"):
        monkeypatch.setenv("HEPFM_KERNELS", switch)
        backbone: nn.Module = built(BACKBONES, spec, feature_names=FEATURES).to(dtype).train()
        tokens = backbone(x, MASK, p4).tokens_BND
        functions.append(custom_functions(tokens))
        (tokens * torch.linspace(-1, 1, tokens.shape[-1], dtype=dtype)).sum().backward()
        gradients = {key: value.grad for key, value in backbone.named_parameters() if value.grad is not None}
        states.append({"tokens": tokens.detach(), **gradients, **dict(backbone.named_buffers())})
    assert functions[0]
    assert not functions[1]
    assert list(states[0]) == list(states[1])
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    for key, value in states[0].items():
        expected = states[1][key]
        scale = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
        torch.testing.assert_close(value, expected, atol=tolerance * scale, rtol=0)


def test_switch_refuses_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEPFM_KERNELS", "no")
    with pytest.raises(ConfigError, match=r"HEPFM_KERNELS is 'no'; set it to on .* or off"):
        Dropout(0.5).train()(torch.ones(3))


@pytest.mark.parametrize("word", ["on", "off"])
def test_a_run_records_the_switch(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEPFM_KERNELS", word)
    assert environment()["kernels"] is (word == "on")


def without_kernels(monkeypatch: pytest.MonkeyPatch, formula: Formula) -> Formula:
    def plain(*inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        with monkeypatch.context() as patch:
            patch.setenv("HEPFM_KERNELS", "off")
            return formula(*inputs)

    return plain


VECTORS = Invariants(((1, -1, -1, -1),), (False,), False, 7, 0.01, False, True)
MULTIVECTORS = Invariants(
    ((1,), (1, -1, -1, -1), (-1, -1, -1)), (False, False, True), True, 2, 0.01, True, False
)


@pytest.mark.parametrize("size", [1.0, 1e-2])  # the smaller one is below the least mean
@pytest.mark.parametrize("rule", [VECTORS, MULTIVECTORS], ids=["vectors", "multivectors"])
def test_invariant_norms(
    dtype: torch.dtype, rule: Invariants, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def norm(s: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        parts, s = normalised(parts, s, rule)
        return (*parts, s)

    def heads(s: Tensor, *parts: Tensor) -> Tensor:
        return normalised_heads(parts, s, rule)

    for kernel, shape in ((norm, (5,)), (heads, (5, 3, 2))):
        parts = [size * torch.randn(len(metric), *shape, 4, dtype=dtype) for metric in rule.metric]
        s = size * torch.randn(*shape, 3, dtype=dtype)
        assert_alike(kernel, without_kernels(monkeypatch, kernel), s, *parts, size=4)


@pytest.mark.parametrize("gate", [torch.sigmoid, F.gelu])
def test_gated_vectors(dtype: torch.dtype, gate: Formula, monkeypatch: pytest.MonkeyPatch) -> None:
    def gated(v: Tensor) -> Tensor:
        return gated_vectors(v, (0.5, -0.5, -0.5, -0.5), gate)  # type: ignore[arg-type]

    assert_alike(gated, without_kernels(monkeypatch, gated), torch.randn(4, 5, 6, dtype=dtype), size=4)
