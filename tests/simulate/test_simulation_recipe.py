"""Simulation recipes: those that come with the package, and mistakes in users' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from click.testing import CliRunner

from hepfm.cli.main import group
from hepfm.core.config import builtin_recipes, load_recipe
from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Ragged
from hepfm.core.registry import Entry
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Schema
from hepfm.data.schemas.jets import JETCLASS_CLASSES
from hepfm.data.schemas.showers import shower_schema
from hepfm.data.store import Store
from hepfm.simulate import SIMULATIONS
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.jet_recipe import JetRecipe
from hepfm.simulate.recipe import read_simulation
from hepfm.simulate.run import simulate
from hepfm.simulate.simulation import Simulation, SimulationRecipe, SplitSizes
from hepfm.workflow.open_stores import _simulated
from hepfm.workflow.store_entries import SimulatedStore


def values(**changes: Any) -> dict[str, Any]:
    """Return a small valid recipe with changes."""
    dijets = {"pythia": ["Beams:eCM = 13000.", "HardQCD:all = on", "PhaseSpace:pTHatMin = 450."]}
    return {"jets": {"train": 10}, "classes": {"QCD": dijets}, "mpi": False, **changes}


@pytest.mark.parametrize("name", builtin_recipes("simulate"))
def test_built_in_recipes_can_be_carried_out(name: str) -> None:
    assert "kind" in load_recipe(name, "simulate"), "stated, though there is a default"
    simulation = read_simulation(name)
    assert simulation.config.description
    if simulation.generates_events:
        pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
    simulation.check()


@pytest.mark.parametrize("kind", list(SIMULATIONS))
def test_kinds_keep_their_contract(kind: str) -> None:
    """A kind has a built-in recipe, and its section of sizes is called like it."""
    recipes = {load_recipe(name, "simulate")["kind"]: name for name in builtin_recipes("simulate")}
    simulation = read_simulation(
        recipes[kind], overrides=[f"{kind}.train=1", f"{kind}.val=1", f"{kind}.test=2"]
    )
    assert type(simulation) is SIMULATIONS.load(kind)
    assert simulation.kind == kind == simulation.config.kind
    keys = simulation.chunks()
    assert sum(key.rows for key in keys if key.split == "test") == 2 * len({key.class_name for key in keys})
    assert len({key.file for key in keys}) == len(keys)
    assert simulation.schema().names()
    assert set(simulation.versions()) > {"hepfm"}
    values = simulation.config.model_dump(mode="json")
    assert read_simulation(values).fingerprint() == simulation.fingerprint()
    assert read_simulation(values, seed=77).fingerprint() != simulation.fingerprint()
    with pytest.raises(ConfigError, match=f"no {kind} asked for; give e.g. {kind}.train=1000"):
        read_simulation({**values, kind: {"train": 0}})


def told(*arguments: str) -> Any:
    """Return what the command line says."""
    return json.loads(CliRunner().invoke(group, [*arguments, "--json"]).output)


class Noise(Simulation):
    """Rows of a kind that the package does not have."""

    class Config(SimulationRecipe):
        kind: Literal["noises"] = "noises"
        noises: SplitSizes

    libraries = ("numpy",)
    generates_events = False

    def schema(self, *, weighted: bool = False) -> Schema:
        return shower_schema()

    def check(self) -> None:
        pass

    def chunks(self) -> list[ChunkKey]:
        return [ChunkKey("noise", split, 0, rows) for split, rows in self.config.sizes.items() if rows]

    def make(self, key: ChunkKey) -> Chunk:
        rng = numpy_generator(self.seed, key.split)
        hits = Ragged.from_lengths(np.ones(key.rows), np.ones(key.rows, int))
        layers = hits.with_values(np.ones(key.rows, np.int16))
        columns = {"hit_energy": hits, "hit_x": hits, "hit_y": hits, "hit_layer": layers}
        columns |= {"incident_energy": 1 + rng.random(key.rows), "shower_energy": np.ones(key.rows)}
        return Chunk(columns, key.rows, key.rows, 0.0, 1.0)


@pytest.fixture
def noises(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plug-in's kind ``noises``."""
    monkeypatch.setitem(SIMULATIONS._rows, "noises", Entry(f"{__name__}:Noise", "noise"))


@pytest.mark.usefixtures("noises")
def test_another_kind_is_a_class_and_a_row(tmp_path: Path) -> None:
    """Simulation, listing, the recipe of a file and the stores of a study know it by its row alone."""
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("kind: noises\nnoises: {train: 3, test: 2}\n")
    made = simulate(recipe, output=tmp_path / "store", processes=1)
    assert (made.kind, made.rows, made.events) == ("noises", {"train": 3, "test": 2}, None)
    assert Store.open(made.path).manifest.provenance["classes"] == {
        "noise": {"events": 5, "noises_found": 5, "noises_kept": 5}
    }
    assert told("show", str(recipe))["kind"] == "simulate recipe"
    assert "noises" in told("list", "simulations")["kinds"]["simulation"]
    info = _simulated(SimulatedStore(simulate=str(recipe), rows={"train": 7}), "mine")
    assert info.splits == {"train": 7, "test": 2}


def test_an_unknown_kind_and_a_section_of_another_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"no simulation of the kind 'jet'; did you mean 'jets'"):
        read_simulation(values(kind="jet"))
    with pytest.raises(ConfigError, match=r"\(kind: jets\): unknown key 'showers'"):
        read_simulation({"showers": {"train": 1}})
    with pytest.raises(ConfigError, match="of the kind 3"):
        read_simulation(values(kind=3))


def test_jetclass_has_its_classes_in_their_order() -> None:
    assert read_simulation("jetclass").config.class_names == JETCLASS_CLASSES
    assert read_simulation("jetclass").schema().label_classes == JETCLASS_CLASSES


def test_fingerprint_knows_defaults_and_order() -> None:
    base = read_simulation(values())
    assert (
        base.fingerprint()
        == read_simulation(values(detector={"name": "jetclass", "eta_at_calorimeter": True})).fingerprint()
    )
    assert base.fingerprint() == read_simulation(values(description="other words")).fingerprint()
    assert base.fingerprint() != read_simulation(values(detector="cms")).fingerprint()
    spelled = {"QCD": {**values()["classes"]["QCD"], "match": {"parton": None}}}
    assert base.fingerprint() == read_simulation(values(classes=spelled)).fingerprint()
    assert base.fingerprint() != read_simulation(values(), seed=1).fingerprint()


def test_plan_makes_the_jets_asked_for_in_every_split() -> None:
    simulation = read_simulation(
        "jetclass", overrides=["jets.train=1100", "jets.val=3", "jets.test=0", "chunk_jets=500"]
    )
    recipe = simulation.config
    for name in recipe.class_names:
        mine = [key for key in simulation.chunks() if key.class_name == name]
        assert sum(key.rows for key in mine if key.split == "train") == 1100
        assert sum(key.rows for key in mine if key.split == "val") == 3
        assert not any(key.split == "test" for key in mine)
        assert max(key.rows for key in mine) <= 500
    leptons = [key for key in simulation.chunks() if key.class_name == "Hqql" and key.split == "train"]
    assert len(leptons) % 2 == 0  # both charges alike
    assert recipe.lines("Hqql", 0) != recipe.lines("Hqql", 1)


def test_only_some_classes() -> None:
    simulation = read_simulation("jetclass", overrides=["only=[Tbqq, QCD]"])
    assert simulation.schema().label_classes == ("Tbqq", "QCD")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clases": {}}, "unknown key 'clases'.*did you mean 'classes'"),
        ({"classes": {}}, "'classes' is empty"),
        ({"only": ["QDC"]}, "unknown class 'QDC' in 'only'; did you mean 'QCD'"),
        ({"jets": {"train": -1}}, "jets.train"),
        ({"jets": {"train": 0}}, "no jets asked for"),
        ({"jets": {"train": "many"}}, "jets.train"),
        ({"detector": "delphes"}, "unknown detector 'delphes'"),
        ({"detector": "atlas_like"}, "measures no impact parameters"),
        ({"selection": {"pt_min": 500, "pt_max": 400}}, "pt_max 400.0 must be above"),
        (
            {"classes": {"H": {"pythia": [], "match": {"decay": "b b"}}}},
            "give the 'resonance' of this 'decay'",
        ),
        ({"classes": {"H": {"pythia": [], "match": {"resonance": 25, "decay": "b y"}}}}, "unknown word 'y'"),
        ({"classes": {"H": {"pythia": [], "match": {"parton": "q q"}}}}, "'parton' is one word"),
        ({"classes": {"H": {"match": {}}}}, "give the class its Pythia lines"),
        (
            {"classes": {"H": {"pythia": [], "match": {"parten": "q"}}}},
            r"classes.H.match \(labeller decays\): unknown key 'parten'; did you mean 'parton'",
        ),
        ({"labeller": "tau"}, "unknown labeller 'tau'; did you mean 'taus'"),
        (
            {"classes": {"H": {"pythia": [], "match": {"hadronic_tau": True}}}},
            "labeller decays.*unknown key 'hadronic_tau'",
        ),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_simulation(values(**changes))


@pytest.mark.parametrize(
    "line", ["HardQCD:al = on", "HardQCD:all = perhaps", "PhaseSpace:pTHatMin = high", "99:onMode = off"]
)
def test_bad_pythia_lines_are_named(line: str) -> None:
    pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
    simulation = read_simulation(values(classes={"signal": {"pythia": [line]}}))
    with pytest.raises(ConfigError, match=rf"class signal: Pythia does not take the line '{line}'"):
        simulation.check()


def test_unknown_recipe_and_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'jetclass'"):
        read_simulation("jetclas")
    with pytest.raises(ConfigError, match="no recipe file"):
        read_simulation(tmp_path / "mine.yaml")


def test_recipe_of_a_user_reads_the_same_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "jets: {train: 5}\n"
        "classes:\n  X:\n    pythia: ['HiggsSM:all = on']\n    match: {resonance: 25, decay: tau tau}\n"
    )
    recipe = read_simulation(file).config
    assert isinstance(recipe, JetRecipe)
    assert recipe.match("X").decay == "tau tau"
