"""Laws of the metrics of generation, references, negative controls and bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy, wasserstein_distance

from hepfm.core.errors import ConfigError, DataError, MissingExtraError
from hepfm.core.ragged import Ragged, largest
from hepfm.metrics.generation import batches, classifier, divergence, emd, fpnd, frechet, kernel, particlenet
from hepfm.metrics.generation.efp import connected_efps, efps
from hepfm.metrics.generation.jets import JetSample, jet_sample, jetnet_sample, join
from hepfm.metrics.generation.observables import OBSERVABLES, observe, pairs
from hepfm.metrics.generation.two_sample import Pair
from hepfm.metrics.generation.wasserstein import w1, w1_statistic
from hepfm.physics.kinematics import pseudorapidity

NUMBERS = st.floats(-100, 100, width=32)


def jets(number, *, seed=0, width=0.1, shortest=3):
    """Return random jets of up to 20 constituents."""
    rng = np.random.default_rng(seed)
    particles = np.zeros((number, 20, 3))
    for jet, length in zip(particles, rng.integers(shortest, 21, number), strict=True):
        jet[:length, :2] = width * rng.normal(size=(length, 2))
        jet[:length, 2] = rng.dirichlet(np.ones(length))
    return jetnet_sample(particles, rng.uniform(500, 1000, number))


@pytest.fixture(scope="module")
def observed():
    """Real jets, other real jets, and wider ones."""
    pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")
    kinds = ((1, 0.1), (2, 0.1), (3, 0.15))
    return tuple(observe(jets(400, seed=seed, width=width), radius=0.8) for seed, width in kinds)


# -- the sample


def test_relative_coordinates_of_a_store(jet_columns):
    columns = jet_columns(50, seed=5, lengths=np.arange(50) % 7 + 1)
    sample = jet_sample(columns, max_constituents=4)
    np.testing.assert_array_equal(sample.lengths, np.minimum(columns["part_pt"].lengths, 4))
    whole = jet_sample(columns, max_constituents=100)
    assert np.abs(whole.relative[:, 1]).max() <= np.pi
    first, jet = whole.offsets[:-1], whole.sum(whole.p4)
    expected = columns["part_eta"].values[first] - pseudorapidity(*jet[:, 1:].T)
    np.testing.assert_allclose(whole.relative[first, 0], expected, atol=1e-6)
    along = whole.relative[:, 2] * np.cos(whole.relative[:, 1])
    np.testing.assert_allclose(whole.sum(along), 1, rtol=1e-5)


def test_constituents_come_hardest_first_in_whatever_order_they_are_given(jet_columns):
    columns = dict(jet_columns(20, seed=6, lengths=np.full(20, 5)))
    sample = jet_sample(columns, max_constituents=3)
    mixed = np.arange(100).reshape(20, 5)[:, ::-1].ravel()
    turned = {
        name: Ragged(column.values[mixed], column.offsets) if isinstance(column, Ragged) else column
        for name, column in columns.items()
    }
    np.testing.assert_array_equal(jet_sample(turned, max_constituents=3).relative, sample.relative)


def test_padding_changes_nothing():
    particles = jets(30, seed=1).padded(20)
    wide = np.concatenate([particles, np.zeros((30, 40, 3))], axis=1)
    narrow, padded = (jetnet_sample(array, np.full(30, 1000.0)) for array in (particles, wide))
    np.testing.assert_array_equal(narrow.relative, padded.relative)
    np.testing.assert_allclose(efps(connected_efps(narrow)), efps(connected_efps(padded)), rtol=1e-12)


def test_polynomials_do_not_depend_on_the_order_of_constituents_or_jets():
    sample = jets(30, seed=2)
    rows = np.random.default_rng(0).permutation(30)
    values = efps(connected_efps(sample))
    np.testing.assert_allclose(efps(connected_efps(sample.take(rows))), values[rows], rtol=1e-10, atol=1e-16)
    inner = np.concatenate(
        [np.arange(a, b)[::-1] for a, b in zip(sample.offsets, sample.offsets[1:], strict=False)]
    )
    turned = JetSample(sample.relative[inner], sample.p4[inner], sample.offsets)
    np.testing.assert_allclose(efps(connected_efps(turned)), values, rtol=1e-10, atol=1e-16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, p, o: (r, p, o[:1]), "without jets"),
        (lambda r, p, o: (r[:-1], p, o), "shapes"),
        (lambda r, p, o: (r, p, np.insert(o, 1, 0)), "no constituents, the first is jet 0"),
        (lambda r, p, o: (np.where(np.arange(len(r))[:, None] == o[3], np.nan, r), p, o), "first in jet 3"),
        (lambda r, p, o: (r * [1, 1, -1], p, o), "negative pT"),
    ],
)
def test_a_bad_sample_is_refused(change, message):
    sample = jets(10)
    with pytest.raises(DataError, match=message):
        JetSample(*change(sample.relative, sample.p4, sample.offsets))


@pytest.mark.parametrize("number", [3, 100])
def test_jets_refer_to_the_constituents_that_are_kept(jet_columns, number):
    """Cutting real jets as a generator of so many constituents makes them changes nothing."""
    columns = jet_columns(50, seed=5, lengths=np.arange(50) % 7 + 1)
    order, lengths = largest(columns["part_pt"], number)
    cut = {
        name: Ragged.from_lengths(column.values[order], lengths) if isinstance(column, Ragged) else column
        for name, column in columns.items()
    }
    p4 = np.add.reduceat(
        jet_sample(cut, max_constituents=100).p4, Ragged.from_lengths(order, lengths).offsets[:-1]
    )
    made = cut | {
        "jet_pt": np.hypot(p4[:, 1], p4[:, 2]),
        "jet_eta": pseudorapidity(*p4[:, 1:].T),
        "jet_phi": np.arctan2(p4[:, 2], p4[:, 1]),
    }
    one, other = (jet_sample(each, max_constituents=number) for each in (columns, made))
    np.testing.assert_allclose(one.relative, other.relative, rtol=1e-6)
    np.testing.assert_allclose(
        np.hypot(p4[:, 1], p4[:, 2]) * one.relative[one.offsets[:-1], 2], p4_pt(one), rtol=1e-6
    )


def p4_pt(sample):
    """Return the pT of the hardest constituent of each jet."""
    return np.hypot(sample.p4[:, 1], sample.p4[:, 2])[sample.offsets[:-1]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_constituent_that_is_no_number_is_named_as_such(jet_columns, value):
    columns = jet_columns(5, lengths=np.full(5, 4))
    values = columns["part_pt"].values.copy()
    values[9] = value
    columns["part_pt"] = columns["part_pt"].with_values(values)
    with pytest.raises(DataError, match="NaN or infinite, the first in jet 2"):
        jet_sample(columns, max_constituents=10)


def test_a_jet_without_pt_is_refused(jet_columns):
    columns = jet_columns(5, lengths=np.full(5, 4))
    columns["part_pt"] = columns["part_pt"].with_values(columns["part_pt"].values * (np.arange(20) >= 4))
    with pytest.raises(DataError, match="no pT together"):
        jet_sample(columns, max_constituents=10)


# -- W1 and KL


@settings(max_examples=60)
@given(
    arrays(float, st.integers(1, 30), elements=NUMBERS), arrays(float, st.integers(1, 30), elements=NUMBERS)
)
def test_w1_is_that_of_scipy(x, y):
    ours = w1_statistic(x, y)(np.ones(len(x) + len(y)))
    assert ours == pytest.approx(wasserstein_distance(x, y), rel=1e-9, abs=1e-9)


@settings(max_examples=30)
@given(arrays(float, 12, elements=NUMBERS), arrays(int, 24, elements=st.integers(0, 3)))
def test_weights_of_w1_are_repetitions(values, counts):
    counts[0] = counts[-1] = 1
    x, y = values[:6], values[6:] * 2 + 1
    weights = counts[[*range(6), *range(18, 24)]]
    repeated = wasserstein_distance(np.repeat(x, weights[:6]), np.repeat(y, weights[6:]))
    assert w1_statistic(x, y)(weights.astype(float)) == pytest.approx(repeated, rel=1e-9, abs=1e-9)


def test_w1_of_equal_samples_is_zero_and_of_a_shift_the_shift():
    values = np.random.default_rng(1).normal(size=500)
    measured = w1({"same": Pair(values, values[::-1]), "shift": Pair(values, values + 3)})
    assert measured["same"].value == pytest.approx(0, abs=1e-12)
    assert measured["shift"].value == pytest.approx(3)
    assert measured["shift"].definition == "w1.v1.shift"
    assert measured["same"].low == 0
    assert measured["same"].n == 500


def test_the_error_of_w1_is_that_of_other_samples():
    rng = np.random.default_rng(2)
    values = [w1_statistic(rng.normal(size=300), rng.normal(1, 1, 300))(np.ones(600)) for _ in range(200)]
    one = w1({"x": Pair(rng.normal(size=300), rng.normal(1, 1, 300))})["x"]
    assert one.high - one.value == pytest.approx(np.std(values), rel=0.25)


def test_jets_without_a_value_are_left_out_and_counted():
    values = np.arange(10.0)
    measured = w1({"tau": Pair(np.append(values, np.nan), np.append(values + 1, [np.nan, np.nan]))})["tau"]
    assert measured.value == pytest.approx(1)
    assert measured.n == 10
    assert "left out: 1 + 2 jets" in measured.interval
    none = w1({"tau": Pair(np.full(5, np.nan), values)})["tau"]
    assert (none.value, none.low, none.high, none.n) == (None, None, None, 0)


def test_the_same_seed_gives_the_same_error():
    pair = Pair(np.random.default_rng(3).normal(size=50), np.random.default_rng(4).normal(size=60))
    assert w1({"x": pair}, seed=1) == w1({"x": pair}, seed=1)
    assert w1({"x": pair}, seed=1) != w1({"x": pair}, seed=2)


def test_kl_is_that_of_shares_with_bins_for_what_lies_outside():
    rng = np.random.default_rng(5)
    reference, other = rng.normal(size=2000), rng.normal(0.3, 1.2, 1500)
    edges = np.quantile(reference, np.linspace(0.001, 0.999, 30))
    edges = np.concatenate([[-np.inf], edges, [np.inf]])
    p, q = (np.histogram(x, edges)[0] / len(x) + 1e-8 for x in (reference, other))
    measured = divergence.kl({"x": Pair(reference, other)})["x"]
    assert measured.value == pytest.approx(entropy(p, q), rel=1e-9)
    assert measured.low < measured.value < measured.high
    assert measured.definition == "kl.quantile_bins.v2.x"
    assert divergence.kl({"x": Pair(reference, reference)})["x"].value == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("sign", [-1, 1])
def test_kl_never_falls_while_a_sample_leaves_the_range_of_the_reference(sign):
    rng = np.random.default_rng(0)
    reference, other = rng.normal(size=(2, 2000))
    ones = np.ones(4000)
    values = [divergence.kl_statistic(reference, other + sign * shift)(ones) for shift in range(12)]
    assert (np.diff(values) >= 0).all()
    assert values[-1] == pytest.approx(values[-2])
    assert values[-1] > 14
    far = np.where(np.arange(2000) < 1600, 50.0, other)
    assert divergence.kl_statistic(reference, far)(ones) > 1


def test_kl_of_whole_numbers_and_of_a_constant():
    counts = np.random.default_rng(6).poisson(4, 1000).astype(float)
    assert divergence.kl({"n": Pair(counts, counts + 1)})["n"].value > 0.1
    assert divergence.kl({"n": Pair(np.ones(50), counts)})["n"].value > 2
    assert divergence.kl({"n": Pair(np.ones(50), np.ones(70))})["n"].value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("reference", "other", "message"),
    [
        (np.zeros(0), np.ones(3), "at least one jet"),
        (np.ones(3), np.ones((3, 2)), "expected"),
        (np.ones(3), np.array([1, np.inf]), "infinite"),
    ],
)
def test_bad_observables_are_refused(reference, other, message):
    with pytest.raises(DataError, match=message):
        Pair(reference, other)


def test_observables_of_other_jets_and_too_few_resamples_are_refused():
    with pytest.raises(DataError, match="different numbers of jets"):
        w1({"a": Pair(np.ones(3), np.ones(3)), "b": Pair(np.ones(4), np.ones(3))})
    with pytest.raises(ConfigError, match="at least 20"):
        w1({"a": Pair(np.ones(3), np.ones(3))}, resamples=5)


# -- observables


def test_observables_follow_their_definitions(observed):
    sample = observed[0]
    total = sample.jets.sum(sample.jets.p4)
    np.testing.assert_allclose(sample.values["energy"], total[:, 0])
    np.testing.assert_array_equal(sample.values["multiplicity"], sample.jets.lengths)
    assert list(sample.values) == list(OBSERVABLES)
    ratio = sample.values["tau21"]
    assert ((ratio > 0) & (ratio < 1.5)).all()


def test_d2_is_that_of_fastjet(observed):
    from hepfm.physics.clustering import events_of_momenta, import_fastjet

    fastjet, awkward = import_fastjet()
    sample = observed[0].jets
    whole = fastjet.JetDefinition(fastjet.cambridge_algorithm, 10.0)
    sequence = fastjet.ClusterSequence(events_of_momenta(sample.p4, sample.lengths), whole)
    reference = sequence.exclusive_jets_energy_correlator(njets=1, func="d2", beta=1, alpha=0)
    flat = awkward.to_numpy(awkward.flatten(reference, axis=None))
    np.testing.assert_allclose(observed[0].values["d2"], flat, rtol=1e-6)


def test_too_few_constituents_have_no_substructure():
    pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")
    particles = np.zeros((3, 4, 3))
    particles[:, 0] = [0.1, 0.0, 0.5]
    particles[1:, 1] = [-0.1, 0.1, 0.3]
    particles[2:, 2] = [0.0, -0.2, 0.2]
    values = observe(jetnet_sample(particles, np.full(3, 1000.0)), radius=0.8).values
    np.testing.assert_array_equal(np.isnan(values["tau21"]), [True, False, False])
    np.testing.assert_array_equal(np.isnan(values["tau32"]), [True, True, False])
    np.testing.assert_array_equal(np.isnan(values["d2"]), [True, True, False])
    assert np.isfinite(values["mass"]).all()


# -- features, transport, classifier: equal samples, other samples, wrong samples


def test_every_distance_tells_wider_jets_from_real_ones(observed):
    real, second, wide = observed
    features = efps(real.connected)

    def distances(other):
        both = pairs(real, other)
        return {
            "w1_mass": w1(both)["mass"].value,
            "kl_mass": divergence.kl(both)["mass"].value,
            "w1m": batches.w1m(real.jets, other.jets).value,
            "w1p": batches.w1p(real.jets, other.jets).value,
            "w1efp": batches.w1efp(real.connected, other.connected).value,
            "fpd": frechet.fpd(features, efps(other.connected)).value,
            "kpd": kernel.kpd(features, efps(other.connected)).value,
            "auc": classifier.classifier_auc(real, other).value,
        }

    floor, found = distances(second), distances(wide)
    assert [name for name in found if found[name] <= floor[name]] == []
    assert abs(floor["auc"] - 0.5) < 0.06
    assert found["auc"] > 0.8


def test_the_classifier_cannot_tell_a_sample_from_a_shuffle_of_two():
    """A negative control: both samples are draws of one mixture."""
    pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")
    mixed = observe(join([jets(300, seed=8), jets(300, seed=9, width=0.2)]), radius=0.8)
    order = np.random.default_rng(0).permutation(600)
    measured = classifier.classifier_auc(mixed.take(order[:300]), mixed.take(order[300:]))
    assert abs(measured.value - 0.5) < 0.07
    assert measured.low < measured.value < measured.high


def test_frechet_distance_of_gaussians():
    narrow = frechet.Gaussian.of(np.zeros(2), np.diag([1.0, 4.0]))
    wide = frechet.Gaussian.of(np.array([3.0, 0]), np.diag([9.0, 4.0]))
    assert frechet.frechet_distance(narrow, wide) == pytest.approx(9 + 4)
    assert frechet.frechet_distance(wide, wide) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("features", [3, 80])
def test_frechet_distance_of_rows(features):
    """Against the formula with the symmetric root, for more rows than features and for fewer."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 3, 50)
    rows = [rng.normal(size=(50, features)), 1 + rng.normal(size=(40, features))]
    repeated = [np.repeat(rows[0], counts, axis=0), rows[1]]
    means = [x.mean(axis=0) for x in repeated]
    covariances = [np.cov(x, rowvar=False) for x in repeated]
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)
    expected = (
        np.square(means[0] - means[1]).sum() + sum(map(np.trace, covariances)) - 2 * np.sqrt(mixed).sum()
    )
    fits = frechet.Gaussian.fit(rows[0], counts), frechet.Gaussian.fit(rows[1])
    assert frechet.frechet_distance(*fits) == pytest.approx(expected, rel=1e-5)


def test_the_frechet_extrapolation_finds_the_intercept():
    sizes = np.array([20_000, 30_000, 50_000])
    assert frechet.extrapolate(sizes, 0.3 + 50 / sizes)[0] == pytest.approx(0.3, rel=1e-9)


@pytest.mark.parametrize(
    ("reference", "other", "message"),
    [
        (np.ones((1, 3)), np.ones((5, 3)), "at least 2"),
        (np.ones((5, 3)), np.ones((5, 2)), "expected"),
        (np.ones((5, 3)), np.full((5, 3), np.nan), "NaN"),
    ],
)
def test_bad_features_are_refused(reference, other, message):
    for measure in (frechet.fpd, kernel.kpd):
        with pytest.raises(DataError, match=message):
            measure(reference, other)


def test_transport_is_a_distance():
    pytest.importorskip("ot", reason="the extra 'eval' is not installed")
    sample = jets(6, seed=3)
    distances = emd.emd_matrix(sample, sample)
    np.testing.assert_allclose(np.diag(distances), 0, atol=1e-12)
    np.testing.assert_allclose(distances, distances.T, atol=1e-12)
    for k in range(6):
        assert (distances <= distances[:, k][:, None] + distances[k][None] + 1e-12).all()


def test_coverage_of_the_sample_itself_is_whole():
    assert emd.of_distances(1 - np.eye(4)) == (1.0, 0.0)
    assert emd.of_distances(np.array([[0.0, 5.0], [1.0, 5.0]])) == (0.5, 2.5)


def test_too_few_jets_are_refused(observed):
    few = observed[0].take(np.arange(30))
    with pytest.raises(DataError, match="only 30"):
        emd.coverage_and_mmd(few.jets, few.jets, batches=emd.EmdBatches(50, 2))
    with pytest.raises(DataError, match="needs 50 rows"):
        classifier.classifier_auc(few, few)
    with pytest.raises(DataError, match="300"):
        fpnd.fpnd(few.jets, "g")
    with pytest.raises(DataError, match="not for 'w'"):
        fpnd.fpnd(few.jets, "w")


def test_absent_weights_name_the_way_to_get_them(monkeypatch):
    def absent(name):
        raise particlenet.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(particlenet.importlib.metadata, "files", absent)
    particlenet.resources.cache_clear()
    with pytest.raises(MissingExtraError, match="pip install --no-deps jetnet"):
        particlenet.resources()
    particlenet.resources.cache_clear()


def test_particlenet_does_not_see_the_order_of_constituents():
    network = particlenet.FpndNetwork().eval()
    sample = jets(4, seed=4, shortest=20)
    padded = sample.padded(20)
    import torch

    x = torch.from_numpy(padded).float()
    turned = x[:, torch.randperm(20, generator=torch.Generator().manual_seed(0))]
    with torch.no_grad():
        torch.testing.assert_close(network(turned), network(x), rtol=1e-4, atol=1e-5)


# -- intervals say what they are, and lie where the number can lie


def test_the_area_of_a_classifier_that_is_never_wrong_has_an_interval_within_one():
    rng = np.random.default_rng(7)
    real, made = rng.normal(size=(200, 2)), rng.normal(8, 1, (200, 2))
    measured = classifier.classifier_of(real, made, definition="x")
    assert measured.value == pytest.approx(1)
    assert 0.97 < measured.low < 0.995
    assert measured.high == 1


def test_the_interval_of_a_classifier_has_the_size_of_the_scatter_over_held_out_rows():
    rng = np.random.default_rng(8)
    areas = [
        classifier.classifier_of(rng.normal(size=(400, 2)), rng.normal(0.5, 1, (400, 2)), definition="x")
        for _ in range(12)
    ]
    half = np.mean([(area.high - area.low) / 2 for area in areas])
    assert 0.4 < half / np.std([area.value for area in areas], ddof=1) < 2.0
    assert all(area.low < area.value < area.high for area in areas)


def test_coverage_does_not_exceed_one():
    from hepfm.metrics.generation.two_sample import with_error

    assert with_error(0.98, 0.05, n=5, definition="x", interval="spread of", maximum=1.0).high == 1.0
    assert with_error(0.01, 0.05, n=5, definition="x", interval="spread of").low == 0.0
    sample = jets(40)
    coverage, _ = emd.coverage_and_mmd(sample, sample, batches=emd.EmdBatches(jets=5, batches=6))
    assert coverage.high <= 1
