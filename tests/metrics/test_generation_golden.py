"""Metrics of generation against the package jetnet, whose outputs `make_jetnet_golden.py` stored."""

import ast
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from make_jetnet_golden import SEED, weights

from hepfm.core.errors import MissingExtraError
from hepfm.metrics.generation import batches, efp, emd, fpnd, frechet, kernel, particlenet
from hepfm.metrics.generation.jets import jetnet_sample


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).with_name("jetnet_golden.npz")) as file:
        return dict(file)


@pytest.fixture(scope="module")
def samples(golden):
    """Real and generated jets, as jetnet was given them."""
    return tuple(
        jetnet_sample(golden[name].astype(np.float64), np.full(len(golden[name]), 1000.0))
        for name in ("real", "made")
    )


@pytest.fixture(scope="module")
def polynomials(samples):
    return tuple(efp.connected_efps(sample) for sample in samples)


def multigraph(names):
    """Return the edges of a product of connected graphs, its nodes numbered through."""
    edges, shift = [], 0
    for name in names:
        part = efp.CONNECTED[name]
        edges += [(a + shift, b + shift) for a, b in part]
        shift += max(itertools.chain(*part), default=0) + 1
    return edges


def invariant(edges):
    """Return what tells graphs of up to four edges apart: components and the degrees along their edges."""
    degree = Counter(itertools.chain(*edges))
    parents = {node: node for node in degree}

    def root(node):
        while parents[node] != node:
            node = parents[node]
        return node

    for a, b in edges:
        parents[root(a)] = root(b)
    parts = {}
    for a, b in edges:
        parts.setdefault(root(a), []).append((a, b))
    described = []
    for part in parts.values():
        repeats = sorted(Counter(tuple(sorted(edge)) for edge in part).values())
        along = sorted(tuple(sorted((degree[a], degree[b]))) for a, b in part)
        described.append((len(set(itertools.chain(*part))), tuple(repeats), tuple(along)))
    return tuple(sorted(described))


def test_masses(golden, samples):
    np.testing.assert_allclose(batches.relative_mass(samples[0]), golden["mass"], rtol=1e-6, atol=1e-7)


def test_the_36_polynomials(golden, polynomials):
    theirs = {invariant(edges): k for k, edges in enumerate(ast.literal_eval(str(golden["graphs"])))}
    ours = [invariant(multigraph(names)) for names in efp.GRAPHS]
    assert len(theirs) == len(set(ours)) == 36
    order = [theirs[graph] for graph in ours]
    np.testing.assert_allclose(
        efp.efps(polynomials[0])[:40], golden["efps"][:, order], rtol=1e-10, atol=1e-15
    )


def test_the_five_polynomials_of_w1efp(golden, polynomials):
    ours = np.stack([polynomials[0][name][:40] for name in efp.FOUR_NODES], axis=1)
    np.testing.assert_allclose(np.sort(ours), np.sort(golden["efps_prime4"]), rtol=1e-10)


@pytest.mark.parametrize("name", ["w1m", "w1p", "w1efp"])
def test_w1_over_batches(golden, samples, polynomials, name, monkeypatch):
    """With jetnet's draws, value and error are jetnet's."""
    monkeypatch.setattr(batches, "numpy_generator", lambda *_: np.random.default_rng(SEED))
    inputs = polynomials if name == "w1efp" else samples
    measured = getattr(batches, name)(*inputs)
    means, errors = golden[name]
    assert measured.value == pytest.approx(float(np.mean(means)), rel=1e-6)
    if name == "w1m":
        assert measured.high - measured.value == pytest.approx(float(errors), rel=1e-5)
    else:
        assert 0 < measured.high - measured.value <= float(np.mean(errors)) * (1 + 1e-6)


def test_fpd(golden, polynomials):
    """Within 0.1 %, where jetnet's iterative fit stops; the distances themselves agree far better."""
    features = frechet.normalised(*(efp.efps(sample) for sample in polynomials))
    value, error = frechet.fpd_of(*features, rng=np.random.default_rng(42))
    np.testing.assert_allclose([value, error], golden["fpd"], rtol=1e-3)


def test_kpd(golden, polynomials):
    """jetnet seeds every batch anew: with its draws the median is its median."""
    real, made = frechet.normalised(*(efp.efps(sample) for sample in polynomials))
    values = []
    for batch in range(kernel.BATCHES):
        rng = np.random.default_rng(42 + 1000 * batch)
        rows = [rng.choice(len(sample), size=kernel.BATCH_SIZE) for sample in (real, made)]
        values.append(kernel.mmd(real[rows[0]], np.ones(len(rows[0])), made[rows[1]], np.ones(len(rows[1]))))
    assert np.median(values) == pytest.approx(golden["kpd"][0], rel=1e-6)


def test_upstream_values_of_fpd_and_kpd():
    """The values in jetnet's own tests: points at 0 and at 2 in two dimensions, normalised and raw."""
    zeros, twos = np.zeros((1000, 2)), np.full((1000, 2), 2.0)
    rng = np.random.default_rng(0)
    assert frechet.fpd(zeros, zeros).value == pytest.approx(0, abs=1e-8)
    assert frechet.fpd(twos, zeros).value == pytest.approx(2, rel=1e-6)
    assert frechet.fpd_of(twos, zeros, rng=rng)[0] == pytest.approx(8, rel=1e-6)
    assert kernel.kpd(twos, zeros).value == pytest.approx(15, rel=1e-9)
    assert kernel.kpd_of(twos, zeros, rng=rng)[0] == pytest.approx(624, rel=1e-9)


def test_energy_movers_distance(golden, samples):
    pytest.importorskip("ot", reason="the extra 'eval' is not installed")
    distances = emd.emd_matrix(samples[0].take(np.arange(12)), samples[1].take(np.arange(10)))
    np.testing.assert_allclose(distances, golden["emds"], rtol=0, atol=1e-12)


def test_coverage_and_mmd(golden, samples, monkeypatch):
    pytest.importorskip("ot", reason="the extra 'eval' is not installed")
    monkeypatch.setattr(emd, "numpy_generator", lambda *_: np.random.default_rng(SEED))
    coverage, mmd = emd.coverage_and_mmd(*samples, batches=emd.EmdBatches(jets=20, batches=3))
    assert [coverage.value, mmd.value] == pytest.approx(golden["cov_mmd"].tolist(), rel=1e-9)


def test_particlenet_with_made_up_weights(golden, samples):
    """jetnet's network with the same weights, zero padding (tied neighbours) among its inputs."""
    network = particlenet.FpndNetwork()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    made = {name: torch.as_tensor(value) for name, value in weights(shapes).items()}
    particlenet.load_weights(network, made)
    ours = fpnd.activations(network, samples[0].take(np.arange(20)))
    np.testing.assert_allclose(ours, golden["activations_random"], rtol=1e-4, atol=1e-4)


@pytest.fixture
def published():
    """The weights of the package jetnet; the test is skipped where it is not installed."""
    try:
        return particlenet.load_particlenet()
    except MissingExtraError as error:
        pytest.skip(str(error))


def test_particlenet_with_the_published_weights(golden, samples, published):
    ours = fpnd.activations(published, samples[0].take(np.arange(20)))
    np.testing.assert_allclose(ours, golden["activations_published"], rtol=1e-4, atol=1e-4)


def test_fpnd(golden, samples, published):
    measured = fpnd.fpnd(samples[0], "g")
    assert measured.value == pytest.approx(float(golden["fpnd_g"]), rel=1e-4)
    assert (measured.n, measured.definition) == (400, "fpnd.jetnet30.v1")
