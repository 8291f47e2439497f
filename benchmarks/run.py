"""Run every benchmark, each against its peer in the same run, and leave one JSON file each in ``results/``.

``make bench`` calls this with environments that hold the peers. Run it on an otherwise idle machine: the
files record the load that they were made under.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import frame

PATIENCE = 180.0
"""Seconds to wait before each benchmark for the load of the one before to go down."""
HERE = Path(__file__).parent
NAMES = tuple(sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py")))


def main() -> None:
    """Run the chosen benchmarks one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="benchmarks to run; all when none is named")
    parser.add_argument(
        "--peer-python",
        required=True,
        help="Python of the environment with weaver-core 0.5.3 and omnilearned 0.2.0",
    )
    parser.add_argument(
        "--omnifold-python", required=True, help="Python of the environment with omnifold and TensorFlow"
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"unknown benchmarks {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")
    for name in options.names or NAMES:
        print(f"== {name}", flush=True)
        frame.wait_until_idle(PATIENCE)
        peer = options.omnifold_python if name == "omnifold" else options.peer_python
        command = [sys.executable, str(HERE / f"bench_{name}.py"), "--peer-python", peer]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
