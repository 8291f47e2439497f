"""Heads: outputs of rows, from a summary or from the constituents."""

from __future__ import annotations

import pytest
import torch

from hepfm.backbones.base import Features
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, IncompatibleError
from hepfm.heads import HEADS


def build(name: str, outputs: int = 3, **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    component = resolve_component(HEADS, {"name": name, **options}, where="test")
    head: torch.nn.Module = component.cls(component.config, width=4, num_outputs=outputs)
    return head.eval()


MASK = torch.tensor([[True, True, False], [False, False, False]])
TOKENS = torch.arange(24.0).view(2, 3, 4)


@pytest.mark.parametrize("name", list(HEADS))
def test_linear_in_the_summary(name: str) -> None:
    head = build(name)
    pooled = torch.randn(2, 4)
    found = head(Features(TOKENS, pooled), MASK)
    torch.testing.assert_close(found, pooled @ head.linear.weight.T + head.linear.bias)
    mean = head(Features(TOKENS), MASK)
    torch.testing.assert_close(mean[0], head.linear(TOKENS[0, :2].mean(0)))
    assert mean.isfinite().all()


def test_regress_gives_physical_units() -> None:
    head = build("regress", 2, centre=[80.0, 0.5], scale=[20.0, 0.1])
    head.linear.weight.data.zero_()
    head.linear.bias.data = torch.tensor([1.0, -2.0])
    found = head(Features(TOKENS, TOKENS[:, 0]), MASK)
    torch.testing.assert_close(found, torch.tensor([[100.0, 0.3], [100.0, 0.3]]))
    assert set(head.state_dict()) == {"centre_K", "scale_K", "linear.weight", "linear.bias"}


def test_bad_options() -> None:
    with pytest.raises(IncompatibleError, match="scale has 1 numbers for 2 targets"):
        build("regress", 2, scale=[1.0])
    with pytest.raises(ConfigError, match=r"scale\.0"):
        build("regress", 1, scale=[-1.0])
    with pytest.raises(ConfigError, match="dropout"):
        build("classify", dropout=1.5)
    with pytest.raises(ConfigError, match="did you mean 'classify'"):
        build("clasify")
