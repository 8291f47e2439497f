"""The weights of all replicas of an analysis in one file; the result is the mean over trainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hepfm.data.learned_weights import LearnedWeights


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
