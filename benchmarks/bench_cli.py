"""Time of ``hepfm --help`` as a whole process: median and range of warm runs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "hepfm", "--help"]


def measure(runs: int = 11) -> dict[str, Any]:
    """Return seconds per call of ``hepfm --help`` (median, smallest, largest) after one warm-up."""
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(COMMAND, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    timed = sorted(seconds[1:])
    return {
        "what": "hepfm --help, whole process, warm",
        "machine": {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
        "runs": runs,
        "seconds": {"median": statistics.median(timed), "min": timed[0], "max": timed[-1]},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    result = measure()
    text = json.dumps(result, indent=2) + "\n"
    output = parser.parse_args().output
    if output:
        output.write_text(text)
    print(text)
