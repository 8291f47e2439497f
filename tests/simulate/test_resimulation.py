"""Hard events simulated several times: one hard process, rows that belong together, and what each variation
does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Ragged
from hepfm.data.store import Store
from hepfm.physics.clustering import Jets
from hepfm.physics.kinematics import delta_r
from hepfm.simulate import hard_process
from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.hard_process import HardProcess, Resimulator, chooses_events
from hepfm.simulate.origins import NOTHING, hard_particles, origin_of
from hepfm.simulate.pythia import Record, configured
from hepfm.simulate.recipe import read_simulation
from hepfm.simulate.resimulated_jets import choose, make_chunk
from hepfm.simulate.resimulation import NAMES, Resimulation
from hepfm.simulate.run import simulate

VARIATIONS = ("nominal", "fsr_up", "fsr_down")
DIJETS = ("Beams:eCM = 13000.", "PartonLevel:MPI = off", "PhaseSpace:pTHatMin = 500.", "HardQCD:all = on")


@pytest.fixture(autouse=True, scope="module")
def _generators() -> None:
    pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
    pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")


def values(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "jets",
        "seed": 4,
        "jets": {"train": 24, "val": 6},
        "mpi": False,
        "detector": "none",
        "tracks": False,
        "substructure": False,
        "selection": {"radius": 0.8, "pt_min": 450, "pt_max": 1500},
        "chunk_jets": 12,
        "batch_events": 20,
        "resimulate": {"variations": list(VARIATIONS)},
        "pythia": ["Beams:eCM = 13000.", "PhaseSpace:pTHatMin = 500."],
        "classes": {"dijets": {"pythia": ["HardQCD:all = on"]}},
        **changes,
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("stores") / "again"
    return Store.open(simulate(values(), output=path, processes=1).path)


def column(store: Store, name: str) -> Any:
    return store.read([name], range(len(store)))[name]


def test_jets_of_one_origin_are_a_group_with_each_variation_once(store: Store) -> None:
    assert store.schema.group == "jet_origin"
    assert store.schema["jet_variation"].classes == VARIATIONS
    origin, variation = column(store, "jet_origin"), column(store, "jet_variation")
    pairs = np.stack([origin, variation], axis=1)
    assert len(np.unique(pairs, axis=0)) == len(origin)
    assert len(np.unique(origin)) == 30
    assert len(origin) > 2 * 30
    train, val = (store.read(["jet_origin"], store.split(name))["jet_origin"] for name in ("train", "val"))
    assert not len(np.intersect1d(train, val))
    assert len(np.unique(np.asarray(val))) == 6


def test_jets_of_one_origin_have_one_direction_and_are_not_the_same_jet(store: Store) -> None:
    origin = column(store, "jet_origin")
    eta, phi, pt = (column(store, f"jet_{name}") for name in ("eta", "phi", "pt"))
    for number in np.unique(origin):
        rows = np.flatnonzero(origin == number)
        assert delta_r(eta[rows], phi[rows], eta[rows[0]], phi[rows[0]]).max() < 1.6
        assert len(np.unique(pt[rows])) == len(rows)


def test_numbers_of_jets_and_events_are_told(store: Store) -> None:
    facts = store.manifest.provenance["classes"]["dijets"]
    assert facts["jets_kept"] == len(store) <= facts["jets_found"] <= 3 * 2 * facts["events"]
    assert store.manifest.provenance["variations"] == {
        "nominal": [],
        "fsr_up": ["TimeShower:renormMultFac = 2"],
        "fsr_down": ["TimeShower:renormMultFac = 0.5"],
    }


def test_two_processes_make_the_same_store(store: Store, tmp_path: Path) -> None:
    again = Store.open(simulate(values(), output=tmp_path / "again", processes=2).path)
    assert again.fingerprint == store.fingerprint


def test_a_larger_scale_means_less_radiation() -> None:
    recipe = read_simulation(values(chunk_jets=150, jets={"train": 150})).config
    columns = make_chunk(recipe, ChunkKey("dijets", "train", 0, 150)).columns
    pt, variation = columns["part_pt"], np.asarray(columns["jet_variation"])
    assert isinstance(pt, Ragged)
    nominal, up, down = (pt.lengths[variation == k].mean() for k in range(3))
    error = pt.lengths.std() / np.sqrt(150)
    assert down - up > 2 * error
    assert up < nominal < down


@pytest.fixture(scope="module")
def hard() -> HardProcess:
    return HardProcess(DIJETS, seed=3, where="test")


@pytest.mark.parametrize("variation", [name for name in NAMES if name not in ("seed", "isr_up")])
def test_every_variation_has_the_hard_event_it_was_given_and_its_own_shower(
    hard: HardProcess, variation: str, capfd: pytest.CaptureFixture[str]
) -> None:
    events = hard.batch(3)
    lines = Resimulation(variations=("nominal", "vincia")).lines_of(variation)
    again = Resimulator((*DIJETS, *lines), seed=5, where="test", beams=hard.beams)
    record, number = again.simulate(events)
    assert number.tolist() == [0, 1, 2]
    assert "VINCIA" not in capfd.readouterr().out
    for event, start in zip(events, record.offsets, strict=False):
        given = np.array([particle[6:10] for particle in event.particles])
        first = slice(start + 3, start + 3 + len(given))
        found = np.stack([record.px[first], record.py[first], record.pz[first], record.energy[first]], 1)
        np.testing.assert_allclose(found, given, rtol=1e-6, atol=1e-3)
        assert record.pdg[first].tolist() == [particle[0] for particle in event.particles]
    assert record.num_events == 3
    assert len(record.pdg) > 300


def test_the_same_seed_gives_the_same_showers_in_any_batches(hard: HardProcess) -> None:
    events = hard.batch(4)
    runs = []
    for cuts in ((4,), (1, 3)):
        again = Resimulator(DIJETS, seed=5, where="test", beams=hard.beams)
        parts = [again.simulate(events[sum(cuts[:k]) : sum(cuts[: k + 1])])[0] for k in range(len(cuts))]
        runs.append(np.concatenate([part.px for part in parts]))
    assert np.array_equal(*runs)


def test_weights_are_those_of_the_hard_events() -> None:
    biased = ("PhaseSpace:bias2Selection = on", "PhaseSpace:bias2SelectionPow = 4.")
    hard = HardProcess((*DIJETS, *biased), seed=3, where="test")
    events = hard.batch(5)
    record, _ = Resimulator((*DIJETS, *biased), seed=5, where="test", beams=hard.beams).simulate(events)
    assert record.weight.tolist() == [event.weight for event in events]
    assert len(set(record.weight)) == 5
    assert hard.weight_sum == pytest.approx(record.weight.sum())


def test_an_event_that_fails_leaves_the_numbers_of_the_others(hard: HardProcess) -> None:
    good, bad, last = hard.batch(3)
    # A final parton with a colour of its own: nothing can be made of it, and Pythia gives up the event.
    code, status, first, second, *colours = bad.particles[-1][:6]
    broken = (code, status, first, second, *(colour and colour + 50 for colour in colours))
    particles = (*bad.particles[:-1], (*broken, *bad.particles[-1][6:]))
    bad = hard_process.HardEvent(bad.scale, bad.weight, particles)
    record, number = Resimulator(DIJETS, seed=5, where="test", beams=hard.beams).simulate([good, bad, last])
    assert number.tolist() == [0, 2]
    assert record.weight.tolist() == [good.weight, last.weight]


def test_events_that_pythia_makes_itself_are_refused(
    hard: HardProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hard_process, "chooses_events", lambda line: False)
    again = Resimulator(DIJETS, seed=5, where="test", beams=hard.beams)
    with pytest.raises(ConfigError, match="makes events of its own"):
        again.simulate(hard.batch(2))


def test_every_switch_of_a_process_in_pythias_manual_is_known() -> None:
    manual = Path(configured([], where="test").settings.word("xmlPath"))
    pages = list(manual.glob("*Processes.xml"))
    assert len(pages) > 10
    text = "".join(path.read_text() for path in pages)
    switches = {name for name in re.findall(r'<flag name="([^"]*)"', text) if "2" in name or ":all" in name}
    switches -= {name for name in switches if name.startswith(("TopThreshold", "SUSYResonance", "Zprime"))}
    assert len(switches) > 150
    assert [name for name in sorted(switches) if not chooses_events(f"{name} = on")] == []


def make_record(
    pdg: list[int], status: list[int], daughters: list[tuple[int, int]], directions: list[tuple[float, float]]
) -> Record:
    """One event, after the entry of the whole system."""
    eta, phi = np.array([(0.0, 0.0), *directions]).T
    nothing = np.zeros(len(pdg) + 1)
    first, last = np.array([(0, 0), *daughters]).T
    return Record(
        offsets=np.array([0, len(pdg) + 1]),
        pdg=np.array([90, *pdg]),
        status=np.array([-11, *status]),
        daughter1=first,
        daughter2=last,
        px=np.cos(phi),
        py=np.sin(phi),
        pz=np.sinh(eta),
        energy=np.cosh(eta),
        mass=nothing,
        vertex=np.full(len(pdg) + 1, -1),
        x=np.zeros(0),
        y=np.zeros(0),
        z=np.zeros(0),
        weight=np.ones(1),
    )


def jets_at(*directions: tuple[float, float]) -> Jets:
    eta, phi = np.array(directions).T
    p4 = np.stack([np.cosh(eta), np.cos(phi), np.sin(phi), np.sinh(eta)], axis=1)
    empty = Ragged(np.zeros(0, np.int64), np.zeros(len(eta) + 1, np.int64))
    return Jets(p4, np.zeros(len(eta), np.int64), empty)


TWO_PARTONS = make_record(
    [21, 21, 1, -1], [-21, -21, -23, -23], [(3, 4), (3, 4), (0, 0), (0, 0)], [(9, 0), (-9, 0), (0, 0), (0, 3)]
)


def origins(record: Record, jets: Jets) -> list[int]:
    hard = hard_particles(record)
    return origin_of(hard, jets, num_events=record.num_events, radius=0.8).tolist()  # type: ignore[no-any-return]


def test_a_jet_comes_from_the_nearest_outgoing_parton() -> None:
    jets = jets_at((0.1, 2.9), (0.2, 0.1), (2.5, 1.5))
    assert origins(TWO_PARTONS, jets) == [1, 0, NOTHING]


def test_of_two_jets_near_a_parton_the_nearest_comes_from_it() -> None:
    jets = jets_at((0.5, 0.0), (0.0, 0.1), (0.0, 3.1))
    assert origins(TWO_PARTONS, jets) == [NOTHING, 0, 1]


def test_a_single_resonance_stands_for_its_decay_products() -> None:
    record = make_record(
        [2, -2, 32, 32, 6, -6],
        [-21, -21, -22, -62, -22, -22],
        [(3, 3), (3, 3), (4, 4), (5, 6), (0, 0), (0, 0)],
        [(9, 0), (-9, 0), (0, 0), (0, 0), (1, 1), (-1, -2)],
    )
    assert origins(record, jets_at((-1, -2.1), (1, 1))) == [1, 0]


def test_an_origin_needs_all_variations_only_where_that_is_asked_for() -> None:
    origin = np.array([7, 3, 9, 7, 3, 7])
    lax, strict = (
        Resimulation(variations=("nominal", "seed", "fsr_up"), require_all=all_) for all_ in (False, True)
    )
    kept = choose(origin, lax, limit=2)
    assert kept.rows.tolist() == [1, 4, 0, 3, 5]
    assert (kept.origins, kept.passed) == (2, 6)
    kept = choose(origin, strict, limit=2)
    assert kept.rows.tolist() == [0, 3, 5]
    assert (kept.origins, kept.passed) == (1, 3)


@pytest.mark.parametrize(
    ("resimulate", "message"),
    [
        ({"variations": ["nominal", "fsr_upp"]}, "did you mean 'fsr_up'"),
        ({"variations": ["nominal", "softer"]}, r"lines: \{softer: "),
        ({"variations": ["nominal"]}, "name at least two"),
        ({"variations": ["seed", "seed"]}, "each once"),
        ({"lines": {"softer": ["StringPT:sigma = 0.4"]}}, "not among the variations"),
        ({"scale_factor": 1.0}, "scale_factor"),
        (
            {"variations": ["nominal", "softer"], "lines": {"softer": ["StringPT:sigmaa = 0.4"]}},
            "variation softer.*StringPT:sigmaa",
        ),
    ],
)
def test_mistakes_are_told_before_anything_is_generated(
    resimulate: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        simulate(values(resimulate=resimulate), output=tmp_path / "jets", processes=1)


def test_a_variation_of_ones_own_and_the_scale_are_in_the_fingerprint() -> None:
    own = {"variations": ["nominal", "softer"], "lines": {"softer": ["StringPT:sigma = 0.4"]}}
    recipes = [values(), values(resimulate=own), values(resimulate={"scale_factor": 2.0})]
    assert len({read_simulation(recipe).fingerprint() for recipe in recipes}) == 3
    assert Resimulation(scale_factor=2.0).lines_of("isr_down") == ("SpaceShower:renormMultFac = 0.25",)
