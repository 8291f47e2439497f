"""Run the evidence on taus: three tasks, pre-trained without labels, frozen and from scratch, each to its plateau.

python docs/scripts/tau_evidence.py FOLDER [--seeds 1 2 3 4 5] [--part 0|1]

A small transformer on kinematics, charge and type is pre-trained by masked modelling on 20,000 jets without labels, once
for each seed, and fine-tuned with 200 and 2,000 jets; decay mode and momentum are learned of the taus among these, half of
them. All arms have one recipe: constant rate, averaged weights, until 15 validations bring nothing better. What FOLDER has
already is skipped; the table goes to docs/data/taus.csv.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from evidence import once, write

from hepfm import api

SEEDS, BUDGETS = (1, 2, 3, 4, 5), (200, 2000)
ARMS: dict[str, dict[str, Any]] = {
    "scratch": {"init": "scratch"},
    "pretrained": {},
    "frozen": {"mode": "frozen"},
}
TRAIN: dict[str, Any] = {
    "batch_size": 128,
    "accumulate": 2,
    "optimizer": {"name": "adamw", "lr": 2e-3, "weight_decay": 0.01},
    "schedule": {"name": "cosine", "warmup": 0.05},
    "device": "cpu",
    "log_every": 50,
    "validate_every": 200,
    "checkpoint_every": 400,
    "validation_rows": 500,
}
TUNE: dict[str, Any] = {
    **TRAIN,
    "steps": 1500,
    "batch_size": 64,
    "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01},
    "schedule": {"name": "constant", "warmup": 0.02},
    "ema": 0.98,
    "validate_every": 10,
    "checkpoint_every": 500,
}
ONLY = ["jet_label", "tau"]
OBJECTIVES: dict[str, dict[str, Any]] = {
    "tau_identification": {"name": "supervised", "label": "jet_label"},
    "tau_decay_mode": {"name": "supervised", "label": "tau_decay_mode", "only": ONLY},
    "tau_momentum": {"name": "supervised", "label": "tau_log_pt_ratio", "only": ONLY},
}
"""What is learned for each task."""
METRICS = ("auc", "rejection_80", "accuracy", "response_iqr", "response_bias")


def store(root: Path) -> Path:
    """Simulate jets; pre-training reads no label of them."""
    numbers = ["jets.train=10000", "jets.val=1000", "jets.test=4000"]
    return once(root / "taus", lambda path: api.simulate("clic_taus", output=path, overrides=numbers))


def pretrained(root: Path, seed: int) -> Path:
    """Pre-train by masked modelling."""
    target = {"name": "regression", "features": ["log_pt", "deta", "dphi"]}
    recipe = {
        "data": {"store": str(store(root)), "features": "kinpid", "max_constituents": 16},
        "backbone": {"name": "transformer", "width": 64, "depth": 2, "num_heads": 4},
        "objective": {"name": "masked", "targets": [target]},
        "train": {**TRAIN, "steps": 800},
        "seed": seed,
    }
    return once(root / f"pretrained-{seed}", lambda path: api.pretrain(recipe, output=path)) / "model"


def plan(seeds: Sequence[int], part: int | None) -> Iterator[tuple[int, int, str]]:
    """Yield seed, budget and task; `part` 0 or 1 takes every second of them, for two processes."""
    every = [(seed, budget, task) for seed in seeds for budget in BUDGETS[::-1] for task in OBJECTIVES]
    yield from every if part is None else every[part::2]


def run(root: Path, seeds: Sequence[int], part: int | None) -> None:
    """Fine-tune and measure every arm."""
    labelled = store(root)
    for seed, budget, task in plan(seeds, part):
        recipe = {
            "data": {
                "store": str(labelled),
                "budget": budget if task == "tau_identification" else budget // 2,
                "validation_fraction": 0.2,
            },
            "objective": OBJECTIVES[task],
            "early_stopping": {"patience": 15},
            "train": TUNE,
            "seed": seed,
        }
        for arm, changes in ARMS.items():
            name = f"{task}-{arm}-{budget}-{seed}"
            tuned = once(
                root / "runs" / name,
                lambda path, values=recipe | changes, seed=seed: api.finetune(
                    pretrained(root, seed), values, output=path
                ),
            )
            once(
                root / "results" / name,
                lambda path, tuned=tuned, arm=arm, task=task: api.evaluate(
                    tuned / "model", task, labelled, output=path, arm=arm
                ),
            )


def collect(root: Path) -> None:
    """Write the table."""
    rows = []
    for path in sorted((root / "results").glob("*/results.json")):
        task, arm, budget, seed = path.parent.name.split("-")
        result = json.loads(path.read_text())
        training = result["training"]
        row = {"task": task, "arm": arm, "budget": int(budget), "seed": int(seed)}
        row |= {name: training[name] for name in ("steps", "best_step", "first_validation")}
        values = {one["name"]: one["value"] for one in result["metrics"]}
        row |= {name: values.get(name, "") for name in METRICS}
        for baseline in result["baselines"]:
            found = {one["name"]: one["value"] for one in baseline["metrics"]}
            row |= {f"{baseline['name']}_{name}": found.get(name, "") for name in METRICS}
        rows.append(row)
    write("taus.csv", rows)


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--part", type=int, choices=(0, 1), help="every second run only, for two processes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run(arguments.folder, arguments.seeds, arguments.part)
    collect(arguments.folder)


if __name__ == "__main__":
    main()
