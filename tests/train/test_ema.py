"""The average of the weights against a plain recursion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hepfm.models.directory import Model
from hepfm.networks.network import Network
from hepfm.objectives.supervised import Supervised
from hepfm.train.ema import Ema
from hepfm.train.pretrain import pretrain


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


def test_the_model_of_a_run_is_the_average_of_its_steps(
    recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[dict[str, Tensor]] = []

    def note(objective: Supervised, network: Network, step: int, num_steps: int) -> None:
        steps.append({name: weight.detach().clone() for name, weight in network.named_parameters()})

    monkeypatch.setattr(Supervised, "after_step", note)
    run = pretrain(recipe, output=tmp_path / "run", overrides=["train.ema=0.9", "train.steps=4"])
    expected = steps[0]
    for count, present in enumerate(steps[1:], start=1):
        decay = (1 + count) / (10 + count)
        expected = {name: decay * expected[name] + (1 - decay) * present[name] for name in present}
    saved = dict(Model.load(run.path / "model").network.named_parameters())
    for name, weight in expected.items():
        torch.testing.assert_close(saved[name].detach(), weight, rtol=1e-4, atol=1e-6)
    assert any(not torch.equal(steps[-1][name], weight) for name, weight in saved.items())
