"""A server on this machine that answers as the Hugging Face hub does, where models are pushed and pulled."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_of_the_test"


@dataclass
class Repository:
    """Commits by branch, files by commit."""

    private: bool
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, revision: str | None) -> str | None:
        name = revision or "main"
        return name if name in self.commits else self.branches.get(name)

    def files(self, revision: str | None) -> dict[str, bytes]:
        commit = self.commit(revision)
        return self.commits[commit] if commit else {}

    def put(self, branch: str, files: dict[str, bytes]) -> str:
        everything = {**self.files(branch), **files}
        digest = hashlib.sha1(usedforsecurity=False)
        for name, content in sorted(everything.items()):
            digest.update(name.encode() + content)
        self.branches[branch] = digest.hexdigest()
        self.commits[digest.hexdigest()] = everything
        return digest.hexdigest()


class Hub(ThreadingHTTPServer):
    """The server: its repositories, what it was asked for, and what it does wrong."""

    daemon_threads = True
    repositories: dict[str, Repository]
    asked: list[tuple[str, str, str | None]]
    breaks_in: str | None = None
    extra_sibling: str | None = None
    forbids: bool = False


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        self._note()
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"] and len(parts) in (4, 6):
            self._info("/".join(parts[2:4]), parts[5] if len(parts) == 6 else None)
        elif "resolve" in parts:
            self._file(body=True)
        else:
            self._error(404, "")

    def do_POST(self) -> None:
        self._note()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts == ["api", "validate-yaml"]:
            self._json({"errors": [], "warnings": []})
        elif self.server.forbids or self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._error(403, "")
        elif parts == ["api", "repos", "create"]:
            self._create(json.loads(body))
        else:
            self._write("/".join(parts[2:4]), parts[4], parts[5], body)

    def _note(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization")))

    def _create(self, asked: dict[str, Any]) -> None:
        name = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
        status = 409 if name in self.server.repositories else 200
        self.server.repositories.setdefault(name, Repository(asked.get("visibility") == "private"))
        self._json({"url": f"http://127.0.0.1:{self.server.server_port}/{name}", "id": name}, status)

    def _write(self, name: str, verb: str, revision: str, body: bytes) -> None:
        repository = self.server.repositories[name]
        if verb == "branch":
            repository.branches.setdefault(revision, repository.put("main", {}))
            self._json({})
        elif verb == "preupload":
            files = [
                {"path": entry["path"], "uploadMode": "regular", "shouldIgnore": False}
                for entry in json.loads(body)["files"]
            ]
            self._json({"files": files})
        else:
            entries = [json.loads(line) for line in body.splitlines() if line.strip()]
            files = {
                entry["value"]["path"]: base64.b64decode(entry["value"]["content"])
                for entry in entries
                if entry["key"] == "file"
            }
            commit = repository.put(revision, files)
            base = f"http://127.0.0.1:{self.server.server_port}"
            self._json({"commitUrl": f"{base}/{name}/commit/{commit}", "commitOid": commit, "success": True})

    def _seen(self, name: str) -> Repository | None:
        repository = self.server.repositories.get(name)
        may_see = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        return None if repository is None or (repository.private and not may_see) else repository

    def _info(self, name: str, revision: str | None) -> None:
        repository = self._seen(name)
        if repository is None:
            self._error(404, "RepoNotFound")
            return
        commit = repository.commit(revision)
        if revision is not None and commit is None:
            self._error(404, "RevisionNotFound")
            return
        siblings = [
            {"rfilename": file, "size": len(content)} for file, content in repository.files(revision).items()
        ]
        if self.server.extra_sibling:
            siblings.append({"rfilename": self.server.extra_sibling, "size": 3})
        self._json({"id": name, "modelId": name, "sha": commit or "0" * 40, "siblings": siblings})

    def _file(self, *, body: bool) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        repository = self._seen("/".join(parts[:2]))
        content = repository.files(parts[3]).get("/".join(parts[4:])) if repository else None
        if repository is None or content is None:
            self._error(404, "EntryNotFound" if repository else "RepoNotFound")
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"')
        self.send_header("X-Repo-Commit", repository.commit(parts[3]) or "")
        self.end_headers()
        if body:
            broken = self.server.breaks_in == parts[-1]
            self.wfile.write(content[: len(content) // 2] if broken else content)
            self.close_connection = broken

    def _json(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()


@contextmanager
def running() -> Iterator[Hub]:
    """Run a hub without repositories while the block lasts."""
    hub = Hub(("127.0.0.1", 0), Handler)
    hub.repositories, hub.asked = {}, []
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
