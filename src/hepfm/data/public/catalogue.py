"""The catalogue of public data sets."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pydantic

from hepfm.core.config import Config, read_yaml, validate
from hepfm.core.errors import DataError, did_you_mean


class PublicSet(Config):
    """A public data set: in an archive by `zenodo`, on the hub by `hub`, or elsewhere by `doi`.

    Attributes
    ----------
    title
        What it is.
    zenodo
        Number of its record.
    hub
        Its repository, ``owner/name``.
    doi
        Of a set in another archive, whose files are fetched by hand.
    paper
        Its paper, on arXiv; None where none was found.
    reader
        What reads its files; None for `hepfm.data.readers.mapping` with a map.
    traps
        What a reader of its files must know.
    tested
        On what its reader is tested: a real file, or one that the library wrote which wrote the real ones.
    """

    title: str
    zenodo: int | None = None
    hub: str | None = None
    doi: str | None = None
    paper: str | None = None
    reader: str | None
    traps: str
    tested: str

    @pydantic.model_validator(mode="after")
    def _check(self) -> PublicSet:
        if sum(place is not None for place in (self.zenodo, self.hub, self.doi)) != 1:
            raise ValueError("a set has one place: zenodo, hub or doi")
        return self

    @property
    def origin(self) -> str:
        """Where it is, and its paper."""
        return f"{self.place}, arXiv:{self.paper}" if self.paper else self.place

    @property
    def place(self) -> str:
        """Its DOI, or its name on the hub."""
        if self.hub is not None:
            return f"hub:{self.hub}"
        return f"doi:{self.doi}" if self.doi is not None else f"doi:10.5281/zenodo.{self.zenodo}"


@cache
def catalogue() -> dict[str, PublicSet]:
    """Return every set by name."""
    path = Path(__file__).with_name("catalogue.yaml")
    return {name: validate(PublicSet, value, where=name) for name, value in read_yaml(path).items()}


def public_set(name: str) -> PublicSet:
    """Return a set; raise `DataError` when there is none of that name."""
    if name not in catalogue():
        raise DataError(f"no public data set {name!r}{did_you_mean(name, catalogue())}")
    return catalogue()[name]
