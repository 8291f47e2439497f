"""A chunk of the two leading jets of events, as in the LHC Olympics (2101.08320)."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Array
from hepfm.data.schemas.dijets import DIJET_MASS
from hepfm.data.schemas.jets import EVENT_ID, JET_WEIGHT
from hepfm.physics.clustering import Jets
from hepfm.physics.kinematics import mass_of
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.collisions import FoundRows, detector_random, fill_chunk, generator_of
from hepfm.simulate.cut_flow import verdict
from hepfm.simulate.dijet_recipe import Dijet
from hepfm.simulate.event_jets import EventNumbers, leading_jets
from hepfm.simulate.jet_recipe import JetRecipe
from hepfm.simulate.jets import ClassJets, cluster, jet_columns, select, stored_constituents
from hepfm.simulate.particles import Candidates
from hepfm.simulate.pythia import Record


def make_chunk(recipe: JetRecipe, key: ChunkKey) -> Chunk:
    """Generate, measure and cluster until the chunk has its events, two jets of each."""
    assert recipe.dijet is not None
    dijet, generator, numbers = recipe.dijet, generator_of(recipe, key), EventNumbers(recipe, key)

    def rows_of(record: Record, candidates: Candidates, wanted: int) -> FoundRows:
        pairs = leading_pairs(recipe, candidates, record.num_events)
        mass = dijet_masses(pairs.jets)
        good = np.flatnonzero(np.logical_and.reduce(list(cuts(dijet, pairs.jets, mass).values())))
        kept = good[:wanted]
        jets = pairs.take(np.stack([2 * kept, 2 * kept + 1], axis=1).ravel())
        event = jets.jets.event
        truth = {
            DIJET_MASS.name: np.repeat(mass[kept], 2),
            EVENT_ID.name: numbers.next(record)[event],
        }
        columns = jet_columns(jets.with_truth(truth), candidates, recipe, class_name=key.class_name)
        columns[JET_WEIGHT.name] = record.weight[event]
        return FoundRows(columns, len(kept), 2 * len(good))

    def refuse(record: Record, candidates: Candidates, events: int) -> NoReturn:
        why = verdict(_left_by_cuts(recipe, candidates, record), record.num_events, rows="events")
        raise ConfigError(f"class {key.class_name}: no event passed in {events} events. {why}")

    random = detector_random(recipe, key)
    return fill_chunk(recipe, key, generator, rows_of=rows_of, random=random, refuse=refuse)


def leading_pairs(recipe: JetRecipe, candidates: Candidates, num_events: int) -> ClassJets:
    """Return the two leading jets within the selection of each event that has two, one after the other."""
    found = select(cluster(candidates, num_events, recipe.selection), recipe.selection)
    jets = leading_jets(found, 2)
    members = stored_constituents(jets, candidates, limit=recipe.max_constituents)
    stored = ClassJets(jets, {}, members).take(np.flatnonzero(members.lengths > 0))
    both = np.bincount(stored.jets.event, minlength=num_events) == 2
    return stored.take(np.flatnonzero(both[stored.jets.event]))


def dijet_masses(pairs: Jets) -> Array:
    """Return the invariant mass of each pair in GeV."""
    return mass_of(pairs.p4.reshape(-1, 2, 4).sum(axis=1))


def cuts(dijet: Dijet, pairs: Jets, mass: Array) -> dict[str, Array]:
    """Return which pairs pass each cut, by the cut."""
    pt = np.hypot(pairs.p4[::2, 1], pairs.p4[::2, 2])
    passing = {
        f"leading_pt_min={dijet.leading_pt_min:g} GeV": pt >= dijet.leading_pt_min,
        f"mass_min={dijet.mass_min:g} GeV": mass >= dijet.mass_min,
    }
    if dijet.mass_max is not None:
        passing[f"mass_max={dijet.mass_max:g} GeV"] = mass < dijet.mass_max
    return passing


def _left_by_cuts(recipe: JetRecipe, candidates: Candidates, record: Record) -> dict[str, int]:
    """Return the number of events after each cut, by what they are."""
    assert recipe.dijet is not None
    pairs = leading_pairs(recipe, candidates, record.num_events).jets
    left = {"with two jets within the selection": len(pairs) // 2}
    passing = np.ones(len(pairs) // 2, bool)
    for name, good in cuts(recipe.dijet, pairs, dijet_masses(pairs)).items():
        passing &= good
        left[f"within {name}"] = int(passing.sum())
    return left
