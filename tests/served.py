"""A server on this machine, with the habits of those that files are fetched from."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar


class Server(ThreadingHTTPServer):
    """Files by name, and what the server was asked for.

    Attributes
    ----------
    files
        Content of each file; it is found by the end of the path that is asked for.
    asked
        Path and range of each GET.
    ranges
        Whether parts of files are sent.
    breaks_after
        Bytes after which the connection ends, when a file is asked for from its start.
    claims
        Bytes that are told to be in each file beyond those that are.
    waits
        Seconds before each answer.
    status
        In place of 200.
    """

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that have gone."""

    def __init__(self, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.ranges = True
        self.breaks_after: int | None = None
        self.claims = 0
        self.waits = 0.0
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._respond(body=False)

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))
        self._respond(body=True)

    def name(self) -> str:
        """Return the name of the file that is asked for."""
        return self.path.lstrip("/").partition("?")[0]

    def _respond(self, *, body: bool) -> None:
        time.sleep(self.server.waits)
        content = self.server.files.get(self.name())
        if self.server.status != 200 or content is None:
            self.answer(404 if content is None else self.server.status, b"")
            return
        size, asked = len(content) + self.server.claims, self.headers.get("Range")
        start, stop = 0, size
        if asked and self.server.ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last) + 1 if last else size, size)
        sent = content[start:stop]
        if self.server.breaks_after is not None and not start:
            sent = sent[: self.server.breaks_after]
        partial = asked is not None and self.server.ranges
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{size}"} if partial else {}
        self.answer(206 if partial else 200, sent if body else b"", length=stop - start, **headers)

    def answer(self, code: int, content: bytes, *, length: int | None = None, **headers: str) -> None:
        """Send an answer; its `length` may be a lie."""
        self.send_response(code)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


S = TypeVar("S", bound=Server)


@contextmanager
def serving(handler: type[Handler] = Handler, kind: type[S] = Server) -> Iterator[S]:
    """Run a server in a thread of its own."""
    server = kind(handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
