"""Public data sets onto the disk: sizes first, checksums after, and what was begun goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hepfm.core.errors import DataError, missing_extra
from hepfm.core.files import output_path
from hepfm.core.guards import words
from hepfm.core.log import progress
from hepfm.data.public.archive import ArchiveFile, Listing, listing
from hepfm.data.public.catalogue import public_set

_PIECE = 1 << 16
"""Bytes that are written together: less is lost when a connection ends."""
_SECONDS = 60
"""Longest silence of a server."""
_TRIES = 3


def get(
    name: str,
    patterns: Sequence[str] = (),
    *,
    output: str | Path,
    agreed: Callable[[Listing, Sequence[ArchiveFile]], bool] = lambda listing, files: True,
) -> list[Path]:
    """Fetch files of a public data set; those that are there already, with the right checksum, stay.

    Parameters
    ----------
    name
        Of the set; see ``hepfm list dataset``.
    patterns
        Files, such as ``"val.h5"`` or ``"*_test_*"``; all without any.
    output
        Folder.
    agreed
        Called with what there is and what is to be fetched, before anything is.

    Returns
    -------
    list
        The files; none when it was not agreed.

    Raises
    ------
    DataError
        For an unknown set or file, an archive that cannot be reached, a disk without room, or a file whose
        checksum is wrong.
    """
    source = public_set(name)
    found = listing(source)
    files = found.chosen(patterns)
    folder = output_path(output)
    if not agreed(found, files):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    missing = [file for file in files if not _there(file, folder)]
    _refuse_full(folder, missing)
    for file in missing:
        _fetch(file, folder)
    return [folder / file.name for file in files]


def size_of(files: Sequence[ArchiveFile]) -> str:
    """Return the size of files in words."""
    known = sum(file.size or 0 for file in files)
    unknown = sum(file.size is None for file in files)
    for unit, bytes_ in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if known >= bytes_:
            text = f"{known / bytes_:.3g} {unit}"
            break
    else:
        text = f"{known} bytes"
    return f"{text} and {unknown} files of unknown size" if unknown else text


def _there(file: ArchiveFile, folder: Path) -> bool:
    path = folder / file.name
    return path.is_file() and path.stat().st_size == (file.size or path.stat().st_size) and _right(path, file)


def _right(path: Path, file: ArchiveFile) -> bool:
    return file.checksum is None or bool(import_pooch().hashes.hash_matches(str(path), file.checksum))


def _refuse_full(folder: Path, files: Sequence[ArchiveFile]) -> None:
    begun = sum(part.stat().st_size for file in files if (part := _part(folder / file.name)).exists())
    needed = sum(file.size or 0 for file in files) - begun
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: {needed / 1e9:.3g} GB are needed and {free / 1e9:.3g} GB free; choose fewer files"
        )


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _fetch(file: ArchiveFile, folder: Path) -> None:
    pooch = import_pooch()
    path = folder / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        pooch.retrieve(
            file.url,
            known_hash=file.checksum,
            fname=path.name,
            path=path.parent,
            downloader=_Resuming(_part(path), file),
        )
    except ValueError as error:
        _part(path).unlink(missing_ok=True)
        raise DataError(f"{file.url}: {words(error)}; the file was removed, fetch it again") from None
    except Exception as error:
        raise DataError(
            f"cannot fetch {file.url}: {words(error)}; what came is kept, the same command goes on"
        ) from None


class _Resuming:
    """What pooch downloads with: into a file that stays when the connection ends, and is gone on with."""

    def __init__(self, part: Path, file: ArchiveFile) -> None:
        self.part, self.file = part, file

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        import requests

        for attempt in range(_TRIES):
            try:
                self._go_on(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                if attempt == _TRIES - 1:
                    raise
        shutil.move(self.part, output_file)

    def _go_on(self, url: str) -> None:
        import requests

        begun = self.part.stat().st_size if self.part.exists() else 0
        if self.file.size is not None and begun >= self.file.size:
            return
        headers = {"Range": f"bytes={begun}-"} if begun else {}
        with requests.get(url, headers=headers, stream=True, timeout=_SECONDS) as answer:
            answer.raise_for_status()
            # A server that does not know ranges sends the file from its start.
            begun = begun if answer.status_code == requests.codes.partial_content else 0
            with (
                self.part.open("ab" if begun else "wb") as file,
                progress(self.file.name, self.file.size or 0) as advance,
            ):
                advance(begun, self.file.name)
                for piece in answer.iter_content(_PIECE):
                    file.write(piece)
                    advance(len(piece), self.file.name)
        if self.file.size is not None and self.part.stat().st_size < self.file.size:
            raise requests.ConnectionError("the connection ended before the file")


def import_pooch() -> Any:
    """Import pooch; raise `MissingExtraError` where it is absent."""
    try:
        import pooch
    except ImportError:
        raise missing_extra("pooch", "get") from None
    pooch.get_logger().setLevel("ERROR")
    return pooch
