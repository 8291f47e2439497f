"""Write ``docs/benchmarks.md`` from the files that ``make bench`` leaves in ``benchmarks/results/``.

python docs/scripts/benchmarks_page.py
"""

from __future__ import annotations

import json
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


def machine(result: dict[str, Any]) -> str:
    """Return what the times depend on besides the code, as far as it was recorded."""
    record = result["environment"]
    parts = [record["processor"], record["vectors"], f"{record['cores']} cores"]
    parts += [record["threads"] and f"{record['threads']} threads"]
    for when in ("start", "end"):
        load = record[f"load_per_core_at_{when}"]
        parts.append(None if load is None else f"load {load:.2f} per core at the {when}")
    parts += [f"{name} {version}" for name, version in record["versions"].items()]
    return ", ".join(str(part) for part in parts if part)


def speeds(clock: dict[str, Any]) -> list[str]:
    """Return the tables of jets a second and of their ratios."""
    rows = [
        [name, f"{speed['median']:.3g} ({speed['min']:.3g}-{speed['max']:.3g})"]
        for name, speed in clock["jets"].items()
    ]
    ratios = [[name, f"{ratio:.2f}"] for name, ratio in clock["ratio_of_medians"].items()]
    return [*table(["", "jets a second: median (range)"], rows), *table(["ratio of medians", ""], ratios)]


def networks(title: str, name: str) -> list[str]:
    """Return the section on a network and its public implementation."""
    result = read(name)
    peer = ", ".join(f"{package} {version}" for package, version in result["peer"].items())
    about = (
        f"{result['what']}. Jets: {result['jets']}. {result['repeats']} repetitions in turn, each with new "
        f"jets. {machine(result)}; the peer's environment: {peer}."
    )
    lines = [f"## {title}, forward and backward", "", about, ""]
    for size, figures in result["sizes"].items():
        if len(result["sizes"]) > 1:
            lines += [f"### {size}", ""]
        difference = figures["largest_difference_of_logits"]
        lines += speeds(figures["per_second"])
        lines += [
            f"Largest difference of the logits, same parameters, single precision: {difference:.1e}.",
            "",
        ]
    return lines


def particle_transformer() -> list[str]:
    """Return the section on the Particle Transformer."""
    return networks("Particle Transformer", "particle_transformer")


def pet() -> list[str]:
    """Return the section on the Point Edge Transformer."""
    return networks("Point Edge Transformer", "pet")


def equivariant() -> list[str]:
    """Return the section on L-GATr and L-GATr-slim."""
    result = read("equivariant")
    about = (
        f"{result['what']}. {result['repeats']} repetitions in turn, each with new jets. "
        f"{machine(result)}, lgatr {result['package']['lgatr']}."
    )
    lines = ["## L-GATr and L-GATr-slim, forward and backward", "", about, ""]
    for name, figures in result["sizes"].items():
        lines += [f"### {name}, {figures['parameters']:,} parameters", "", f"Jets: {figures['jets']}.", ""]
        lines += speeds(figures["per_second"])
        difference = figures["largest_difference_of_logits"]
        lines += [f"Largest difference of the logits from the package's: {difference:.1e}.", ""]
    return lines


def seconds(figures: dict[str, float]) -> str:
    """Return the median of seconds with its range."""
    return f"{figures['median']:.3g} ({figures['min']:.3g}-{figures['max']:.3g})"


def event_graph() -> list[str]:
    """Return the section on the network of the pre-trained event classifier."""
    result = read("event_graph")
    objects = result["objects"]
    about = (
        f"{result['what']}, {result['events']:,} events of {objects['mean']:.1f} objects on average; `plain` is "
        f"the same network on matrices of pairs, padded to {objects['padded to']}. "
        f"{machine(result)}."
    )
    rows = [
        [
            f"{size}, {figures['parameters']:,} parameters",
            *(seconds(figures["seconds"][which]) for which in ("plain", "hepfm")),
            f"{figures['ratio']['plain / hepfm']:.1f}",
        ]
        for size, figures in result["sizes"].items()
    ]
    header = ["size", "plain, s: median (range)", "hepfm, s", "ratio of medians"]
    return ["## Graph network of events, forward and backward", "", about, "", *table(header, rows)]


def evenet() -> list[str]:
    """Return the section on EveNet."""
    return networks("EveNet", "evenet")


def joint_embedding() -> list[str]:
    """Return the section on JEPA and on subjets and patches as tokens."""
    result = read("joint_embedding")
    steps = [
        [
            tokens_are,
            *(seconds(step["seconds"][name]) for name in ("supervised", "jepa")),
            f"{step['ratios']['jepa / supervised']:.2f}",
        ]
        for tokens_are, step in result["steps"].items()
    ]
    rates = [[what, f"{rate:,.0f}"] for what, rate in result["jets_per_second"].items()]
    return [
        "## Joint embedding, subjets and patches",
        "",
        f"{result['what']}, median of {result['repeats']} turns. {machine(result)}.",
        "",
        *table(["tokens", "supervised, s: median (range)", "jepa, s", "ratio of medians"], steps),
        *table(["assignment of constituents", "jets a second"], rates),
    ]


def generate() -> list[str]:
    """Return the section on generation."""
    result = read("generate")
    rows = [
        [solver, f"{speed['seconds']:.0f} s", f"{speed['jets_per_second']:.0f}"]
        for solver, speed in result["solvers"].items()
    ]
    about = f"{result['what']}, {result['jets']:,} jets with JetClass's multiplicity. {machine(result)}."
    if "midpoint" in result["solvers"]:
        about += " `midpoint` calls the network twice in a step."
    return ["## Generation", "", about, "", *table(["solver", "whole command", "jets a second"], rows)]


def export() -> list[str]:
    """Return the section on exported files, predictions and ingest."""
    result = read("export")
    lines = [
        "## Files for other programs, predictions and ingest",
        "",
        f"{result['what']}. {machine(result)}.",
        "",
    ]
    for title, part, last in (
        ("file", "files", "over_torch"),
        ("way", "predictions", "over_network_alone"),
    ):
        rows = [
            [
                measured["network"],
                case,
                f"{speed['jets_per_second']['median']:,.0f}",
                f"{speed[last]['median']:.2f} ({speed[last]['min']:.2f}-{speed[last]['max']:.2f})",
            ]
            for measured in result[part]
            for case, speed in measured["speeds"].items()
        ]
        lines += table(["network", title, "jets a second", last.replace("_", " ")], rows)
    rows = [
        [
            f"{size['jets']:,}",
            f"{size['file_mb']:.0f} MB",
            f"{size['jets_per_second']:,.0f}",
            f"{size['jets_per_processor_second']:,.0f}",
            f"{size['peak_mb']:.0f} MB",
        ]
        for size in result["ingest"]
    ]
    header = ["jets from ROOT", "file", "jets a second", "a processor second", "peak memory"]
    return [*lines, *table(header, rows)]


def tokens() -> list[str]:
    """Return the section on tokens."""
    result = read("tokens")
    speed = result["generation"]
    titles = {
        "cached": "hepfm, with the cache",
        "uncached": "hepfm's network without it, logits of the last constituent",
        "omnijet_alpha": "OmniJet-alpha's public code: no cache, logits of all constituents",
    }
    about = (
        f"{result['what']}. {machine(result)}. Generation: {speed['parameters'] / 1e6:.2f} M parameters, "
        f"jets of {speed['tokens_of_a_row']} tokens, {speed['rows']['cached']} of them with the cache and "
        f"{speed['rows']['plain']} in the plain loops, all loops in turn, {result['repeats']} times; without "
        "the cache the whole row goes through the network for each token."
    )
    difference = speed["largest_difference_of_logits"]
    if difference is not None:
        about += (
            f" Largest difference of the logits from the public code's, same parameters: {difference:.1e}."
        )
    rows = [[name, f"{figures['jets_per_second']:,.0f}"] for name, figures in result["tokenizing"].items()]
    times = [
        [
            titles[loop],
            f"{1e3 * seconds['median']:.3g} ms ({1e3 * seconds['min']:.3g}-{1e3 * seconds['max']:.3g})",
            f"{speed['ratios'][loop]:.1f}",
        ]
        for loop, seconds in speed["seconds_per_row"].items()
    ]
    title = f"`hepfm generate`, {speed['rows']['command']:,} jets"
    times.append([title, f"{speed['command_seconds']:.1f} s", ""])
    return [
        "## Tokens",
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
            f"{size['jets_per_second']['median'] / 1e3:.0f}k",
            f"{100 * size['padding']:.1f} %",
            f"{size['resident_before_mb']:.0f} MB, then at most {size['resident_peak_mb']:.0f} MB",
        ]
        for size in result["hepfm"]
    ]
    weaver = result["peer"]
    peer = (
        f"weaver-core {weaver['version']} on the same jets in the same run, one worker: "
        f"{weaver['one_worker_jets_per_s'] / 1e3:.0f}k jets/s; ratio {result['ratio_to_one_worker']:.1f}. "
        "Its batches are padded to 128, ours are cut to their longest jet."
    )
    sizes = table(["jets in the store", "jets/s on one core", "padding", "resident memory"], rows)
    return ["## Loader", "", f"{result['what']}. {machine(result)}.", "", *sizes, peer, ""]


def event_loader() -> list[str]:
    """Return the section on the loader of events."""
    result = read("event_loader")
    rows = [
        [
            case["case"],
            f"{case['objects_per_event']:.1f}",
            f"{case['events_per_second']['median'] / 1e3:.0f}k",
            f"{100 * case['padding']:.1f} %",
        ]
        for case in result["cases"]
    ]
    header = ["what is read", "objects an event", "events/s on one core", "padding"]
    return ["## Loader of events", "", f"{result['what']}. {machine(result)}.", "", *table(header, rows)]


def masked() -> list[str]:
    """Return the section on masked modelling."""
    result = read("masked")
    rows = [
        [
            step["backbone"],
            step["objective"],
            f"{step['cpu_seconds']['median']:.2f}",
            f"{step['over_supervised']:.2f}",
            f"{100 * step['share_of_products']:.0f} %",
        ]
        for step in result["steps"]
    ]
    about = (
        f"{result['what']}, {result['jets']} jets, median of {result['repeats']} turns; 40 % are removed, or "
        f"30 % behind placeholders, and the decoder has two blocks of 64. {machine(result)}."
    )
    return [
        "## Masked modelling",
        "",
        about,
        "",
        *table(["backbone", "objective", "s", "over supervised", "matrix products alone"], rows),
        "",
    ]


def simulate() -> list[str]:
    """Return the section on simulation."""
    result = read("simulate")
    rows = [
        [name, f"{100 * speed['pythia_share']:.1f} %", f"{speed['jets_per_cpu_second']:.0f}"]
        for name, speed in result["with_mpi"].items()
    ]
    versions = ", ".join(f"{name} {version}" for name, version in result["simulation_versions"].items())
    about = (
        f"{result['jets_per_class']} jets a class with multi-parton interactions; the fraction is the part "
        f"of the processor time spent inside Pythia itself. {machine(result)}; {versions}."
    )
    processes = result["two_processes"]
    scaling = (
        f"Two processes are {processes['ratio']:.2f} times as fast as one ({processes['one']:.1f} s against "
        f"{processes['two']:.1f} s, start-up included)."
    )
    if "two_processes_note" in result:
        scaling += f" These two times are {result['two_processes_note']}."
    fractions = table(["class", "in Pythia", "jets per processor second"], rows)
    events = simulated_events(result["events"], "Whole events with multi-parton interactions")
    if "grouped" in result:
        events += ["", *simulated_events(result["grouped"], "Events of several jets each")]
    return ["## Simulation", "", about, "", *fractions, scaling, "", *events, ""]


def simulated_events(result: dict[str, Any], what: str) -> list[str]:
    """Return the part on events of which `what` says what they are."""
    rows = [
        [
            name,
            f"{100 * speed['pythia_share']:.1f} %",
            f"{speed['events_per_cpu_second']:.0f}",
            f"{speed['rest_ms_per_event']:.2f} ms",
        ]
        for name, speed in result["rates"].items()
    ]
    about = (
        f"{what}, {result['events_per_class']} of each class that pass the "
        "selection of their recipe; outside Pythia counts every event generated."
    )
    if "note" in result:
        about += f" These numbers are {result['note']}."
    return [
        about,
        "",
        *table(
            ["recipe, class", "in Pythia", "events per processor second", "outside Pythia, per event"], rows
        ),
    ]


def unfolding() -> list[str]:
    """Return the section on OmniFold."""
    result = read("omnifold")
    packages = ", ".join(f"{name} {version}" for name, version in result["peer"].items())
    threads = result["environment"]["threads"]
    bound = result["bound"]
    lines = [
        "## OmniFold",
        "",
        (
            f"{result['what']}: one algorithm on both sides. The package's batches of 512 are those of its public example; "
            "trainings go on from those before, lost events keep their weight. The defaults of hepfm are batches of 1024, "
            "a learning rate of 0.001, trainings anew that end after ten epochs without a better loss, and inferred "
            f"losses. Gaussian toys with inefficiency and fakes; an iteration of each in turn; hepfm on one thread, the "
            f"package on {threads}. {machine(result)}; the package's environment: {packages}. Where the machine was busy, "
            "processor seconds say more than wall seconds."
        ),
        "",
    ]
    for count, size in result["sizes"].items():
        trainings = size["trainings"]
        lines += [f"### {count} events on each side, {trainings} training{'s' if trainings > 1 else ''}", ""]
        lines += unfolded(size)
    return [
        *lines,
        (
            f"A step of hepfm's training takes {bound['step_ms']:.2f} ms of processor time; its matrix products alone take "
            f"{bound['products_ms']:.2f} ms, {100 * bound['share']:.0f} % of it."
        ),
        "",
    ]


def unfolded(size: dict[str, Any]) -> list[str]:
    """Return the tables of one number of events: times, and what was found."""
    times = [
        [
            case["title"],
            f"{case['seconds']['median']:.0f} s",
            f"{case['cpu_seconds']['median']:.0f} s",
            (
                f"{case['discriminator_e3']['median']:.2f} ({case['discriminator_e3']['min']:.2f}-"
                f"{case['discriminator_e3']['max']:.2f})"
            ),
        ]
        for case in size["cases"]
    ]
    times.append(["the simulation before", "", "", f"{size['before']['discriminator_e3']:.2f}"])
    header = ["", "wall time", "processor time", "10³ triangular discriminator to the truth: median (range)"]
    ratios = [
        [name, f"{ratio:.1f}", f"{size['ratio_of_medians']['cpu'][name]:.1f}"]
        for name, ratio in size["ratio_of_medians"]["wall"].items()
    ]
    several = size["trainings"] > 1

    def means(values: list[float], scatter: list[float] | None = None) -> list[str]:
        spread = scatter if several and scatter else [None] * len(values)
        return [
            f"{value:.3f}" + (f" ± {sigma:.3f}" if sigma is not None else "")
            for value, sigma in zip(values, spread, strict=True)
        ]

    found = [
        ["truth", *means(size["truth"])],
        ["the simulation before", *means(size["before"]["mean"])],
        *([case["title"], *means(case["mean"], case["scatter"])] for case in size["cases"]),
    ]
    title = "mean of each observable" + (" ± standard deviation of trainings" if several else "")
    observables = [str(number + 1) for number in range(len(size["truth"]))]
    return [
        *table(header, times),
        *table(["ratio of times", "wall", "processor"], ratios),
        *table([title, *observables], found),
    ]


def anomaly() -> list[str]:
    """Return the section on CATHODE."""
    result = read("anomaly")
    parts = [
        [name.replace("_", " "), f"{seconds:.0f} s"] for name, seconds in result["parts_cpu_seconds"].items()
    ]
    whole = [
        ["all, processor time", f"{result['cpu_seconds']:.0f} s"],
        ["all, wall time", f"{result['seconds']:.0f} s"],
    ]
    about = (
        f"{result['what']}: {result['events']:,} events, {result['region']:,} of them in the signal region with "
        f"{result['signal_in_region']} signal events; largest significance improvement on other events "
        f"{result['best_improvement']:.1f}. {machine(result)}."
    )
    return ["## CATHODE", "", about, "", *table(["", "time"], [*parts, *whole])]


def scale() -> list[str]:
    """Return the section on rising numbers of rows."""
    result = read("scale")
    sizes = [*result["stores"], result["follows"]]
    header = ["", *(f"{size['rows']:.0e} rows".replace("e+0", "e") for size in result["stores"])]
    header += [f"{result['follows']['rows']:.0e} rows, extrapolated".replace("e+0", "e")]
    rows = [["bytes on disk", *(f"{size['bytes'] / 1e9:.3g} GB" for size in sizes)]]
    for verb in result["stores"][0]["figures"]:
        for key, unit in (("cpu_seconds", "s"), ("peak_mb", "MB")):
            values = [size["figures"][verb][key] for size in sizes]
            rows.append(
                [f"{verb}: {unit}", *(f"{value:.3g}" if value < 1e4 else f"{value:,.0f}" for value in values)]
            )
    load = [size["figures"]["load"] for size in result["stores"]]
    for key, title in (
        ("open_seconds", "opening the store, s"),
        ("first_batch_seconds", "from there to the first batch, s"),
        ("peak_mb_after_a_tenth", "memory after a tenth of the batches, MB"),
        ("peak_mb_at_the_end", "memory after all batches, MB"),
    ):
        rows.append([title, *(f"{figures[key]:.3g}" for figures in load), ""])
    about = (
        f"{result['what'].capitalize()}. Processor seconds (a verb's start, about 3 s of imports, included) and peak of resident "
        f"memory; `load` reads {load[0]['batches']:,} batches of 512. The last four lines are of `load`, their seconds wall time, which other programs lengthen. The last column was not run: it is the straight "
        f"line through the two sizes before it. {machine(result)}."
    )
    return ["## Rising numbers of rows", "", about, "", *table(header, rows)]


def command_line() -> list[str]:
    """Return the section on the command line."""
    result = read("cli")
    seconds = result["seconds"]
    about = (
        f"`hepfm --help`: {seconds['median']:.3f} s (median of {result['repeats']} whole processes; "
        f"{seconds['min']:.3f} to {seconds['max']:.3f} s). {machine(result)}."
    )
    return ["## Command line", "", about, ""]


INTRODUCTION = """# Benchmarks

The numbers of this page are measured by `make bench`, which writes `benchmarks/results/`, and put together by
`docs/scripts/benchmarks_page.py`. Networks and loader are compared with the public implementations, which are installed in an
environment of their own and run in turn in the same call, on the same jets. Run it on an otherwise idle machine: the
load is recorded. The test suite runs every benchmark at toy size without its peer; no test asserts a time.

```console
make bench                                                # all benchmarks; environments of the peers in .venv/peers and .venv/omnifold
python benchmarks/bench_loader.py --toy -o loader.json    # one benchmark at toy size, in seconds
python docs/scripts/benchmarks_page.py                    # this page
```
"""


def main() -> None:
    """Write the page."""
    sections = (
        particle_transformer,
        pet,
        equivariant,
        event_graph,
        evenet,
        masked,
        joint_embedding,
        generate,
        tokens,
        loader,
        event_loader,
        export,
        simulate,
        unfolding,
        anomaly,
        scale,
        command_line,
    )
    lines = [INTRODUCTION, *(line for section in sections for line in section())]
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
