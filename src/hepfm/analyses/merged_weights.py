"""The weights of all replicas of an analysis in one file; the result is the mean over trainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hepfm.analyses.cells import per_cent
from hepfm.data.learned_weights import LearnedWeights
from hepfm.report.figures.style import Figure
from hepfm.report.figures.weight_distribution import weight_figure


def merged_weights(files: Mapping[tuple[str, str], Path]) -> LearnedWeights:
    """Return the weights of files that are of the same rows.

    Parameters
    ----------
    files
        Path by kind of replica (``training``, ``bootstrap``) and number.
    """
    read = {key: LearnedWeights.read(path) for key, path in files.items()}
    trained = [one.weight for (kind, _), one in read.items() if kind == "training"]
    kinds = [kind for kind, _ in read]
    first = next(iter(read.values()))
    return replace(
        first,
        weight=np.mean(trained, axis=0),
        replicas={f"weight_{kind}_{number}": one.weight for (kind, number), one in read.items()},
        info=first.info.model_copy(
            update={"replicas": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}}
        ),
    )


def weights_of(merged: LearnedWeights) -> Figure:
    """Draw the distribution of the weights; the caption tells how far they are from those of one training."""
    trained = [one for name, one in merged.replicas.items() if name.startswith("weight_training_")]
    shown = {f"mean of {len(trained)} trainings": merged.weight, "first training": trained[0]}
    spread = ""
    if len(trained) > 1:
        kept = merged.weight > 0
        relative = np.std(trained, axis=0, ddof=1)[kept] / merged.weight[kept]
        spread = (
            " The weight of a row spreads over trainings by "
            f"{per_cent(float(np.median(relative)))} of itself (median of rows)."
        )
    caption = f"Weights of {len(merged.weight):,} rows, in units of their mean.{spread}"
    return weight_figure(shown, name="weight-distribution", caption=caption)
