"""Event weights of simulations: biased phase space and event files, negative weights too."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lhe_events import HEAD, write_events

from hepfm.core.errors import ConfigError, DataError
from hepfm.data.store import Store
from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.collisions import chunk_keys
from hepfm.simulate.event_files import events_of
from hepfm.simulate.jet_recipe import JetRecipe
from hepfm.simulate.jets import make_chunk
from hepfm.simulate.lhe import count_events, cut_out
from hepfm.simulate.recipe import read_simulation
from hepfm.simulate.run import simulate

pytestmark = pytest.mark.xdist_group("simulated_weights")  # its fixtures are slow: made once, by one worker

pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")

COMMON: dict[str, Any] = {
    "seed": 4,
    "mpi": False,
    "detector": "none",
    "identity": False,
    "tracks": False,
    "substructure": False,
    "selection": {"radius": 0.8, "pt_min": 500, "pt_max": 2000},
    "batch_events": 100,
}
QCD = ["HardQCD:gg2gg = on", "Beams:eCM = 13000.", "PhaseSpace:pTHatMin = 500."]
BIAS = [
    "PhaseSpace:bias2Selection = on",
    "PhaseSpace:bias2SelectionPow = 4.",
    "PhaseSpace:bias2SelectionRef = 500.",
]


def lhe_recipe(path: Path, **jets: int) -> dict[str, Any]:
    lines = ["Beams:frameType = 4", f"beams:lhef = {path}"]  # Pythia's names have no case
    return {**COMMON, "jets": jets, "chunk_jets": 10, "batch_events": 7, "classes": {"g": {"pythia": lines}}}


def qcd(lines: list[str], jets: int) -> dict[str, Any]:
    return {**COMMON, "jets": {"test": jets}, "classes": {"QCD": {"pythia": [*QCD, *lines]}}}


@pytest.fixture(scope="module")
def biased(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("weights") / "biased"
    return Store.open(simulate(qcd(BIAS, 1200), output=path, processes=1).path)


def spectrum(pt: Any, weights: Any) -> tuple[Any, Any]:
    """Return the shares of three bins of pt and their errors; jets of one event are taken as one."""
    bins = np.digitize(pt, [600, 800])
    shares = np.array([weights[bins == k].sum() for k in range(3)]) / weights.sum()
    inside = bins == np.arange(3)[:, None]
    variance = ((inside - shares[:, None]) ** 2 * weights**2).sum(axis=1) / weights.sum() ** 2
    return shares, np.sqrt(2 * variance)


def test_the_weighted_spectrum_of_a_biased_phase_space_is_the_unbiased_one(
    biased: Store, tmp_path: Path
) -> None:
    plain = Store.open(simulate(qcd([], 1200), output=tmp_path / "plain", processes=1).path)
    assert plain.schema.weight is None
    assert "jet_weight" not in plain.schema
    columns = biased.read(["jet_pt", "jet_weight"])
    pt, weights = np.asarray(columns["jet_pt"]), np.asarray(columns["jet_weight"], np.float64)
    expected, error = spectrum(np.asarray(plain.read(["jet_pt"])["jet_pt"]), np.ones(1200))
    shares, own_error = spectrum(pt, weights)
    assert (np.abs(shares - expected) < 3.5 * np.hypot(error, own_error)).all()
    flat, flat_error = spectrum(pt, np.ones(1200))
    assert (np.abs(flat - expected) > 5 * np.hypot(error, flat_error))[[0, 2]].all()


def test_weights_have_a_mean_of_one_and_provenance_gives_their_scale(biased: Store) -> None:
    weights = np.asarray(biased.read(["jet_weight"])["jet_weight"], np.float64)
    assert biased.schema.weight == "jet_weight"
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    assert weights.max() / weights.min() > 10
    facts = json.loads(json.dumps(biased.manifest.provenance))["classes"]["QCD"]
    assert facts["weights"] == "jet_weight has a mean of 1 over the jets of each variant of the class"
    (variant,) = facts["processes"]
    # Pythia's weight is (500 GeV / pT)^4, at most 1: the largest tells the scale.
    assert weights.max() * variant["unit"] == pytest.approx(1, rel=0.02)
    assert 0 < variant["sum_of_event_weights"] < variant["events"]
    assert 1e-8 < variant["sigma_mb"] < 1e-6


def test_the_jets_stand_for_the_cross_section_that_unbiased_events_give(biased: Store) -> None:
    row = biased.manifest.provenance["classes"]["QCD"]
    (variant,) = row["processes"]
    weights = np.asarray(biased.read(["jet_weight"])["jet_weight"], np.float64)
    each = variant["unit"] * variant["sigma_mb"] / variant["sum_of_event_weights"]
    found = weights.sum() * each * variant["jets_found"] / variant["jets_kept"]
    chunk = make_chunk(JetRecipe(**qcd([], 600)), ChunkKey("QCD", "test", 0, 600))
    assert chunk.process is not None
    assert found == pytest.approx(chunk.process.sigma_mb * chunk.passed / chunk.events, rel=0.15)


def test_the_same_weights_come_from_two_processes(biased: Store, tmp_path: Path) -> None:
    recipe = {**qcd(BIAS, 40), "chunk_jets": 20}
    stores = [
        Store.open(simulate(recipe, output=tmp_path / str(processes), processes=processes).path)
        for processes in (1, 2)
    ]
    assert stores[0].fingerprint == stores[1].fingerprint
    assert np.asarray(stores[0].read(["jet_weight"])["jet_weight"]).mean() == pytest.approx(1, abs=1e-5)


def test_variants_of_a_class_count_alike_whatever_their_scale(tmp_path: Path) -> None:
    small = write_events(tmp_path / "small.lhe", np.full(20, 1e-3))
    large = write_events(tmp_path / "large.lhe", np.full(20, 5.0))
    recipe = lhe_recipe(small, train=20)
    recipe["classes"]["g"]["pythia"] = ["Beams:frameType = 4"]
    recipe["classes"]["g"]["variants"] = [[f"Beams:LHEF = {path}"] for path in (small, large)]
    store = Store.open(simulate(recipe, output=tmp_path / "store", processes=1).path)
    np.testing.assert_allclose(store.read(["jet_weight"])["jet_weight"], 1, rtol=1e-6)
    variants = store.manifest.provenance["classes"]["g"]["processes"]
    assert [one["unit"] for one in variants] == pytest.approx([1e-3, 5.0])


def test_weights_of_an_event_file_go_to_the_jets_of_their_event_and_no_event_to_two_chunks(
    tmp_path: Path,
) -> None:
    number = np.arange(60)
    raw = np.where(number % 5 == 0, -1.0, 1.0) * (1 + number)  # tells which event it is
    file = write_events(tmp_path / "events.lhe", raw)
    recipe = lhe_recipe(file, train=30, val=10, test=20)
    store = Store.open(simulate(recipe, output=tmp_path / "store", processes=1).path)
    (variant,) = store.manifest.provenance["classes"]["g"]["processes"]
    weights = np.asarray(store.read(["jet_weight"])["jet_weight"], np.float64)
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    found = {name: np.rint(weights[list(rows)] * variant["unit"]) for name, rows in store.splits.items()}
    np.testing.assert_allclose(weights * variant["unit"], np.concatenate(list(found.values())), rtol=1e-4)
    assert set(np.concatenate(list(found.values()))) <= set(raw)
    assert (np.concatenate(list(found.values())) < 0).any()
    events = {name: set(np.abs(values)) for name, values in found.items()}
    assert not events["train"] & events["test"]
    assert not events["val"] & (events["train"] | events["test"])
    assert store.manifest.provenance["event_files"][str(file)]


def test_events_of_a_file_that_are_simulated_again_keep_their_weights_and_their_chunk(tmp_path: Path) -> None:
    number = np.arange(30)
    file = write_events(tmp_path / "events.lhe", 1.0 + number)
    recipe = lhe_recipe(file, train=20, test=10) | {"resimulate": {"variations": ["nominal", "seed"]}}
    store = Store.open(simulate(recipe, output=tmp_path / "store", processes=1).path)
    (variant,) = store.manifest.provenance["classes"]["g"]["processes"]
    rows = store.read(["jet_weight", "jet_origin"])
    raw, origin = np.asarray(rows["jet_weight"]) * variant["unit"], np.asarray(rows["jet_origin"])
    assert set(np.rint(raw)) <= set(1.0 + number)
    np.testing.assert_allclose(raw, np.rint(raw), rtol=1e-4)
    for one in np.unique(origin):
        assert np.ptp(raw[origin == one]) < 1e-4 * raw[origin == one][0]
    found = {name: set(np.rint(raw[list(part)])) for name, part in store.splits.items()}
    assert not found["train"] & found["test"]
    assert len(found["train"]) > 5


def test_chunks_share_the_events_of_a_file_without_overlap(tmp_path: Path) -> None:
    file = write_events(tmp_path / "events.lhe", np.ones(53))
    recipe = JetRecipe.model_validate(lhe_recipe(file, train=25, test=8))
    keys = chunk_keys(recipe)
    shares = [events_of(recipe, key, keys) for key in keys]
    assert [event for share in shares if share is not None for event in share] == list(range(53))
    assert count_events(file) == 53
    assert events_of(JetRecipe.model_validate(qcd([], 5)), ChunkKey("QCD", "test", 0, 5), []) is None


def test_a_file_with_too_few_events_is_named_and_equal_weights_are_not_stored(tmp_path: Path) -> None:
    file = write_events(tmp_path / "events.lhe", np.ones(12))
    with pytest.raises(DataError, match="12 events for a chunk, too few for its jets"):
        simulate({**lhe_recipe(file, train=60), "chunk_jets": 100}, output=tmp_path / "a", processes=1)
    store = Store.open(simulate(lhe_recipe(file, train=6), output=tmp_path / "b", processes=1).path)
    assert store.schema.weight is None


def test_another_file_is_another_recipe_and_skipping_is_refused(tmp_path: Path) -> None:
    file = write_events(tmp_path / "events.lhe", np.ones(2))
    before = read_simulation(lhe_recipe(file, train=2)).fingerprint()
    write_events(file, [1.0, 2.0])
    assert read_simulation(lhe_recipe(file, train=2)).fingerprint() != before
    recipe = lhe_recipe(file, train=2)
    recipe["classes"]["g"]["pythia"].append("Beams:nSkipLHEFatInit = 1")
    with pytest.raises(ConfigError, match="leave out Beams:nSkipLHEFatInit"):
        simulate(recipe, output=tmp_path / "store")
    with pytest.raises(DataError, match=r"no file '.*missing\.lhe' of events"):
        simulate(lhe_recipe(tmp_path / "missing.lhe", train=2), output=tmp_path / "store")


def test_events_that_pythia_would_drop_at_random_are_refused(tmp_path: Path) -> None:
    file = write_events(tmp_path / "events.lhe", np.ones(2))
    file.write_text(file.read_text().replace("-4 1\n", "1 1\n", 1))
    with pytest.raises(DataError, match="weighting strategy of its events is 1; only 3 and 4"):
        simulate(lhe_recipe(file, train=2), output=tmp_path / "store")


def test_weights_that_cancel_are_refused(tmp_path: Path) -> None:
    file = write_events(tmp_path / "events.lhe", -np.ones(12))
    with pytest.raises(DataError, match="class g, variant 0: the weights of 6 jets sum to -6"):
        simulate(lhe_recipe(file, train=6), output=tmp_path / "store", processes=1)


def test_a_chunk_reads_its_own_part_of_a_file(tmp_path: Path) -> None:
    """Not the events before it: a chunk that skips them takes longer the later it is."""
    file = write_events(tmp_path / "events.lhe", 1.0 + np.arange(40))
    packed = tmp_path / "packed.lhe.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    for path in (file, packed):
        for events in (range(3), range(17, 20), range(39, 40)):
            (line,) = cut_out(path, events, tmp_path / "part.lhe")
            assert line == f"Beams:LHEF = {tmp_path / 'part.lhe'}"
            text = (tmp_path / "part.lhe").read_text()
            assert text.startswith(HEAD)
            assert text.count("<event>") == text.count("</event>") == len(events)
            assert [float(weight) for weight in re.findall(r"^4 1 (\S+)", text, re.MULTILINE)] == [
                1.0 + number for number in events
            ]


def test_comments_in_lines(tmp_path: Path) -> None:
    file = write_events(tmp_path / "events.lhe", 1.0 + np.arange(20))
    plain = lhe_recipe(file, train=10)
    said = {
        **plain,
        "classes": {
            "g": {
                "pythia": [
                    "! the events",
                    "Beams:frameType = 4  ! from a file",
                    f"beams:lhef {file} # of the first run",
                ]
            }
        },
    }
    jets = [
        Store.open(simulate(recipe, output=tmp_path / name, processes=1).path).read(["jet_pt", "jet_weight"])
        for name, recipe in (("a", plain), ("b", said))
    ]
    for name, values in jets[0].items():
        np.testing.assert_array_equal(values, jets[1][name])


@pytest.mark.parametrize("line", ["Random:seed = 5", "random:setSeed on"])
def test_seeds_in_lines_are_refused(tmp_path: Path, line: str) -> None:
    file = write_events(tmp_path / "events.lhe", np.ones(2))
    recipe = lhe_recipe(file, train=2)
    recipe["classes"]["g"]["pythia"].append(line)
    with pytest.raises(ConfigError, match=f"leave out '{line}'; say seed: NUMBER in the recipe"):
        simulate(recipe, output=tmp_path / "store", processes=1)
