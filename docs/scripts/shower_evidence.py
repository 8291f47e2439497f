"""Run the evidence on showers: pre-train in one calorimeter, fine-tune to generate in another, or from scratch.

python docs/scripts/shower_evidence.py FOLDER

OmniJet-alpha_C in small. Pre-training: 20,000 electrons of 1 to 4 GeV in tungsten plates. Fine-tuning: 100 and
1,000 in lead plates, five seeds. What FOLDER has already is skipped; the table goes to docs/data/showers.csv.
About an hour and a half on one core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from evidence import once, write

from hepfm import api

SEEDS = (1, 2, 3, 4, 5)
BUDGETS = (100, 1000)
MOST = 256
METRICS = (
    "sep_energy_ratio",
    "sep_num_hits",
    "sep_layer_energy",
    "sep_cell_energy",
    "w1_energy_ratio",
    "w1_num_hits",
    "w1_cog_layer",
    "w1_longitudinal",
    "w1_radial",
    "w1_cell_energy",
    "fpd",
    "classifier_auc",
)

TRAIN: dict[str, Any] = {
    "batch_size": 64,
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
    "batch_size": 32,
    "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01},
    "log_every": 10,
    "validate_every": 15,
    "checkpoint_every": 75,
}
LEAD = ["absorber=lead", "absorber_mm=1.9", "layer_mm=4.4"]
STORES: dict[str, tuple[list[str], int]] = {
    "tungsten": (["showers.train=20000", "showers.val=500", "showers.test=2000"], 21),
    "lead": (["showers.train=2000", "showers.val=200", "showers.test=4000", *LEAD], 22),
}
OBJECTIVE: dict[str, Any] = {"name": "next_token", "max_constituents": MOST}
PRESET = "omnijet_alpha_c"


def store(root: Path, name: str) -> Path:
    """Make the showers of a calorimeter."""
    overrides, seed = STORES[name]
    energy = ["energy.min=1", "energy.max=4"]
    return once(
        root / f"store_{name}",
        lambda path: api.simulate("calo_showers", output=path, overrides=[*overrides, *energy], seed=seed),
    )


def data(root: Path, name: str) -> dict[str, Any]:
    """Return the section ``data`` of a recipe."""
    return {
        "store": str(store(root, name)),
        "features": "calo",
        "context": "incident",
        "max_constituents": MOST,
    }


def tokenizer(root: Path) -> Path:
    """Train a VQ-VAE of 8192 codes; report on the test showers."""
    recipe = {
        "data": {key: value for key, value in data(root, "tungsten").items() if key != "context"},
        "backbone": "none",
        "objective": {
            "name": "tokenize",
            "tokenizer": {
                "name": "vqvae",
                "width": 64,
                "depth": 2,
                "num_heads": 4,
                "dropout": 0.0,
                "codes": 8192,
                "dim": 4,
                "replace_after": 50,
            },
        },
        "train": {**TRAIN, "steps": 800, "validate_every": 400, "checkpoint_every": 400},
        "seed": 1,
    }
    return once(root / "tokenizer", lambda path: api.tokenize(recipe, output=path, split="test", number=2000))


def pretrained(root: Path) -> Path:
    """Pre-train in tungsten."""
    recipe: dict[str, Any] = {
        "data": data(root, "tungsten"),
        "tokenizer": {"model": str(tokenizer(root) / "model"), "inputs": "codes"},
        "backbone": {"name": "post_norm_transformer", "width": 64, "depth": 3, "num_heads": 4},
        "objective": OBJECTIVE,
        "train": {**TRAIN, "steps": 1000, "validate_every": 250, "checkpoint_every": 250},
        "seed": 1,
    }
    return once(root / PRESET / "pretrained", lambda path: api.pretrain(recipe, output=path))


def measured(root: Path, name: str, model: Path, *, on: str, seed: int) -> None:
    """Generate showers at the incident energies of the test showers and measure them."""
    place = root / PRESET / name
    where = store(root, on)
    made = once(
        place.with_name(f"{name}-showers"),
        lambda path: api.generate(model, n=2000, like=where, cells="dataset_2", output=path, seed=seed),
    )
    once(
        place.with_name(f"{name}-result"),
        lambda path: api.evaluate(made, "shower_generation", where, output=path, arm=name.split("-")[0]),
    )


def run(root: Path) -> None:
    """Measure the pre-trained model at home, then both arms in lead."""
    model = pretrained(root) / "model"
    measured(root, "home-0-1", model, on="tungsten", seed=1)
    for seed in SEEDS:
        for budget in BUDGETS:
            for arm in ("pretrained", "scratch"):
                recipe = {
                    "data": {"store": str(store(root, "lead")), "budget": budget, "validation_fraction": 0.2},
                    "init": arm,
                    "objective": OBJECTIVE,
                    "early_stopping": {"patience": 5},
                    "train": TUNE,
                    "seed": seed,
                }
                name = f"{arm}-{budget}-{seed}"
                tuned = once(
                    root / PRESET / name,
                    lambda path, recipe=recipe: api.finetune(model, recipe, output=path),
                )
                measured(root, name, tuned / "model", on="lead", seed=seed)


def collect(root: Path) -> None:
    """Write the table: every run, and the truth-vs-truth baselines of real showers once for each preset."""
    rows: list[dict[str, Any]] = []
    for path in sorted(root.glob("*/*-result/results.json")):
        found = json.loads(path.read_text())
        arm, budget, seed, _ = path.parent.name.split("-")
        row = {"preset": path.parent.parent.name, "arm": arm, "budget": int(budget), "seed": int(seed)}
        for kind in ("metrics", "truth_vs_truth"):
            values = {one["name"]: one["value"] for one in found[kind]}
            known = {name: values[name] for name in METRICS}
            if kind == "metrics":
                rows.append({**row, **known})
            elif (arm, budget, seed) in (("home", "0", "1"), ("pretrained", "100", "1")):
                rows.append({**row, "arm": "real", **known})
    write("showers.csv", rows)


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
