"""LeJEPA: the Gaussianity statistic against its integral, collapse, and what the croppings keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from builders import draws, loss_of, number
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.lejepa import CROPS
from hepfm.objectives.sigreg import _waves, epps_pulley, sigreg
from hepfm.train.learner import Learner, make_learner

TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}


def build(**options: Any) -> Learner:
    component = resolve_component(OBJECTIVES, {"name": "lejepa", "directions": 64, **options}, where="test")
    with seeded_init(0, "test"):
        network = build_network(resolve_component(BACKBONES, TINY, where="test"), feature_set("pet"))
        return make_learner(component, network, jet_schema())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sigreg_of(x: Tensor, *, directions: int, seed: int = 0) -> float:
    return float(sigreg([x], directions=directions, generator=generator(seed)).number())


def test_the_statistic_is_the_integral_of_the_characteristic_function() -> None:
    x = np.random.default_rng(0).normal(0.4, 1.3, 50)

    def difference(t: float) -> float:
        target = np.exp(-0.5 * t * t)
        return float(abs(np.exp(1j * t * x).mean() - target) ** 2 * target)

    expected = len(x) * quad(difference, -3, 3)[0]
    found = float(epps_pulley(_waves(torch.from_numpy(x)[:, None]) / len(x), torch.tensor(50.0)))
    assert found == pytest.approx(expected, rel=5e-3)


def test_gaussian_vectors_have_a_small_statistic_whatever_their_number() -> None:
    """E |phi_B - phi|^2 = (1 - phi^2) / B, so the mean is the integral of (1 - exp(-t^2)) exp(-t^2 / 2)."""
    expected = quad(lambda t: (1 - np.exp(-t * t)) * np.exp(-0.5 * t * t), -3, 3)[0]
    for rows in (64, 1024):
        values = [sigreg_of(torch.randn(rows, 8, generator=generator(k)), directions=32) for k in range(40)]
        assert np.mean(values) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("kind", ["point", "line", "wide", "shifted", "uniform", "two_points"])
def test_anything_else_is_worse(kind: str) -> None:
    noise = torch.randn(512, 8, generator=generator(1))
    made: dict[str, Tensor] = {
        "point": torch.zeros(512, 8),
        "line": noise[:, :1].expand(-1, 8),
        "wide": 2 * noise,
        "shifted": noise + 0.5,
        "uniform": (torch.rand(512, 8, generator=generator(2)) - 0.5) * 4,
        "two_points": noise[:, :1].sign().expand(-1, 8),
    }
    found = [sigreg_of(x, directions=256) for x in (noise, made[kind])]
    assert found[1] > 1.5 * found[0]


def test_a_constant_embedding_has_a_larger_loss_than_a_gaussian_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collapse makes the prediction perfect, and must not pay."""
    objective, batch = build(), random_batch(feature_set("pet"), rows=256)
    losses = {}
    spread = torch.randn(256, 256, generator=generator(3))
    for name, vector in {"constant": torch.zeros(256, 256), "gaussian": spread}.items():
        noise = 0.1 * torch.randn(256, 256, generator=generator(4))
        given = iter([vector, vector + (noise if name == "gaussian" else 0)])
        monkeypatch.setattr(objective.objective, "_project", lambda seen, given=given: next(given))
        losses[name] = float(loss_of(objective, batch).total)
    assert losses["constant"] > 2 * losses["gaussian"]


def test_training_spreads_rows_and_brings_their_views_together() -> None:
    objective = build(projector_width=32, projector_outputs=8)
    batch = random_batch(feature_set("pet"), rows=128)
    before = loss_of(objective, batch, seed=9)
    optimizer = torch.optim.Adam(objective.parameters(), 3e-3)
    for step in range(40):
        optimizer.zero_grad()
        loss_of(objective, batch, seed=step).total.backward()
        optimizer.step()
    after = loss_of(objective, batch, seed=9)
    assert number(after, "sigreg") < 0.3 * number(before, "sigreg")
    assert number(after, "prediction") < 1.0


@given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_croppings_keep_the_share_and_the_order(lengths: list[int], seed: int) -> None:
    mask = torch.arange(max(*lengths, 1)) < torch.tensor(lengths)[:, None]
    features = torch.zeros(*mask.shape, 4)
    features[..., 0] = torch.arange(1.0, mask.shape[1] + 1)
    views = build().views(Batch(features * mask[..., None], mask, torch.arange(len(lengths))), draws(seed))
    assert tuple(views) == CROPS
    for view in views.values():
        for row, length in enumerate(lengths):
            kept = view.batch.features_BNF[row, :, 0][view.batch.mask_BN[row]]
            assert (kept.diff() > 0).all()
            assert min(round(0.6 * length), 1) <= len(kept) <= max(round(0.95 * length), min(length, 1))


def test_the_two_croppings_differ() -> None:
    first, second = build().views(random_batch(feature_set("pet")), draws()).values()
    assert first.batch.mask_BN.sum() != second.batch.mask_BN.sum()


def test_the_total_mixes_the_parts_by_the_weight() -> None:
    loss = loss_of(build(sigreg_weight=0.2), random_batch(feature_set("pet")))
    expected = 0.8 * number(loss, "prediction") + 0.2 * number(loss, "sigreg")
    assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": [0.9, 0.5]}, "smallest fraction comes first"),
        ({"keep": [0.0, 0.5]}, "keep"),
        ({"sigreg_weight": 1.5}, "sigreg_weight"),
        ({"directions": 0}, "directions"),
    ],
)
def test_what_cannot_be_used_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**options)
