"""The density that is written out is that of package zuko, with its gradients."""

from __future__ import annotations

import pytest
import torch

from hepfm.methods.anomaly.flow_density import log_density

zuko = pytest.importorskip("zuko", reason="the extra 'flows' is not installed")


def flow_and_rows(
    features: int, conditions: int, hidden: tuple[int, ...]
) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(features)
    flow = zuko.flows.MAF(features, conditions, transforms=4, hidden_features=hidden).double()
    with torch.no_grad():
        for parameter in flow.parameters():  # outputs of some units, where the limit of the scale matters
            parameter.mul_(4)
    x, c = (torch.randn(50, width, dtype=torch.float64) for width in (features, conditions))
    return flow, x.requires_grad_(), c.requires_grad_()


@pytest.mark.parametrize("hidden", [(16,), (12, 20)])
@pytest.mark.parametrize(("features", "conditions"), [(1, 1), (2, 1), (4, 1), (3, 2)])
def test_values_and_gradients_are_those_of_the_package(
    features: int, conditions: int, hidden: tuple[int, ...]
) -> None:
    flow, x, c = flow_and_rows(features, conditions, hidden)
    found, expected = log_density(flow, x, c), flow(c).log_prob(x)
    torch.testing.assert_close(found, expected)
    assert expected.std() > 1
    inputs = [*flow.parameters(), x, c]
    weights = torch.randn(50, dtype=torch.float64)  # another gradient for each row
    for ours, theirs in zip(
        torch.autograd.grad(found @ weights, inputs),
        torch.autograd.grad(expected @ weights, inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_the_scale_is_limited_as_in_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another limit the densities differ, so that these rows would show it."""
    flow, x, c = flow_and_rows(3, 1, (16,))
    monkeypatch.setattr("hepfm.methods.anomaly.flow_density._LN_SLOPE", -100.0)
    assert (log_density(flow, x, c) - flow(c).log_prob(x)).abs().max() > 0.1
