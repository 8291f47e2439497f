"""Jets after JetNet: masses, multiplicities and momentum of a small sample; the cut on constituents."""

from __future__ import annotations

import numpy as np
import pytest

from hepfm.core.ragged import Array, Ragged
from hepfm.physics.kinematics import four_momentum, mass_of
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.jets import make_chunk
from hepfm.simulate.recipe import read_simulation

pytestmark = pytest.mark.xdist_group("jetnet_recipe")  # its fixtures are slow: made once, by one worker

pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")

CLASSES = ("g", "q", "t", "w", "z")
JETS = 80


def make(name: str, *overrides: str, recipe: str = "jetnet150", jets: int = JETS) -> Chunk:
    read = read_simulation(recipe, overrides=["batch_events=50", *overrides], seed=21)
    return make_chunk(read.config, ChunkKey(name, "test", 0, jets))


def lists(chunk: Chunk, name: str) -> Ragged:
    column = chunk.columns[name]
    assert isinstance(column, Ragged)
    return column


def masses(chunk: Chunk) -> Array:
    """Return the masses of the sums of the stored constituents (GeV)."""
    parts = (lists(chunk, f"part_{name}").values.astype(float) for name in ("pt", "eta", "phi", "energy"))
    p4 = four_momentum(*parts)
    return mass_of(np.add.reduceat(p4, lists(chunk, "part_pt").offsets[:-1]))


def momentum_share(chunk: Chunk) -> Array:
    """Return the scalar sum of pt of the stored constituents over the jet's pt."""
    pt = lists(chunk, "part_pt")
    share: Array = np.add.reduceat(pt.values, pt.offsets[:-1]) / np.asarray(chunk.columns["jet_pt"])
    return share


@pytest.fixture(scope="module")
def samples() -> dict[str, Chunk]:
    """Eighty jets of each class, without the slow multi-parton interactions."""
    return {name: make(name, "mpi=false") for name in CLASSES}


@pytest.mark.parametrize(("name", "mass"), [("w", 80.4), ("z", 91.2), ("t", 172.5)])
def test_masses_peak_at_the_resonance(samples: dict[str, Chunk], name: str, mass: float) -> None:
    """Tops peak at the W boson as well: at 1 TeV the b quark often lies outside a radius of 0.4."""
    found = masses(samples[name])
    near = found[np.abs(found / mass - 1) < 0.15]
    assert len(near) > (0.35 if name == "t" else 0.7) * len(found)
    assert np.median(near) == pytest.approx(mass, rel=0.03)
    if name == "t":
        assert 0.1 < np.mean(np.abs(found / 85 - 1) < 0.2) < 0.5


def test_light_jets_have_no_peak(samples: dict[str, Chunk]) -> None:
    """The negative control of the peaks: masses of gluon and quark jets are spread widely."""
    for name in "gq":
        found = masses(samples[name])
        assert np.subtract(*np.quantile(found, [0.75, 0.25])) > 0.4 * np.median(found)


def test_multiplicities_and_momenta(samples: dict[str, Chunk]) -> None:
    """Gluons radiate most; constituents carry the jet, whose pt stays near that of the parton."""
    mean = {name: lists(chunk, "part_pt").lengths.mean() for name, chunk in samples.items()}
    assert mean["g"] > 1.3 * mean["q"]
    assert mean["t"] > 1.2 * mean["w"]
    for chunk in samples.values():
        assert momentum_share(chunk).mean() == pytest.approx(1, abs=0.015)
        pt = np.asarray(chunk.columns["jet_pt"])
        assert ((pt > 800) & (pt < 1600)).all()
        assert np.median(pt) == pytest.approx(1000, rel=0.04)


def test_the_thirty_hardest(samples: dict[str, Chunk]) -> None:
    """The other recipe has the same jets with fewer constituents; the jet's fields are of the whole."""
    short, whole = make("g", "mpi=false", recipe="jetnet30"), samples["g"]
    for name in ("jet_pt", "jet_eta", "jet_phi", "jet_energy"):
        np.testing.assert_array_equal(short.columns[name], whole.columns[name])
    np.testing.assert_array_equal(
        lists(short, "part_pt").lengths, np.minimum(lists(whole, "part_pt").lengths, 30)
    )
    for row in (0, 7, JETS - 1):
        np.testing.assert_array_equal(lists(short, "part_pt").row(row), lists(whole, "part_pt").row(row)[:30])
    assert (momentum_share(short) < momentum_share(whole)).mean() > 0.9


def test_schema_is_that_of_the_published_files() -> None:
    from hepfm.data.schemas.jets import jet_schema

    recipe = read_simulation("jetnet150").config
    assert recipe.store_schema() == jet_schema(CLASSES, identity=False, tracks=False, substructure=False)
    assert (recipe.max_constituents, read_simulation("jetnet30").config.max_constituents) == (150, 30)
    assert recipe.mpi


def test_a_cut_changes_the_fingerprint() -> None:
    """So that finished chunks of another recipe are not used."""
    cut = read_simulation("quark_gluon", overrides=["max_constituents=200"])
    assert cut.fingerprint() != read_simulation("quark_gluon").fingerprint()
