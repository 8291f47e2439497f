"""Graphs as TorchScript: read by torch alone, in Python and in C++.

torch 2.13 calls TorchScript deprecated without naming an end of reading it: see ``docs/decisions.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from hepfm.models.graphs.capture import Captured, plain, quiet
from hepfm.models.graphs.graph import PLACE, Graph, Stage, Tensors

WORDS = "hepfm.json"
"""Name of the words on the graph among the file's extra files."""


def require() -> None:
    """Nothing: torch itself reads and writes these files."""


def write(graph: Graph, captured: Captured, path: Path) -> None:
    """Write a graph; its words are among the extra files.

    Parameters
    ----------
    graph
        The graph.
    captured
        Its stages.
    path
        The file.
    """
    holder, calls, read = nn.Module(), [], set()
    for number, (stage, program) in enumerate(captured):
        module, names = plain(stage, program)
        setattr(holder, f"stage_{number}", module)
        calls += _calls(stage, names, f"self.stage_{number}")
        read |= {*names, *([stage.times[0]] if isinstance(stage.times, tuple) else [])}
    used = [name for name in graph.inputs if name in read]
    source = "\n".join(
        [
            f"def forward(self, {', '.join(f'{_word(name)}: Tensor' for name in used)}):",
            *(f"    {line}" for line in calls),
            f"    return ({', '.join(_word(name) for name in graph.outputs)},)",
            "",
        ]
    )
    with quiet():
        script = torch.jit.script(holder.eval())
        script.define(source)
        torch.jit.save(script, str(path), _extra_files={WORDS: json.dumps(graph.description(used))})


def _calls(stage: Stage, names: list[str], module: str) -> list[str]:
    """Return the lines that call a stage."""
    given = ", ".join(_word(name) for name in names)
    results = "".join(f"{_word(name)}, " for name in stage.gives)
    call = f"{results}= {module}({given})"
    if stage.times is None:
        return [call]
    times = stage.times
    count = str(times) if isinstance(times, int) else f"{_word(times[0])}.size({times[1]})"
    own = [f"    {_word(PLACE)} = torch.tensor(number, device={_word(stage.reads[0])}.device)"]
    return [f"for number in range({count}):", *(own if PLACE in names else []), f"    {call}"]


def _word(name: str) -> str:
    """Return a variable's name for a name that a schema may have."""
    return f"v_{name}"


class TorchScriptSession:
    """A file that is run.

    Parameters
    ----------
    path
        The file.
    threads
        Not used: torch has one number of threads for all that it does.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        with quiet():
            extra = {WORDS: ""}
            self.module = torch.jit.load(str(path), _extra_files=extra)  # type: ignore[no-untyped-call]
        self.words = json.loads(extra[WORDS])

    def run(self, inputs: Mapping[str, Tensor]) -> Tensors:
        """Return the outputs of inputs by name, of which it takes those that it has."""
        with torch.no_grad():
            found = self.module(*(inputs[name] for name in self.words["inputs"]))
        return dict(zip(self.words["outputs"], found, strict=True))
