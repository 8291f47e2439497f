"""Les Houches event files: which lines name one, how many events it has, and whether chunks can share it."""

from __future__ import annotations

import functools
import gzip
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.guards import reading, regular_file
from hepfm.simulate.lines import setting

_SOURCE, _FRAME, _SKIP = "Beams:LHEF", "Beams:frameType", "Beams:nSkipLHEFatInit"
_PIECE = 1 << 20
"""Bytes that are copied together."""


def event_file(lines: Sequence[str], *, where: str) -> Path | None:
    """Return the file that Pythia's lines read events from; None where Pythia makes them itself.

    Raises
    ------
    ConfigError
        When lines skip events, which is for the chunks to do.
    DataError
        When there is no such file.
    """
    values = dict(setting(line) for line in lines)
    if values.get(_FRAME.lower()) != "4":
        return None
    if _SKIP.lower() in values:
        raise ConfigError(f"{where}: leave out {_SKIP}; which events a chunk skips follows from the recipe")
    path = Path(values.get(_SOURCE.lower(), ""))
    if not path.is_file():
        raise DataError(f"{where}: no file {str(path)!r} of events; name it with {_SOURCE} = FILE")
    return path


def cut_out(path: Path, events: range, target: Path) -> list[str]:
    """Write some events of a file to a file of their own, and return the lines that make Pythia read it.

    Pythia finds an event by reading all before it: chunks that skip would read a long file over and over.
    """
    index = _index(path, path.stat().st_mtime_ns)
    with reading(path, what="a file of events"), index.path.open("rb") as file, target.open("wb") as cut:
        cut.write(file.read(index.starts[0]))
        file.seek(index.starts[events.start])
        left = index.starts[events.stop] - index.starts[events.start]
        while left > 0 and (piece := file.read(min(left, _PIECE))):
            cut.write(piece)
            left -= len(piece)
        cut.write(b"\n</LesHouchesEvents>\n")
    return [f"{_SOURCE} = {target}"]


def used_up(events: range, *, where: str) -> DataError:
    """Return the error of a chunk that has used its events of a file and lacks jets."""
    return DataError(
        f"{where}: the event file has {len(events)} events for a chunk, too few for its jets; ask for fewer "
        "jets or larger chunks, loosen the selection, or give a longer file"
    )


def count_events(path: Path) -> int:
    """Return the number of events of a file, which may be gzipped."""
    return len(_index(path, path.stat().st_mtime_ns).starts) - 1


@dataclass(frozen=True)
class _Index:
    """Where the events of a file begin.

    Attributes
    ----------
    path
        The file, or its unpacked copy.
    starts
        Byte at which each event begins, then that at which the last one ends.
    """

    path: Path
    starts: list[int]


@functools.lru_cache
def _index(path: Path, _changed: int) -> _Index:
    """Find the events of a file in one pass; a gzipped one is unpacked, once in a process."""
    plain = regular_file(path)
    with reading(path, what="a file of events"):
        if path.suffix == ".gz":
            plain = Path(_unpacked().name) / f"{len(path.parts)}-{abs(hash(path))}.lhe"
            with gzip.open(path) as packed, plain.open("wb") as file:
                shutil.copyfileobj(packed, file)
        starts, position, end = [], 0, 0
        with plain.open("rb") as file:
            for line in file:
                text = line.lstrip()
                if text.startswith((b"<event>", b"<event ")):
                    starts.append(position)
                position += len(line)
                if text.startswith(b"</event>"):
                    end = position
    return _Index(plain, [*starts, max(end, *starts, 0)])


@functools.cache
def _unpacked() -> tempfile.TemporaryDirectory[str]:
    """Return the folder of unpacked files, which goes with the process."""
    return tempfile.TemporaryDirectory(prefix="hepfm-events-")


def check_strategy(path: Path) -> None:
    """Refuse a file whose events Pythia would drop at random: a chunk would read those of others.

    Raises
    ------
    DataError
        When the weighting strategy of the file (IDWTUP of hep-ph/0109068) is none of 3, -3, 4, -4.
    """
    with reading(path, what="a file of events"), _open(path) as file:
        found = next((next(file, "").split() for line in file if line.lstrip().startswith("<init")), [])
    if len(found) < 9 or found[8].lstrip("+-") not in ("3", "4"):
        given = found[8] if len(found) > 8 else "missing"
        raise DataError(
            f"{path}: the weighting strategy of its events is {given}; only 3 and 4, with either sign, are "
            "read: of others Pythia drops events at random. Write the file anew with one of these"
        )


def _open(path: Path) -> TextIO:
    regular_file(path)
    return gzip.open(path, "rt") if path.suffix == ".gz" else path.open()
