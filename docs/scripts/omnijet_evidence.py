"""Run the evidence on the OmniJet-alpha family: tokenizers, label efficiency, transfer of generation.

python docs/scripts/omnijet_evidence.py FOLDER STAGE...    stages: stores tokenizers backbones labels transfer collect

Each stage skips what FOLDER has already, so that a stopped call goes on. ``collect`` writes the small tables
that docs/tokens.md is made of. About two hours on two cores, with two processes on different stages.
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
from hepfm.core.config import merge

SEEDS = (1, 2, 3, 4, 5)
LABELS = (100, 1000, 10_000)
JETS = (100, 1000)
GENERATED = 2000

TRAIN = {
    "batch_size": 128,
    "accumulate": 4,
    "optimizer": {"name": "adamw", "lr": 2e-3, "weight_decay": 0.01},
    "schedule": {"name": "cosine", "warmup": 0.05},
    "device": "cpu",
    "log_every": 50,
    "validation_rows": 500,
}
SHAPE = {"width": 64, "depth": 2, "num_heads": 4, "dropout": 0.0}
VQVAE = {"name": "vqvae", **SHAPE, "replace_after": 50}
TOKENIZERS: dict[str, dict[str, Any]] = {
    "conditional, 512": {**VQVAE, "codes": 512},
    "conditional, 2048": {**VQVAE, "codes": 2048},
    "conditional, 8192": {**VQVAE, "codes": 8192},
    "causal decoder, 2048": {**VQVAE, "codes": 2048, "block": "transformer", "causal_decoder": True},
    "unconditional, 8192": {**VQVAE, "codes": 8192, "block": "mlp", "depth": 3, "width": 128},
    "FSQ, 7680": {"name": "fsq", **SHAPE, "levels": [8, 8, 8, 5, 3]},
    "k-means, 8192": {"name": "kmeans", "codes": 8192},
    "binned, 9261": {"name": "binned", "bins": [21, 21, 21]},
}
BACKBONES: dict[str, tuple[str, dict[str, Any], str]] = {
    "omnijet_alpha": (
        "conditional, 2048",
        {
            "tokenizer": {"reads": "codes"},
            "backbone": {"name": "post_norm_transformer", "width": 64, "depth": 3, "num_heads": 4},
            "objective": {"name": "next_token", "max_constituents": 64},
        },
        "sum",
    ),
    "omnijet_alpha_improved": (
        "causal decoder, 2048",
        {
            "tokenizer": {"reads": "decoded"},
            "backbone": {"name": "transformer", "width": 64, "depth": 3, "num_heads": 4, "layer_scale": 1.0},
            "objective": {
                "name": "weighted_sum",
                "terms": [
                    {"name": "next_token", "max_constituents": 64},
                    {"name": "masked", "target": "codes"},
                ],
            },
        },
        "class_token",
    ),
}
"""Tokenizer, recipe and head of each preset, in small."""

TUNE = {
    **TRAIN,
    "steps": 200,
    "batch_size": 64,
    "accumulate": 2,
    "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01},
    "log_every": 20,
    "validate_every": 20,
    "checkpoint_every": 100,
}


def slug(name: str) -> str:
    """Return a name as a folder's."""
    return name.replace(", ", "-").replace(" ", "_").replace(",", "")


def stores(root: Path) -> dict[str, Path]:
    """Simulate the stores: ten classes, top tagging, and its two classes apart."""
    plans: dict[str, tuple[str, list[str], int]] = {
        "pre": ("jetclass_fast", ["jets.train=2000", "jets.val=100", "jets.test=500"], 11),
        "top": ("top_tagging", ["jets.train=6000", "jets.val=200", "jets.test=5000"], 12),
        "qcd": ("top_tagging", ["only=[QCD]", "jets.train=12000", "jets.val=500", "jets.test=1"], 13),
        "tops": ("top_tagging", ["only=[Tbqq]", "jets.train=2000", "jets.val=1", "jets.test=5000"], 14),
    }
    return {
        name: once(
            root / "stores" / name,
            lambda path, plan=plan: api.simulate(plan[0], output=path, overrides=plan[1], seed=plan[2]),
        )
        for name, plan in plans.items()
    }


def tokenizer(root: Path, name: str, store: Path) -> Path:
    """Train a tokenizer and report on 5,000 test jets."""
    recipe = {
        "data": {"store": str(store), "features": "massless", "max_constituents": 128},
        "backbone": "none",
        "objective": {"name": "tokenize", "tokenizer": TOKENIZERS[name]},
        "train": {**TRAIN, "steps": 600, "validate_every": 300, "checkpoint_every": 300},
        "seed": 1,
    }
    return once(
        root / "tokenizers" / store.name / slug(name),
        lambda path: api.tokenize(
            recipe, output=path, split="test" if store.name == "pre" else None, number=5000
        ),
    )


def backbone(root: Path, preset: str, store: Path, *, seed: int = 1) -> Path:
    """Pre-train a backbone on codes; no label is read."""
    name, recipe, _ = BACKBONES[preset]
    values = merge(
        {
            "data": {"store": str(store), "features": "massless", "max_constituents": 64},
            "tokenizer": {"model": str(tokenizer(root, name, store) / "model")},
            "train": {**TRAIN, "steps": 1000, "validate_every": 250, "checkpoint_every": 250},
            "seed": seed,
        },
        recipe,
    )
    return once(root / "backbones" / store.name / preset, lambda path: api.pretrain(values, output=path))


def labels(root: Path, where: dict[str, Path], part: int) -> None:
    """Fine-tune each preset to top tagging: pre-trained, frozen and from scratch."""
    for preset, (_, _, head) in BACKBONES.items():
        model = backbone(root, preset, where["pre"]) / "model"
        for seed, budget, arm in plan_of_labels(part):
            recipe = {
                "data": {"store": str(where["top"]), "budget": budget, "validation_fraction": 0.2},
                "init": "scratch" if arm == "scratch" else "pretrained",
                "mode": "frozen" if arm == "frozen" else "full",
                "objective": {"name": "supervised", "head": head},
                "early_stopping": {"patience": 5},
                "train": TUNE,
                "seed": seed,
                **({"reads": "features"} if preset == "omnijet_alpha_improved" else {}),
            }
            place = root / "labels" / preset / f"{arm}-{budget}-{seed}"
            run = once(
                place, lambda path, model=model, recipe=recipe: api.finetune(model, recipe, output=path)
            )
            once(
                place.with_name(f"{place.name}-result"),
                lambda path, run=run, arm=arm: api.evaluate(
                    run / "model", "top_tagging", where["top"], output=path, arm=arm
                ),
            )


def plan_of_labels(part: int) -> Iterator[tuple[int, int, str]]:
    """Yield seed, budget and arm; `part` 0 or 1 takes every second seed and budget."""
    runs = [(seed, budget) for budget in LABELS for seed in SEEDS]
    for number, (seed, budget) in enumerate(runs):
        if number % 2 == part:
            for arm in ("pretrained", "frozen", "scratch"):
                yield seed, budget, arm


def transfer(root: Path, where: dict[str, Path], part: int) -> None:
    """Pre-train on dijets without labels, fine-tune to generate top jets; against from scratch."""
    model = backbone(root, "omnijet_alpha", where["qcd"]) / "model"
    for number, (seed, budget) in enumerate((seed, budget) for budget in JETS for seed in SEEDS):
        if number % 2 != part:
            continue
        for arm in ("pretrained", "scratch"):
            recipe = {
                "data": {"store": str(where["tops"]), "budget": budget, "validation_fraction": 0.2},
                "init": arm,
                "objective": {"name": "next_token", "max_constituents": 64},
                "early_stopping": {"patience": 5},
                "train": TUNE,
                "seed": seed,
            }
            place = root / "transfer" / f"{arm}-{budget}-{seed}"
            run = once(place, lambda path, recipe=recipe: api.finetune(model, recipe, output=path))
            made = once(
                place.with_name(f"{place.name}-jets"),
                lambda path, run=run, seed=seed: api.generate(
                    run / "model", n=GENERATED, output=path, seed=seed
                ),
            )
            once(
                place.with_name(f"{place.name}-result"),
                lambda path, made=made, arm=arm: api.evaluate(
                    made, "jet_generation", where["tops"], output=path, arm=arm
                ),
            )


def collect(root: Path) -> None:
    """Write the tables."""
    rows = []
    for name in TOKENIZERS:
        path = root / "tokenizers" / "pre" / slug(name) / "tokens" / "tokens.json"
        if path.exists():
            report = json.loads(path.read_text())
            jets = {f"{key}_iqr": value["iqr"] for key, value in report["jets"].items()}
            bias = {f"{key}_median": value["median"] for key, value in report["jets"].items()}
            features = {f"{key}_iqr": value["iqr"] for key, value in report["features"].items()}
            kept = {key: report[key] for key in ("num_codes", "code_use", "perplexity", "jets_read")}
            rows.append({"tokenizer": name, **kept, **features, **jets, **bias})
    write("omnijet_tokenizers.csv", rows)
    write("omnijet_labels.csv", list(results(root / "labels", ("auc", "rejection_50", "accuracy"))))
    write(
        "omnijet_transfer.csv",
        list(results(root / "transfer", ("fpd", "w1_mass", "w1_tau21", "w1_tau32"))),
    )


def results(folder: Path, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the chosen metrics of every result in a folder."""
    for path in sorted(folder.rglob("results.json")):
        found = json.loads(path.read_text())
        arm, budget, seed, _ = path.parent.name.split("-")
        row = {"preset": path.parent.parent.name, "arm": arm, "budget": int(budget), "seed": int(seed)}
        metrics = {one["name"]: one for one in found["metrics"]}
        yield {**row, **{name: metrics[name]["value"] for name in names if name in metrics}}


def main() -> None:
    """Run the stages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("stages", nargs="+")
    parser.add_argument("--part", type=int, default=0, help="0 or 1: which half of the seeds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    root: Path = arguments.folder
    for stage in arguments.stages:
        if stage == "collect":
            collect(root)
            continue
        where = stores(root)
        if stage == "tokenizers":
            for name in list(TOKENIZERS)[arguments.part :: 2]:
                tokenizer(root, name, where["pre"])
        elif stage == "backbones":
            backbone(root, list(BACKBONES)[arguments.part], where["pre"])
        elif stage == "labels":
            labels(root, where, arguments.part)
        elif stage == "transfer":
            transfer(root, where, arguments.part)


if __name__ == "__main__":
    main()
