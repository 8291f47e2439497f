"""Speed of groupings, and the cost of a step of JEPA beside a supervised step of the same network.

Jets are synthetic, with JetClass's multiplicity. Of subjets three speeds are given: of FastJet, through which
a row passes once in a training; of reading rows that are clustered already; of the network's part, from
subjets to vectors. Patches have the last only. Steps are whole ones: views, loss, gradient and teacher.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import frame
import numpy as np
import torch
from synthetic import KINEMATICS, synthetic_store

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.draws import Draws
from hepfm.data import feature_set
from hepfm.data.clustering import Clustering, Subjets, cluster
from hepfm.data.content import Content
from hepfm.data.loader import EvalLoader
from hepfm.data.store import Store
from hepfm.groupings import GROUPINGS
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.train.learner import Learner, make_learner

FEATURES = feature_set("kin")
SUBJETS = (Clustering("cambridge_aachen", 0.2),)


def learner_of(objective: Any, grouping: str, *, width: int, depth: int) -> Learner:
    """Return a small transformer with a grouping and an objective."""
    backbone = {"name": "transformer", "width": width, "depth": depth, "num_heads": 4}
    with seeded_init(0, "benchmark"):
        network = build_network(
            resolve_component(BACKBONES, backbone, where="benchmark"),
            FEATURES,
            grouping=resolve_component(GROUPINGS, grouping, where="benchmark"),
        )
        return make_learner(resolve_component(OBJECTIVES, objective, where="benchmark"), network, KINEMATICS)


def batches_of(store: Store, jets: int, size: int, subjets: Subjets) -> list[Batch]:
    """Return jets in batches of similar length, with labels and subjets."""
    content = Content(FEATURES, ("jet_label",), subjets=subjets)
    return list(EvalLoader(store, content, rows=np.arange(jets), batch_size=size))


def grouping_speeds(store: Store, batches: list[Batch], subjets: Subjets, width: int) -> dict[str, float]:
    """Return jets a second of each part."""
    jets = sum(len(batch) for batch in batches)
    momenta = [batch.p4_BN4.double().numpy() for batch in batches if batch.p4_BN4 is not None]
    masks = [batch.mask_BN.numpy() for batch in batches]

    def clustering() -> None:
        for p4, mask in zip(momenta, masks, strict=True):
            cluster(p4[mask], mask.sum(1), SUBJETS)

    def reading() -> None:
        batches_of(store, jets, len(batches[0]), subjets)

    cases: dict[str, Callable[[], None]] = {
        "subjets, FastJet (once for each row)": clustering,
        "subjets, rows read again": reading,
    }
    for grouping in ("subjets", "patches"):
        network = learner_of("supervised", grouping, width=width, depth=1).network.eval()
        assert network.grouping is not None
        hidden = [torch.randn(*batch.mask_BN.shape, width) for batch in batches]

        def embedding(network: Any = network, hidden: list[torch.Tensor] = hidden) -> None:
            with torch.no_grad():
                for batch, h_BND in zip(batches, hidden, strict=True):
                    network.grouping(h_BND, batch.features_BNF, network.groups(batch))

        cases[f"{grouping}, assignment and vectors"] = embedding

        def assignment(network: Any = network) -> None:
            for batch in batches:
                network.groups(batch)

        cases[f"{grouping}, assignment"] = assignment
    speeds = {}
    for name, work in cases.items():
        work()
        speeds[name] = float(f"{jets / frame.timed(work).wall:.3g}")
    return speeds


def step_costs(batches: list[Batch], repeats: int, width: int, depth: int) -> dict[str, Any]:
    """Return seconds of a step of both objectives with each grouping, in turn, and their ratios."""
    costs = {}
    predictor = {"width": width // 2, "depth": 2, "num_heads": 4}
    for grouping in ("particles", "subjets", "patches"):
        cases = {}
        for name, spec in (("jepa", {"name": "jepa", "predictor": predictor}), ("supervised", "supervised")):
            learner = learner_of(spec, grouping, width=width, depth=depth).train()

            def step(turn: int, learner: Learner = learner) -> float:
                batch, draws = batches[turn % len(batches)], Draws(0, "benchmark", turn)

                def work() -> None:
                    learner.zero_grad()
                    learner(learner.views(batch, draws), draws).total.backward()
                    learner.objective.after_step(learner.network, turn + 1, 1000)

                return frame.timed(work).wall

            cases[name] = step
        samples = frame.take_turns(cases, repeats=repeats, warmup=1)
        costs[grouping] = {
            "seconds": {name: frame.spread(times) for name, times in samples.items()},
            "ratios": frame.ratio_of_medians(samples),
        }
    return costs


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the speeds and the costs."""
    jets, size, width, depth = (16, 8, 16, 1) if options.toy else (options.jets, 256, 128, 6)
    with tempfile.TemporaryDirectory() as folder:
        store = synthetic_store(Path(folder) / "store", jets, split="test")
        subjets = Subjets(SUBJETS)
        batches = batches_of(store, jets, size, subjets)
        return {
            "what": f"{jets} jets in batches of {size}; transformer, width {width}, depth {depth}",
            "peer": None,
            "repeats": options.repeats,
            "jets_per_second": grouping_speeds(store, batches, subjets, width),
            "steps": step_costs(batches, options.repeats, width, depth),
        }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--jets", type=int, default=4096)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    frame.main(__doc__, "joint_embedding", measure, add_options=add_options, arguments=arguments)


if __name__ == "__main__":
    main()
