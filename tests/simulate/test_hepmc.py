"""Events of HepMC3 files: Pythia's own, written and read back, give the jets that Pythia gives."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lhe_events import write_events

from hepfm.core.errors import ConfigError, DataError, MissingExtraError
from hepfm.core.ragged import Ragged
from hepfm.data.store import Store
from hepfm.simulate.hard_process import HardProcess, Resimulator
from hepfm.simulate.hepmc import HepmcGenerator, NumberedEvents, count_events
from hepfm.simulate.labels import daughters_of
from hepfm.simulate.pythia import PythiaGenerator, Record
from hepfm.simulate.run import simulate
from hepfm.simulate.truth import origins_of

pyhepmc: Any = pytest.importorskip("pyhepmc", reason="the extra 'hepmc' is not installed")
pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")

LINES = (
    *("Beams:eCM = 13000.", "PartonLevel:MPI = off", "PhaseSpace:pTHatMin = 500."),
    *("Top:gg2ttbar = on", "ParticleDecays:limitTau0 = on", "ParticleDecays:tau0Max = 10"),
)
EVENTS = 12


def written(
    record: Record, path: Path, *, momenta: str = "GEV", lengths: str = "MM", first: int = 100
) -> Path:
    """Write a record; particles that share daughters meet in one vertex, as HepMC's graph has it."""
    units = getattr(pyhepmc.Units, momenta), getattr(pyhepmc.Units, lengths)
    with pyhepmc.open(str(path), "w", precision=16) as file:
        for number in range(record.num_events):
            file.write(event_of(record, number, units, first))
    return path


def event_of(record: Record, number: int, units: tuple[Any, Any], first: int) -> Any:
    event = pyhepmc.GenEvent(*units)
    event.event_number = first + number
    event.weights = [float(record.weight[number]), 99.0]
    energy, length = (
        (1e3 if units[0] == pyhepmc.Units.MEV else 1),
        (0.1 if units[1] == pyhepmc.Units.CM else 1),
    )
    index = np.arange(record.offsets[number] + 1, record.offsets[number + 1])
    particles = {}
    for k in index.tolist():
        four = energy * np.array([record.px[k], record.py[k], record.pz[k], record.energy[k]])
        status = 1 if record.status[k] > 0 else abs(int(record.status[k]))
        particles[k] = pyhepmc.GenParticle(four.tolist(), int(record.pdg[k]), status)
        particles[k].generated_mass = energy * float(record.mass[k])
    x, y, z = record.vertices(index)
    place = dict(zip(index.tolist(), np.stack([x, y, z], 1).tolist(), strict=True))
    made: dict[tuple[int, int], Any] = {}
    produced: set[int] = set()
    for mother in index[record.daughter1[index] > 0].tolist():
        daughters = daughters_of(record, index[:1], np.array([mother]))[1].tolist()
        if daughters[0] < mother:  # radiation of the initial state, which Pythia follows back in time
            continue
        key = daughters[0], daughters[-1]
        if key not in made and not produced.intersection(daughters):
            made[key] = pyhepmc.GenVertex([*(length * v for v in place[daughters[0]]), 0.0])
            for daughter in daughters:
                made[key].add_particle_out(particles[daughter])
            produced.update(daughters)
        if key in made:
            made[key].add_particle_in(particles[mother])
    waiting = list(made.values())
    while waiting:  # HepMC's reader takes only files whose vertices come after what enters them
        ready = [v for v in waiting if all(p.production_vertex is None or p.id for p in v.particles_in)]
        for vertex in ready or waiting:
            event.add_vertex(vertex)
        waiting = [v for v in waiting if v not in ready] if ready else []
    return event


@pytest.fixture(scope="module")
def generator() -> PythiaGenerator:
    return PythiaGenerator(LINES, seed=3, where="test")


@pytest.fixture(scope="module")
def record(generator: PythiaGenerator) -> Record:
    given = generator.batch(EVENTS)
    return given.with_weights(np.linspace(0.5, 2.0, EVENTS))


@pytest.fixture(scope="module")
def file(record: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(record, tmp_path_factory.mktemp("hepmc") / "events.hepmc")


def particles(generator: Any, record: Record) -> dict[str, np.ndarray]:
    """Return the final particles in an order that does not depend on the record's."""
    stable = generator.stable(record)
    names = ("event", "pdg", "charge", "px", "py", "pz", "energy", "mass", "x", "y", "z")
    columns = {name: np.asarray(getattr(stable, name)) for name in names}
    columns["origin"] = origins_of(record, stable.entry, generator.decay_lengths).origin
    order = np.lexsort((columns["py"], columns["px"], columns["event"]))
    return {name: values[order] for name, values in columns.items()}


@pytest.mark.parametrize("units", [("GEV", "MM"), ("MEV", "CM")])
def test_final_particles_weights_and_origins_are_those_that_were_written(
    generator: PythiaGenerator, record: Record, units: tuple[str, str], tmp_path: Path
) -> None:
    path = written(record, tmp_path / "events.hepmc", momenta=units[0], lengths=units[1])
    reader = HepmcGenerator(path, events=range(EVENTS), where="test")
    read = reader.batch(EVENTS)
    np.testing.assert_allclose(read.weight, record.weight)
    assert reader.weight_sum == pytest.approx(record.weight.sum())
    ours, theirs = particles(generator, record), particles(reader, read)
    assert np.ptp(ours["x"]) > 0.1
    for name, values in ours.items():
        np.testing.assert_allclose(theirs[name], values, rtol=1e-9, atol=1e-9, err_msg=name)
    first = np.flatnonzero(read.daughter1 > 0)
    owner, daughter = daughters_of(read, first, first)
    assert (read.event_of(owner) == read.event_of(daughter)).all()


def test_batches_and_chunks_have_events_of_their_own(record: Record, file: Path) -> None:
    reader = HepmcGenerator(file, events=range(4, 9), where="test")
    weights = np.concatenate([reader.batch(3).weight, reader.batch(3).weight])
    np.testing.assert_allclose(weights, record.weight[4:9])
    with pytest.raises(DataError, match="5 events for a chunk, too few"):
        reader.batch(1)


@pytest.mark.parametrize("zipped", [False, True])
def test_events_are_found_by_their_number(record: Record, file: Path, zipped: bool, tmp_path: Path) -> None:
    path = file
    if zipped:
        path = tmp_path / "events.hepmc.gz"
        path.write_bytes(gzip.compress(file.read_bytes()))
    events = NumberedEvents(path)
    assert 100 in events
    assert 99 not in events
    numbers = [111, 103, 104]
    read = events.read(numbers)
    assert [event.event_number for event in read] == numbers
    assert [event.weights[0] for event in read] == pytest.approx(record.weight[np.array(numbers) - 100])
    twice = tmp_path / "twice.hepmc"
    twice.write_bytes(file.read_bytes().replace(b"E 104 ", b"E 103 "))
    with pytest.raises(DataError, match="event number 103 twice"):
        NumberedEvents(twice)


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return a recipe of the hard events of a file, showered by Pythia and read from a HepMC3 file."""
    folder = tmp_path_factory.mktemp("again")
    hard = write_events(folder / "hard.lhe", np.linspace(1.0, 2.0, 30))
    lines = ("Beams:frameType = 4", f"Beams:LHEF = {hard}", "PartonLevel:MPI = off")
    process = HardProcess(lines, seed=1, where="test", events=range(30))
    resimulator = Resimulator(lines, seed=77, where="test", beams=process.beams)
    record, number = resimulator.simulate(process.batch(30))
    assert number.tolist() == list(range(30))
    written(record, folder / "other_g.hepmc", first=1)
    return {
        "kind": "jets",
        "seed": 4,
        "mpi": False,
        "jets": {"train": 12, "test": 6},
        "detector": "none",
        "tracks": False,
        "identity": False,
        "substructure": False,
        "selection": {"radius": 0.8, "pt_min": 400, "pt_max": 2000},
        "chunk_jets": 6,
        "batch_events": 4,
        "resimulate": {
            "variations": ["other", "nominal"],
            "files": {"other": str(folder / "other_{class}.hepmc")},
        },
        "classes": {"g": {"pythia": ["Beams:frameType = 4", f"Beams:LHEF = {hard}"]}},
    }


def test_a_variation_from_a_file_shares_groups_and_weights_with_that_of_pythia(
    again: dict[str, Any], tmp_path: Path
) -> None:
    store = Store.open(simulate(again, output=tmp_path / "store", processes=1).path)
    assert store.schema["jet_variation"].classes == ("other", "nominal")
    names = ["jet_origin", "jet_variation", "jet_weight", "jet_eta", "jet_phi", "jet_pt"]
    rows = {name: np.asarray(values) for name, values in store.read(names).items()}
    pairs = 0
    for origin in np.unique(rows["jet_origin"]):
        members = {name: values[rows["jet_origin"] == origin] for name, values in rows.items()}
        if len(members["jet_variation"]) < 2:
            continue
        pairs += 1
        assert sorted(members["jet_variation"].tolist()) == [0, 1]
        assert members["jet_weight"][0] == members["jet_weight"][1]
        turn = np.angle(np.exp(1j * np.diff(members["jet_phi"])))
        assert np.hypot(np.diff(members["jet_eta"]), turn) < 1.6, "both are near one parton"
        assert members["jet_pt"][0] != members["jet_pt"][1]
    assert pairs > 8
    assert len(store.manifest.provenance["event_files"]) == 2


def test_files_of_variations_that_do_not_belong_to_hard_events_are_refused(
    again: dict[str, Any], file: Path, tmp_path: Path
) -> None:
    def refused(message: str, kind: type[Exception] = ConfigError, **changes: Any) -> None:
        with pytest.raises(kind, match=message):
            simulate({**again, **changes}, output=tmp_path / "store", processes=1)

    resimulate = again["resimulate"]
    own = {"g": {"pythia": ["HardQCD:all = on"]}}
    refused("needs hard events from a Les Houches file", classes=own)
    refused("no hard events to simulate again", classes={"g": {"hepmc": str(file)}})
    refused("not among the variations", resimulate={**resimulate, "variations": ["nominal", "seed"]})
    refused("is Pythia's", resimulate={**resimulate, "files": {**resimulate["files"], "nominal": "a"}})
    refused("one at least must be Pythia's", resimulate={**resimulate, "variations": ["other"]})
    refused("none of the events 500 to", DataError, resimulate={**resimulate, "first_number": 500})
    gone = {**resimulate, "files": {"other": str(tmp_path / "{class}.hepmc")}}
    refused(r"no file .*g\.hepmc", DataError, resimulate=gone)


def recipe(path: Path | str, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "jets",
        "seed": 4,
        "jets": {"train": 6, "test": 2},
        "detector": "none",
        "tracks": False,
        "substructure": False,
        "truth": True,
        "selection": {"radius": 0.8, "pt_min": 300, "pt_max": 3000},
        "classes": {"top": {"hepmc": str(path), "match": {"resonance": 6}}},
        **changes,
    }


def test_a_store_of_a_file_has_the_jets_of_its_events(record: Record, file: Path, tmp_path: Path) -> None:
    zipped = tmp_path / "events.hepmc.gz"
    zipped.write_bytes(gzip.compress(file.read_bytes()))
    plain, same = (
        Store.open(simulate(recipe(path), output=tmp_path / name, processes=1).path)
        for name, path in (("plain", file), ("zipped", zipped))
    )
    names = plain.schema.names()
    for name in names:
        ours, theirs = (store.read([name])[name] for store in (plain, same))
        values = [column.values if isinstance(column, Ragged) else column for column in (ours, theirs)]
        np.testing.assert_array_equal(*values, err_msg=name)
    assert "jet_weight" in names
    assert list(plain.manifest.provenance["event_files"]) == [str(file)]


def test_files_that_cannot_be_read_are_refused(file: Path, tmp_path: Path) -> None:
    text = file.read_bytes()
    for name, content, said in (
        ("other.hepmc", b"<LesHouchesEvents>\n" * 20, "is no HepMC3 file"),
        ("empty.hepmc", b"", "is no HepMC3 file"),
        ("cut.hepmc", text[: len(text) // 2], "its last event may be cut off"),
        ("cut.hepmc.gz", gzip.compress(text)[:-2000], "cannot read .*cut.hepmc.gz"),
        ("plain.hepmc.gz", text, "cannot read .*plain.hepmc.gz"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=said):
            count_events(path)
        with pytest.raises(DataError, match=name):
            simulate(recipe(path), output=tmp_path / "store", processes=1)
    with pytest.raises(DataError, match=r"no file '.*missing\.hepmc'"):
        simulate(recipe(tmp_path / "missing.hepmc"), output=tmp_path / "store", processes=1)
    lines = text.splitlines(keepends=True)
    bad = next(k for k, line in enumerate(lines) if line.startswith(b"P "))
    damaged = tmp_path / "damaged.hepmc"
    damaged.write_bytes(b"".join([*lines[:bad], b"P spoilt\n", *lines[bad + 1 :]]))
    with pytest.raises(DataError, match=r"damaged\.hepmc"):
        HepmcGenerator(damaged, events=range(EVENTS), where="test").batch(EVENTS)
    with pytest.raises(DataError, match="too few for its jets"):
        simulate(recipe(file, jets={"train": 90}), output=tmp_path / "store", processes=1)


def test_a_class_has_one_source_of_events(file: Path, tmp_path: Path) -> None:
    both = recipe(file, classes={"top": {"hepmc": str(file), "pythia": ["Top:gg2ttbar = on"]}})
    with pytest.raises(ConfigError, match="leave out pythia and variants"):
        simulate(both, output=tmp_path / "store", processes=1)
    with pytest.raises(ConfigError, match="or the HepMC3 file of its events"):
        simulate(recipe(file, classes={"top": {}}), output=tmp_path / "store", processes=1)


def test_without_the_library_the_extra_is_named(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyhepmc", None)
    with pytest.raises(MissingExtraError, match=r"hepfm\[hepmc\]"):
        simulate(recipe(file), output=tmp_path / "store", processes=1)
