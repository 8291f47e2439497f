"""The Hugging Face hub by its own library, with errors as one line each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hepfm
from hepfm.core.errors import HepfmError, ModelError, missing_extra
from hepfm.core.guards import words
from hepfm.models.hub.address import HubAddress

TOKEN = "HF_TOKEN"
"""The variable of the environment with the user's token; it is read from nowhere else."""


def require() -> Any:
    """Return the library; raise `MissingExtraError` where it is absent."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise missing_extra("huggingface-hub", "hub") from None
    disable_progress_bars()
    return huggingface_hub


@dataclass(frozen=True)
class Found:
    """A revision of a repository: its commit, and the sizes of its files by their names."""

    commit: str
    sizes: Mapping[str, int | None]


class Client:
    """Calls of the hub, at ``HF_ENDPOINT`` if it is set, with the token of the environment."""

    def __init__(self) -> None:
        library = require()
        self.errors = library.errors
        self.endpoint = os.environ.get("HF_ENDPOINT") or None
        self.token: str | bool = os.environ.get(TOKEN) or False
        self.add = library.CommitOperationAdd
        self.api = library.HfApi(
            endpoint=self.endpoint, token=self.token, library_name="hepfm", library_version=hepfm.__version__
        )

    def find(self, address: HubAddress) -> Found | None:
        """Return what a repository holds; None when there is no such repository."""
        try:
            with self._told(address):
                info = self.api.model_info(
                    address.repository, revision=address.revision, files_metadata=True, token=self.token
                )
        except _NoRepository:
            return None
        sizes = {entry.rfilename: entry.size for entry in info.siblings or ()}
        return Found(str(info.sha), sizes)

    def find_revision(self, address: HubAddress) -> Found | None:
        """Return what a revision of a repository that is there holds; None when it has no such revision."""
        try:
            return self.find(address)
        except _NoRevision:
            return None

    def fetch(self, address: HubAddress, commit: str, names: Sequence[str], folder: Path) -> list[Path]:
        """Fetch files of a commit into a folder; return their paths."""
        with self._told(address):
            return [
                Path(
                    self.api.hf_hub_download(
                        address.repository, name, revision=commit, local_dir=folder, token=self.token
                    )
                )
                for name in names
            ]

    def store(
        self, address: HubAddress, files: Mapping[str, Path | bytes], *, private: bool, message: str
    ) -> str:
        """Put files into a repository, which is made if it is not there, in one commit; return the commit."""
        if not self.token:
            raise HepfmError(
                f"pushing to {address} needs a token of the hub with leave to write: set it in the "
                f"environment as {TOKEN}"
            )
        with self._told(address):
            self.api.create_repo(address.repository, private=private, exist_ok=True, token=self.token)
            if address.revision is not None:
                self.api.create_branch(
                    address.repository, branch=address.revision, exist_ok=True, token=self.token
                )
            done = self.api.create_commit(
                address.repository,
                [self.add(path_in_repo=name, path_or_fileobj=source) for name, source in files.items()],
                commit_message=message,
                revision=address.revision,
                token=self.token,
            )
        return str(done.oid)

    @contextlib.contextmanager
    def _told(self, address: HubAddress) -> Iterator[None]:
        """Turn the library's errors into one line; its own name the address and the next step."""
        errors = self.errors
        try:
            yield
        except HepfmError:
            raise
        except errors.GatedRepoError:
            raise ModelError(
                f"{address} is given only to those who accepted its terms: accept them on its page, and set "
                f"{TOKEN} to a token of that account"
            ) from None
        except errors.RepositoryNotFoundError:
            raise _NoRepository(
                f"the hub has no model {address.repository}, or it is private and {TOKEN} is not the token "
                "of one who may see it"
            ) from None
        except errors.RevisionNotFoundError:
            raise _NoRevision(f"{address.repository} has no revision {address.revision!r}") from None
        except Exception as error:
            raise ModelError(f"{address}: {self._why(error)}") from error

    def _why(self, error: Exception) -> str:
        """Return why a call failed; a token never stands in it."""
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            return f"the hub refuses this account; set {TOKEN} to a token with leave to do this"
        text = words(error)
        if isinstance(self.token, str):
            text = text.replace(self.token, "***")
        where = self.endpoint or "the hub"
        return f"{where} did not do it: {text}; nothing was changed here, run the command again"


class _NoRepository(ModelError):
    """A repository that is not there, or that is not shown to this account."""


class _NoRevision(ModelError):
    """A revision that a repository does not have."""
