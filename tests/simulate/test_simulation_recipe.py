"""Simulation recipes: those that come with the package, and mistakes in users' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hepfm.core.config import builtin_recipes
from hepfm.core.errors import ConfigError
from hepfm.data.schemas.jets import JETCLASS_CLASSES
from hepfm.simulate.jet_plan import JetPlan
from hepfm.simulate.recipe import Recipe, read_recipe


def values(**changes: Any) -> dict[str, Any]:
    """Return a small valid recipe with changes."""
    dijets = {"pythia": ["Beams:eCM = 13000.", "HardQCD:all = on", "PhaseSpace:pTHatMin = 450."]}
    return {"jets": {"train": 10}, "classes": {"QCD": dijets}, "mpi": False, **changes}


@pytest.mark.parametrize("name", sorted(set(builtin_recipes("simulate")) - {"calo_showers"}))
def test_built_in_recipes_are_taken_by_pythia(name: str) -> None:
    pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
    recipe = read_recipe(name)
    assert recipe.description
    JetPlan(recipe).check()


def test_jetclass_has_its_classes_in_their_order() -> None:
    assert read_recipe("jetclass").class_names == JETCLASS_CLASSES
    assert read_recipe("jetclass").store_schema().label_classes == JETCLASS_CLASSES


def test_fingerprint_knows_defaults_and_order() -> None:
    base = read_recipe(values())
    assert (
        base.fingerprint()
        == read_recipe(values(detector={"name": "jetclass", "eta_at_calorimeter": True})).fingerprint()
    )
    assert base.fingerprint() == read_recipe(values(description="other words")).fingerprint()
    assert base.fingerprint() != read_recipe(values(detector="cms")).fingerprint()
    assert base.fingerprint() != read_recipe(values(), seed=1).fingerprint()


def test_plan_makes_the_jets_asked_for_in_every_split() -> None:
    recipe = read_recipe(
        "jetclass", overrides=["jets.train=1100", "jets.val=3", "jets.test=0", "chunk_jets=500"]
    )
    for name in recipe.class_names:
        mine = [key for key in JetPlan(recipe).chunks() if key.class_name == name]
        assert sum(key.rows for key in mine if key.split == "train") == 1100
        assert sum(key.rows for key in mine if key.split == "val") == 3
        assert not any(key.split == "test" for key in mine)
        assert max(key.rows for key in mine) <= 500
    leptons = [key for key in JetPlan(recipe).chunks() if key.class_name == "Hqql" and key.split == "train"]
    assert len(leptons) % 2 == 0  # both charges alike
    assert recipe.lines("Hqql", 0) != recipe.lines("Hqql", 1)


def test_only_some_classes() -> None:
    recipe = read_recipe("jetclass", overrides=["only=[Tbqq, QCD]"])
    assert recipe.store_schema().label_classes == ("Tbqq", "QCD")


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
        ({"classes": {"H": {"match": {}}}}, "'classes.H.pythia' is missing"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(values(**changes))


@pytest.mark.parametrize(
    "line", ["HardQCD:al = on", "HardQCD:all = perhaps", "PhaseSpace:pTHatMin = high", "99:onMode = off"]
)
def test_bad_pythia_lines_are_named(line: str) -> None:
    pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
    recipe = read_recipe(values(classes={"signal": {"pythia": [line]}}))
    with pytest.raises(ConfigError, match=rf"class signal: Pythia does not take the line '{line}'"):
        JetPlan(recipe).check()


def test_unknown_recipe_and_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'jetclass'"):
        read_recipe("jetclas")
    with pytest.raises(ConfigError, match="no recipe file"):
        read_recipe(tmp_path / "mine.yaml")


def test_recipe_of_a_user_reads_the_same_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "jets: {train: 5}\n"
        "classes:\n  X:\n    pythia: ['HiggsSM:all = on']\n    match: {resonance: 25, decay: tau tau}\n"
    )
    recipe = read_recipe(file)
    assert isinstance(recipe, Recipe)
    assert recipe.classes["X"].match.decay == "tau tau"
