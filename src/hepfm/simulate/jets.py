"""A chunk of jets: (recipe, class, split, index) always gives the same ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Array, Columns, Ragged, take_rows
from hepfm.data.schemas.jets import JET_WEIGHT
from hepfm.physics.clustering import Jets
from hepfm.physics.kinematics import pseudorapidity, rapidity
from hepfm.physics.substructure import substructure
from hepfm.simulate.candidate_jets import cluster_candidates
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.collisions import FoundRows, detector_random, fill_chunk, generator_of, typed_columns
from hepfm.simulate.jet_recipe import JetRecipe, JetSelection
from hepfm.simulate.labellers.base import JetLabels, Labeller
from hepfm.simulate.particles import Candidates
from hepfm.simulate.pythia import Pythia, Record
from hepfm.simulate.truth import constituent_truth

MAX_PZ = 10_000.0
"""GeV; constituents beyond are dropped, as in JetClass."""
MAX_ETA = 5.0
"""Constituents beyond are dropped, as in JetClass."""


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
    generator = generator_of(recipe, key)

    def rows_of(record: Record, candidates: Candidates, wanted: int) -> FoundRows:
        good = jets_of_class(recipe, key.class_name, record, candidates)
        taken = good.take(np.arange(min(len(good), wanted)))
        taken = taken.with_truth(truth_of_constituents(recipe, taken, record, candidates, generator))
        columns = jet_columns(taken, candidates, recipe, class_name=key.class_name)
        columns[JET_WEIGHT.name] = record.weight[taken.jets.event]
        return FoundRows(columns, len(taken), len(good))

    def refuse(record: Record, candidates: Candidates, events: int) -> NoReturn:
        refuse_hopeless(recipe, key.class_name, record, candidates, events=events)

    random = detector_random(recipe, key)
    return fill_chunk(recipe, key, generator, rows_of=rows_of, random=random, refuse=refuse)


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
    return cluster_candidates(
        candidates,
        num_events,
        radius=selection.radius,
        min_pt=selection.pt_min,
        algorithm=selection.algorithm,
    )


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
    return typed_columns(columns, recipe.store_schema())


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
