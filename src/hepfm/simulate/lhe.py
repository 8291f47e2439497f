"""Les Houches event files: which lines name one, how many events it has, and whether chunks can share it."""

from __future__ import annotations

import functools
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.guards import reading, regular_file

_SOURCE, _FRAME, _SKIP = "Beams:LHEF", "Beams:frameType", "Beams:nSkipLHEFatInit"


def event_file(lines: Sequence[str], *, where: str) -> Path | None:
    """Return the file that Pythia's lines read events from; None where Pythia makes them itself.

    Raises
    ------
    ConfigError
        When lines skip events, which is for the chunks to do.
    DataError
        When there is no such file.
    """
    parts = (line.partition("=") for line in lines)
    values = {key.strip().lower(): value.strip() for key, _, value in parts}  # Pythia ignores case too
    if values.get(_FRAME.lower()) != "4":
        return None
    if _SKIP.lower() in values:
        raise ConfigError(f"{where}: leave out {_SKIP}; which events a chunk skips follows from the recipe")
    path = Path(values.get(_SOURCE.lower(), ""))
    if not path.is_file():
        raise DataError(f"{where}: no file {str(path)!r} of events; name it with {_SOURCE} = FILE")
    return path


def skip(events: range) -> str:
    """Return the line that makes Pythia begin with the first of these events."""
    return f"{_SKIP} = {events.start}"


def used_up(events: range, *, where: str) -> DataError:
    """Return the error of a chunk that has used its events of a file and lacks jets."""
    return DataError(
        f"{where}: the event file has {len(events)} events for a chunk, too few for its jets; ask for fewer "
        "jets or larger chunks, loosen the selection, or give a longer file"
    )


def count_events(path: Path) -> int:
    """Return the number of events of a file, which may be gzipped."""
    return _count(path, path.stat().st_mtime_ns)


@functools.lru_cache
def _count(path: Path, _changed: int) -> int:
    with reading(path, what="a file of events"), _open(path) as file:
        return sum(line.lstrip().startswith(("<event>", "<event ")) for line in file)


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
