"""What the graphs of all generators share: the class that rows are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hepfm.models.directory import Model


def labels_of(given: Mapping[str, Tensor], *, like: Tensor) -> Tensor:
    """Return the class of each row, int64 (B,); 0 for data without classes, where nothing reads it.

    Parameters
    ----------
    given
        What a stage is given.
    like
        A tensor with the rows along its first axis.
    """
    if "label" in given:
        return given["label"]
    return torch.zeros(like.shape[0], dtype=torch.int64, device=like.device)


def label_words(model: Model) -> dict[str, dict[str, Any]]:
    """Return JSON-ready words on the class that rows are made of."""
    spec = model.network.generator_spec
    assert spec is not None
    if spec.label is None:
        return {}
    classes = spec.label.classes
    return {
        "label": {
            "shape": ["batch"],
            "type": "int64",
            "columns": list(classes),
            "values": f"number of the class, 0 to {len(classes) - 1}; {len(classes)} for none",
        }
    }
