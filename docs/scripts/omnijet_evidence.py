"""Run the evidence on the OmniJet-alpha family: tokenizers, label efficiency, transfer of generation.

python docs/scripts/omnijet_evidence.py FOLDER STAGE...    stages: stores tokenizers backbones labels transfer collect

Each stage skips what FOLDER has already, so that a stopped call goes on. ``collect`` writes the small tables
that docs/tokens.md is made of. Label efficiency has a pre-training of its own for each seed; transfer has one.
About three hours on two cores, with two processes (``--part 0`` and ``--part 1``) on different seeds.
"""

from __future__ import annotations

import argparse
import itertools
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
GENERATION = (
    "fpd",
    "kpd",
    "w1_mass",
    "w1_pt",
    "w1_multiplicity",
    "w1_tau21",
    "w1_tau32",
    "w1m",
    "coverage",
    "classifier_auc",
)

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
    "causal decoder, 2048": {**VQVAE, "name": "vqvae_transformer", "codes": 2048, "causal_decoder": True},
    "unconditional, 8192": {"name": "vqvae_mlp", "codes": 8192, "replace_after": 50},
    "FSQ, 7680": {"name": "fsq", **SHAPE, "levels": [8, 8, 8, 5, 3]},
    "k-means, 8192": {"name": "kmeans", "codes": 8192},
    "binned, 9261": {"name": "binned", "bins": [21, 21, 21]},
}
BACKBONES: dict[str, tuple[str, dict[str, Any], str]] = {
    "omnijet_alpha": (
        "conditional, 2048",
        {
            "tokenizer": {"inputs": "codes"},
            "backbone": {"name": "post_norm_transformer", "width": 64, "depth": 3, "num_heads": 4},
            "objective": {"name": "next_token", "max_constituents": 64},
        },
        "sum",
    ),
    "omnijet_alpha_improved": (
        "causal decoder, 2048",
        {
            "tokenizer": {"inputs": "decoded"},
            "backbone": {"name": "transformer", "width": 64, "depth": 3, "num_heads": 4, "layer_scale": 1.0},
            "objective": {
                "name": "weighted_sum",
                "terms": [
                    {"name": "next_token", "max_constituents": 64},
                    {"name": "masked", "targets": ["codes"]},
                ],
            },
        },
        "class_token",
    ),
}
"""Tokenizer, recipe and head of each preset, in small."""

LARGER: dict[str, Any] = {
    "data": {"max_constituents": 128},
    "backbone": {"width": 96},
    "objective": {"name": "next_token", "max_constituents": 128},
}
"""What the transfer of generation changes in the preset: whole jets, a wider network."""

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


STORES: dict[str, tuple[str, list[str], int]] = {
    "pre": ("jetclass_fast", ["jets.train=2000", "jets.val=100", "jets.test=500"], 11),
    "top": ("top_tagging", ["jets.train=6000", "jets.val=200", "jets.test=5000"], 12),
    "dijets": ("top_tagging", ["only=[QCD]", "jets.train=40000", "jets.val=500", "jets.test=5000"], 13),
    "tops": ("top_tagging", ["only=[Tbqq]", "jets.train=2000", "jets.val=1", "jets.test=5000"], 14),
}
"""Recipe, changes and seed of each store: ten classes, top tagging, and its two classes apart."""


def store(root: Path, name: str) -> Path:
    """Simulate a store."""
    recipe, changes, seed = STORES[name]
    return once(
        root / "stores" / name,
        lambda path: api.simulate(recipe, output=path, overrides=changes, seed=seed),
    )


def tokenizer(root: Path, name: str, jets: Path, *, steps: int = 600) -> Path:
    """Train a tokenizer and report on 5,000 test jets."""
    recipe = {
        "data": {"store": str(jets), "features": "massless", "max_constituents": 128},
        "backbone": "none",
        "objective": {"name": "tokenize", "tokenizer": TOKENIZERS[name]},
        "train": {**TRAIN, "steps": steps, "validate_every": 300, "checkpoint_every": 300},
        "seed": 1,
    }
    return once(
        root / "tokenizers" / jets.name / slug(name),
        lambda path: api.tokenize(recipe, output=path, split="test", number=5000),
    )


def backbone(
    root: Path,
    preset: str,
    jets: Path,
    *,
    steps: tuple[int, int] = (600, 1000),
    changes: Any = None,
    seed: int = 1,
) -> Path:
    """Pre-train a backbone on codes, after its tokenizer, which all seeds share; no label is read."""
    name, recipe, _ = BACKBONES[preset]
    made = tokenizer(root, name, jets, steps=steps[0])
    values = merge(
        {
            "data": {"store": str(jets), "features": "massless", "max_constituents": 64},
            "tokenizer": {"model": str(made / "model")},
            "train": {**TRAIN, "steps": steps[1], "validate_every": 250, "checkpoint_every": 250},
            "seed": seed,
        },
        merge(recipe, changes or {}),
    )
    place = root / "backbones" / jets.name / f"{preset}-{seed}"
    return once(place, lambda path: api.pretrain(values, output=path))


def labels(root: Path, part: int) -> None:
    """Fine-tune each preset to top tagging: pre-trained, frozen and from scratch, each seed from its own."""
    top, pre = store(root, "top"), store(root, "pre")
    for seed, preset in plan_of_labels(part):
        head, model = BACKBONES[preset][2], backbone(root, preset, pre, seed=seed) / "model"
        for budget, arm in itertools.product(LABELS, ("pretrained", "frozen", "scratch")):
            recipe = {
                "data": {"store": str(top), "budget": budget, "validation_fraction": 0.2},
                "init": "scratch" if arm == "scratch" else "pretrained",
                "mode": "frozen" if arm == "frozen" else "full",
                "objective": {"name": "supervised", "head": head},
                "early_stopping": {"patience": 5},
                "train": TUNE,
                "seed": seed,
                **({"inputs": "features"} if preset == "omnijet_alpha_improved" else {}),
            }
            place = root / "labels" / preset / f"{arm}-{budget}-{seed}"
            run = once(
                place, lambda path, model=model, recipe=recipe: api.finetune(model, recipe, output=path)
            )
            once(
                place.with_name(f"{place.name}-result"),
                lambda path, run=run, arm=arm: api.evaluate(
                    run / "model", "top_tagging", top, output=path, arm=arm
                ),
            )


def plan_of_labels(part: int) -> Iterator[tuple[int, str]]:
    """Yield seed and preset; `part` 0 or 1 takes every second seed."""
    return itertools.product(SEEDS[part::2], BACKBONES)


def generated(root: Path, model: Path, name: str, real: Path, *, seed: int) -> None:
    """Generate jets and measure them against the test jets of a store."""
    place = root / "transfer" / name
    made = once(
        place.with_name(f"{name}-jets"),
        lambda path: api.generate(model, n=GENERATED, output=path, seed=seed),
    )
    once(
        place.with_name(f"{name}-result"),
        lambda path: api.evaluate(made, "jet_generation", real, output=path, arm=name.split("-")[0]),
    )


def transfer(root: Path, part: int) -> None:
    """Pre-train on dijets without labels, fine-tune to generate top jets; against from scratch."""
    dijets, tops = store(root, "dijets"), store(root, "tops")
    run = backbone(root, "omnijet_alpha", dijets, steps=(1500, 2500), changes=LARGER)
    model = run / "model"
    if part == 0:
        generated(root, model, "home-0-1", dijets, seed=1)
    for number, (seed, budget) in enumerate((seed, budget) for seed in SEEDS for budget in JETS):
        if number % 2 != part:
            continue
        for arm in ("pretrained", "scratch"):
            recipe = {
                "data": {"store": str(tops), "budget": budget, "validation_fraction": 0.2},
                "init": arm,
                "objective": LARGER["objective"],
                "early_stopping": {"patience": 5},
                "train": TUNE,
                "seed": seed,
            }
            name = f"{arm}-{budget}-{seed}"
            tuned = once(
                root / "transfer" / name,
                lambda path, recipe=recipe: api.finetune(model, recipe, output=path),
            )
            generated(root, tuned / "model", name, tops, seed=seed)


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
    write("omnijet_transfer.csv", list(results(root / "transfer", GENERATION)))


def results(folder: Path, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the chosen metrics of every result in a folder, and once a store what real rows reach."""
    for path in sorted(folder.rglob("results.json")):
        found = json.loads(path.read_text())
        arm, budget, seed, _ = path.parent.name.split("-")
        row = {"preset": path.parent.parent.name, "arm": arm, "budget": int(budget), "seed": int(seed)}
        for kind, named in (("metrics", row), ("truth_vs_truth", {**row, "arm": "real"})):
            values = {one["name"]: one["value"] for one in found.get(kind, ())}
            once_a_store = (arm, budget, seed) in (("home", "0", "1"), ("pretrained", "100", "1"))
            if values and (kind == "metrics" or once_a_store):
                yield {**named, **{name: values[name] for name in names if name in values}}


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
        if stage == "stores":
            for name in STORES:
                store(root, name)
        elif stage == "tokenizers":
            for name in list(TOKENIZERS)[arguments.part :: 2]:
                tokenizer(root, name, store(root, "pre"))
        elif stage == "backbones":
            backbone(root, list(BACKBONES)[arguments.part], store(root, "pre"))
        elif stage == "labels":
            labels(root, arguments.part)
        elif stage == "transfer":
            transfer(root, arguments.part)


if __name__ == "__main__":
    main()
