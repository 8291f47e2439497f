"""The losses of vectors: those of lightly, an independent sum over pairs, and what does not count."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import generator
from torch import Tensor

from hepfm.core.errors import DataError
from hepfm.objectives import similarity
from hepfm.objectives.contrastive import _nt_xent
from hepfm.objectives.similarity import contrast, nearest_is_positive
from hepfm.objectives.together import StepRows
from hepfm.objectives.variance import covariance, invariance, variance

GOLDEN = np.load(Path(__file__).with_name("lightly_golden.npz"))

Statistic = Callable[[StepRows], Tensor]
STATISTICS: dict[str, Statistic] = {
    "contrast": partial(contrast, temperature=0.1),
    "nearest": nearest_is_positive,
    "invariance": invariance,
    "variance": variance,
    "covariance": covariance,
}


def vicreg(rows: StepRows) -> Tensor:
    return 25 * invariance(rows) + 25 * variance(rows) + covariance(rows)


def rows_of(vectors: Tensor, identity: list[int] | Tensor, weights: Tensor | None = None) -> StepRows:
    identity = torch.as_tensor(identity)
    weights = torch.ones(len(identity), dtype=vectors.dtype) if weights is None else weights
    return StepRows(vectors, identity, torch.zeros_like(identity), weights)


def pairs(first: Tensor, second: Tensor) -> StepRows:
    """Two views of each row."""
    number = torch.arange(len(first))
    weights = torch.ones(len(first), dtype=first.dtype)
    views = (StepRows(x, number, torch.full_like(number, k), weights) for k, x in enumerate((first, second)))
    return next(views) + next(views)


def random_rows(seed: int = 0, *, rows: int = 20) -> StepRows:
    draw = generator(seed)
    vectors = torch.randn(rows, 6, generator=draw, dtype=torch.float64)
    weights = torch.rand(rows, generator=draw, dtype=torch.float64) + 0.1
    return rows_of(vectors, torch.randint(6, (rows,), generator=draw), weights).counting()


def supervised_contrast(rows: StepRows, temperature: float) -> float:
    """The loss as the paper writes it (2004.11362, equation 2), pair by pair, with weights of rows."""
    unit = [x / np.linalg.norm(x) for x in rows.vectors_VE.numpy()]
    weights = rows.weights_V.numpy() / rows.weights_V.numpy().mean()
    total = count = 0.0
    for i, anchor in enumerate(unit):
        others = [j for j in range(len(unit)) if j != i]
        positives = [j for j in others if rows.identity_V[j] == rows.identity_V[i]]
        if not positives:
            continue
        denominator = sum(weights[j] * np.exp(anchor @ unit[j] / temperature) for j in others)
        losses = [-np.log(np.exp(anchor @ unit[p] / temperature) / denominator) for p in positives]
        total += weights[i] * np.average(losses, weights=weights[positives])
        count += weights[i]
    return float(total / count)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent_and_its_gradient_are_those_of_lightly(temperature: float) -> None:
    first = torch.from_numpy(GOLDEN["first"]).requires_grad_()
    loss = contrast(pairs(first, torch.from_numpy(GOLDEN["second"])), temperature=temperature)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(GOLDEN[f"nt_xent_{temperature}"]), rel=1e-10)
    assert first.grad is not None
    np.testing.assert_allclose(first.grad, GOLDEN[f"nt_xent_{temperature}_gradient"], atol=1e-10)


def test_vicreg_and_its_gradient_are_those_of_lightly() -> None:
    first = torch.from_numpy(GOLDEN["first"]).requires_grad_()
    rows = pairs(first, torch.from_numpy(GOLDEN["second"]))
    for name in ("invariance", "variance", "covariance"):
        found = float(STATISTICS[name](rows).detach())
        assert found == pytest.approx(float(GOLDEN[name]), rel=1e-10), name
    vicreg(rows).backward()
    assert first.grad is not None
    np.testing.assert_allclose(first.grad, GOLDEN["vicreg_gradient"], atol=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_contrast_is_the_sum_over_pairs_of_the_paper(seed: int) -> None:
    rows = random_rows(seed)
    found = float(contrast(rows, temperature=0.3))
    assert found == pytest.approx(supervised_contrast(rows, 0.3), rel=1e-10)


def test_invariance_is_the_mean_squared_distance_to_the_others_of_a_group() -> None:
    rows = random_rows(rows=12)
    distances, weights = [], []
    for i in range(len(rows)):
        others = [j for j in range(len(rows)) if j != i and rows.identity_V[j] == rows.identity_V[i]]
        if others:
            squares = (rows.vectors_VE[others] - rows.vectors_VE[i]).square().mean(1).numpy()
            distances.append(np.average(squares, weights=rows.weights_V[others]))
            weights.append(float(rows.weights_V[i]))
    assert float(invariance(rows)) == pytest.approx(np.average(distances, weights=weights), rel=1e-10)


@pytest.mark.parametrize("name", STATISTICS)
def test_order_scale_of_weights_and_rows_of_weight_zero_change_nothing(name: str) -> None:
    statistic, rows = STATISTICS[name], random_rows(2)
    expected = statistic(rows)
    order = torch.randperm(len(rows), generator=generator(5))
    ignored = rows_of(torch.full((3, 6), torch.nan).double(), [0, 1, 99], torch.zeros(3).double())
    more = StepRows(rows.vectors_VE[order], rows.identity_V[order], rows.branch_V, 7 * rows.weights_V[order])
    torch.testing.assert_close(statistic((more + ignored).counting()), expected, rtol=1e-9, atol=1e-12)


def test_a_matrix_in_blocks_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_rows(3)
    whole = [STATISTICS[name](rows) for name in ("contrast", "nearest")]
    monkeypatch.setattr(similarity, "ANCHORS", 3)
    for name, expected in zip(("contrast", "nearest"), whole, strict=True):
        torch.testing.assert_close(STATISTICS[name](rows), expected)


def test_a_row_without_others_of_its_own_is_a_negative_of_the_rest() -> None:
    vectors = torch.randn(5, 4, generator=generator(1), dtype=torch.float64)
    with_single = contrast(rows_of(vectors, [0, 0, 1, 1, 2]), temperature=0.2)
    without = contrast(rows_of(vectors[:4], [0, 0, 1, 1]), temperature=0.2)
    assert with_single > without + 1e-6
    assert float(with_single) == pytest.approx(
        supervised_contrast(rows_of(vectors, [0, 0, 1, 1, 2]), 0.2), rel=1e-10
    )


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("identity", [[], [0], [0, 1, 2]], ids=["nothing", "one row", "no pairs"])
def test_without_pairs_numbers_and_gradients_are_finite(name: str, identity: list[int]) -> None:
    vectors = torch.randn(len(identity), 4, generator=generator(1)).requires_grad_()
    number = STATISTICS[name](rows_of(vectors, identity))
    if name in ("contrast", "nearest", "invariance"):
        assert float(number.detach()) == 0
    if name != "nearest":
        number.backward()
        assert vectors.grad is not None
        assert vectors.grad.isfinite().all()


def test_a_step_of_one_group_is_refused_by_nt_xent_alone() -> None:
    rows = rows_of(torch.randn(4, 3, generator=generator()), [5, 5, 5, 5])
    with pytest.raises(DataError, match=r"all 4 vectors of a step belong together.*train\.batch_size"):
        _nt_xent(rows, temperature=0.1)
    assert contrast(rows, temperature=0.1).isfinite()


def test_unit_vectors_can_never_have_the_variance_that_vicreg_asks_for() -> None:
    """Why VICReg's vectors are not normalised, as in a published variant of RS3L."""
    vectors = torch.randn(400, 16, generator=generator(2))
    unit = torch.nn.functional.normalize(vectors, dim=1)
    assert variance(rows_of(unit, torch.arange(400))) > 0.7
    assert variance(rows_of(2 * vectors, torch.arange(400))) == 0


def test_each_branch_has_its_own_variance() -> None:
    """Two views that differ by a constant do not vary because of it."""
    same = torch.ones(10, 3, dtype=torch.float64)
    assert float(variance(pairs(same, same + 5))) == pytest.approx(0.99)
