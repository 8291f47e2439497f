"""A chunk of jets: (recipe, class, split, index) always gives the same ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Array, Columns, Ragged, concatenate, take_rows
from hepfm.core.rng import integer_seed, numpy_generator
from hepfm.data.schemas.jets import JET_WEIGHT
from hepfm.physics.clustering import Jets, cluster_jets
from hepfm.physics.kinematics import pseudorapidity, rapidity
from hepfm.physics.substructure import substructure
from hepfm.simulate.chunk import Chunk, ChunkKey, Process
from hepfm.simulate.detector import Detector
from hepfm.simulate.event_files import events_of, file_of
from hepfm.simulate.hepmc import HepmcGenerator
from hepfm.simulate.jet_recipe import JetRecipe, JetSelection
from hepfm.simulate.labellers.base import JetLabels, Labeller
from hepfm.simulate.particles import Candidates
from hepfm.simulate.pythia import SEED_BITS, Pythia, PythiaGenerator, Record
from hepfm.simulate.simulation import SPLITS
from hepfm.simulate.truth import constituent_truth

MAX_PZ = 10_000.0
"""GeV; constituents beyond are dropped, as in JetClass."""
MAX_ETA = 5.0
"""Constituents beyond are dropped, as in JetClass."""
HOPELESS_EVENTS = 20_000
"""A class that gives no jet in so many events is taken for a mistake in its recipe."""


def chunk_keys(recipe: JetRecipe) -> list[ChunkKey]:
    """Return the chunks of a recipe, class after class within each split."""
    return [
        ChunkKey(name, split, index, size)
        for split in SPLITS
        for name in recipe.class_names
        for index, size in enumerate(_chunk_sizes(recipe, name, getattr(recipe.jets, split)))
    ]


def _chunk_sizes(recipe: JetRecipe, name: str, jets: int) -> list[int]:
    """Cut a number of jets into chunks; the variants of a class get equally many."""
    variants = recipe.num_variants(name)
    chunks = variants * -(-jets // (variants * recipe.chunk_jets))
    return [size for size in (jets // chunks + (i < jets % chunks) for i in range(chunks)) if size]


@dataclass(frozen=True)
class ClassJets:
    """Jets of a class: as clustered, fields of the truth, and the candidates that are stored."""

    jets: Jets
    truth: Columns
    constituents: Ragged

    def __len__(self) -> int:
        return len(self.jets)

    def take(self, rows: Array) -> ClassJets:
        """Return the given jets."""
        return ClassJets(self.jets.take(rows), take_rows(self.truth, rows), self.constituents.take(rows))

    def with_truth(self, columns: Columns) -> ClassJets:
        """Return the jets with further fields of the truth."""
        return replace(self, truth={**self.truth, **columns})


def make_chunk(recipe: JetRecipe, key: ChunkKey) -> Chunk:
    """Generate, measure, cluster and label until the chunk has its jets."""
    started = time.process_time()
    purpose = f"simulate {key.class_name} {key.split}"
    rng = numpy_generator(recipe.seed, f"{purpose} detector", key.index)
    detector: Detector = recipe.detector.cls(recipe.detector.config)
    generator = _generator(recipe, key)
    parts: list[dict[str, Array | Ragged]] = []
    stored = passed = events = 0
    while stored < key.rows:
        record = generator.batch(recipe.batch_events)
        candidates = detector(generator.stable(record), rng)
        good = jets_of_class(recipe, key.class_name, record, candidates)
        taken = good.take(np.arange(min(len(good), key.rows - stored)))
        taken = taken.with_truth(truth_of_constituents(recipe, taken, record, candidates, generator))
        columns = jet_columns(taken, candidates, recipe, class_name=key.class_name)
        parts.append({**columns, JET_WEIGHT.name: record.weight[taken.jets.event]})
        events += record.num_events
        passed += len(good)
        stored += len(taken)
        if passed == 0 and events >= HOPELESS_EVENTS:
            refuse_hopeless(recipe, key.class_name, record, candidates, events=events)
    process = Process(generator.weight_sum, generator.sigma_mb)
    seconds = generator.seconds, time.process_time() - started
    return Chunk(concatenate(parts), events, passed, *seconds, process)


def _generator(recipe: JetRecipe, key: ChunkKey) -> PythiaGenerator | HepmcGenerator:
    where, events = f"class {key.class_name}", events_of(recipe, key, chunk_keys(recipe))
    if recipe.classes[key.class_name].hepmc is not None:
        path = file_of(recipe, key.class_name, key.index)
        assert path is not None
        assert events is not None
        return HepmcGenerator(path, events=events, where=where)
    purpose = f"simulate {key.class_name} {key.split} pythia"
    return PythiaGenerator(
        recipe.lines(key.class_name, key.index),
        seed=1 + integer_seed(recipe.seed, purpose, key.index, bits=SEED_BITS),
        where=where,
        events=events,
    )


def truth_of_constituents(
    recipe: JetRecipe, jets: ClassJets, record: Record, candidates: Candidates, pythia: Pythia
) -> Columns:
    """Return the truth fields of the constituents of jets; none where the recipe does not ask for them."""
    if not recipe.truth:
        return {}
    entries = jets.constituents.with_values(candidates.entry[jets.constituents.values])
    charged = candidates.charge[jets.constituents.values] != 0
    return constituent_truth(record, entries, charged, pythia.decay_lengths)


def refuse_hopeless(
    recipe: JetRecipe, class_name: str, record: Record, candidates: Candidates, *, events: int
) -> NoReturn:
    """Raise `ConfigError` that names the cut which left no jet of the last events."""
    from hepfm.simulate.cut_flow import blame  # which needs this module

    why = blame(recipe, class_name, record, candidates)
    raise ConfigError(f"class {class_name}: no jet passed in {events} events. {why}")


def jets_of_class(recipe: JetRecipe, class_name: str, record: Record, candidates: Candidates) -> ClassJets:
    """Return the jets of some events that pass the cuts, belong to the class and have constituents to store.

    All jets within the cuts are labelled together: a tau belongs to its nearest jet even where that jet is
    not of the class.
    """
    selection = recipe.selection
    jets = select(cluster(candidates, record.num_events, selection), selection)
    labels = label_jets(recipe, class_name, record, jets)
    members = stored_constituents(jets, candidates, limit=recipe.max_constituents)
    good = np.flatnonzero(labels.belongs & (members.lengths > 0))
    return ClassJets(jets, labels.columns, members).take(good)


def label_jets(recipe: JetRecipe, class_name: str, record: Record, jets: Jets) -> JetLabels:
    """Return what the recipe's labeller says of jets as members of a class."""
    labeller: Labeller[Any] = recipe.labeller.cls(recipe.labeller.config)
    return labeller.label(record, jets, recipe.match(class_name), radius=recipe.selection.radius)


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


def jet_columns(
    chosen: ClassJets, candidates: Candidates, recipe: JetRecipe, *, class_name: str
) -> dict[str, Array | Ragged]:
    """Return the fields of the store for these jets."""
    energy, px, py, pz = chosen.jets.p4.T
    columns: dict[str, Array | Ragged] = {
        "jet_pt": np.hypot(px, py),
        "jet_eta": pseudorapidity(px, py, pz),
        "jet_phi": np.arctan2(py, px),
        "jet_energy": energy,
        "jet_label": np.full(len(chosen), recipe.class_names.index(class_name)),
        **chosen.truth,
        **(_substructure_columns(chosen.jets, candidates, recipe) if recipe.substructure else {}),
    }
    names = ["pt", "eta", "phi", "energy"]
    names += ["charge", "pid"] if recipe.identity else []
    names += ["d0", "d0_error", "dz", "dz_error"] if recipe.tracks else []
    for name in names:
        values = getattr(candidates, name)[chosen.constituents.values]
        columns[f"part_{name}"] = chosen.constituents.with_values(values)
    return {field.name: _as_type(columns[field.name], field.dtype) for field in recipe.store_schema()}


def _substructure_columns(jets: Jets, candidates: Candidates, recipe: JetRecipe) -> dict[str, Array]:
    inner = substructure(
        candidates.p4[jets.members.values], jets.members.lengths, radius=recipe.selection.radius
    )
    return {
        "jet_softdrop_mass": inner.softdrop_mass,
        **{f"jet_tau{n + 1}": inner.tau[:, n] for n in range(4)},
    }


def stored_constituents(jets: Jets, candidates: Candidates, *, limit: int | None = None) -> Ragged:
    """Return the candidates of each jet that are stored, in falling order of pT, at most `limit` of them."""
    order = np.lexsort((-candidates.pt[jets.members.values], jets.members.row_index()))
    members = jets.members.with_values(jets.members.values[order])
    pt, eta = candidates.pt[members.values], candidates.eta[members.values]
    stored = members.keep((pt > 0) & (np.abs(pt * np.sinh(eta)) <= MAX_PZ) & (np.abs(eta) <= MAX_ETA))
    if limit is None:
        return stored
    rank = np.arange(len(stored.values)) - np.repeat(stored.offsets[:-1], stored.lengths)
    return stored.keep(rank < limit)


def _as_type(column: Array | Ragged, dtype: str) -> Array | Ragged:
    if isinstance(column, Ragged):
        return column.with_values(column.values.astype(dtype))
    return column.astype(dtype)
