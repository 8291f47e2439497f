"""Damaged files of every format that `hepfm ingest` reads, in numbers that a suite has no time for.

    make fuzz

Each file is damaged in every way of `tests/cli/damage.py`, again and again in other places, and given to
``hepfm ingest``. A file ends well when the verb ends with 0 or 2 without a traceback, writes no file but a
store, and that only with 0, runs nothing that the file brings along, and needs no more than the seconds and
the memory that are allowed. What ends otherwise is kept beside the table, to be looked at. A worker that
crashes or hangs is replaced; the call goes on where an earlier one with the same output was stopped.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import resource
import shutil
import sys
import tempfile
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), str(TESTS / "cli")]

from builders import make_jets  # noqa: E402
from damage import DAMAGES  # noqa: E402
from format_files import make_inputs, options_of  # noqa: E402

from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema  # noqa: E402
from hepfm.data.store import Store  # noqa: E402
from hepfm.data.writer import write_store  # noqa: E402

COLUMNS = ["format", "damage", "mutants", "refused", "read", "failed"]
SECONDS = 60
"""Longest time for one file; a whole one takes a tenth of a second."""
MEMORY = 8 << 30
"""Bytes of addresses that a worker may ask for: libraries alone take 2 GB."""
FORBIDDEN = {
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "subprocess.Popen",
    "pickle.find_class",
    "socket.connect",
}
"""Events of Python's audit of which none may happen while a foreign file is read."""


REAL = TESTS.parents[1] / "shared" / "data"
PUBLISHED = {
    "jetclass2_example.parquet": "jetclass",
    "nano_tt_v15.root": "nanoaod",
    "pfnano.root": "nanoaod",
    "delphes_events_example.root": "delphes",
    "nanoAOD_2015_CMS_Open_Data_ttbar.root": "nanoaod_events",
}
"""Format of the published files that are damaged too, where they are."""


class Mutant(NamedTuple):
    """A damaged file: of which good one, how, and with which random numbers."""

    name: str
    damage: str
    number: int

    def content(self, good: bytes) -> bytes:
        """Return the damaged content; the same for the same mutant."""
        seed = np.random.SeedSequence([*self.damage.encode(), *self.name.encode(), self.number])
        return DAMAGES[self.damage](good, np.random.default_rng(seed))


def worker(pipe: Connection, inputs: dict[str, tuple[str, Path]], folder: Path) -> None:
    """Ingest the mutants that come through the pipe, and answer each with how it ended."""
    from click.testing import CliRunner

    from hepfm.cli.main import group

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    runner = CliRunner()

    def ingest(name: str, content: bytes) -> tuple[Any, Path]:
        format_name, good = inputs[name]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        path = folder / f"bad_file{good.suffix}"
        path.write_bytes(content)
        command = ["ingest", format_name, path, "-o", folder / "store", *options_of(format_name, good)]
        return runner.invoke(group, [str(word) for word in command]), path

    # What a first call does by itself, imports and git's version for the provenance, is not the files' doing.
    for name, (_, good) in inputs.items():
        ingest(name, good.read_bytes())
    happened: list[str] = []
    sys.addaudithook(lambda event, _: happened.append(event) if event in FORBIDDEN else None)
    pipe.send("ready")
    while True:
        mutant: Mutant = pipe.recv()
        happened.clear()
        done, path = ingest(mutant.name, mutant.content(inputs[mutant.name][1].read_bytes()))
        pipe.send(
            outcome(done, {entry.name for entry in folder.iterdir()} - {path.name}, happened, path.name)
        )


def outcome(done: Any, left: set[str], happened: list[str], name: str) -> str:
    """Return ``refused``, ``read``, or what is wrong with the end of a call."""
    told = done.exception is None or isinstance(done.exception, SystemExit)
    if happened:
        return f"the file made it run {happened[0]}"
    if not told or "Traceback" in done.output:
        return f"no message but {done.exception!r}"
    if done.exit_code == 2:
        if left:
            return f"refused, but {sorted(left)} is left"
        return "refused" if name in done.output else "the message does not name the file"
    if done.exit_code != 0:
        return f"exit code {done.exit_code}"
    return "read" if left == {"store"} else f"read, but {sorted(left)} is there"


class Bench:
    """A worker process that is replaced when it dies or hangs."""

    def __init__(self, inputs: dict[str, tuple[str, Path]], folder: Path) -> None:
        self.inputs, self.folder = inputs, folder
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=worker, args=(theirs, self.inputs, self.folder), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()

    def send(self, mutant: Mutant) -> None:
        """Give the worker a mutant."""
        self.pipe.send(mutant)

    def answer(self, seconds: float = SECONDS) -> str:
        """Return how it ended."""
        try:
            if self.pipe.poll(seconds):
                return str(self.pipe.recv())
            why = f"no end within {seconds:.0f} s"
        except EOFError:
            self.process.join()
            why = f"the process died with {self.process.exitcode}"
        self.process.kill()
        self.process.join()
        self._start()
        return why


def good_files(folder: Path) -> dict[str, tuple[str, Path]]:
    """Write files of every format, to be damaged; return format and path of these and of published ones."""
    columns = make_jets(40, seed=1)
    columns["jet_label"] = np.arange(40, dtype=np.int16) % len(JETCLASS_CLASSES)
    write_store(folder / "jets", jet_schema(JETCLASS_CLASSES), [("train", columns)], provenance={})
    (folder / "inputs").mkdir()
    made = make_inputs(folder / "inputs", Store.open(folder / "jets"))
    real = {name: (reader, REAL / name) for name, reader in PUBLISHED.items() if (REAL / name).exists()}
    print(
        f"{len(made)} files made here, {len(real)} of {len(PUBLISHED)} published ones are in {REAL}",
        flush=True,
    )
    return made | real


def done_before(output: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return the lines of an earlier call."""
    if not output.exists():
        return {}
    with output.open(newline="", encoding="utf-8") as file:
        return {(row["format"], row["damage"]): row for row in csv.DictReader(file)}


def main(times: int, processes: int, output: Path) -> int:
    """Try `times` mutants of each format and damage; return how many ended badly."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = good_files(folder)
        benches = [Bench(inputs, folder / f"worker{number}") for number in range(processes)]
        lines = done_before(output)
        for kind in inputs:
            for damage in DAMAGES:
                if (kind, damage) in lines:
                    continue
                ends = try_mutants([Mutant(kind, damage, number) for number in range(times)], benches)
                keep_failures(ends, inputs[kind][1], output)
                count = Counter(end if end in ("refused", "read") else "failed" for end in ends.values())
                numbers = [len(ends), *(count[column] for column in COLUMNS[3:])]
                lines[kind, damage] = dict(zip(COLUMNS, [kind, damage, *map(str, numbers)], strict=True))
                write(lines.values(), output)
        for bench in benches:
            bench.process.kill()
    total = {column: sum(int(row[column]) for row in lines.values()) for column in COLUMNS[2:]}
    print(", ".join(f"{number} {column}" for column, number in total.items()))
    return total["failed"]


def try_mutants(mutants: list[Mutant], benches: list[Bench]) -> dict[Mutant, str]:
    """Return how each ended; as many at a time as there are workers."""
    ends = {}
    for start in range(0, len(mutants), len(benches)):
        now = list(zip(mutants[start:], benches, strict=False))
        for mutant, bench in now:
            bench.send(mutant)
        ends |= {mutant: bench.answer() for mutant, bench in now}
    return ends


def keep_failures(ends: dict[Mutant, str], good: Path, output: Path) -> None:
    """Write the files that ended badly beside the table, and say how they ended."""
    for mutant, end in ends.items():
        if end in ("refused", "read"):
            continue
        kept = output.with_suffix("") / f"{good.stem}-{mutant.damage}-{mutant.number}{good.suffix}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(mutant.content(good.read_bytes()))
        print(f"{kept}: {end}", flush=True)


def write(rows: Any, output: Path) -> None:
    """Write the table."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=120, help="mutants of each format and damage")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    sys.exit(1 if main(options.times, options.processes, options.output) else 0)
