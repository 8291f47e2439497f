"""Particle Transformer, forward and backward, against weaver-core 0.5.3 in its own environment.

One run measures everything: this process starts one worker per side with the same environment variables
and number of threads, and lets them take turns on the same jets. Each repetition draws new jets, so that
lengths and numbers of pairs are new each time, as in training. Published configuration, float32, dropout
as in training, no optimiser.

    python benchmarks/bench_particle_transformer.py --peer-python WEAVER_ENV/bin/python

The peer's environment needs weaver-core and torch only.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

FEATURES, CLASSES, JETS, BATCH, SLOTS = 17, 10, 512, 64, 128
PADDED_JETS = 128
"""The padded cases run a whole batch at once, as weaver-core does; of 128 jets, as 512 take much memory."""
MEAN_LENGTH, STD_LENGTH = 39, 15
"""Constituents of a JetClass jet; drawn from a normal distribution and cut to 2..128."""
RESULT = Path(__file__).parent / "results" / "particle_transformer.json"
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(8 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}
CASES = {
    "hepfm, 8 length-grouped batches": ("hepfm", "grouped"),
    "weaver, 8 length-sorted sub-batches": ("weaver", "grouped"),
    "weaver, padded to 128 (its default, pairs of real particles)": ("weaver", "padded"),
    "weaver, padded to 128, dense pairs (its choice under torch.compile)": ("weaver-dense", "padded"),
}
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
Network = Callable[[Batch], torch.Tensor]


def jets(lengths: torch.Tensor, slots: int, generator: torch.Generator) -> Batch:
    """Return features (B, N, F), mask (B, N), four-momenta (E, px, py, pz) and labels."""
    shape = (len(lengths), slots)
    mask = torch.arange(slots)[None] < lengths[:, None]
    pt, eta, phi = (torch.randn(shape, generator=generator) for _ in range(3))
    pt, eta, phi = torch.exp(1.5 + 1.2 * pt), 0.3 * eta, 0.3 * phi
    p4 = torch.stack((pt * eta.cosh(), pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()), dim=-1)
    x = torch.randn(*shape, FEATURES, generator=generator)
    labels = torch.randint(0, CLASSES, (len(lengths),), generator=generator)
    return x * mask[..., None], mask, p4 * mask[..., None], labels


def batches(layout: str, seed: int) -> Iterator[Batch]:
    """Yield jets sorted by length in batches of 64 cut to the longest, or one batch padded to 128."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(JETS, generator=generator) * STD_LENGTH + MEAN_LENGTH
    lengths = drawn.round().clamp(2, SLOTS).long()
    lengths = lengths.sort().values if layout == "grouped" else lengths[:PADDED_JETS]
    for part in lengths.split(BATCH if layout == "grouped" else PADDED_JETS):
        yield jets(part, int(part.max()) if layout == "grouped" else SLOTS, generator)


def hepfm_network() -> tuple[torch.nn.Module, Network]:
    """Return this package's published configuration with a classification head."""
    from hepfm.backbones.particle_transformer import ParticleTransformer, ParticleTransformerConfig
    from hepfm.heads.classify import Classify, ClassifyConfig

    backbone = ParticleTransformer(ParticleTransformerConfig(), num_features=FEATURES)
    head = Classify(ClassifyConfig(), width=backbone.width, num_outputs=CLASSES)
    both = torch.nn.ModuleList((backbone, head))
    return both, lambda batch: head(backbone(*batch[:3]), batch[1])


def weaver_network(*, dense: bool = False) -> tuple[torch.nn.Module, Network]:
    """Return weaver-core's published configuration; its random cut of long jets is off."""
    logging.disable(logging.CRITICAL)
    from weaver.nn.model.ParticleTransformer import ParticleTransformer

    network = ParticleTransformer(
        FEATURES,
        num_classes=CLASSES,
        use_pre_activation_pair=False,
        trim=False,
        pair_embed_sparse_eval=(False, False) if dense else None,
    )

    def run(batch: Batch) -> torch.Tensor:
        x, mask, p4, _ = batch
        logits: torch.Tensor = network(
            x.transpose(1, 2).contiguous(), p4[..., [1, 2, 3, 0]].transpose(1, 2).contiguous(), mask[:, None]
        )
        return logits

    return network, run


def build(side: str) -> tuple[torch.nn.Module, Network]:
    """Return the network of a side."""
    return hepfm_network() if side == "hepfm" else weaver_network(dense=side == "weaver-dense")


def measure(module: torch.nn.Module, network: Network, layout: str, seed: int) -> dict[str, float]:
    """Return jets per second and per CPU second, forward and backward; making the jets is not counted."""
    inputs = list(batches(layout, seed))
    module.train()
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in inputs:
        module.zero_grad()
        F.cross_entropy(network(batch), batch[3]).backward()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    count = sum(len(batch[3]) for batch in inputs)
    return {"second": count / wall, "cpu_second": count / cpu}


def work(threads: int) -> None:
    """Serve measurements: one JSON request per line in, one JSON reply per line out."""
    torch.set_num_threads(threads)
    built: dict[str, tuple[torch.nn.Module, Network]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        torch.manual_seed(0)
        if request["side"] not in built:
            built[request["side"]] = build(request["side"])
        module, network = built[request["side"]]
        if "outputs" in request:
            reply: Any = write_outputs(module, network, Path(request["outputs"]))
        else:
            reply = measure(module, network, request["layout"], request["seed"])
        print(json.dumps(reply), flush=True)


@torch.no_grad()
def write_outputs(module: torch.nn.Module, network: Network, path: Path) -> bool:
    """Write weights and the logits of 512 jets, in evaluation mode after the statistics of other jets."""
    for part in module.train().modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            part.momentum = None  # the plain mean over the batches
    for batch in batches("grouped", 1):
        network(batch)
    module.eval()
    logits = torch.cat([network(batch) for batch in batches("grouped", 0)])
    arrays = {f"state/{name}": value.numpy() for name, value in module.state_dict().items()}
    np.savez(path, logits=logits.numpy(), **arrays)
    return True


@torch.no_grad()
def largest_difference(path: Path) -> float:
    """Return the largest difference of this package's logits with weaver's weights from weaver's logits."""
    from hepfm.models.convert.weaver import map_weights

    arrays = np.load(path)
    names = [name for name in arrays.files if name.startswith("state/")]
    backbone, head = map_weights({name[6:]: torch.from_numpy(arrays[name]) for name in names}).build()
    backbone.eval()
    found = torch.cat([head(backbone(*batch[:3]), batch[1]) for batch in batches("grouped", 0)])
    return float((found - torch.from_numpy(arrays["logits"])).abs().max())


class Worker:
    """A subprocess of this script in a given environment."""

    def __init__(self, python: str, threads: int) -> None:
        environment = {**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": str(threads)}
        command = [python, __file__, "--work", "--threads", str(threads)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def ask(self, **request: Any) -> Any:
        """Send a request and wait for the reply."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Let both sides take turns and return all figures."""
    ours = Worker(sys.executable, arguments.threads)
    workers = {
        "hepfm": ours,
        **dict.fromkeys(("weaver", "weaver-dense"), Worker(arguments.peer_python, arguments.threads)),
    }
    speeds: dict[str, list[dict[str, float]]] = {name: [] for name in CASES}
    for seed in range(arguments.warmup + arguments.repeats):
        for name, (side, layout) in CASES.items():
            speed = workers[side].ask(side=side, layout=layout, seed=seed)
            if seed >= arguments.warmup:
                speeds[name].append(speed)
                print(f"{name:70s}", {unit: round(value, 1) for unit, value in speed.items()}, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outputs.npz"
        workers["weaver"].ask(side="weaver", outputs=str(path))
        difference = largest_difference(path)
    return report(speeds, difference, arguments)


def summarise(speeds: dict[str, list[dict[str, float]]], unit: str) -> dict[str, Any]:
    """Return median and range of each case and the ratios of the medians."""
    values = {name: [speed[unit] for speed in found] for name, found in speeds.items()}
    medians = {name: statistics.median(found) for name, found in values.items()}
    first, *others = CASES
    return {
        "jets": {
            name: {
                "median": round(medians[name], 1),
                "min": round(min(found), 1),
                "max": round(max(found), 1),
            }
            for name, found in values.items()
        },
        "ratio_of_medians": {
            f"{first} / {name}": round(medians[first] / medians[name], 2) for name in others
        },
    }


def report(
    speeds: dict[str, list[dict[str, float]]], difference: float, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Return medians, ranges, ratios and versions."""
    peer = "import torch, importlib.metadata as m; print(m.version('weaver-core'), torch.__version__)"
    weaver, peer_torch = subprocess.check_output([arguments.peer_python, "-c", peer], text=True).split()
    return {
        "what": "Particle Transformer, published configuration, forward + backward, float32, training mode",
        "per_second": summarise(speeds, "second"),
        "per_cpu_second": summarise(speeds, "cpu_second"),
        "largest_difference_of_logits_from_weaver": difference,
        "jets": f"{JETS} per repetition in batches of {BATCH}; where padded one batch of {PADDED_JETS}; "
        f"length {MEAN_LENGTH} +- {STD_LENGTH}, synthetic",
        "repeats": arguments.repeats,
        "threads": arguments.threads,
        "load_average_at_end": os.getloadavg()[0],
        "environment": ENVIRONMENT,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "weaver-core": weaver,
            "torch beside weaver-core": peer_torch,
        },
        "processor": processor(),
    }


def processor() -> str:
    """Return the model and the widest vectors of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores"


def main() -> None:
    """Run the comparison and write it down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python", default="", help="Python with weaver-core 0.5.3 and torch.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.threads)
        return
    if not arguments.peer_python:
        parser.error("give --peer-python, a Python with weaver-core installed")
    found = compare(arguments)
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
