"""A chunk of jets at two levels: the leading jets of the same events, of particles and of a detector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Array, Columns, concatenate, take_rows
from hepfm.data.schemas.jets import EVENT_ID, JET_WEIGHT
from hepfm.data.schemas.levels import BOSON, JET_LEVEL, LEVELS, OBSERVABLES, PASSES
from hepfm.physics.angularities import angularities
from hepfm.physics.clustering import Jets
from hepfm.physics.kinematics import delta_r, pseudorapidity, rapidity
from hepfm.physics.substructure import substructure
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.collisions import FoundRows, detector_random, fill_chunk, generator_of
from hepfm.simulate.cut_flow import verdict
from hepfm.simulate.detector import NoDetector
from hepfm.simulate.event_jets import EventNumbers, leading_jets
from hepfm.simulate.jet_recipe import JetRecipe
from hepfm.simulate.jets import ClassJets, cluster, jet_columns, select, stored_constituents
from hepfm.simulate.level_recipe import TwoLevels
from hepfm.simulate.particles import Bools, Candidates
from hepfm.simulate.pythia import Record

Z_BOSON = 23


def make_chunk(recipe: JetRecipe, key: ChunkKey) -> Chunk:
    """Generate events and cluster both levels of each until the chunk has its events, a jet in each."""
    assert recipe.levels is not None
    levels, generator, numbers = recipe.levels, generator_of(recipe, key), EventNumbers(recipe, key)
    random = detector_random(recipe, key)
    ideal = NoDetector(NoDetector.Config())

    def used(record: Record) -> Bools:
        return used_events(levels, record, class_name=key.class_name)

    def both_levels(record: Record, candidates: Candidates) -> dict[str, Candidates]:
        particles = generator.stable(record)
        particles = particles.take(used(record)[particles.event])
        return {"detector": candidates, "particle": ideal(particles, random)}

    def rows_of(record: Record, candidates: Candidates, wanted: int) -> FoundRows:
        rows = event_rows(recipe, key.class_name, record, both_levels(record, candidates))
        event = np.asarray(rows[EVENT_ID.name])
        kept = np.isin(event, np.unique(event)[:wanted])
        columns = take_rows(rows, kept)
        columns[EVENT_ID.name] = numbers.next(record)[event[kept]]
        return FoundRows(columns, len(np.unique(event[kept])), len(event))

    def refuse(record: Record, candidates: Candidates, events: int) -> NoReturn:
        left = {"with a Z boson that is used": int(used(record).sum())} if levels.z_boson else {}
        for level, given in both_levels(record, candidates).items():
            jets = leading(recipe, level, given, record.num_events)
            left[f"with a jet within the cuts at {level} level"] = len(jets)
        why = verdict(left, record.num_events, rows="events")
        raise ConfigError(f"class {key.class_name}: no event passed in {events} events. {why}")

    return fill_chunk(recipe, key, generator, rows_of=rows_of, random=random, refuse=refuse, measured=used)


def event_rows(
    recipe: JetRecipe, class_name: str, record: Record, candidates: Mapping[str, Candidates]
) -> Columns:
    """Return the rows of a batch of events, event by event; `EVENT_ID` is the place of the event in it.

    Parameters
    ----------
    candidates
        What jets are clustered from, by level.
    """
    assert recipe.levels is not None
    jets = {level: leading(recipe, level, given, record.num_events) for level, given in candidates.items()}
    passing = passes(jets, record.num_events, radius=recipe.levels.match_radius)
    parts = []
    for number, level in enumerate(LEVELS):
        event = jets[level].jets.event
        truth = {
            JET_LEVEL.name: np.full(len(event), number),
            **{PASSES[name].name: passing[level][name][event] for name in LEVELS},
            **observables(jets[level].jets, candidates[level], radius=recipe.selection.radius),
            **(_boson_fields(record, event) if recipe.levels.z_boson else {}),
            EVENT_ID.name: event,
        }
        columns = jet_columns(jets[level].with_truth(truth), candidates[level], recipe, class_name=class_name)
        parts.append({**columns, JET_WEIGHT.name: record.weight[event]})
    rows = concatenate(parts)
    return take_rows(rows, np.argsort(np.asarray(rows[EVENT_ID.name]), kind="stable"))


def leading(recipe: JetRecipe, level: str, candidates: Candidates, num_events: int) -> ClassJets:
    """Return the leading jet within the cuts of each event at a level, where it has constituents to store."""
    assert recipe.levels is not None
    selection, cuts = recipe.selection, recipe.levels.particle
    if level == "particle" and cuts is not None:
        selection = selection.model_copy(update=cuts.model_dump())
    jets = leading_jets(select(cluster(candidates, num_events, selection), selection), 1)
    members = stored_constituents(jets, candidates, limit=recipe.max_constituents)
    return ClassJets(jets, {}, members).take(np.flatnonzero(members.lengths > 0))


def passes(jets: Mapping[str, ClassJets], num_events: int, *, radius: float) -> dict[str, dict[str, Bools]]:
    """Return at which levels the pair of an event's jet has one, by the level of that jet; (events,) each."""
    found, eta, phi = {}, np.zeros((2, num_events)), np.zeros((2, num_events))
    for number, level in enumerate(LEVELS):
        event, (_, px, py, pz) = jets[level].jets.event, jets[level].jets.p4.T
        found[level] = np.zeros(num_events, bool)
        found[level][event] = True
        eta[number, event], phi[number, event] = pseudorapidity(px, py, pz), np.arctan2(py, px)
    near = delta_r(eta[0], phi[0], eta[1], phi[1]) <= radius
    pair = found["detector"] & found["particle"] & near
    return {level: {name: found[level] if name == level else pair for name in LEVELS} for level in LEVELS}


def observables(jets: Jets, candidates: Candidates, *, radius: float) -> dict[str, Array]:
    """Return the fields `OBSERVABLES` of jets, from all of their constituents."""
    members = jets.members
    p4 = candidates.p4[members.values]
    inner = substructure(p4, members.lengths, radius=radius, axes=[2])
    lha, width, square = angularities(p4, members.lengths, radius=radius, betas=(0.5, 1, 2)).T
    values = (members.lengths, lha, width, square, inner.tau[:, 0], inner.softdrop_mass, inner.zg)
    return {field.name: value for field, value in zip(OBSERVABLES, values, strict=True)}


def used_events(levels: TwoLevels, record: Record, *, class_name: str) -> Bools:
    """Return which events of a batch have a Z boson of enough pT; all where it is not asked for.

    Raises
    ------
    ConfigError
        For an event without a Z boson.
    """
    if not levels.z_boson:
        return np.ones(record.num_events, bool)
    boson = z_bosons(record)
    if (boson < 0).any():
        raise ConfigError(
            f"class {class_name}: {int((boson < 0).sum())} of {record.num_events} events have no Z boson; "
            "set levels.z_boson: false, or turn on a process with one"
        )
    used: Bools = np.hypot(record.px[boson], record.py[boson]) >= levels.z_pt_min
    return used


def z_bosons(record: Record) -> Array:
    """Return the last Z boson of each event as an entry of the record; -1 where there is none."""
    entries = np.flatnonzero(record.pdg == Z_BOSON)
    last = np.full(record.num_events, -1)
    last[record.event_of(entries)] = entries  # of several the last one stays
    return last


def _boson_fields(record: Record, event: Array) -> dict[str, Array]:
    boson = z_bosons(record)[event]
    px, py = record.px[boson], record.py[boson]
    values = np.hypot(px, py), rapidity(record.pz[boson], record.energy[boson]), np.arctan2(py, px)
    return {field.name: value for field, value in zip(BOSON, values, strict=True)}
