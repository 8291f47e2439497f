"""Run every benchmark, each against its peer in the same run, and leave one JSON file each in ``results/``.

``make bench`` calls this with an environment that holds the peers. Run it on an otherwise idle machine: the
files record the load that they were made under.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def commands(peer: str) -> dict[str, list[str]]:
    """Return the benchmarks by name; `peer` is the Python of an environment with the public packages."""
    return {
        "cli": ["bench_cli.py", "-o", str(RESULTS / "cli.json")],
        "particle_transformer": [
            "bench_particle_transformer.py",
            "--peer-python",
            peer,
            "-o",
            str(RESULTS / "particle_transformer.json"),
        ],
        "pet": ["bench_pet.py", "--peer-python", peer, "-o", str(RESULTS / "pet.json")],
        "generate": ["bench_generate.py", "-o", str(RESULTS / "generate.json")],
        "tokens": ["bench_tokens.py", "-o", str(RESULTS / "tokens.json")],
        "loader": ["bench_loader.py", "--weaver", peer, "-o", str(RESULTS / "loader.json")],
        "simulate": ["bench_simulate.py", "-o", str(RESULTS / "simulate.json")],
    }


def main() -> None:
    """Run the chosen benchmarks one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="benchmarks to run; all when none is named")
    parser.add_argument(
        "--peer-python",
        required=True,
        help="Python of the environment with weaver-core 0.5.3 and omnilearned 0.2.0",
    )
    options = parser.parse_args()
    known = commands(options.peer_python)
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f"unknown benchmarks {sorted(unknown)}; choose from {sorted(known)}")
    RESULTS.mkdir(exist_ok=True)
    for name in options.names or known:
        print(f"== {name} (load {os.getloadavg()[0]:.1f})", flush=True)
        script, *arguments = known[name]
        subprocess.run([sys.executable, str(HERE / script), *arguments], check=True)
        print(json.dumps(json.loads((RESULTS / f"{name}.json").read_text()), indent=1)[:400], flush=True)


if __name__ == "__main__":
    main()
