"""The verbs as functions that programs and language models call: described, checked, errors as values.

Everything is derived from the commands of `hepfm.cli` and the types of their results; a new verb is a tool as
soon as it is a verb.

Examples
--------
>>> from hepfm import tools
>>> tools.call("hepfm_list", {"kind": "schedule"})["kinds"]["schedule"]["constant"]
'...'
>>> tools.call("hepfm_lsit")["error"]["message"]
"there is no tool 'hepfm_lsit'; did you mean 'hepfm_list'?"
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepfm.tools.calling import call
    from hepfm.tools.descriptions import Tool, describe
    from hepfm.tools.forms import FORMS
    from hepfm.tools.verbs import commands

_WHERE = {
    "call": "calling",
    "Tool": "descriptions",
    "describe": "descriptions",
    "FORMS": "forms",
    "commands": "verbs",
}

__all__ = ["FORMS", "Tool", "call", "commands", "describe"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:  # imported when used, so that the help of `hepfm tools` need not wait
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
