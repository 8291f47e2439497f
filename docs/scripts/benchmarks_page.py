"""Write ``docs/benchmarks.md`` from the files that ``make bench`` leaves in ``benchmarks/results/``.

python docs/scripts/benchmarks_page.py
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def read(name: str) -> dict[str, Any]:
    """Return one result file."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return [*("| " + " | ".join(cells) + " |" for cells in lines), ""]


def versions(result: dict[str, Any]) -> str:
    """Return the versions of a result in one line."""
    return ", ".join(f"{name} {version}" for name, version in result["versions"].items())


def speeds(clock: dict[str, Any]) -> list[str]:
    """Return the tables of jets a second and of their ratios."""
    rows = [
        [name, f"{speed['median']:.3g} ({speed['min']:.3g}-{speed['max']:.3g})"]
        for name, speed in clock["jets"].items()
    ]
    ratios = [[name, f"{ratio:.2f}"] for name, ratio in clock["ratio_of_medians"].items()]
    return [*table(["", "jets a second: median (range)"], rows), *table(["ratio of medians", ""], ratios)]


def particle_transformer() -> list[str]:
    """Return the section on the Particle Transformer."""
    result = read("particle_transformer")
    about = (
        f"{result['what']}. Jets: {result['jets']}. {result['threads']} threads, {result['repeats']} "
        f"repetitions in turn, each with new jets. {result['processor']}; load "
        f"{result['load_average_at_end']:.1f} at the end. "
        f"{versions(result)}. In evaluation mode the logits of 512 jets differ from weaver-core's by at most "
        f"{result['largest_difference_of_logits_from_weaver']:.1e}, single precision on both sides."
    )
    title = "## Particle Transformer, forward and backward"
    return [title, "", about, "", *speeds(result["per_second"])]


def pet() -> list[str]:
    """Return the section on the Point Edge Transformer."""
    result = read("pet")
    about = (
        f"{result['what']}. Jets: {result['jets']}. {result['threads']} threads, {result['repeats']} "
        f"repetitions in turn, each with new jets. {result['processor']}; load "
        f"{result['load_average_at_end']:.1f} at the end. {versions(result)}."
    )
    lines = ["## Point Edge Transformer, forward and backward", "", about, ""]
    for size in ("micro", "small"):
        found = result[size]
        worst = found["largest_difference_of_logits_from_omnilearned"]
        lines += [f"### {size}", "", *speeds(found["per_second"])]
        lines += [f"Largest difference of the logits from omnilearned's: {worst:.1e}, single precision.", ""]
    return lines


def generate() -> list[str]:
    """Return the section on generation."""
    result = read("generate")
    rows = [
        [solver, f"{found['seconds']:.0f} s", f"{found['jets_per_second']:.0f}"]
        for solver, found in result["solvers"].items()
    ]
    about = (
        f"{result['what']}, {result['jets']:,} jets with JetClass's multiplicity, {result['threads']} threads; "
        f"load {result['load_average_at_end']:.1f} at the end. {versions(result)}."
    )
    if "midpoint" in result["solvers"]:
        about += " `midpoint` calls the network twice in a step."
    return ["## Generation", "", about, "", *table(["solver", "whole command", "jets a second"], rows)]


def tokens() -> list[str]:
    """Return the section on codes."""
    result = read("tokens")
    made = result["generation"]
    titles = {
        "cached": "hepfm, with the cache",
        "uncached": "hepfm's network without it, logits of the last constituent",
        "omnijet_alpha": "OmniJet-alpha's public code: no cache, logits of all constituents",
    }
    repeats = len(made["seconds_per_row"]["cached"])
    about = (
        f"{result['what']}. {result['threads']} threads, load {result['load_average_at_end']:.1f} at the end. "
        f"{versions(result)}. Generation: {made['weights'] / 1e6:.2f} M weights, jets of 128 codes, "
        f"{made['rows_of_128']['cached']} of them with the cache and {made['rows_of_128']['plain']} in the plain "
        f"loops, all loops in turn, {repeats} times; without the cache the whole row goes through the "
        "network for each code."
    )
    difference = made["largest_difference_of_logits"]
    if difference is not None:
        about += f" Largest difference of the logits from the public code's, same weights: {difference:.1e}."
    rows = [[name, f"{found['jets_per_second']:,.0f}"] for name, found in result["tokenizing"].items()]
    times = [
        [
            titles[name],
            f"{1e3 * statistics.median(seconds):.3g} ms ({1e3 * min(seconds):.3g}-{1e3 * max(seconds):.3g})",
            f"{made['ratios'][name]:.1f}",
        ]
        for name, seconds in made["seconds_per_row"].items()
    ]
    times.append(["`hepfm generate`, 1,000 jets of 128", f"{made['thousand_jets_of_128_seconds']:.1f} s", ""])
    return [
        "## Codes",
        "",
        about,
        "",
        *table(["tokenizer of 8192 codes", "jets a second, store read"], rows),
        *table(["generation", "time per jet: median (range)", "over the cached loop"], times),
    ]


def loader() -> list[str]:
    """Return the section on the loader."""
    result = read("loader")
    rows = [
        [
            f"{size['jets']:,}",
            f"{size['jets_per_s'] / 1e3:.0f}k",
            f"{100 * size['padding']:.1f} %",
            f"{size['resident_before_mb']:.0f} MB, then at most {size['resident_peak_mb']:.0f} MB",
        ]
        for size in result["hepfm"]
    ]
    weaver = result["weaver"]
    machine = result["machine"]
    about = (
        f"{result['what']}. {machine['processor']}, load {machine['load_at_start']:.1f} at the start. "
        f"{versions(result)}."
    )
    peer = (
        f"weaver-core {weaver['version']} on the same jets in the same run, one worker: "
        f"{weaver['one_worker_jets_per_s'] / 1e3:.0f}k jets/s; ratio {result['ratio_to_one_worker']:.1f}. "
        "Its batches are padded to 128, ours are cut to their longest jet."
    )
    sizes = table(["jets in the store", "jets/s on one core", "padding", "resident memory"], rows)
    return ["## Loader", "", about, "", *sizes, peer, ""]


def simulate() -> list[str]:
    """Return the section on simulation."""
    result = read("simulate")
    rows = [
        [name, f"{100 * one['pythia_share']:.1f} %", f"{one['jets_per_cpu_second']:.0f}"]
        for name, one in result["with_mpi"].items()
    ]
    about = (
        f"{result['jets_per_class']} jets a class with multi-parton interactions; the share is the part of "
        f"the processor time spent inside Pythia itself. {versions(result)}; load "
        f"{result['load_average_before']:.1f} before."
    )
    processes = result["two_processes"]
    scaling = (
        f"Two processes are {processes['ratio']:.2f} times as fast as one ({processes['one']:.1f} s against "
        f"{processes['two']:.1f} s, start-up included)."
    )
    if "two_processes_note" in result:
        scaling += f" These two times are {result['two_processes_note']}."
    shares = table(["class", "in Pythia", "jets per processor second"], rows)
    return ["## Simulation", "", about, "", *shares, scaling, ""]


def command_line() -> list[str]:
    """Return the section on the command line."""
    result = read("cli")
    seconds = result["seconds"]
    about = (
        f"`hepfm --help`: {seconds['median']:.3f} s (median of {result['runs']} whole processes; "
        f"{seconds['min']:.3f} to {seconds['max']:.3f} s), load {result['machine']['load']:.1f}."
    )
    return ["## Command line", "", about, ""]


INTRODUCTION = """# Benchmarks

Made by `make bench` (the files in `benchmarks/results/`) and `docs/scripts/benchmarks_page.py`. Networks and
loader stand beside the public implementations, installed in an environment of their own and run in turn in the
same call, on the same jets. No test asserts a time.
"""


def main() -> None:
    """Write the page."""
    sections = (particle_transformer, pet, generate, tokens, loader, simulate, command_line)
    lines = [INTRODUCTION, *(line for section in sections for line in section())]
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
