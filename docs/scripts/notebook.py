"""Make a notebook of a page, and run its cells.

python docs/scripts/notebook.py             write the notebook beside the page
python docs/scripts/notebook.py --run       run its cells in the working folder

Blocks marked ``python`` are the cells; they share their names, as in a notebook.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "tutorials" / "nanoaod.md"
SAMPLE = "nano_tt_v15.root"
"""The file that the cells read."""

_BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Cell:
    """A cell: code, or the text between."""

    code: bool
    text: str


@dataclass(frozen=True)
class Output:
    """What a cell printed, and its figures as PNG."""

    text: str
    figures: Sequence[bytes]

    def markdown(self) -> str:
        """Return it as it stands below the cell."""
        parts = (
            [f'```text {{ .output title="output" }}\n{self.text.rstrip()}\n```\n']
            if self.text.strip()
            else []
        )
        for figure in self.figures:
            parts.append(f"![figure](data:image/png;base64,{base64.b64encode(figure).decode()})\n")
        return "\n".join(parts)


def cells(page: str) -> Iterator[Cell]:
    """Yield the cells of a page in their order."""
    end = 0
    for block in _BLOCK.finditer(page):
        yield Cell(False, page[end : block.start()].strip())
        yield Cell(True, block[1].rstrip())
        end = block.end()
    yield Cell(False, page[end:].strip())


def notebook(page: str) -> str:
    """Return the page as a notebook without outputs (format 4.5)."""
    made = []
    for number, cell in enumerate(cell for cell in cells(page) if cell.text):
        base = {"id": f"cell-{number}", "metadata": {}, "source": cell.text.splitlines(keepends=True)}
        if cell.code:
            made.append({**base, "cell_type": "code", "execution_count": None, "outputs": []})
        else:
            made.append({**base, "cell_type": "markdown"})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return (
        json.dumps({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"
    )


def run(page: str) -> list[Output]:
    """Run the cells one after another in the working folder, and return what each gave."""
    import matplotlib as mpl

    mpl.use("Agg")
    names: dict[str, object] = {"__name__": "__main__"}
    return [_run(cell.text, names) for cell in cells(page) if cell.code]


def _run(code: str, names: dict[str, object]) -> Output:
    import matplotlib.pyplot as plt

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.parse(code), "<cell>", "exec"), names)
    figures = []
    for number in plt.get_fignums():
        picture = io.BytesIO()
        plt.figure(number).savefig(picture, format="png", dpi=110)
        figures.append(picture.getvalue())
    plt.close("all")
    return Output(printed.getvalue(), figures)


def with_outputs(page: str, outputs: Sequence[Output]) -> str:
    """Return the page with what each cell gave below it."""
    left = iter(outputs)
    return _BLOCK.sub(lambda block: f"{block[0]}\n{next(left).markdown()}", page)


if __name__ == "__main__":
    if sys.argv[1:] == ["--run"]:
        print(with_outputs(PAGE.read_text(encoding="utf-8"), run(PAGE.read_text(encoding="utf-8"))))
    else:
        PAGE.with_suffix(".ipynb").write_text(notebook(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
