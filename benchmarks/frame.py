"""What all benchmarks share: options, timing, turns, the record of the machine, the file of results.

Nothing of hepfm is imported here: workers of the networks' benchmarks run where it is not installed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

RESULTS = Path(__file__).parent / "results"
NO_PEER = "skipped: no environment with the peer was named (--peer-python)"
BUSY = 0.25
"""Load per core above which other programs disturb the times."""

T = TypeVar("T")
Measure = Callable[[argparse.Namespace], dict[str, Any]]


def main(
    about: str,
    name: str,
    measure: Measure,
    *,
    add_options: Callable[[argparse.ArgumentParser], None] | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Read the options, measure, and write what was measured with a record of the machine.

    Parameters
    ----------
    about
        The benchmark in words, for ``--help``.
    name
        Of the file in ``results/``.
    measure
        Returns the figures, ready for JSON; with ``options.toy`` set it must take a second or two at most.
    add_options
        Adds the benchmark's own options.
    arguments
        Of the command line; None reads those of the process.
    """
    options = _parser(about, name, add_options).parse_args(arguments)
    torch.set_num_threads(options.threads)
    load = load_per_core()
    if load > BUSY and not options.toy:
        print(
            f"warning: the machine is busy (load {load:.1f} per core): do not publish these times", flush=True
        )
    figures = measure(options)
    result = {**figures, "toy": options.toy, "environment": environment(options.threads, load)}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


def _parser(
    about: str, name: str, add_options: Callable[[argparse.ArgumentParser], None] | None
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--toy", action="store_true", help="tiny sizes, to see that it runs; times mean nothing"
    )
    parser.add_argument("--peer-python", help="Python of an environment with weaver-core and omnilearned")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / f"{name}.json")
    if add_options is not None:
        add_options(parser)
    return parser


@dataclass(frozen=True)
class Timing:
    """Wall seconds and processor seconds of a call."""

    wall: float
    cpu: float


def timed(work: Callable[[], object]) -> Timing:
    """Return how long a call takes in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Timing(time.perf_counter() - wall, time.process_time() - cpu)


def take_turns(cases: Mapping[str, Callable[[int], T]], *, repeats: int, warmup: int) -> dict[str, list[T]]:
    """Call all cases one after the other, again and again, so that what disturbs one disturbs all.

    Parameters
    ----------
    cases
        Called with the number of the turn.
    repeats, warmup
        Turns that are kept, and turns before them that are not.
    """
    samples: dict[str, list[T]] = {name: [] for name in cases}
    for turn in range(warmup + repeats):
        for name, work in cases.items():
            sample = work(turn)
            if turn >= warmup:
                samples[name].append(sample)
    return samples


def spread(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """Return median, smallest and largest, to so many digits."""
    numbers = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.{digits}g}") for name, value in numbers.items()}


def ratio_of_medians(samples: Mapping[str, Sequence[float]], digits: int = 3) -> dict[str, float]:
    """Return the first median over each other one."""
    first, *others = samples
    median = statistics.median(samples[first])
    return {
        f"{first} / {name}": float(f"{median / statistics.median(samples[name]):.{digits}g}")
        for name in others
    }


def environment(threads: int, load_at_start: float) -> dict[str, Any]:
    """Return what the times depend on besides the code."""
    return {
        "processor": processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load_per_core_at_start": round(load_at_start, 2),
        "load_per_core_at_end": round(load_per_core(), 2),
        "versions": versions("hepfm", "torch", "numpy"),
    }


def load_per_core() -> float:
    """Return the system's load average of the last minute over its cores."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def wait_until_idle(patience: float) -> None:
    """Wait until the load of what ran before has gone down, for so many seconds at most."""
    end = time.monotonic() + patience
    while load_per_core() > BUSY and time.monotonic() < end:
        time.sleep(5)


def processor() -> str:
    """Return the processor's name, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of those packages that are installed here."""
    installed = {"python": platform.python_version()}
    for package in packages:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def versions_of(python: str, *packages: str) -> dict[str, str]:
    """Return the same of another environment."""
    code = f"import json, frame; print(json.dumps(frame.versions(*{packages!r})))"
    text = subprocess.check_output([python, "-c", code], text=True, cwd=Path(__file__).parent)
    found: dict[str, str] = json.loads(text)
    return found
