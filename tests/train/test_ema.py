"""The average of the weights against a plain recursion."""

from __future__ import annotations

import torch
from torch import nn

from hepfm.train.ema import Ema


def test_the_average_follows_its_recursion() -> None:
    network = nn.Linear(3, 2)
    ema = Ema(network, 0.5)
    generator = torch.Generator().manual_seed(0)
    expected = None
    for count in range(20):
        with torch.no_grad():
            network.weight.copy_(torch.randn(2, 3, generator=generator))
        ema.update()
        decay = min(0.5, (1 + count) / (10 + count))
        present = network.weight.detach().clone()
        expected = present if expected is None else decay * expected + (1 - decay) * present
        torch.testing.assert_close(ema.average.module.weight, expected, rtol=1e-5, atol=1e-6)


def test_within_applied_the_network_has_the_average_and_after_it_its_own_weights() -> None:
    network = nn.Linear(3, 2)
    ema = Ema(network, 0.9)
    ema.update()
    average = network.weight.detach().clone()
    with torch.no_grad():
        network.weight.add_(1)
    own = network.weight.detach().clone()
    with ema.applied():
        assert torch.equal(network.weight, average)
    assert torch.equal(network.weight, own)
    assert torch.equal(ema.average.module.weight, average)


def test_the_average_is_not_trained() -> None:
    assert not any(weight.requires_grad for weight in Ema(nn.Linear(2, 2), 0.9).average.parameters())
