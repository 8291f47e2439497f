"""The manifest of a store: schema, shards with their hashes, provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pydantic

from hepfm.core.config import fingerprint
from hepfm.core.errors import DataError
from hepfm.core.files import read_json
from hepfm.core.guards import member, reading, words
from hepfm.core.schema import Schema

MANIFEST = "manifest.json"
FORMAT = "hepfm-store"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class ShardInfo:
    """One file of a store: its name, split, number of rows, size in bytes and SHA-256."""

    file: str
    split: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a store says about itself.

    Attributes
    ----------
    schema
        The meaning of every column.
    shards
        The files in row order; the shards of one split follow each other.
    provenance
        Where the data come from: generator settings, seeds, versions, source and licence. JSON-ready.
    """

    schema: Schema
    shards: tuple[ShardInfo, ...]
    provenance: Mapping[str, Any]

    @property
    def num_rows(self) -> int:
        """Number of rows of all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def fingerprint(self) -> str:
        """Short hash of schema and contents; it does not depend on provenance or on the store's place."""
        shards = [[shard.split, shard.rows, shard.sha256] for shard in self.shards]
        return fingerprint({"schema": self.schema.to_dict(), "shards": shards})

    def splits(self) -> dict[str, range]:
        """Return the row numbers of each split."""
        splits: dict[str, range] = {}
        start = 0
        for shard in self.shards:
            first = splits[shard.split].start if shard.split in splits else start
            start += shard.rows
            splits[shard.split] = range(first, start)
        return splits

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "num_rows": self.num_rows,
            "splits": {name: [rows.start, rows.stop] for name, rows in self.splits().items()},
            "schema": self.schema.to_dict(),
            "shards": [asdict(shard) for shard in self.shards],
            "provenance": dict(self.provenance),
        }


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a store; raise `DataError` when there is none that this version can read."""
    path = folder / MANIFEST
    with reading(folder, what="a store"):
        if not folder.is_dir():
            raise DataError(f"no store at {folder}; make one with `hepfm simulate` or `hepfm ingest`")
        if not path.exists():
            raise DataError(f"{folder} is not a store: it has no {MANIFEST}")
        return _parse(read_json(member(folder, MANIFEST), DataError), path)


def _parse(values: Any, path: Path) -> Manifest:
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise DataError(f"{path} is not the manifest of a store")
    version = values.get("format_version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise DataError(
            f"{path} has format version {version!r}, this hepfm reads up to {FORMAT_VERSION}; upgrade hepfm"
        )
    try:
        shards = pydantic.TypeAdapter(tuple[ShardInfo, ...]).validate_json(
            json.dumps(values["shards"]), strict=True
        )
        provenance = pydantic.TypeAdapter(dict[str, Any]).validate_python(values["provenance"], strict=True)
        manifest = Manifest(Schema.from_dict(values["schema"]), shards, provenance)
    except (KeyError, TypeError, ValueError, DataError) as error:
        raise DataError(f"{path} is damaged ({words(error)}); restore it or make the store again") from None
    for shard in shards:
        if shard.rows < 0 or shard.bytes < 0:
            raise DataError(f"{path} is damaged: {shard.file} has {shard.rows} rows and {shard.bytes} bytes")
    if manifest.num_rows != values.get("num_rows"):
        raise DataError(f"{path} says {values.get('num_rows')} rows, its shards have {manifest.num_rows}")
    return manifest
