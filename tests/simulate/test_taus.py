"""Jets of taus in electron-positron collisions."""

from __future__ import annotations

import numpy as np
import pytest

from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Ragged
from hepfm.physics.taus import DECAY_MODES
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.jets import make_chunk
from hepfm.simulate.recipe import read_simulation

pytestmark = pytest.mark.xdist_group("taus")  # its fixtures are slow: made once, by one worker

pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")

JETS = 400


@pytest.fixture(scope="module")
def samples() -> dict[str, Chunk]:
    recipe = read_simulation("clic_taus", overrides=["batch_events=200"], seed=3).config
    return {name: make_chunk(recipe, ChunkKey(name, "test", 0, JETS)) for name in ("quark", "tau")}


def test_decay_modes_have_their_branching_fractions(samples: dict[str, Chunk]) -> None:
    """Of hadronic decays 17 % are h, 40 % h pi0, 15 % 3h (Particle Data Group: 11.5, 25.9, 9.8 of 64.8)."""
    modes = np.asarray(samples["tau"].columns["tau_decay_mode"])
    share = dict(zip(DECAY_MODES, np.bincount(modes, minlength=7) / JETS, strict=True))
    assert share["none"] == 0
    assert share["h"] == pytest.approx(0.178, abs=0.06)
    assert share["h_pi0"] == pytest.approx(0.40, abs=0.08)
    assert share["3h"] == pytest.approx(0.15, abs=0.06)
    assert share["rare"] < 0.03
    quark = np.asarray(samples["quark"].columns["tau_decay_mode"])
    assert (quark == DECAY_MODES.index("none")).all()


def test_jets_lie_on_their_visible_taus(samples: dict[str, Chunk]) -> None:
    columns = samples["tau"].columns
    ratio = np.exp(np.asarray(columns["tau_log_pt_ratio"]))
    assert np.median(ratio) == pytest.approx(1.0, abs=0.1)
    assert (np.abs(np.log(ratio)) < np.log(3)).mean() > 0.97, "soft jets beside a tau are none of it"
    mass = np.asarray(columns["tau_visible_mass"])
    assert (mass < 1.78).all()
    assert np.asarray(columns["tau_visible_pt"]).max() < 191
    pt = np.asarray(columns["jet_pt"])
    np.testing.assert_allclose(ratio * pt, columns["tau_visible_pt"], rtol=1e-4)


def test_taus_are_narrow_and_have_few_constituents(samples: dict[str, Chunk]) -> None:
    lengths = {}
    for name, chunk in samples.items():
        constituents = chunk.columns["part_pt"]
        assert isinstance(constituents, Ragged)
        lengths[name] = constituents.lengths.mean()
    assert lengths["tau"] < 0.5 * lengths["quark"]


@pytest.mark.parametrize(
    "override",
    ["max_constituents=30", "selection.algorithm=anti_kt", "classes.quark.match.hadronic_tau=null", "seed=2"],
)
def test_every_option_is_in_the_fingerprint(override: str) -> None:
    """Stores know the recipe that they were made with by this."""
    changed = read_simulation("clic_taus", overrides=[override])
    assert changed.fingerprint() != read_simulation("clic_taus").fingerprint()
    assert changed.fingerprint() == read_simulation("clic_taus", overrides=[override]).fingerprint()


def test_one_kind_of_match() -> None:
    with pytest.raises(ConfigError, match="one of"):
        read_simulation("clic_taus", overrides=["classes.tau.match={hadronic_tau: true, parton: q}"])
