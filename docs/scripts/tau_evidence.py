"""Run the evidence on taus: three tasks, apart and together, pre-trained without labels against from scratch.

python docs/scripts/tau_evidence.py FOLDER [--part 0|1]

OmniJet-alpha's way in small: codes of taus' and quarks' constituents (charge and type among the features),
next-code pre-training on 20,000 jets without labels, fine-tuning with 200 and 2,000 jets, five seeds of both. Decay mode
and momentum are learned of the taus among these jets, half of them. What FOLDER has already is skipped; the table
goes to docs/data/taus.csv.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from evidence import once, write

from hepfm import api

SEEDS, BUDGETS = (1, 2, 3, 4, 5), (200, 2000)
ARMS = ("scratch", "frozen", "thawed", "pretrained")
"""From scratch; backbone fixed; fixed at first, then all weights (2503.19165); all weights at once."""
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
ONLY = ["jet_label", "tau"]
TERMS: dict[str, dict[str, Any]] = {
    "tau_identification": {"name": "supervised", "label": "jet_label", "head": "sum"},
    "tau_decay_mode": {"name": "supervised", "label": "tau_decay_mode", "only": ONLY, "head": "sum"},
    "tau_momentum": {"name": "supervised", "label": "tau_log_pt_ratio", "only": ONLY},
}
"""What is learned for each task."""
METRICS = ("auc", "rejection_80", "rejection_60", "accuracy", "response_iqr", "response_bias")


def store(root: Path, name: str, numbers: list[str], seed: int) -> Path:
    """Simulate jets."""
    return once(
        root / name, lambda path: api.simulate("clic_taus", output=path, overrides=numbers, seed=seed)
    )


def pretrained(root: Path, seed: int) -> Path:
    """Train a tokenizer, which all seeds share, and a backbone on its codes."""
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
        "seed": seed,
    }
    return once(root / f"pretrained-{seed}", lambda path: api.pretrain(backbone, output=path)) / "model"


def plan(part: int | None) -> Iterator[tuple[str, int, int]]:
    """Yield heads, budget and seed: each task alone, and all together; `part` 0 or 1 takes every second seed."""
    seeds = SEEDS if part is None else SEEDS[part::2]
    yield from ((heads, n, seed) for seed in seeds for n in BUDGETS for heads in (*TERMS, "together"))


def run(root: Path, part: int | None) -> None:
    """Fine-tune and measure every arm."""
    labelled = store(root, "labelled", ["jets.train=1000", "jets.val=100", "jets.test=5000"], 32)
    for heads, budget, seed in plan(part):
        source = pretrained(root, seed)
        tasks = list(TERMS) if heads == "together" else [heads]
        objective: dict[str, Any] = TERMS.get(heads) or {
            "name": "weighted_sum",
            "terms": list(TERMS.values()),
        }
        half = heads in ("tau_decay_mode", "tau_momentum")
        recipe = {
            "data": {
                "store": str(labelled),
                "budget": budget // 2 if half else budget,
                "validation_fraction": 0.2,
            },
            "objective": objective,
            "early_stopping": {"patience": 5},
            "train": TUNE,
            "seed": seed,
        }
        arms = {
            "scratch": (source, {"init": "scratch"}),
            "frozen": (source, {"mode": "frozen"}),
            "thawed": (root / "runs" / f"{heads}-frozen-{budget}-{seed}" / "model", {"head": "keep"}),
            "pretrained": (source, {}),
        }
        for arm, (model, changes) in arms.items():
            name = f"{heads}-{arm}-{budget}-{seed}"
            tuned = once(
                root / "runs" / name,
                lambda path, model=model, recipe=recipe | changes: api.finetune(model, recipe, output=path),
            )
            for task in tasks:
                once(
                    root / "results" / f"{name}-{task}",
                    lambda path, tuned=tuned, arm=arm, task=task: api.evaluate(
                        tuned / "model", task, labelled, output=path, arm=arm
                    ),
                )


def collect(root: Path) -> None:
    """Write the table."""
    rows = []
    for path in sorted((root / "results").glob("*/results.json")):
        heads, arm, budget, seed, task = path.parent.name.split("-")
        values = {one["name"]: one["value"] for one in json.loads(path.read_text())["metrics"]}
        row = {
            "task": task,
            "heads": "together" if heads == "together" else "alone",
            "arm": arm,
            "budget": int(budget),
            "seed": int(seed),
        }
        rows.append({**row, **{name: values.get(name, "") for name in METRICS}})
    write("taus.csv", rows)


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", type=int, choices=(0, 1), help="every second run only, for two processes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run(arguments.folder, arguments.part)
    collect(arguments.folder)


if __name__ == "__main__":
    main()
