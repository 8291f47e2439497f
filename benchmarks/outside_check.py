"""Outside check: a public network that was trained on JetClass itself, applied untouched to simulated jets.

Needs hepfm and weaver-core (``pip install weaver-core``) in one environment, and a ParticleNet checkpoint of
the Particle Transformer's authors (github.com/jet-universe/particle_transformer, folder ``models``)::

    python benchmarks/outside_check.py STORE --full ParticleNet_full.pt --kin ParticleNet_kin.pt -o x.json

On JetClass the network with all features is quoted at an accuracy of 0.844 over the ten classes; simulated
jets that differ from the published ones in what matters lose several per cent.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from weaver.nn.model.ParticleNet import ParticleNet

from hepfm.core.ragged import Ragged
from hepfm.data import FEATURE_SETS, feature_set
from hepfm.data.features import FeatureSet
from hepfm.data.schemas.jets import JETCLASS_CLASSES
from hepfm.data.store import Store

MAX_CONSTITUENTS = 128
CLIP = 5.0


def load_network(path: Path, num_features: int) -> torch.nn.Module:
    """Build the published ParticleNet and fill it from a checkpoint, tensors only."""
    network = ParticleNet(
        input_dims=num_features,
        num_classes=len(JETCLASS_CLASSES),
        conv_params=[(16, (64, 64, 64)), (16, (128, 128, 128)), (16, (256, 256, 256))],
        fc_params=[(256, 0.1)],
        use_fusion=False,
        use_fts_bn=True,
        use_counts=True,
    )
    weights = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict({name.removeprefix("mod."): tensor for name, tensor in weights.items()})
    return network.eval()


def inputs(features: FeatureSet, columns: Any) -> Ragged:
    """Return the standardised, clipped features of every constituent."""
    raw = features.compute(columns)
    scaled = (raw - np.asarray(features.centre, np.float32)) * np.asarray(features.scale, np.float32)
    return columns["part_pt"].with_values(np.clip(scaled, -CLIP, CLIP))


@torch.inference_mode()
def predict(network: torch.nn.Module, jets: Ragged, batch: int = 128) -> np.ndarray:
    """Return the predicted class of every jet; jets of similar length share a batch."""
    order = np.argsort(jets.lengths, kind="stable")
    predicted = np.empty(len(jets), np.int64)
    for rows in np.array_split(order, max(1, len(order) // batch)):
        longest = max(32, int(min(jets.lengths[rows].max(), MAX_CONSTITUENTS)))
        padded = np.zeros((len(rows), longest, jets.values.shape[1]), np.float32)
        mask = np.zeros((len(rows), 1, longest), bool)
        for place, row in enumerate(rows):
            values = jets.row(row)[:longest]
            padded[place, : len(values)], mask[place, 0, : len(values)] = values, True
        x = torch.from_numpy(padded).transpose(1, 2).contiguous()
        predicted[rows] = network(x[:, -2:], x, torch.from_numpy(mask)).argmax(dim=1).numpy()
    return predicted


def check(store: Store, split: str, set_name: str, checkpoint: Path) -> dict[str, Any]:
    """Return accuracy, its binomial error and the share called right of every class."""
    features = feature_set(set_name)
    rows = np.asarray(store.splits[split])
    columns = store.read([*features.columns, "jet_label"], rows)
    label = np.asarray(columns["jet_label"])
    right = predict(load_network(checkpoint, len(features)), inputs(features, columns)) == label
    accuracy = float(right.mean())
    return {
        "checkpoint": checkpoint.name,
        "n": len(label),
        "accuracy": accuracy,
        "accuracy_error": float(np.sqrt(accuracy * (1 - accuracy) / len(label))),
        "right_by_class": {name: float(right[label == i].mean()) for i, name in enumerate(JETCLASS_CLASSES)},
    }


def main() -> None:
    """Read the options, run the checks asked for, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--full", type=Path, help="checkpoint with all 17 features")
    parser.add_argument("--kin", type=Path, help="checkpoint with the 7 kinematic features")
    parser.add_argument("--split", default="test")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    store = Store.open(options.store)
    if store.schema.label_classes != JETCLASS_CLASSES:
        parser.error(f"{options.store} does not hold the ten JetClass classes in their order")
    asked = {name: getattr(options, name) for name in FEATURE_SETS if getattr(options, name, None)}
    result = {
        "store": {
            key: store.manifest.provenance[key]
            for key in ("seed", "recipe_fingerprint", "detector", "versions")
        },
        "split": options.split,
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip(),
        "networks": {name: check(store, options.split, name, path) for name, path in asked.items()},
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, row in result["networks"].items():
        print(f"{name}: accuracy {row['accuracy']:.4f} +- {row['accuracy_error']:.4f} of {row['n']} jets")


if __name__ == "__main__":
    main()
