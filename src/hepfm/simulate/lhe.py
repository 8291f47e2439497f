"""Les Houches event files: which lines name one, and which of its events a chunk may use.

A file has so many events and no more. They are dealt out by position, in proportion to the jets that each
chunk has to make, so that no event serves two chunks and hence none two splits.
"""

from __future__ import annotations

import functools
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.files import sha256
from hepfm.core.guards import reading, regular_file

if TYPE_CHECKING:
    from hepfm.simulate.chunk import ChunkKey
    from hepfm.simulate.jet_recipe import JetRecipe

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


def events_of(recipe: JetRecipe, key: ChunkKey, keys: Sequence[ChunkKey]) -> range | None:
    """Return the events of the file that a chunk may use; None where Pythia makes its own.

    Parameters
    ----------
    recipe
        The recipe.
    key
        The chunk.
    keys
        All chunks of the recipe.
    """
    path = _file_of(recipe, key)
    if path is None:
        return None
    sharers = [other for other in keys if _file_of(recipe, other) == path]
    before = sum(other.rows for other in sharers[: sharers.index(key)])
    total, events = sum(other.rows for other in sharers), count_events(path)
    return range(events * before // total, events * (before + key.rows) // total)


def _file_of(recipe: JetRecipe, key: ChunkKey) -> Path | None:
    return event_file(recipe.lines(key.class_name, key.index), where=f"class {key.class_name}")


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


def file_hashes(recipe: JetRecipe) -> dict[str, str]:
    """Return the SHA-256 of every file of events that a recipe reads, by its path as given."""
    found = {}
    for name in recipe.class_names:
        for variant in range(recipe.num_variants(name)):
            path = event_file(recipe.lines(name, variant), where=f"class {name}")
            if path is not None and str(path) not in found:
                found[str(path)] = sha256(path)
    return found
