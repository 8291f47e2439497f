"""Point Edge Transformer, forward and backward, against omnilearned 0.2.0 in its own environment.

One run measures everything: this process starts one worker per side with the same environment variables
and number of threads, and lets them take turns on the same jets. Each repetition draws new jets, so that
lengths and numbers of pairs are new each time, as in training. Sizes micro and small with pair bias, pair
features of neighbours and the classifier head; float32, no optimiser.

    python benchmarks/bench_pet.py --peer-python OMNILEARNED_ENV/bin/python

The peer's environment needs omnilearned and torch only.
"""

from __future__ import annotations

import argparse
import json
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

CLASSES, JETS, BATCH, SLOTS = 10, 256, 64, 128
PADDED_JETS = 32
"""The padded cases run a whole batch at once; of 32 jets, as 256 take tens of gigabytes."""
MEAN_LENGTH, STD_LENGTH = 40, 15
"""Constituents of a JetClass jet; drawn from a normal distribution and cut to 11..128, as the peer needs."""
RESULT = Path(__file__).parent / "results" / "pet.json"
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(8 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}
SIZES = {"micro": (3, 2, 4, 32), "small": (8, 2, 8, 128)}
"""Blocks of the trunk, of the head and of the neighbours, attention heads, width."""
CASES = {
    "hepfm, 4 length-grouped batches": ("hepfm", "grouped"),
    "omnilearned, 4 length-sorted sub-batches": ("omnilearned", "grouped"),
    "omnilearned, padded to 128 (its default pads to the data set's longest, 150)": ("omnilearned", "padded"),
}
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Network = Callable[[Batch], torch.Tensor]


def jets(lengths: torch.Tensor, slots: int, generator: torch.Generator) -> Batch:
    """Return features (B, N, 4) in physical units, mask (B, N) and labels."""
    shape = (len(lengths), slots)
    mask = torch.arange(slots)[None] < lengths[:, None]
    log_pt, deta, dphi = (torch.randn(shape, generator=generator) for _ in range(3))
    log_pt, deta, dphi = 1.5 + 1.2 * log_pt, 0.3 * deta, 0.3 * dphi
    x = torch.stack((deta, dphi, log_pt, log_pt + deta.cosh().log()), dim=-1)
    labels = torch.randint(0, CLASSES, (len(lengths),), generator=generator)
    return x * mask[..., None], mask, labels


def batches(layout: str, seed: int) -> Iterator[Batch]:
    """Yield jets sorted by length in batches of 64 cut to the longest, or one batch padded to 128."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(JETS, generator=generator) * STD_LENGTH + MEAN_LENGTH
    lengths = drawn.round().clamp(11, SLOTS).long()
    lengths = lengths.sort().values if layout == "grouped" else lengths[:PADDED_JETS]
    for part in lengths.split(BATCH if layout == "grouped" else PADDED_JETS):
        yield jets(part, int(part.max()) if layout == "grouped" else SLOTS, generator)


def hepfm_network(size: str) -> tuple[torch.nn.Module, Network]:
    """Return this package's network with the classifier head."""
    from hepfm.backbones.pet import KINEMATICS, Pet, PetConfig
    from hepfm.heads.class_attention import ClassAttention, ClassAttentionConfig

    depth, head_depth, heads, width = SIZES[size]
    config = PetConfig(width=width, depth=depth, local_depth=head_depth, num_heads=heads)
    backbone = Pet(config, feature_names=KINEMATICS)
    options = ClassAttentionConfig(num_blocks=head_depth, num_heads=heads)
    head = ClassAttention(options, width=width, num_outputs=CLASSES)
    both = torch.nn.ModuleList((backbone, head))
    return both, lambda batch: head(backbone(*batch[:2]), batch[1])


def omnilearned_network(size: str) -> tuple[torch.nn.Module, Network]:
    """Return the package's network in its classifier mode, without the part that its head does not use."""
    from omnilearned.network import PET2

    depth, head_depth, heads, width = SIZES[size]
    network = PET2(
        4,
        use_int=True,
        local_int=True,
        mode="classifier",
        num_classes=CLASSES,
        base_dim=width,
        num_transformers=depth,
        num_transformers_head=head_depth,
        num_heads=heads,
        K=10,
        num_coord=2,
    )

    def run(batch: Batch) -> torch.Tensor:
        logits: torch.Tensor = network.classifier(network.body(batch[0]))
        return logits

    return network, run


def build(side: str, size: str) -> tuple[torch.nn.Module, Network]:
    """Return the network of a side."""
    return hepfm_network(size) if side == "hepfm" else omnilearned_network(size)


def measure(module: torch.nn.Module, network: Network, layout: str, seed: int) -> dict[str, float]:
    """Return jets per second and per CPU second, forward and backward; making the jets is not counted."""
    inputs = list(batches(layout, seed))
    module.train()
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in inputs:
        module.zero_grad()
        F.cross_entropy(network(batch), batch[2]).backward()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    count = sum(len(batch[2]) for batch in inputs)
    return {"second": count / wall, "cpu_second": count / cpu}


def work(threads: int) -> None:
    """Serve measurements: one JSON request per line in, one JSON reply per line out."""
    torch.set_num_threads(threads)
    built: dict[tuple[str, str], tuple[torch.nn.Module, Network]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        torch.manual_seed(0)
        key = (request["side"], request["size"])
        if key not in built:
            built[key] = build(*key)
        module, network = built[key]
        if "outputs" in request:
            reply: Any = write_outputs(module, network, Path(request["outputs"]))
        else:
            reply = measure(module, network, request["layout"], request["seed"])
        print(json.dumps(reply), flush=True)


@torch.no_grad()
def write_outputs(module: torch.nn.Module, network: Network, path: Path) -> bool:
    """Write weights and the logits of 256 jets."""
    module.eval()
    logits = torch.cat([network(batch) for batch in batches("grouped", 0)])
    arrays = {f"state/{name}": value.numpy() for name, value in module.state_dict().items()}
    np.savez(path, logits=logits.numpy(), **arrays)
    return True


@torch.no_grad()
def largest_difference(path: Path) -> float:
    """Return the largest difference of this package's logits with omnilearned's weights from its logits."""
    from hepfm.models.convert.omnilearned_weights import map_omnilearned

    arrays = np.load(path)
    parts: dict[str, dict[str, torch.Tensor]] = {"body": {}, "classifier": {}}
    for name in (name for name in arrays.files if name.startswith("state/")):
        part, _, rest = name.removeprefix("state/").partition(".")
        parts[part][rest] = torch.from_numpy(arrays[name])
    backbone, head = map_omnilearned(parts["body"], parts["classifier"]).build()
    assert head is not None
    found = torch.cat([head(backbone(*batch[:2]), batch[1]) for batch in batches("grouped", 0)])
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


def compare(size: str, arguments: argparse.Namespace, workers: dict[str, Worker]) -> dict[str, Any]:
    """Let both sides take turns on one size and return its figures."""
    speeds: dict[str, list[dict[str, float]]] = {name: [] for name in CASES}
    for seed in range(arguments.warmup + arguments.repeats):
        for name, (side, layout) in CASES.items():
            speed = workers[side].ask(side=side, size=size, layout=layout, seed=seed)
            if seed >= arguments.warmup:
                speeds[name].append(speed)
                rounded = {unit: round(value, 1) for unit, value in speed.items()}
                print(f"{size:6s} {name:80s}", rounded, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outputs.npz"
        workers["omnilearned"].ask(side="omnilearned", size=size, outputs=str(path))
        difference = largest_difference(path)
    return {
        "per_second": summarise(speeds, "second"),
        "per_cpu_second": summarise(speeds, "cpu_second"),
        "largest_difference_of_logits_from_omnilearned": difference,
    }


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


def report(sizes: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all sizes with versions."""
    peer = "import torch, importlib.metadata as m; print(m.version('omnilearned'), torch.__version__)"
    omnilearned, peer_torch = subprocess.check_output([arguments.peer_python, "-c", peer], text=True).split()
    return {
        "what": "Point Edge Transformer with classifier head and pair bias, forward + backward, float32",
        **sizes,
        "jets": f"{JETS} per repetition in batches of {BATCH}; where padded one batch of {PADDED_JETS}; "
        f"length {MEAN_LENGTH} +- {STD_LENGTH}, synthetic",
        "repeats": arguments.repeats,
        "threads": arguments.threads,
        "load_average_at_end": os.getloadavg()[0],
        "environment": ENVIRONMENT,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "omnilearned": omnilearned,
            "torch beside omnilearned": peer_torch,
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
    parser.add_argument("--peer-python", default="", help="Python with omnilearned 0.2.0 and torch.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.threads)
        return
    if not arguments.peer_python:
        parser.error("give --peer-python, a Python with omnilearned installed")
    python = {"hepfm": sys.executable, "omnilearned": arguments.peer_python}
    workers = {side: Worker(path, arguments.threads) for side, path in python.items()}
    found = report({size: compare(size, arguments, workers) for size in arguments.sizes}, arguments)
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
