"""A training step of masked modelling against a supervised step of the same backbone.

    python benchmarks/bench_masked.py

A step makes the views, runs the network forward and backward and moves the weights, on parts of a batch of
similar length as in training. Both steps see the same jets, in turn. Beside each stands the time of its
matrix products alone.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import frame
import numpy as np
import torch
from matrix_bound import Bound, record

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.draws import Draws
from hepfm.data import feature_set
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.train.learner import make_learner

FEATURES = feature_set("petfull")
CONTINUOUS = ["deta", "dphi", "log_pt", "tanh_d0", "d0_error", "tanh_dz", "dz_error"]
DECODER = {"decoder_blocks": 2, "decoder_width": 64, "decoder_heads": 4}
BACKBONE_SPECS: dict[str, dict[str, Any]] = {
    "transformer, size s": {"name": "transformer", "size": "s"},
    "pet, size s": {"name": "pet", "size": "s"},
    "particle_transformer, size s": {"name": "particle_transformer", "size": "s", "dropout": 0.0},
}
TOY: dict[str, dict[str, Any]] = {"toy": {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}}
TARGET_SPECS: dict[str, list[dict[str, Any]]] = {
    "regression": [{"name": "regression", "features": CONTINUOUS}],
    "spline_flow": [{"name": "spline_flow", "features": CONTINUOUS}],
    "flow_matching": [{"name": "flow_matching", "features": CONTINUOUS}],
    "set_flow_matching": [{"name": "set_flow_matching", "features": CONTINUOUS}],
}
"""k-means and codes cost a linear layer more than regression, and the search for the nearest code."""


FIRST = ("regression", "removed")
ALONE = ", matrix products alone"


def jets(rows: int, parts: int) -> list[Batch]:
    """Return parts of a batch, each of similar length, with JetClass's multiplicity and labels."""
    lengths = np.clip(np.random.default_rng(0).normal(39.4, 15.1, rows), 1, 128).astype(np.int64)
    batches = []
    for number, part in enumerate(np.array_split(np.sort(lengths), parts)):
        batch = random_batch(FEATURES, lengths=part, seed=number)
        labels = torch.arange(len(batch)) % len(JETCLASS_CLASSES)
        batches.append(
            Batch(batch.features_BNF, batch.mask_BN, batch.rows_B, batch.p4_BN4, None, {"jet_label": labels})
        )
    return batches


def stepper(backbone: dict[str, Any], objective: Any, batches: list[Batch]) -> Callable[[int], None]:
    """Return a function that makes a step."""
    component = resolve_component(OBJECTIVES, objective, where="benchmark")
    with seeded_init(0, "benchmark"):
        network = build_network(resolve_component(BACKBONES, backbone, where="benchmark"), FEATURES)
        learner = make_learner(component, network, jet_schema(JETCLASS_CLASSES)).train()
    learner.prepare(batches)
    optimizer = torch.optim.AdamW(learner.parameters(), 1e-4)

    def step(turn: int) -> None:
        draws = Draws(0, "benchmark", turn)
        optimizer.zero_grad()
        for batch in batches:
            learner(learner.views(batch, draws), draws).total.backward()
        optimizer.step()

    return step


def timed(step: Callable[[int], None]) -> Callable[[int], float]:
    """Return a function that does a step and returns its processor seconds."""
    return lambda turn: frame.timed(lambda: step(turn)).cpu


def products_of(step: Callable[[int], None]) -> Callable[[int], float]:
    """Return a function that does the matrix products of a step alone and returns their processor seconds."""
    bound = Bound(record(lambda: step(0)))
    return lambda turn: frame.timed(bound).cpu


def cases(backbone: dict[str, Any]) -> dict[str, Any]:
    """Return the objectives that a backbone is tried with; all targets where placeholders are possible."""
    objectives: dict[str, Any] = {"supervised": "supervised"}
    placeholders = "placeholder" in BACKBONES.load(backbone["name"]).supports
    for target, spec in TARGET_SPECS.items():
        for hide, fraction in (("removed", 0.4), ("placeholder", 0.3)):
            # The targets differ in the same way for all backbones and both ways to hide.
            if (target == "regression" or hide == "removed") if placeholders else (target, hide) == FIRST:
                objectives[f"{hide}, {target}"] = {
                    "name": "masked",
                    "fraction": fraction,
                    "hide": {"name": hide, **DECODER},
                    "targets": spec,
                }
    return objectives


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the processor seconds of steps, and those of masked over those of supervised steps."""
    specs, batches = (TOY, jets(4, 1)) if options.toy else (BACKBONE_SPECS, jets(options.jets, 4))
    steps = []
    for label, backbone in specs.items():
        steppers = {name: stepper(backbone, spec, batches) for name, spec in cases(backbone).items()}
        turns = {name: timed(step) for name, step in steppers.items()}
        turns |= {f"{name}{ALONE}": products_of(step) for name, step in steppers.items()}
        samples = frame.take_turns(turns, repeats=options.repeats, warmup=1)
        medians = {name: statistics.median(seconds) for name, seconds in samples.items()}
        steps += [
            {
                "backbone": label,
                "objective": name,
                "cpu_seconds": frame.spread(samples[name]),
                "over_supervised": round(medians[name] / medians["supervised"], 3),
                "share_of_products": round(medians[f"{name}{ALONE}"] / medians[name], 3),
            }
            for name in steppers
        ]
    return {
        "what": "processor seconds of a training step: views, forward, backward, optimizer",
        "jets": sum(len(batch) for batch in batches),
        "repeats": options.repeats,
        "steps": steps,
        "peer": None,
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--jets", type=int, default=128)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    frame.main(__doc__, "masked", measure, add_options=add_options, arguments=arguments)


if __name__ == "__main__":
    main()
