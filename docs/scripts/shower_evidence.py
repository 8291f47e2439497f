"""Run the evidence on showers: pre-train in one calorimeter, fine-tune to generate in another, or from scratch.

python docs/scripts/shower_evidence.py FOLDER [--preset NAME]

Pre-training: 20,000 electrons of 1 to 4 GeV in tungsten plates. Fine-tuning: 100 and 1,000 in lead plates, three
seeds. What FOLDER has already is skipped; the table goes to docs/data/showers.csv. About an hour on two cores,
with one process for each preset.
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
WIDTHS: dict[str, Any] = {"width": 64, "depth": 3, "num_heads": 4}
LEAD = ["absorber=lead", "absorber_mm=1.9", "layer_mm=4.4"]
STORES: dict[str, tuple[list[str], int]] = {
    "tungsten": (["showers.train=20000", "showers.val=500", "showers.test=2000"], 21),
    "lead": (["showers.train=2000", "showers.val=200", "showers.test=4000", *LEAD], 22),
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "omnijet_alpha_c": {"name": "next_token", "max_constituents": MOST},
    "flow": {"name": "flow_matching", "max_constituents": MOST},
}
BACKBONES: dict[str, dict[str, Any]] = {
    "omnijet_alpha_c": {"name": "post_norm_transformer", **WIDTHS},
    "flow": {"name": "transformer", **WIDTHS, "layer_scale": 1.0},
}
STEPS = {"tokenizer": 800, "omnijet_alpha_c": 2000, "flow": 2000}


def store(root: Path, name: str) -> Path:
    """Make the showers of a calorimeter."""
    overrides, seed = STORES[name]
    energy = ["energy.least=1", "energy.most=4"]
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
        "train": {**TRAIN, "steps": STEPS["tokenizer"], "validate_every": 400, "checkpoint_every": 400},
        "seed": 1,
    }
    return once(root / "tokenizer", lambda path: api.tokenize(recipe, output=path, split="test", number=2000))


def pretrained(root: Path, preset: str) -> Path:
    """Pre-train in tungsten."""
    recipe: dict[str, Any] = {
        "data": data(root, "tungsten"),
        "backbone": BACKBONES[preset],
        "objective": OBJECTIVES[preset],
        "train": {**TRAIN, "steps": STEPS[preset], "validate_every": 250, "checkpoint_every": 250},
        "seed": 1,
    }
    if preset == "omnijet_alpha_c":
        recipe["tokenizer"] = {"model": str(tokenizer(root) / "model"), "reads": "codes"}
    return once(root / preset / "pretrained", lambda path: api.pretrain(recipe, output=path))


def measured(root: Path, preset: str, name: str, model: Path, *, on: str, seed: int) -> None:
    """Generate showers at the incident energies of the test showers and measure them."""
    place = root / preset / name
    where = store(root, on)
    made = once(
        place.with_name(f"{name}-showers"),
        lambda path: api.generate(model, n=2000, like=where, cells="dataset_2", output=path, seed=seed),
    )
    once(
        place.with_name(f"{name}-result"),
        lambda path: api.evaluate(made, "shower_generation", where, output=path, arm=name.split("-")[0]),
    )


def run(root: Path, preset: str) -> None:
    """Run one preset: the pre-trained model at home, then both arms in lead."""
    model = pretrained(root, preset) / "model"
    if not (root / preset / "home-0-1-result.done").exists() and (root / "store_tungsten").exists():
        measured(root, preset, "home-0-1", model, on="tungsten", seed=1)
    for seed in SEEDS:
        for budget in BUDGETS:
            for arm in ("pretrained", "scratch"):
                recipe = {
                    "data": {"store": str(store(root, "lead")), "budget": budget, "validation_fraction": 0.2},
                    "init": arm,
                    "objective": OBJECTIVES[preset],
                    "early_stopping": {"patience": 5},
                    "train": TUNE,
                    "seed": seed,
                }
                name = f"{arm}-{budget}-{seed}"
                tuned = once(
                    root / preset / name,
                    lambda path, recipe=recipe: api.finetune(model, recipe, output=path),
                )
                measured(root, preset, name, tuned / "model", on="lead", seed=seed)


def collect(root: Path) -> None:
    """Write the table: every run, and the floors of real showers once for each preset."""
    rows: list[dict[str, Any]] = []
    for path in sorted(root.glob("*/*-result/results.json")):
        found = json.loads(path.read_text())
        arm, budget, seed, _ = path.parent.name.split("-")
        row = {"preset": path.parent.parent.name, "arm": arm, "budget": int(budget), "seed": int(seed)}
        for kind in ("metrics", "floors"):
            values = {one["name"]: one["value"] for one in found[kind]}
            known = {name: values[name] for name in METRICS}
            if kind == "metrics":
                rows.append({**row, **known})
            elif seed == "1" and budget == "100" and arm == "pretrained":
                rows.append({**row, "arm": "real", **known})
    write("showers.csv", rows)


def main() -> None:
    """Run the presets and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--preset", choices=list(OBJECTIVES), action="append")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for preset in arguments.preset or list(OBJECTIVES):
        run(arguments.folder, preset)
    collect(arguments.folder)


if __name__ == "__main__":
    main()
