"""The switch of all hand-written kernels: ``HEPFM_KERNELS`` in the environment, ``on`` (default) or ``off``.

Turn them off to find out whether one of them is to blame for something, and for what torch cannot do with
functions that have a backward pass of their own (second derivatives, `torch.func`). Losses then differ by
rounding, and dropout draws other numbers.

It is a variable of the environment because it has to reach every process of a run (those of torchrun, of a
study, of a batch system) without a change of code or recipe.
"""

from __future__ import annotations

import os

from torch import Tensor

from hepfm.core.errors import ConfigError
from hepfm.nn.tracing import is_traced

VARIABLE = "HEPFM_KERNELS"


def switched_on() -> bool:
    """Read the switch; raise `ConfigError` for another value than ``on`` and ``off``."""
    value = os.environ.get(VARIABLE, "on")
    if value not in ("on", "off"):
        raise ConfigError(
            f"the environment variable {VARIABLE} is {value!r}; set it to on (also without it) or off"
        )
    return value == "on"


def kernels_allowed() -> bool:
    """Tell whether kernels may be used: not while torch compiles or exports, which wants plain operators."""
    return not is_traced() and switched_on()


def cpu_kernels_allowed(x: Tensor) -> bool:
    """Tell whether kernels that are written for a CPU may be used on a tensor."""
    return x.device.type == "cpu" and kernels_allowed()
