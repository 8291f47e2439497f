"""A chunk of jets: (recipe, class, split, index) always gives the same ones."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Array, Ragged, concatenate
from hepfm.core.rng import integer_seed, numpy_generator
from hepfm.data.schemas.jets import JET_WEIGHT
from hepfm.physics.clustering import Jets, cluster_jets
from hepfm.physics.kinematics import pseudorapidity, rapidity
from hepfm.physics.substructure import substructure
from hepfm.simulate.chunk import Chunk, ChunkKey, Process
from hepfm.simulate.detector import Detector
from hepfm.simulate.labels import match_decay, match_parton, match_resonance
from hepfm.simulate.lhe import events_of
from hepfm.simulate.particles import Bools, Candidates
from hepfm.simulate.pythia import SEED_BITS, PythiaGenerator, Record
from hepfm.simulate.recipe import SPLITS, JetSelection, Match, Recipe
from hepfm.simulate.taus import holds_tau, tau_columns

MAX_PZ = 10_000.0
"""GeV; constituents beyond are dropped, as in JetClass."""
MAX_ETA = 5.0
"""Constituents beyond are dropped, as in JetClass."""
HOPELESS_EVENTS = 20_000
"""A class that gives no jet in so many events is taken for a mistake in its recipe."""


def chunk_keys(recipe: Recipe) -> list[ChunkKey]:
    """Return the chunks of a recipe, class after class within each split."""
    return [
        ChunkKey(name, split, index, size)
        for split in SPLITS
        for name in recipe.class_names
        for index, size in enumerate(_chunk_sizes(recipe, name, getattr(recipe.jets, split)))
    ]


def _chunk_sizes(recipe: Recipe, name: str, jets: int) -> list[int]:
    """Cut a number of jets into chunks; the variants of a class get equally many."""
    variants = max(1, len(recipe.classes[name].variants))
    chunks = variants * -(-jets // (variants * recipe.chunk_jets))
    return [size for size in (jets // chunks + (i < jets % chunks) for i in range(chunks)) if size]


def make_chunk(recipe: Recipe, key: ChunkKey) -> Chunk:
    """Generate, measure, cluster and label until the chunk has its jets."""
    started = time.process_time()
    component = recipe.detector_component()
    detector: Detector = component.cls(component.config)
    purpose = f"simulate {key.class_name} {key.split}"
    rng = numpy_generator(recipe.seed, f"{purpose} detector", key.index)
    seed = 1 + integer_seed(recipe.seed, f"{purpose} pythia", key.index, bits=SEED_BITS)
    generator = PythiaGenerator(
        recipe.lines(key.class_name, key.index),
        seed=seed,
        where=f"class {key.class_name}",
        events=events_of(recipe, key, chunk_keys(recipe)),
    )
    label = recipe.class_names.index(key.class_name)
    parts: list[dict[str, Array | Ragged]] = []
    kept = found = events = 0
    while kept < key.rows:
        record = generator.batch(recipe.batch_events)
        candidates = detector(generator.stable(record), rng)
        jets = select(cluster(candidates, record.num_events, recipe.selection), recipe.selection)
        match, radius = recipe.classes[key.class_name].match, recipe.selection.radius
        good_jets = matched(match, record, jets, radius=radius)
        if match.without_tau:
            good_jets &= ~holds_tau(record, jets, radius=radius)
        # Of all jets of the event, so that a tau belongs to its nearest one even if that was not kept.
        truth = tau_columns(record, jets, radius=radius) if recipe.taus else {}
        jets, truth = jets.take(good_jets), {name: one[good_jets] for name, one in truth.items()}
        members = stored_constituents(jets, candidates, most=recipe.max_constituents)
        good = np.flatnonzero(members.lengths > 0)
        wanted = good[: key.rows - kept]
        taken = jets.take(wanted)
        told = {name: one[wanted] for name, one in truth.items()}
        columns = jet_columns(taken, members.take(wanted), candidates, recipe, label=label, truth=told)
        parts.append({**columns, JET_WEIGHT.name: record.weight[taken.event]})
        events += record.num_events
        found += len(good)
        kept += len(wanted)
        if found == 0 and events >= HOPELESS_EVENTS:
            from hepfm.simulate.cut_flow import blame  # which needs this module

            why = blame(recipe, key, record, candidates)
            raise ConfigError(f"class {key.class_name}: no jet passed in {events} events. {why}")
    process = Process(generator.weight_sum, generator.sigma_mb)
    seconds = generator.seconds, time.process_time() - started
    return Chunk(concatenate(parts), events, found, *seconds, process)


def cluster(candidates: Candidates, num_events: int, selection: JetSelection) -> Jets:
    """Cluster the candidates of every event."""
    order = np.argsort(candidates.event, kind="stable")
    lengths = np.bincount(candidates.event, minlength=num_events)
    jets = cluster_jets(
        candidates.p4[order],
        lengths,
        radius=selection.radius,
        min_pt=selection.pt_min,
        algorithm=selection.algorithm,
    )
    return replace(jets, members=jets.members.with_values(order[jets.members.values]))


def select(jets: Jets, selection: JetSelection) -> Jets:
    """Keep the jets in the range of pT, eta and rapidity."""
    energy, px, py, pz = jets.p4.T
    pt = np.hypot(px, py)
    keep = (pt > selection.pt_min) & (pt < selection.pt_max)
    if selection.eta_max is not None:
        keep &= np.abs(pseudorapidity(px, py, pz)) <= selection.eta_max
    if selection.rapidity_max is not None:
        keep &= np.abs(rapidity(pz, energy)) <= selection.rapidity_max
    return jets.take(keep)


def matched(match: Match, record: Record, jets: Jets, *, radius: float) -> Bools:
    """Tell which jets belong to the class."""
    if match.hadronic_tau:
        return holds_tau(record, jets, radius=radius)
    _, px, py, pz = jets.p4.T
    axes = (jets.event, pseudorapidity(px, py, pz), np.arctan2(py, px))
    if match.resonance is not None and match.decay is not None:
        return match_decay(record, axes, resonance=match.resonance, pattern=match.decay, radius=radius)
    if match.resonance is not None:
        return match_resonance(record, axes, resonance=match.resonance, radius=radius)
    if match.parton is not None:
        return match_parton(record, axes, parton=match.parton, radius=radius)
    return np.ones(len(jets), bool)


def jet_columns(
    jets: Jets,
    constituents: Ragged,
    candidates: Candidates,
    recipe: Recipe,
    *,
    label: int,
    truth: Mapping[str, Array] | None = None,
) -> dict[str, Array | Ragged]:
    """Return the fields of the store for these jets and their stored constituents."""
    energy, px, py, pz = jets.p4.T
    columns: dict[str, Array | Ragged] = {
        "jet_pt": np.hypot(px, py),
        "jet_eta": pseudorapidity(px, py, pz),
        "jet_phi": np.arctan2(py, px),
        "jet_energy": energy,
        "jet_label": np.full(len(jets), label),
        **(truth or {}),
    }
    if recipe.substructure:
        inner = substructure(
            candidates.p4[jets.members.values], jets.members.lengths, radius=recipe.selection.radius
        )
        columns["jet_softdrop_mass"] = inner.softdrop_mass
        columns |= {f"jet_tau{n + 1}": inner.tau[:, n] for n in range(4)}
    names = ["pt", "eta", "phi", "energy"]
    names += ["charge", "pid"] if recipe.identity else []
    names += ["d0", "d0_error", "dz", "dz_error"] if recipe.tracks else []
    for name in names:
        columns[f"part_{name}"] = constituents.with_values(getattr(candidates, name)[constituents.values])
    return {field.name: _as_type(columns[field.name], field.dtype) for field in recipe.store_schema()}


def stored_constituents(jets: Jets, candidates: Candidates, *, most: int | None = None) -> Ragged:
    """Return the candidates of each jet that are stored, in falling order of pT, at most `most` of them."""
    order = np.lexsort((-candidates.pt[jets.members.values], jets.members.row_index()))
    members = jets.members.with_values(jets.members.values[order])
    pt, eta = candidates.pt[members.values], candidates.eta[members.values]
    stored = members.keep((pt > 0) & (np.abs(pt * np.sinh(eta)) <= MAX_PZ) & (np.abs(eta) <= MAX_ETA))
    if most is None:
        return stored
    rank = np.arange(len(stored.values)) - np.repeat(stored.offsets[:-1], stored.lengths)
    return stored.keep(rank < most)


def _as_type(column: Array | Ragged, dtype: str) -> Array | Ragged:
    if isinstance(column, Ragged):
        return column.with_values(column.values.astype(dtype))
    return column.astype(dtype)
