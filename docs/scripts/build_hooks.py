"""What the build of the pages does beside turning them into HTML: it runs the notebook and shows what its cells give."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import notebook

LOG = logging.getLogger("mkdocs.hooks.notebook")
SAMPLES = ("shared/data", "../shared/data")
"""Folders of sample files, from the root of the repository."""


def sample() -> Path | None:
    """Return the file that the notebook reads, where it is."""
    root = Path(__file__).parents[2]
    found = [root / folder / notebook.SAMPLE for folder in SAMPLES]
    return next((path.resolve() for path in found if path.exists()), None)


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return the page of the notebook with the outputs of its cells."""
    if page.file.src_uri != "tutorials/nanoaod.md":
        return markdown
    path = sample()
    if path is None or importlib.util.find_spec("hepfm") is None:
        LOG.info("the notebook is shown without outputs: its sample file or hepfm is not here")
        return markdown.replace(
            "what they print stands below them", "here they were not, for the sample file was absent"
        )
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path(notebook.SAMPLE).symlink_to(path)
        return notebook.with_outputs(markdown, notebook.run(markdown))
