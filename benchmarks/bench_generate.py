"""Speed of ``hepfm generate``: jets a second of a Point Edge Transformer of size xs (micro), by solver.

The network is untrained (speed does not depend on its parameters); class, kinematics and number of
constituents come from a store of synthetic jets, so that padding is that of real use. Each solver runs once,
whole: reading the model, solving, writing the store.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import frame
from synthetic import KINEMATICS, synthetic_store

from hepfm import api
from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.data import context_set, feature_set
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.train.learner import make_learner

SOLVERS = ("euler", "midpoint")


def save_model(path: Path, size: str) -> int:
    """Write an untrained model; return its number of parameters."""
    features, context = feature_set("pet"), context_set("jet")
    backbone = resolve_component(BACKBONES, {"name": "pet", "size": size}, where="benchmark")
    component = resolve_component(OBJECTIVES, "flow_matching", where="benchmark")
    with seeded_init(0, "benchmark"):
        network = build_network(backbone, features, context=context)
        learner = make_learner(component, network, KINEMATICS)
    learner.prepare([random_batch(features, context=context)])
    api.Model(network, backbone, features, KINEMATICS, context=context, max_constituents=128).save(path)
    return sum(parameter.numel() for parameter in network.parameters())


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return seconds and jets a second of each solver."""
    jets, steps = (10, 1) if options.toy else (options.jets, 32)
    solvers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parameters = save_model(folder / "model", options.size)
        synthetic_store(folder / "like", jets, split="test")
        for solver in options.solvers:

            def generate(solver: str = solver) -> None:
                api.generate(
                    folder / "model", output=folder / solver, like=folder / "like", solver=solver, steps=steps
                )

            timing = frame.timed(generate)
            solvers[solver] = {
                "seconds": timing.wall,
                "processor_seconds": timing.cpu,
                "jets_per_second": jets / timing.wall,
            }
    return {
        "what": f"hepfm generate, pet {options.size} ({parameters} parameters), {steps} steps",
        "jets": jets,
        "solvers": solvers,
        "peer": None,
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--jets", type=int, default=10_000)
    parser.add_argument("--size", default="xs")
    parser.add_argument("--solvers", nargs="+", default=SOLVERS)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    frame.main(__doc__, "generate", measure, add_options=add_options, arguments=arguments)


if __name__ == "__main__":
    main()
