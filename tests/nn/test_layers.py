"""Linear layers, dropout, batch normalisation and pooling against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from hepfm.nn.batchnorm import BatchNorm, LinearBatchNorm
from hepfm.nn.dropout import Dropout
from hepfm.nn.linear import Linear, linear
from hepfm.nn.pooling import masked_mean, summary


@pytest.fixture(params=[True, False], ids=["AVX-512", "AVX2"])
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the way that products go on one kind of processor, whichever this is."""
    monkeypatch.setattr("hepfm.nn.kernels.convolution._has_wide_vectors", lambda: request.param)


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize(
    "shape", [(4096, 24), (32, 50, 24), (33, 47, 24), (3, 5, 24), (0, 24), (17, 9, 40, 24)]
)
@pytest.mark.parametrize("offset", [True, False])
def test_linear_is_linear(shape: tuple[int, ...], offset: bool) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(shape, requires_grad=True), torch.randn(7, 24, requires_grad=True)
    bias = torch.randn(7, requires_grad=True) if offset else None
    found, expected = linear(x, weight, bias), F.linear(x, weight, bias)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    wrt = [tensor for tensor in (x, weight, bias) if tensor is not None]
    direction = torch.randn_like(expected)
    ours = torch.autograd.grad((found * direction).sum(), wrt)
    theirs = torch.autograd.grad((expected * direction).sum(), wrt)
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("rows", [1, 17, 64, 96])
def test_few_rows_and_many_outputs_are_linear_too(rows: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(rows, 1, 64), torch.randn(20_001, 64), torch.randn(20_001)
    torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias), atol=1e-4, rtol=1e-4)


def test_linear_takes_views_and_saves_like_torch() -> None:
    layer = Linear(24, 7)
    x = torch.randn(50, 32, 24).transpose(0, 1)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), atol=1e-5, rtol=1e-5)
    assert list(layer.state_dict()) == list(torch.nn.Linear(24, 7).state_dict())


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_rate_and_mean(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 1001)
    dropped = Dropout(rate).train()(x)
    kept = (dropped != 0).double().mean().item()
    sigma = (rate * (1 - rate) / x.numel()) ** 0.5
    assert abs(kept - (1 - rate)) < 5 * sigma + 1 / 65536
    assert dropped[dropped != 0].unique().item() == pytest.approx(1 / (1 - rate), rel=1e-4)
    lines = (dropped != 0).double()
    assert abs(torch.corrcoef(torch.stack((lines[:, 0], lines[:, 1])))[0, 1]) < 0.2
    torch.testing.assert_close(Dropout(rate).eval()(x), x)


def test_dropout_add() -> None:
    x, residual = torch.randn(40, 3), torch.randn(40, 3)
    dropout = Dropout(0.4).train()
    torch.manual_seed(1)
    found = dropout.add(x, residual)
    torch.manual_seed(1)
    torch.testing.assert_close(found, residual + dropout(x))
    assert torch.equal(dropout.eval().add(x, residual), residual + x)


def test_batchnorm_without_padding_is_torchs() -> None:
    torch.manual_seed(0)
    x = 3 + 2 * torch.randn(6, 5, 4, dtype=torch.float64)
    ours, theirs = BatchNorm(4).double().train(), torch.nn.BatchNorm1d(4).double().train()
    mask = torch.ones(6, 5, dtype=torch.bool)
    torch.testing.assert_close(ours(x, mask), theirs(x.flatten(0, 1)).view_as(x))
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x, mask), theirs.eval()(x.flatten(0, 1)).view_as(x))


@pytest.mark.parametrize("real", [0, 1])
def test_batchnorm_passes_over_batches_without_variance(real: int) -> None:
    norm = BatchNorm(3).train()
    mask = torch.arange(4) < real
    assert norm(torch.randn(4, 3), mask).isfinite().all()
    assert torch.equal(norm.running_mean, torch.zeros(3))
    assert torch.equal(norm.running_var, torch.ones(3))


@pytest.mark.parametrize("training", [True, False])
def test_linear_batchnorm_is_linear_then_batchnorm(training: bool) -> None:
    torch.manual_seed(0)
    layer = LinearBatchNorm(4, 6).double().train(training)
    norm = torch.nn.BatchNorm1d(6).double().train(training)
    for norm_ in (layer.norm, norm):
        norm_.weight.data = torch.linspace(0.5, 2, 6, dtype=torch.float64)
    x = (5 + torch.randn(48, 4, dtype=torch.float64)).requires_grad_()
    found = layer(x, 32)[:32]
    expected = norm(layer.linear(x[:32]))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(layer.norm.running_mean, norm.running_mean)
    torch.testing.assert_close(layer.norm.running_var, norm.running_var)
    wrt, direction = (x, layer.linear.weight), torch.randn_like(expected)
    ours = torch.autograd.grad((found * direction).sum(), wrt)
    torch.testing.assert_close(ours, torch.autograd.grad((expected * direction).sum(), wrt))
    assert not ours[0][32:].any()


def test_pooling() -> None:
    x = torch.tensor([[[1.0], [3.0], [9.0]], [[4.0], [4.0], [4.0]]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert masked_mean(x, mask).tolist() == [[2.0], [0.0]]
    assert torch.equal(summary(x, None, mask), masked_mean(x, mask))
    assert summary(x, x[:, 0], mask).tolist() == [[1.0], [4.0]]
