"""Why a class gives no rows: how many each cut leaves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hepfm.core.config import Config
from hepfm.simulate.jet_recipe import JetRecipe, JetSelection
from hepfm.simulate.jets import cluster, label_jets, select, stored_constituents
from hepfm.simulate.particles import Candidates
from hepfm.simulate.pythia import Record


def verdict(left: Mapping[str, int], num_events: int, *, rows: str) -> str:
    """Return a sentence on what cuts left of the last events.

    Parameters
    ----------
    left
        Rows after each cut, by what they are.
    num_events
        Events that they come from.
    rows
        What rows are called.
    """
    culprit = next((name for name, number in left.items() if number == 0), None)
    counts = ", ".join(f"{number} {name}" for name, number in left.items())
    start = f"None is left of those {culprit}: " if culprit else "Hardly any passes: "
    return f"{start}in the last {num_events} events there were {rows}: {counts}; change process or cut"


def blame(recipe: JetRecipe, class_name: str, record: Record, candidates: Candidates) -> str:
    """Return how many jets of some events each cut left, and which of them took the last ones."""
    left = _left_by_cuts(recipe, class_name, record, candidates)
    return verdict(left, record.num_events, rows="jets")


def _left_by_cuts(
    recipe: JetRecipe, class_name: str, record: Record, candidates: Candidates
) -> dict[str, int]:
    """Return the number of jets after each cut, by what they are."""
    selection = recipe.selection
    jets = cluster(candidates, record.num_events, selection)
    left = {f"clustered with pt above pt_min={selection.pt_min:g} GeV": len(jets)}
    for name, looser in _cuts(selection).items():
        left[f"within {name}"] = len(select(jets, looser))
    jets = select(jets, selection)
    good = label_jets(recipe, class_name, record, jets).belongs
    left[f"that are what match asks for ({_words(recipe.match(class_name))})"] = int(good.sum())
    members = stored_constituents(jets.take(good), candidates, limit=recipe.max_constituents)
    left["with constituents to store"] = int((members.lengths > 0).sum())
    return left


def _cuts(selection: JetSelection) -> dict[str, JetSelection]:
    """Return the selections with one cut more each, by the cut added."""
    free = {"pt_max": np.inf, "eta_max": None, "rapidity_max": None}
    cuts = {name: getattr(selection, name) for name in free}
    names = [name for name, limit in cuts.items() if limit is not None]
    return {
        f"{name}={cuts[name]:g}": selection.model_copy(
            update=free | {applied: cuts[applied] for applied in names[: number + 1]}
        )
        for number, name in enumerate(names)
    }


def _words(match: Config) -> str:
    given = match.model_dump(exclude_defaults=True)
    return ", ".join(f"{name}={value}" for name, value in given.items()) or "nothing"
