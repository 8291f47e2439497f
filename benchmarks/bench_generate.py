"""Speed of ``hepfm generate``: jets a second of a Point Edge Transformer of size micro, by solver.

The network is untrained (speed does not depend on its weights); class, kinematics and number of constituents
come from a store of synthetic jets with JetClass's multiplicity (mean 39.4, standard deviation 15.1), so that
padding is that of real use. Each solver runs once, whole: reading the model, solving, writing the store.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hepfm import api
from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.core.ragged import Ragged
from hepfm.core.rng import numpy_generator
from hepfm.data import context_set, feature_set
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.writer import write_store
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.train.learner import make_learner

RESULT = Path(__file__).parent / "results" / "generate.json"
STEPS = 32
SOLVERS = ("euler", "midpoint")


def save_model(path: Path, size: str) -> int:
    """Write an untrained model; return its number of weights."""
    features, context = feature_set("pet"), context_set("jet")
    backbone = resolve_component(BACKBONES, {"name": "pet", "size": size}, where="benchmark")
    component = resolve_component(OBJECTIVES, "flow_matching", where="benchmark")
    schema = jet_schema(JETCLASS_CLASSES)
    with seeded_init(0, "benchmark"):
        network = build_network(backbone, features, context=context)
        learner = make_learner(component, network, schema)
    learner.prepare([random_batch(features, context=context)])
    api.Model(network, backbone, features, schema, context=context, max_constituents=128).save(path)
    return sum(weight.numel() for weight in network.parameters())


def save_store(path: Path, rows: int) -> None:
    """Write synthetic jets that give class, kinematics and number of constituents."""
    rng = numpy_generator(0, "benchmark.generate")
    lengths = np.clip(rng.normal(39.4, 15.1, rows), 1, 128).astype(np.int64)
    total = int(lengths.sum())
    ones = np.ones(total, np.float32)
    pt = rng.uniform(500, 1000, rows).astype(np.float32)
    eta = rng.uniform(-2, 2, rows).astype(np.float32)
    columns = {
        "jet_pt": pt,
        "jet_eta": eta,
        "jet_phi": np.zeros(rows, np.float32),
        "jet_energy": (1.02 * pt * np.cosh(eta)).astype(np.float32),
        "jet_label": rng.integers(0, len(JETCLASS_CLASSES), rows).astype(np.int16),
    }
    lists = {"part_pt": ones, "part_eta": 0 * ones, "part_phi": 0 * ones, "part_energy": ones}
    schema = jet_schema(JETCLASS_CLASSES, identity=False, tracks=False, substructure=False)
    ragged = {name: Ragged.from_lengths(values, lengths) for name, values in lists.items()}
    write_store(path, schema, [("test", {**columns, **ragged})], provenance={"source": "synthetic"})


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return seconds, processor seconds and jets a second of each solver."""
    torch.set_num_threads(arguments.threads)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        weights = save_model(Path(folder) / "model", arguments.size)
        save_store(Path(folder) / "like", arguments.jets)
        for solver in arguments.solvers:
            start, processor = time.perf_counter(), time.process_time()
            api.generate(
                Path(folder) / "model",
                output=Path(folder) / solver,
                like=Path(folder) / "like",
                solver=solver,
                steps=STEPS,
            )
            seconds = time.perf_counter() - start
            found[solver] = {
                "seconds": seconds,
                "processor_seconds": time.process_time() - processor,
                "jets_per_second": arguments.jets / seconds,
            }
    return {
        "what": f"hepfm generate, pet {arguments.size} ({weights} weights), {STEPS} steps",
        "jets": arguments.jets,
        "solvers": found,
        "threads": arguments.threads,
        "load_average_at_end": os.getloadavg()[0],
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "cores": os.cpu_count(),
    }


def main() -> None:
    """Run the measurement and write it down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jets", type=int, default=10_000)
    parser.add_argument("--size", default="micro")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--solvers", nargs="+", default=SOLVERS)
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    found = measure(arguments)
    arguments.output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
