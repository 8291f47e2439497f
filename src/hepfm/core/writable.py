"""Where this process may write: ``HEPFM_WRITABLE``, folders with colons between; without it everywhere.

It is a variable of the environment because it has to reach the processes that a verb starts. It guards
against mistakes, those of a program that chooses paths by itself above all. It is no sandbox: libraries write
their caches elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from hepfm.core.errors import ConfigError

VARIABLE = "HEPFM_WRITABLE"


def check_writable(path: str | Path) -> None:
    """Raise `ConfigError` for a path outside of the folders that may be written; links are followed."""
    folders = os.environ.get(VARIABLE)
    if folders is None:
        return
    target = Path(path).resolve()
    if not any(target.is_relative_to(Path(folder).resolve()) for folder in folders.split(os.pathsep)):
        _refuse(path)


def check_remote(address: object) -> None:
    """Raise `ConfigError` for what is written on another machine, unless everything may be written."""
    if VARIABLE in os.environ:
        _refuse(address)


def _refuse(place: object) -> NoReturn:
    raise ConfigError(
        f"{place} is outside of {os.environ[VARIABLE]}, and nothing else may be written ({VARIABLE}); "
        "choose an output inside"
    )


@contextlib.contextmanager
def confined(root: str | Path) -> Iterator[Path]:
    """Work in the folder `root`, made if it is not there, and write nowhere else within the block.

    The working directory belongs to the whole process: not for several threads at once.
    """
    folder = Path(root).resolve()
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(folder), _allowing(str(folder)):
        yield folder


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder that may be written in any case; it is removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get(VARIABLE)
        if before is None:
            yield Path(folder)
            return
        with _allowing(f"{before}{os.pathsep}{folder}"):
            yield Path(folder)


@contextlib.contextmanager
def _allowing(folders: str) -> Iterator[None]:
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = folders
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
