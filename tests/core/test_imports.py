"""Importing every module changes nothing in the process: signals, environment, random numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

IMPORT_ALL = """
import os, random, signal
import numpy, torch
from make_options import modules

def state():
    return {
        "signals": {number: str(signal.getsignal(number)) for number in signal.valid_signals()},
        "environment": dict(os.environ),
        "python": random.getstate(),
        "numpy": str(numpy.random.get_state()),
        "torch": (torch.initial_seed(), torch.get_default_dtype(), torch.is_grad_enabled()),
        "threads": torch.get_num_threads(),
        "folder": os.getcwd(),
        "errors": numpy.geterr(),
    }

before = state()
list(modules())
after = state()
for name in before:
    assert before[name] == after[name], (name, before[name], after[name])
"""


def test_imports_leave_the_process_as_it_was() -> None:
    """A handler of signals that an import sets would be handed on to every process that this one starts."""
    subprocess.run([sys.executable, "-c", IMPORT_ALL], check=True, cwd=Path(__file__).parent)
