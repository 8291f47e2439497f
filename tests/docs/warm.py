"""A process that has imported the package and forks for each call of ``hepfm``: no call waits for torch.

The blocks of the pages call ``hepfm`` some 170 times, and each would spend two seconds on imports. Run as a
script with the path of a socket it serves; `start` starts one and writes a ``hepfm`` that asks it. A call has
its own process, folder, environment, standard streams and exit code, as if it were started."""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

IMPORTED = (
    "hepfm.cli.main",
    *("hepfm.train.pretrain", "hepfm.train.finetune", "hepfm.tasks.evaluate", "hepfm.report.compare"),
    *("hepfm.simulate.run", "hepfm.inference.generate", "hepfm.study.study", "sklearn.linear_model"),
)

_CLIENT = """#!{python} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({path!r})
call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(call).to_bytes(8, "big")], [0, 1, 2])
server.sendall(call)
sys.exit(int(server.recv(4) or b"70"))
"""


def start(folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a server; the folder then has a ``hepfm`` for the PATH. Kill it in the end."""
    path = folder / "socket"
    server = subprocess.Popen([sys.executable, __file__, str(path)], env=environment)
    client = folder / "hepfm"
    client.write_text(_CLIENT.format(python=sys.executable, path=str(path)), encoding="utf-8")
    client.chmod(0o755)
    while not path.exists():
        if server.poll() is not None:
            raise RuntimeError("the server of calls did not start")
        time.sleep(0.05)
    return server


def serve(path: str) -> Callable[[], object] | None:
    """Answer calls. Return in a forked process, with what it has to do; never in the server."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path + ".new")
    listener.listen()
    Path(path + ".new").rename(path)
    while True:
        caller, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _answer(caller)
        caller.close()


def _answer(caller: socket.socket) -> Callable[[], object] | None:
    """Fork once more, for the call; tell its exit code when it has ended."""
    size, streams, _, _ = socket.recv_fds(caller, 8, 3)
    text = caller.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
    arguments, folder, environment = json.loads(text)
    process = os.fork()
    if process:
        _, status = os.waitpid(process, 0)
        caller.sendall(str(os.waitstatus_to_exitcode(status) % 256).encode())
        os._exit(0)
    caller.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["hepfm", *arguments]
    from hepfm.cli.main import main

    return main


def _end(call: Callable[[], object]) -> NoReturn:
    """Make a call and end the process as Python does, but for freeing every module, which takes a second."""
    try:
        call()
        code: object = 0
    except SystemExit as error:
        code = error.code
    except BaseException:  # as Python itself says it
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    for _name in IMPORTED:
        __import__(_name)
    gc.freeze()  # or collections in the forked processes would copy all of the memory
    _call = serve(sys.argv[1])
    if _call is not None:
        _end(_call)
