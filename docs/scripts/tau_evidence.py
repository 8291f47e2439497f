"""Run the evidence on taus: pre-trained without labels, frozen and from scratch, to identify taus.

python docs/scripts/tau_evidence.py FOLDER

OmniJet-alpha's way in small: codes of taus' and quarks' constituents (charge and type among the features),
next-code pre-training on 20,000 jets without labels, fine-tuned to tell taus from quarks with 100 and 1,000
labels, five seeds. What FOLDER has already is skipped; the table goes to docs/data/tau_labels.csv.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from evidence import once, write

from hepfm import api

SEEDS, BUDGETS = (1, 2, 3, 4, 5), (100, 1000)
TRAIN: dict[str, Any] = {
    "batch_size": 128,
    "accumulate": 2,
    "optimizer": {"name": "adamw", "lr": 2e-3, "weight_decay": 0.01},
    "schedule": {"name": "cosine", "warmup": 0.05},
    "device": "cpu",
    "log_every": 50,
    "validation_rows": 500,
}
TUNE: dict[str, Any] = {
    **TRAIN,
    "steps": 150,
    "batch_size": 64,
    "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01},
    "log_every": 10,
    "validate_every": 15,
    "checkpoint_every": 75,
}
METRICS = ("auc", "rejection_80", "rejection_60", "accuracy")


def store(root: Path, name: str, numbers: list[str], seed: int) -> Path:
    """Simulate jets."""
    return once(
        root / name, lambda path: api.simulate("clic_taus", output=path, overrides=numbers, seed=seed)
    )


def pretrained(root: Path) -> Path:
    """Train a tokenizer, and a backbone on its codes."""
    pre = store(root, "pre", ["jets.train=10000", "jets.val=250", "jets.test=1"], 31)
    data = {"store": str(pre), "features": "petpid", "max_constituents": 16}
    codes = {"name": "vqvae", "width": 64, "depth": 2, "num_heads": 4, "dropout": 0.0, "codes": 2048}
    steps = {"steps": 600, "validate_every": 200, "checkpoint_every": 300}
    tokenizer = {
        "data": data,
        "backbone": "none",
        "objective": {"name": "tokenize", "tokenizer": {**codes, "replace_after": 50}},
        "train": {**TRAIN, **steps},
        "seed": 1,
    }
    made = once(root / "tokenizer", lambda path: api.tokenize(tokenizer, output=path))
    backbone = {
        "data": data,
        "tokenizer": {"model": str(made / "model"), "reads": "codes"},
        "backbone": {"name": "post_norm_transformer", "width": 64, "depth": 3, "num_heads": 4},
        "objective": {"name": "next_token", "max_constituents": 16},
        "train": {**TRAIN, **steps, "steps": 1000},
        "seed": 1,
    }
    return once(root / "pretrained", lambda path: api.pretrain(backbone, output=path)) / "model"


def run(root: Path) -> None:
    """Fine-tune and measure every arm."""
    labelled = store(root, "labelled", ["jets.train=1000", "jets.val=100", "jets.test=5000"], 32)
    model = pretrained(root)
    for budget in BUDGETS:
        for seed in SEEDS:
            for arm in ("pretrained", "frozen", "scratch"):
                recipe = {
                    "data": {"store": str(labelled), "budget": budget, "validation_fraction": 0.2},
                    "init": "scratch" if arm == "scratch" else "pretrained",
                    "mode": "frozen" if arm == "frozen" else "full",
                    "objective": {"name": "supervised", "head": "sum"},
                    "early_stopping": {"patience": 5},
                    "train": TUNE,
                    "seed": seed,
                }
                name = f"{arm}-{budget}-{seed}"
                tuned = once(
                    root / "runs" / name,
                    lambda path, recipe=recipe: api.finetune(model, recipe, output=path),
                )
                once(
                    root / "results" / name,
                    lambda path, tuned=tuned, arm=arm: api.evaluate(
                        tuned / "model", "tau_identification", labelled, output=path, arm=arm
                    ),
                )


def collect(root: Path) -> None:
    """Write the table."""
    rows = []
    for path in sorted((root / "results").glob("*/results.json")):
        arm, budget, seed = path.parent.name.split("-")
        values = {one["name"]: one["value"] for one in json.loads(path.read_text())["metrics"]}
        row = {"arm": arm, "budget": int(budget), "seed": int(seed)}
        rows.append({**row, **{name: values[name] for name in METRICS}})
    write("tau_labels.csv", rows)


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run(arguments.folder)
    collect(arguments.folder)


if __name__ == "__main__":
    main()
