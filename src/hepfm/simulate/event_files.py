"""Event files of a recipe, Les Houches or HepMC3, and which of its events a chunk may use.

A file has so many events and no more. They are dealt out by position, in proportion to the rows that each
chunk has to make, so that no event serves two chunks and hence none two splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hepfm.core.errors import ConfigError
from hepfm.core.files import sha256
from hepfm.simulate import hepmc, lhe
from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.collision_recipe import CollisionRecipe


def events_of(recipe: CollisionRecipe, key: ChunkKey, keys: Sequence[ChunkKey]) -> range | None:
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
    path = file_of(recipe, key.class_name, key.index)
    if path is None:
        return None
    sharers = [other for other in keys if file_of(recipe, other.class_name, other.index) == path]
    before = sum(other.rows for other in sharers[: sharers.index(key)])
    given = recipe.given_events(key.class_name) is not None
    events = hepmc.count_events(path) if given else lhe.count_events(path)
    total = sum(other.rows for other in sharers)
    return range(events * before // total, events * (before + key.rows) // total)


def file_of(recipe: CollisionRecipe, class_name: str, chunk: int) -> Path | None:
    """Return the event file of a chunk of a class; None where Pythia makes its own events."""
    given = recipe.given_events(class_name)
    if given is not None:
        return given
    return lhe.event_file(recipe.lines(class_name, chunk), where=f"class {class_name}")


def check_files(recipe: CollisionRecipe) -> None:
    """Raise an error for event files that are missing, damaged, or cannot be shared by chunks.

    Raises
    ------
    ConfigError
        When a variation has a file, and a class no Les Houches file whose events it could hold.
    DataError
        For a file.
    """
    again = recipe.simulated_again()
    for name in recipe.class_names:
        given = recipe.given_events(name)
        if given is not None:
            if again:
                raise ConfigError(
                    f"class {name} has the events of a HepMC3 file, which are no hard events to simulate "
                    "again; leave out resimulate, or name the file under resimulate.files"
                )
            hepmc.check(given)
            continue
        for variant in range(recipe.num_variants(name)):
            path = file_of(recipe, name, variant)
            if path is not None:
                lhe.check_strategy(path)
            elif again and again.files:
                raise ConfigError(
                    f"class {name}: a variation from a file needs hard events from a Les Houches file "
                    "(Beams:frameType = 4, Beams:LHEF = FILE), by whose position its events are found"
                )
        for path in variation_files(recipe, name):
            hepmc.check(path)


def variation_files(recipe: CollisionRecipe, class_name: str) -> list[Path]:
    """Return the files of the variations of a class."""
    again = recipe.simulated_again()
    if again is None:
        return []
    return [Path(file.replace("{class}", class_name)) for file in again.files.values()]


def file_hashes(recipe: CollisionRecipe) -> dict[str, str]:
    """Return the SHA-256 of every file of events that a recipe reads, by its path as given."""
    found = {}
    for name in recipe.class_names:
        paths = [file_of(recipe, name, variant) for variant in range(recipe.num_variants(name))]
        for path in [*filter(None, paths), *variation_files(recipe, name)]:
            if str(path) not in found:
                if recipe.given_events(name) is not None or path in variation_files(recipe, name):
                    hepmc.check(path)
                found[str(path)] = sha256(path)
    return found
