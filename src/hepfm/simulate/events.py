"""A chunk of events: (recipe, class, split, index) always gives the same ones."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.data.event_objects import EventObjects, merge_objects, missing_momentum, object_columns
from hepfm.data.object_overlaps import remove_overlaps
from hepfm.data.schemas.events import EVENT_WEIGHT
from hepfm.data.truth_matching import with_matched_roles
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.collisions import FoundRows, detector_random, fill_chunk, generator_of, typed_columns
from hepfm.simulate.cut_flow import verdict
from hepfm.simulate.event_recipe import EventRecipe
from hepfm.simulate.generator_objects import generator_objects, initial_states
from hepfm.simulate.isolated_objects import isolated_objects
from hepfm.simulate.jet_objects import jet_objects
from hepfm.simulate.object_recipe import ObjectRecipe
from hepfm.simulate.particles import Candidates
from hepfm.simulate.pythia import Pythia, Record


def make_chunk(recipe: EventRecipe, key: ChunkKey) -> Chunk:
    """Generate, measure and reconstruct until the chunk has its events."""
    generator = generator_of(recipe, key)
    random = detector_random(recipe, key)
    process = recipe.classes[key.class_name]
    mass = 0.0 if process.resonance is None else generator.mass(process.resonance)
    label = recipe.class_names.index(key.class_name)

    def rows_of(record: Record, candidates: Candidates, wanted: int) -> FoundRows:
        objects = reconstruct(record, candidates, recipe.objects, random)
        passing = np.flatnonzero(recipe.selection.passing(objects, record.num_events))
        kept = passing[:wanted]
        if recipe.truth:
            objects = with_truth(objects, record, generator, recipe.objects)
        columns = {
            **object_columns(objects.of_events(kept, record.num_events), len(kept), truth=recipe.truth),
            "event_label": np.full(len(kept), label),
            "event_initial_state": initial_states(record)[kept],
            "event_resonance_mass": np.full(len(kept), mass),
            EVENT_WEIGHT.name: record.weight[kept],
        }
        return FoundRows(typed_columns(columns, recipe.store_schema(weighted=True)), len(kept), len(passing))

    def refuse(record: Record, candidates: Candidates, events: int) -> NoReturn:
        objects = reconstruct(record, candidates, recipe.objects, random)
        why = blame(recipe, objects, record.num_events)
        raise ConfigError(f"class {key.class_name}: no event passed of {events} generated. {why}")

    return fill_chunk(recipe, key, generator, rows_of=rows_of, random=random, refuse=refuse)


def reconstruct(
    record: Record, candidates: Candidates, recipe: ObjectRecipe, random: np.random.Generator
) -> EventObjects:
    """Return the reconstructed objects of a batch of events, missing transverse momentum among them."""
    seen = merge_objects(
        isolated_objects(candidates, recipe, random), jet_objects(record, candidates, recipe, random)
    )
    _, px, py, _ = candidates.p4.T
    met = missing_momentum(candidates.event, px, py, record.num_events)
    return merge_objects(remove_overlaps(seen, recipe.overlaps), met)


def with_truth(objects: EventObjects, record: Record, pythia: Pythia, recipe: ObjectRecipe) -> EventObjects:
    """Return reconstructed objects with their roles, and the particles of the hard process."""
    generator = generator_objects(record, pythia.charges)
    return merge_objects(with_matched_roles(objects, generator, radius=recipe.match_radius), generator)


def blame(recipe: EventRecipe, objects: EventObjects, num_events: int) -> str:
    """Return how many of some events each cut left, and which of them took the last ones."""
    passing, left = np.ones(num_events, bool), {"generated": num_events}
    for name, cut in recipe.selection.cuts(objects, num_events):
        passing &= cut
        left[f"with {name}"] = int(passing.sum())
    return verdict(left, num_events, rows="events")
