"""Values of a small study, for tests."""

from __future__ import annotations

from typing import Any

TINY = {"name": "transformer", "width": 8, "depth": 1, "num_heads": 2, "num_registers": 1}
TRAIN = {
    "steps": 4,
    "batch_size": 16,
    "accumulate": 1,
    "log_every": 2,
    "validate_every": 2,
    "checkpoint_every": 2,
    "validation_rows": 50,
    "device": "cpu",
    "optimizer": {"name": "adamw", "lr": 3e-3},
}


def small_study(pretrain: Any, top: Any, **changes: Any) -> dict[str, Any]:
    """Return a study of scratch and classification with two replicates on existing stores."""
    values = {
        "description": "a small study",
        "stores": {"pretrain": str(pretrain), "top": str(top)},
        "seeds": {"replicates": [1, 2]},
        "pretrain": {
            "recipe": {"data": {"store": "", "features": "kin"}, "backbone": TINY, "train": TRAIN},
            "sizes": {"tiny": {}},
        },
        "arms": {"scratch": None, "classification": "supervised"},
        "downstream": {
            "top_tagging": {
                "store": "top",
                "recipe": {"data": {"store": ""}, "train": TRAIN},
                "budgets": [40],
            }
        },
    }
    return {**values, **changes}
