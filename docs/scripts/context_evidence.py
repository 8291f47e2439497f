"""Show what a tagger gains from being told pT, eta, mass and multiplicity of its jet, beside a regression on these four.

python docs/scripts/context_evidence.py FOLDER [--seeds 1 2 3]

A small transformer is pre-trained by classification of the ten classes of JetClass with these four numbers beside the
constituents, once for each seed, and fine-tuned to top tagging with them (`data.context: keep`) and without (`off`, the
default); another is pre-trained and fine-tuned without (`never`). What FOLDER has already is skipped; the table goes to
docs/data/context_tagging.csv.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from evidence import once, write

from hepfm import api

SEEDS, BUDGETS, CONTEXTS = (1, 2, 3), (100, 1000), ("keep", "off", "never")
TRAIN: dict[str, Any] = {
    "steps": 600,
    "batch_size": 128,
    "accumulate": 2,
    "optimizer": {"name": "adamw", "lr": 2e-3, "weight_decay": 0.01},
    "schedule": {"name": "cosine", "warmup": 0.05},
    "device": "cpu",
    "log_every": 50,
    "validate_every": 200,
    "checkpoint_every": 600,
    "validation_rows": 1000,
}
TUNE: dict[str, Any] = {
    **TRAIN,
    "steps": 1500,
    "batch_size": 64,
    "optimizer": {"name": "adamw", "lr": 3e-4, "weight_decay": 0.01},
    "schedule": {"name": "constant", "warmup": 0.02},
    "ema": 0.98,
    "head_factor": 1.0,
    "validate_every": 10,
    "checkpoint_every": 1500,
}
METRICS = ("auc", "rejection_50")


def store(root: Path, name: str, recipe: str, overrides: Sequence[str]) -> Path:
    """Simulate jets."""
    return once(root / name, lambda path: api.simulate(recipe, output=path, overrides=list(overrides)))


def pretrained(root: Path, seed: int, context: str) -> Path:
    """Pre-train by classification, the four numbers given unless they never are."""
    jets = store(root, "jets", "jetclass_fast", ["jets.train=4000", "jets.val=100", "jets.test=1"])
    recipe = {
        "data": {
            "store": str(jets),
            "features": "pet",
            "max_constituents": 30,
            "context": None if context == "never" else "jet",
        },
        "backbone": {"name": "transformer", "width": 64, "depth": 2, "num_heads": 4},
        "objective": "supervised",
        "train": TRAIN,
        "seed": seed,
    }
    name = f"never-{seed}" if context == "never" else f"pretrained-{seed}"
    return once(root / name, lambda path: api.pretrain(recipe, output=path)) / "model"


def run(root: Path, seeds: Sequence[int]) -> None:
    """Fine-tune and measure."""
    top = store(root, "top", "top_tagging", ["jets.train=1500", "jets.val=1", "jets.test=5000", "seed=2"])
    for seed, budget, context in ((s, b, c) for s in seeds for b in BUDGETS for c in CONTEXTS):
        recipe = {
            "data": {
                "store": str(top),
                "budget": budget,
                "validation_fraction": 0.2,
                "context": "keep" if context == "keep" else "off",
            },
            "objective": "supervised",
            "head": "new",
            "early_stopping": {"patience": 15},
            "train": TUNE,
            "seed": seed,
        }
        name = f"{context}-{budget}-{seed}"
        tuned = once(
            root / "runs" / name,
            lambda path, recipe=recipe, seed=seed, context=context: api.finetune(
                pretrained(root, seed, context), recipe, output=path
            ),
        )
        once(
            root / "results" / name,
            lambda path, tuned=tuned, context=context: api.evaluate(
                tuned / "model", "top_tagging", top, output=path, arm=context
            ),
        )


def collect(root: Path) -> None:
    """Write the table."""
    rows = []
    for path in sorted((root / "results").glob("*/results.json")):
        context, budget, seed = path.parent.name.split("-")
        result = json.loads(path.read_text())
        row = {"context": context, "budget": int(budget), "seed": int(seed)}
        row |= {name: result["training"][name] for name in ("steps", "best_step", "first_validation")}
        values = {one["name"]: one["value"] for one in result["metrics"]}
        row |= {name: values.get(name, "") for name in METRICS}
        for baseline in result["baselines"]:
            found = {one["name"]: one["value"] for one in baseline["metrics"]}
            row |= {f"{baseline['name']}_{name}": found.get(name, "") for name in METRICS}
        rows.append(row)
    write("context_tagging.csv", rows)


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run(arguments.folder, arguments.seeds)
    collect(arguments.folder)


if __name__ == "__main__":
    main()
