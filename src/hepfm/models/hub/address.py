"""Where a model is pushed to or pulled from: ``hf://owner/name@revision``, ``file:///folder``, a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hepfm.core.errors import ConfigError

HUB = "hf://"
"""Start of an address on the Hugging Face hub."""

_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_./-]*[A-Za-z0-9_])?")
_LONGEST = 96
"""Characters of the name of a repository, as the hub has it."""


@dataclass(frozen=True)
class HubAddress:
    """A repository of models on the hub.

    Attributes
    ----------
    owner, name
        Of the repository.
    revision
        A branch, a tag or a commit; None for the newest of the main branch.
    """

    owner: str
    name: str
    revision: str | None = None

    @property
    def repository(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"

    def __str__(self) -> str:
        return f"{HUB}{self.repository}{f'@{self.revision}' if self.revision else ''}"


def is_hub(address: object) -> bool:
    """Tell whether an address lies on the hub; also one that has passed through `Path`."""
    return str(address).startswith(("hf://", "hf:/"))


def read_address(address: str | Path, *, revision: str | None = None) -> HubAddress | Path:
    """Return the repository or the folder that an address means.

    Parameters
    ----------
    address
        ``hf://owner/name``, ``hf://owner/name@revision``, ``file:///folder``, or the path of a folder.
    revision
        The revision, where the address has none.

    Raises
    ------
    ConfigError
        For another scheme, or names that the hub does not have.
    """
    text = str(address)
    if is_hub(text):
        return _hub(text, revision)
    if revision is not None:
        raise ConfigError(f"{text} is a folder, which has no revisions; leave out --revision")
    if text.startswith("file://"):
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise ConfigError(f"{text} is not the address of a folder of this machine; write file:///path")
        return Path(unquote(parts.path))
    if "://" in text:
        scheme = text.split("://", 1)[0]
        raise ConfigError(
            f"{text}: {scheme}:// is not known; use hf://owner/name, file:///folder, or the path of a folder"
        )
    return Path(text)


def _hub(text: str, revision: str | None) -> HubAddress:
    rest = re.sub(r"^hf:/{1,2}", "", text)
    rest, at, told = rest.partition("@")
    if at and revision is not None and told != revision:
        raise ConfigError(f"{text} has revision {told!r}, and --revision says {revision!r}; give one of them")
    chosen = told if at else revision
    owner, slash, name = rest.partition("/")
    if not slash or not _is_name(owner) or not _is_name(name) or len(rest) > _LONGEST:
        raise ConfigError(
            f"{text} is not the address of a model: expected hf://owner/name, of letters, digits, '-', '_' "
            f"and '.', at most {_LONGEST} characters"
        )
    if chosen is not None and not (_REVISION.fullmatch(chosen) and ".." not in chosen):
        raise ConfigError(f"{chosen!r} is not a revision; give a branch, a tag or a commit")
    return HubAddress(owner, name, chosen)


def _is_name(text: str) -> bool:
    return bool(_PART.fullmatch(text)) and ".." not in text and "--" not in text
