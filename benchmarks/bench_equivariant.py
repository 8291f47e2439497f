"""L-GATr-slim and L-GATr, forward and backward, against the package's own use and the Particle Transformer.

    python benchmarks/bench_equivariant.py

Needs package lgatr, in this environment. Float32, training mode, no optimiser; all sides take turns in one
process on the same jets, new ones in each repetition. The package's networks have the same sizes, references
and weights as ours; its padded use masks the padding, as its documentation shows for the attention of torch.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import frame
import torch
import torch.nn.functional as F
from bench_particle_transformer import CLASSES, NAMES, draw, ours
from compare_networks import ENVIRONMENT, WARMUP, Batch, Jets, Network, _speed, _summary

JETS = {
    "lgatr_slim": Jets(total=256, batch=64, padded=32, mean=39, shortest=2),
    "lgatr": Jets(total=64, batch=16, padded=8, mean=39, shortest=2),
}
TOY_JETS = Jets(total=4, batch=2, padded=2, mean=4, shortest=2, spread=2, slots=8)
TITLES = {"lgatr_slim": "L-GATr-slim", "lgatr": "L-GATr"}
BESIDE = "Particle Transformer, length-grouped batches"
"""Beside L-GATr-slim, which has about as many weights."""

Side = tuple[torch.nn.Module, Network]


def equivariant(name: str, size: str) -> Side:
    """Return this package's network with a classification head."""
    from hepfm.backbones import BACKBONES
    from hepfm.core.config import resolve_component
    from hepfm.heads.classify import Classify, ClassifyConfig

    component = resolve_component(BACKBONES, {"name": name, "size": size}, where="benchmark")
    backbone = component.cls(component.config, feature_names=NAMES)
    head = Classify(ClassifyConfig(), width=backbone.width, num_outputs=CLASSES)
    both = torch.nn.ModuleList((backbone, head))
    return both, lambda batch: head(backbone(*batch[:3]), batch[1])


def package(name: str, module: torch.nn.Module) -> Network:
    """Return the package's own call of the same network: rows of one length, padding masked."""
    from lgatr import embed_vector, get_spurions

    from hepfm.nn.frames import at_least_mass, row_frame, transform

    backbone, head = module
    net: Any = backbone.net
    references = get_spurions("lightlike")[:, 1:5]
    first = 1 + len(references)

    def run(batch: Batch) -> torch.Tensor:
        x, mask, p4, _ = batch
        rows = len(x)
        momenta = transform(row_frame(p4.double(), "longitudinal"), p4.double())
        momenta = (at_least_mass(momenta, 5e-3) / 20).float()
        vectors = torch.cat((torch.zeros(rows, 1, 4), references.expand(rows, -1, -1), momenta), dim=1)
        own = backbone.row_token.expand(rows, -1, -1)
        none = torch.zeros(rows, len(references), own.shape[-1])
        scalars = torch.cat((own, none, backbone.embedding(x)), dim=1)
        seen = F.pad(mask, (first, 0), value=True)[:, None, None]
        if name == "lgatr_slim":
            _, out = net(vectors[:, :, None], scalars, attn_mask=seen)
            pooled = out[:, 0]
        else:
            out, _ = net(embed_vector(vectors)[:, :, None], scalars, attn_mask=seen)
            pooled = out[:, 0, :, 0]
        logits: torch.Tensor = head.linear(pooled)
        return logits

    return run


def batches(jets: Jets, layout: str, seed: int) -> list[Batch]:
    """Return the batches of a repetition."""
    return [draw(*place) for place in jets.lengths(layout, seed)]


def compare(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Let one of the networks, the package's use of it and its neighbour take turns."""
    jets, size = (TOY_JETS, "xs") if options.toy else (JETS[name], "s")
    torch.manual_seed(0)
    module, network = equivariant(name, size)
    public = package(name, module)
    title = TITLES[name]

    def case(module: torch.nn.Module, network: Network, layout: str) -> Callable[[int], dict[str, float]]:
        return lambda turn: _speed(module, network, batches(jets, layout, turn))

    cases = {
        f"hepfm's {title}, length-grouped batches": case(module, network, "grouped"),
        f"lgatr's {title}, the same batches": case(module, public, "grouped"),
        f"lgatr's {title}, padded to {jets.slots}": case(module, public, "padded"),
    }
    if name == "lgatr_slim":
        cases[BESIDE] = case(*ours(size), "grouped")
    speeds = frame.take_turns(cases, repeats=options.repeats, warmup=0 if options.toy else WARMUP)
    return {
        "per_second": _summary(speeds, "second"),
        "per_cpu_second": _summary(speeds, "cpu_second"),
        "largest_difference_of_logits": difference(module, network, public, batches(jets, "grouped", 0)),
        "jets": str(jets),
        "parameters": sum(weight.numel() for weight in module.parameters()),
    }


@torch.no_grad()
def difference(module: torch.nn.Module, ours: Network, theirs: Network, jets: list[Batch]) -> float:
    """Return how far our logits are from the package's."""
    module.eval()
    return max(float((ours(batch) - theirs(batch)).abs().max()) for batch in jets)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both networks."""
    return {
        "what": "L-GATr-slim and L-GATr, published sizes, forward + backward, float32, training mode",
        "sizes": {title: compare(name, options) for name, title in TITLES.items()},
        "repeats": options.repeats,
        "malloc": ENVIRONMENT,
        "package": frame.versions("lgatr"),
        "peer": None,
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark, in a process whose allocator keeps its memory."""
    if arguments is None and not _set(ENVIRONMENT):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ENVIRONMENT})
    frame.main(str(__doc__), "equivariant", measure, arguments=arguments)


def _set(variables: Mapping[str, str]) -> bool:
    return all(os.environ.get(name) == value for name, value in variables.items())


if __name__ == "__main__":
    main()
