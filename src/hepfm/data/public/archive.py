"""What files a public data set has, as its archive says: names, sizes, checksums, licence."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

from hepfm.core.errors import DataError, did_you_mean, missing_extra
from hepfm.core.guards import words
from hepfm.data.public.catalogue import PublicSet

ZENODO = "https://zenodo.org"
HUB = "https://huggingface.co"
_SECONDS = 30
"""Longest wait for an answer."""


@dataclass(frozen=True)
class ArchiveFile:
    """A file of an archive.

    Attributes
    ----------
    name
        Its path in the data set.
    size
        Bytes; None where the archive does not say.
    checksum
        ``"md5:..."`` or ``"sha256:..."``; None where the archive has none.
    url
        Where it is.
    """

    name: str
    size: int | None
    checksum: str | None
    url: str


@dataclass(frozen=True)
class Listing:
    """The files of a data set and its licence, as the archive states it."""

    files: tuple[ArchiveFile, ...]
    licence: str

    def chosen(self, patterns: Sequence[str]) -> tuple[ArchiveFile, ...]:
        """Return the files that fit a pattern, all without any; raise `DataError` where one fits none."""
        names = [file.name for file in self.files]
        for pattern in patterns:
            if not any(fnmatch(name, pattern) for name in names):
                raise DataError(f"no file {pattern!r} in this data set{did_you_mean(pattern, names)}")
        if not patterns:
            return self.files
        return tuple(file for file in self.files if any(fnmatch(file.name, pattern) for pattern in patterns))


def listing(source: PublicSet) -> Listing:
    """Ask the archive for the files of a set.

    ``HEPFM_ZENODO`` and ``HF_ENDPOINT`` name other servers, such as a mirror.

    Raises
    ------
    DataError
        When the archive cannot be reached, its answer is not one, or it has no list of files to ask for.
    """
    if source.doi is not None:
        raise DataError(
            f"{source.title}: its archive has no list of files that hepfm can ask for; fetch them by hand "
            f"from https://doi.org/{source.doi}"
        )
    return _of_zenodo(source) if source.zenodo is not None else _of_hub(source)


def _of_zenodo(source: PublicSet) -> Listing:
    server = os.environ.get("HEPFM_ZENODO", ZENODO).rstrip("/")
    record = _asked(f"{server}/api/records/{source.zenodo}")
    try:
        files = tuple(
            ArchiveFile(
                _plain(file["key"]), int(file["size"]), str(file["checksum"]), str(file["links"]["self"])
            )
            for file in record["files"]
        )
        return Listing(files, str(record["metadata"].get("license", {}).get("id", "not stated")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{server} gave no list of files for record {source.zenodo}: {words(error)}"
        ) from None


def _of_hub(source: PublicSet) -> Listing:
    server = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    found = _asked(f"{server}/api/datasets/{source.hub}?blobs=true")
    try:
        files = tuple(
            ArchiveFile(
                _plain(file["rfilename"]),
                file.get("size"),
                f"sha256:{file['lfs']['sha256']}" if file.get("lfs") else None,
                f"{server}/datasets/{source.hub}/resolve/{found['sha']}/{file['rfilename']}",
            )
            for file in found["siblings"]
        )
        licence = (found.get("cardData") or {}).get("license", "not stated")
        return Listing(files, str(licence))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _no_list(server, source, error) from None


def _no_list(server: str, source: PublicSet, error: Exception) -> DataError:
    return DataError(f"{server} gave no list of files for {source.place}: {words(error)}")


def _asked(url: str) -> Any:
    try:
        import requests
    except ImportError:
        raise missing_extra("pooch", "get") from None
    try:
        answer = requests.get(url, timeout=_SECONDS)
        answer.raise_for_status()
        return answer.json()
    except (requests.RequestException, ValueError) as error:
        raise DataError(f"cannot ask {url}: {words(error)}") from None


def _plain(name: Any) -> str:
    """Return the name of a file; raise `DataError` for one that leads out of the folder of the set."""
    path = PurePosixPath(str(name))
    if not str(name) or path.is_absolute() or ".." in path.parts or "\\" in str(name) or "\0" in str(name):
        raise DataError(f"the archive names a file {name!r}, which would lie outside the data set's folder")
    return str(path)
