"""Pair features against their definition, and the bias made from them."""

from __future__ import annotations

import math

import pytest
import torch
from builders import mask_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hepfm.nn.attention import masked_logit
from hepfm.nn.pairs import PairEmbedding, PairIndex, pair_features


def massless(pt: Tensor, eta: Tensor, phi: Tensor) -> Tensor:
    return torch.stack((pt * eta.cosh(), pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()), dim=-1)


def random_jets(rows: int, length: int) -> Tensor:
    shape = (rows, length)
    eta, phi = 0.5 * torch.randn(shape, dtype=torch.float64), 0.5 * torch.randn(shape, dtype=torch.float64)
    return massless(torch.randn(shape, dtype=torch.float64).exp(), eta, phi)


@given(
    pt=st.tuples(st.floats(0.5, 500), st.floats(0.5, 500)),
    eta=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
    phi=st.tuples(st.floats(-3.1, 3.1), st.floats(-3.1, 3.1)),
)
@settings(deadline=None, max_examples=50)
def test_two_massless_particles(
    pt: tuple[float, float], eta: tuple[float, float], phi: tuple[float, float]
) -> None:
    p4 = massless(*(torch.tensor([values], dtype=torch.float64) for values in (pt, eta, phi)))
    pairs = PairIndex.of(torch.ones(1, 2, dtype=torch.bool))
    off_diagonal = pair_features(p4, pairs)[(pairs.i_M != pairs.j_M).nonzero().item()].exp()
    dphi = math.remainder(phi[0] - phi[1], 2 * math.pi)
    distance, softer = math.hypot(eta[0] - eta[1], dphi), min(pt)
    mass2 = 2 * pt[0] * pt[1] * (math.cosh(eta[0] - eta[1]) - math.cos(dphi))
    expected = torch.tensor([softer * distance, softer / sum(pt), distance, mass2], dtype=torch.float64)
    scale = torch.tensor([softer, 1, 1, (p4[..., 0].sum() ** 2).item()], dtype=torch.float64)
    torch.testing.assert_close(off_diagonal / scale, expected.clamp(min=1e-8) / scale, atol=1e-7, rtol=1e-6)


def test_masses_of_massless_pairs_are_not_rounding() -> None:
    """In single precision the difference of squares gives a mass to a particle with itself."""
    pt, eta = torch.tensor([[311.7, 42.3, 0.7]]), torch.tensor([[0.123, 0.123, 1.7]])
    phi = torch.tensor([[0.3, 0.3 + 1e-4, -2.9]])
    pairs = PairIndex.of(torch.ones(1, 3, dtype=torch.bool))
    log_mass2 = pair_features(massless(pt, eta, phi), pairs, massless=True)[:, 3]
    assert (log_mass2[pairs.i_M == pairs.j_M] == math.log(1e-8)).all()
    exact = pair_features(massless(*(x.double() for x in (pt, eta, phi))), pairs)[:, 3]
    others = pairs.i_M != pairs.j_M
    torch.testing.assert_close(log_mass2[others].double(), exact[others], atol=2e-3, rtol=0)


def test_distance_is_taken_around_the_circle() -> None:
    p4 = massless(torch.ones(1, 2), torch.zeros(1, 2), torch.tensor([[3.1, -3.1]]))
    features = pair_features(p4, PairIndex.of(torch.ones(1, 2, dtype=torch.bool)))
    assert features[:, 2].exp().max().item() == pytest.approx(2 * math.pi - 6.2, rel=1e-3)


@given(counts=st.lists(st.integers(0, 6), min_size=1, max_size=4))
@settings(deadline=None, max_examples=25)
def test_each_real_pair_is_indexed_once(counts: list[int]) -> None:
    mask = mask_of(counts)
    length = mask.shape[1]
    pairs = PairIndex.of(mask)
    assert len(pairs.i_M) == sum(n * (n + 1) // 2 for n in counts)
    covered = torch.zeros(len(counts) * length * length, dtype=torch.int64)
    covered[pairs.ij_M] += 1
    covered[pairs.ji_M] = 1
    assert torch.equal(covered.view(len(counts), length, length) > 0, mask[:, :, None] & mask[:, None, :])
    assert len(pairs.ij_M.unique()) == len(pairs.ij_M)


def test_bias_is_symmetric_and_hides_padding() -> None:
    torch.manual_seed(0)
    mask = torch.arange(5)[None] < torch.tensor([[5], [2], [0]])
    embedding = PairEmbedding((8,), num_heads=2).double().eval()
    bias = embedding(random_jets(3, 5), mask)
    assert bias.shape == (3, 2, 5, 5)
    torch.testing.assert_close(bias, bias.transpose(-1, -2))
    hidden = bias == masked_logit(torch.float64)
    assert torch.equal(hidden[:, 0], ~(mask[:, :, None] & mask[:, None, :]))


def test_gradient_of_the_embedding() -> None:
    torch.manual_seed(0)
    embedding = PairEmbedding((3,), num_heads=2).double().train()
    p4, mask = random_jets(2, 3), torch.tensor([[True, True, True], [True, True, False]])
    names = [name for name, parameter in embedding.named_parameters() if parameter.requires_grad]
    real = (mask[:, :, None] & mask[:, None, :])[:, None]

    def run(*values: Tensor) -> Tensor:
        out = torch.func.functional_call(embedding, dict(zip(names, values, strict=True)), (p4, mask))
        return out.where(real, 0.0)

    values = [embedding.get_parameter(name).detach().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(run, values, atol=1e-5)


def test_three_times_as_many_constituents_do_not_move_the_bias() -> None:
    torch.manual_seed(0)
    embedding = PairEmbedding((8, 8), num_heads=2).double().eval()
    p4, mask = random_jets(2, 4), torch.ones(2, 4, dtype=torch.bool)
    padded = embedding(torch.nn.functional.pad(p4, (0, 0, 0, 8)), torch.nn.functional.pad(mask, (0, 8)))
    torch.testing.assert_close(padded[:, :, :4, :4], embedding(p4, mask))
