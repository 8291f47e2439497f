"""Time of ``hepfm --help`` as a whole process, warm."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any

import frame

COMMAND = (sys.executable, "-m", "hepfm", "--help")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds of a call, after one warm-up."""
    call = {
        "hepfm": lambda _: frame.timed(lambda: subprocess.run(COMMAND, check=True, capture_output=True)).wall
    }
    seconds = frame.take_turns(call, repeats=1 if options.toy else options.repeats, warmup=1)["hepfm"]
    return {
        "what": "hepfm --help, whole process, warm",
        "repeats": len(seconds),
        "seconds": frame.spread(seconds),
        "peer": None,
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    frame.main(__doc__, "cli", measure, arguments=arguments)


if __name__ == "__main__":
    main()
