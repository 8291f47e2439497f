"""Why a class gives no jets: how many of them each cut leaves."""

from __future__ import annotations

import numpy as np

from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.jets import cluster, matched, select, stored_constituents
from hepfm.simulate.particles import Candidates
from hepfm.simulate.pythia import Record
from hepfm.simulate.recipe import Match, Recipe
from hepfm.simulate.taus import holds_tau


def blame(recipe: Recipe, key: ChunkKey, record: Record, candidates: Candidates) -> str:
    """Return how many jets of some events each cut left, and which of them took the last ones."""
    selection, match = recipe.selection, recipe.classes[key.class_name].match
    jets = cluster(candidates, record.num_events, selection)
    left = {f"clustered with pt above pt_min={selection.pt_min:g} GeV": len(jets)}
    cuts = {"pt_max": selection.pt_max, "eta_max": selection.eta_max, "rapidity_max": selection.rapidity_max}
    free = {"pt_max": np.inf, "eta_max": None, "rapidity_max": None}
    for number, (name, limit) in enumerate(cuts.items(), start=1):
        applied = dict(list(cuts.items())[:number])
        if limit is not None:
            left[f"within {name}={limit:g}"] = len(select(jets, selection.model_copy(update=free | applied)))
    jets = select(jets, selection)
    good = matched(match, record, jets, radius=selection.radius)
    left[f"that are what match asks for ({_words(match)})"] = int(good.sum())
    if match.without_tau:
        good &= ~holds_tau(record, jets, radius=selection.radius)
        left["without a hadronic tau"] = int(good.sum())
    members = stored_constituents(jets.take(good), candidates, most=recipe.max_constituents)
    left["with constituents to store"] = int((members.lengths > 0).sum())
    culprit = next((name for name, number in left.items() if number == 0), None)
    counts = ", ".join(f"{number} {name}" for name, number in left.items())
    told = f"None is left of those {culprit}: " if culprit else "Hardly any passes: "
    return f"{told}in the last {record.num_events} events there were jets: {counts}; change process or cut"


def _words(match: Match) -> str:
    given = match.model_dump(exclude_defaults=True)
    return ", ".join(f"{name}={value}" for name, value in given.items()) or "nothing"
