"""Which files are meant: paths, patterns, folders, URLs and lists of them, each with a split."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from hepfm.core.errors import DataError
from hepfm.core.files import read_text
from hepfm.core.guards import reading, regular_file
from hepfm.data.remote import DataFile, RemoteFile, data_file, is_url

LIST = "@"
"""Begins the name of a file that lists paths."""


def find_inputs(texts: Iterable[str | Path], endings: Sequence[str]) -> list[tuple[str | None, DataFile]]:
    """Return the files that are meant, each with the split that is named for it, or None.

    Parameters
    ----------
    texts
        Each alone or as ``split=...``: a path; a pattern such as ``jets_*.root`` or ``**/*.h5``; a folder, of
        which the files with the format's endings are taken, not those of folders in it; or ``@list.txt``, a
        file with one path a line, relative to it, where empty lines and lines that begin with # are left out.
        Or a URL, in a list too: ``https://``, ``http://``, ``root://``, ``s3://`` or ``file://``. Servers are
        asked neither for the files of folders nor of patterns, and not whether a file is there before it is
        read.
        The files of a pattern or folder come in natural order, ``jets_2`` before ``jets_10``.
    endings
        Of files of the format, e.g. ``(".root", ".parquet")``.

    Raises
    ------
    DataError
        When a file is missing, or a pattern, folder or list has none.
    """
    inputs: list[tuple[str | None, DataFile]] = []
    for text in map(str, texts):
        split, url = _split_and_url(text)
        if url is not None:
            inputs.append((split, _checked(data_file(url))))
            continue
        with reading(text):
            split, rest = _split_and_rest(text)
            inputs += [(split, _checked(path)) for path in _expand(rest, endings)]
    return inputs


def _split_and_url(text: str) -> tuple[str | None, str | None]:
    """Cut the split off a URL, which may have equals signs of its own; return no URL for another text."""
    split, _, rest = text.partition("=")
    return (None, text) if is_url(text) else (split, rest) if is_url(rest) else (None, None)


def _checked(path: DataFile) -> DataFile:
    return path if isinstance(path, RemoteFile) else regular_file(path)


def _split_and_rest(text: str) -> tuple[str | None, str]:
    """Cut off the split; a path that exists, or a pattern that matches, may have an equals sign itself."""
    split, equals, rest = text.partition("=")
    whole = not equals or text.startswith(LIST) or Path(text).exists() or _matches(text)
    return (None, text) if whole else (split, rest)


def _expand(text: str, endings: Sequence[str]) -> Sequence[DataFile]:
    path = Path(text)
    if text.startswith(LIST) and not path.exists():
        return _listed(Path(text.removeprefix(LIST)))
    if path.is_dir():
        found = sorted((file for file in path.iterdir() if _is_meant(file, endings)), key=_natural)
        if not found:
            raise DataError(f"no file in the folder {path} ends in {' or '.join(endings)}")
        return found
    if path.exists():
        return [path]
    if not glob.has_magic(text):
        raise DataError(f"no file {path}")
    matches = _matches(text)
    if not matches:
        raise DataError(f"no file matches {text!r}")
    return matches


def _matches(pattern: str) -> list[Path]:
    # Unlike those of pathlib, these patterns leave hidden files out.
    found = map(Path, glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else ()  # noqa: PTH207
    return sorted((path for path in found if path.is_file()), key=_natural)


def _listed(file: Path) -> list[DataFile]:
    lines = [line.strip() for line in read_text(file, DataError).splitlines()]
    kept = [line for line in lines if line and not line.startswith("#")]
    paths = [data_file(line) if is_url(line) else file.parent / line for line in kept]
    if not paths:
        raise DataError(f"{file} lists no file; expected one path a line")
    return paths


def _is_meant(file: Path, endings: Sequence[str]) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.name.lower().endswith(tuple(endings))


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a key by which whole numbers in a path are in order, whatever their number of digits."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]
