"""Records, particles and one small simulation that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hepfm.core.ragged import Array, Ragged, concatenate
from hepfm.data.schemas.jets import JETCLASS_CLASSES
from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.jets import make_chunk
from hepfm.simulate.particles import Particles
from hepfm.simulate.recipe import read_simulation

MakeParticles = Callable[..., Particles]

CHARGES = {211: 1, -211: -1, 11: -1, 13: -1, 22: 0, 130: 0, 12: 0, 310: 0}
MASSES = {211: 0.1396, 11: 0.000511, 13: 0.1057, 130: 0.4976, 310: 0.4976}


def make_particles(
    pdg: list[int], pt: list[float], eta: list[float], phi: list[float], events: Any = 0
) -> Particles:
    """Return particles from the origin."""
    p_t, e, f = (np.asarray(column, float) for column in (pt, eta, phi))
    mass = np.array([MASSES.get(abs(code), 0.0) for code in pdg])
    px, py, pz = p_t * np.cos(f), p_t * np.sin(f), p_t * np.sinh(e)
    nothing = np.zeros(len(pdg))
    return Particles(
        event=np.broadcast_to(np.asarray(events, np.int64), len(pdg)).copy(),
        pdg=np.asarray(pdg),
        charge=np.array([CHARGES[code] for code in pdg], float),
        px=px,
        py=py,
        pz=pz,
        energy=np.sqrt(px**2 + py**2 + pz**2 + mass**2),
        mass=mass,
        x=nothing,
        y=nothing,
        z=nothing,
        entry=np.arange(len(pdg)),
    )


@pytest.fixture(scope="session")
def particles() -> MakeParticles:
    """The function `make_particles`."""
    return make_particles


def make_jets(recipe_name: str, classes: tuple[str, ...], jets: int) -> dict[str, Array | Ragged]:
    """Return jets of some JetClass classes, labelled as in JetClass."""
    pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
    pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")
    recipe = read_simulation(recipe_name, overrides=["batch_events=100"], seed=20).config
    return concatenate([make_chunk(recipe, ChunkKey(name, "test", 0, jets)).columns for name in classes])


@pytest.fixture(scope="session")
def simulated() -> dict[str, Array | Ragged]:
    """80 jets of each JetClass class with multi-parton interactions, as published."""
    return make_jets("jetclass", JETCLASS_CLASSES, 80)


@pytest.fixture(scope="session")
def as_meant() -> dict[str, Array | Ragged]:
    """100 jets of four classes, with multi-parton interactions and without the artefacts of the data."""
    return make_jets("jetclass_cms", ("Wqq", "Zqq", "Hgg", "Tbqq"), 100)
