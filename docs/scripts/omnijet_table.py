"""Write the tables of docs/tokens.md, docs/showers.md and docs/taus.md from the files in docs/data.

The files are made by omnijet_evidence.py, shower_evidence.py and tau_evidence.py. A difference is that of two arms
with the same seed, and so the same labels: mean over seeds and its 95 % interval (hepfm.metrics). It holds the spread over
labels, order and initial weights of the fine-tuning, and for tagging and taus over pre-trainings, one for each seed;
tokenizers and the pre-trainings behind generation were trained once.
"""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hepfm.metrics.mean_interval import mean_interval, why_no_interval

DOCS = Path(__file__).parents[1]
END = "<!-- end -->\n"
RESOLUTIONS = ("pt", "mass", "tau21", "tau32")
Row = dict[str, str]


def read(name: str) -> list[Row]:
    """Return the rows of a table."""
    with (DOCS / "data" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def tokenizers() -> str:
    """Return the resolution of each tokenizer."""
    rows = []
    for row in read("omnijet_tokenizers"):
        cells = [
            f"{float(row[f'{name}_median']):+.3g}, {float(row[f'{name}_iqr']):.3g}" for name in RESOLUTIONS
        ]
        use = f"{100 * float(row['code_use']):.0f} %"
        rows.append([row["tokenizer"], use, f"{float(row['perplexity']):.0f}", *cells])
    return markdown(
        ["tokenizer, codes", "codes used", "perplexity", "pT", "mass (GeV)", "tau21", "tau32"], rows
    )


def difference(rows: Sequence[Row], metric: str, arm: str, base: str = "scratch") -> str:
    """Return the paired difference of two arms over the seeds, with its interval."""
    by_seed = {(row["arm"], row["seed"]): float(row[metric]) for row in rows if row["arm"] in (arm, base)}
    seeds = sorted({seed for name, seed in by_seed if name == arm and (base, seed) in by_seed})
    found = np.array([by_seed[arm, seed] - by_seed[base, seed] for seed in seeds])
    if why_no_interval(found):
        return f"{found.mean():+.3g} ({why_no_interval(found)})"
    low, high = mean_interval(found, level=0.95)
    mark = " (not resolved)" if low <= 0 <= high else ""
    return f"{found.mean():+.3g} [{low:+.3g}, {high:+.3g}]{mark}"


def middle(rows: Sequence[Row], metric: str, arm: str) -> str:
    """Return the median of an arm, and its range over the seeds."""
    values = [float(row[metric]) for row in rows if row["arm"] == arm]
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def labels(name: str, title: str) -> str:
    """Return a metric of the three arms at each budget, and the differences from scratch."""
    metric, _, words = title.partition(" ")
    found, rows = read(name), []
    for preset in sorted({row["preset"] for row in found}):
        for budget in sorted({int(row["budget"]) for row in found}):
            here = [row for row in found if row["preset"] == preset and int(row["budget"]) == budget]
            cells = [middle(here, metric, arm) for arm in ("pretrained", "frozen", "scratch")]
            gains = [difference(here, metric, arm) for arm in ("pretrained", "frozen")]
            rows.append([preset, str(budget), *cells, *gains])
    head = ["preset", "labels", "pre-trained", "frozen", "scratch"]
    return f"{words}\n\n" + markdown([*head, "pre-trained - scratch", "frozen - scratch"], rows)


def taus() -> str:
    """Return the three tasks on taus: means of each arm beside the trivial answers, and what it gains over scratch."""
    found, rows = read("taus"), []
    for (task, metric), title in TAUS.items():
        for budget in sorted({int(row["budget"]) for row in found}):
            here = [row for row in found if row["task"] == task and int(row["budget"]) == budget]
            cells = [_mean_with_ends([row for row in here if row["arm"] == arm], metric) for arm in ARMS]
            trivial = [
                f"{statistics.mean(float(row[f'{name}_{metric}']) for row in here):.3g}"
                for name in ("row", "majority")
            ]
            gains = [difference(here, metric, arm) for arm in ("pretrained", "frozen")]
            rows.append([title, str(budget), *cells, *trivial, *gains])
    head = [
        "",
        "jets",
        *ARMS.values(),
        "row baseline",
        "constant",
        "pre-trained - scratch",
        "frozen - scratch",
    ]
    return markdown(head, rows)


def _mean_with_ends(rows: Sequence[Row], metric: str) -> str:
    """Return the mean of an arm; a star where more than a fifth of its runs show no plateau."""
    at_an_end = sum(row["best_step"] in (row["steps"], row["first_validation"]) for row in rows)
    mark = " *" if at_an_end > 0.2 * len(rows) else ""
    return f"{statistics.mean(float(row[metric]) for row in rows):.3g}{mark}"


def pairs(name: str, metrics: dict[str, str]) -> str:
    """Return metrics of generated rows, pre-trained and from scratch; lower is better."""
    found, rows = read(name), []
    keys = sorted(
        {(row["preset"], int(row["budget"])) for row in found if row["arm"] in ("pretrained", "scratch")}
    )
    for preset, budget in keys:
        here = [row for row in found if row["preset"] == preset and int(row["budget"]) == budget]
        for metric, title in metrics.items():
            cells = [middle(here, metric, arm) for arm in ("pretrained", "scratch")]
            gain = difference(here, metric, "pretrained")
            seeds = str(len({row["seed"] for row in here if row["arm"] in ("pretrained", "scratch")}))
            rows.append([str(budget), seeds, title, *cells, gain])
    head = ["rows to learn from", "seeds", "metric", "pre-trained", "scratch", "difference"]
    return markdown(head, rows)


def ends(name: str, metrics: dict[str, str], titles: dict[tuple[str, str], str]) -> str:
    """Return what the pre-trained model reaches at home, and real rows against real ones, by arm and budget."""
    rows = [
        [titles[row["arm"], row["budget"]], *(f"{float(row[metric]):.3g}" for metric in metrics)]
        for row in sorted(read(name), key=lambda row: (int(row["budget"]), row["arm"]))
        if (row["arm"], row["budget"]) in titles
    ]
    return markdown(["", *metrics.values()], rows)


TRANSFER = {
    "w1_mass": "W1 of the mass (GeV)",
    "w1_pt": "W1 of pT (GeV)",
    "w1_multiplicity": "W1 of the number of constituents",
    "w1_tau21": "W1 of tau21",
    "w1_tau32": "W1 of tau32",
    "fpd": "FPD",
    "classifier_auc": "AUC of a classifier",
}
JETS = {
    ("home", "0"): "dijets, generated by the pre-trained model",
    ("real", "0"): "dijets, truth-vs-truth baseline",
    ("real", "100"): "top jets, truth-vs-truth baseline",
}
ARMS = {"scratch": "scratch", "pretrained": "pre-trained", "frozen": "frozen"}
TAUS = {
    ("tau_identification", "auc"): "identification: AUC",
    ("tau_decay_mode", "accuracy"): "decay mode: accuracy",
    ("tau_momentum", "response_iqr"): "momentum: IQR/median of the response (lower is better)",
}
"""Tasks with what is shown of them."""
SHOWERS = {
    "w1_energy_ratio": "W1 of E / incident E",
    "w1_num_hits": "W1 of hits",
    "w1_longitudinal": "W1 of the depth profile (layers)",
    "w1_radial": "W1 of the radial profile (mm)",
    "sep_cell_energy": "separation of the cells' spectrum",
    "fpd": "FPD",
    "classifier_auc": "AUC of a classifier",
}
CALORIMETERS = {
    ("home", "0"): "tungsten, generated by the pre-trained model",
    ("real", "0"): "tungsten, truth-vs-truth baseline",
    ("real", "100"): "lead, truth-vs-truth baseline",
}
TABLES = {
    "tokens.md": {
        "tokenizers": tokenizers,
        "labels": lambda: labels("omnijet_labels", "auc AUC of top tagging:"),
        "generated": lambda: ends("omnijet_transfer", TRANSFER, JETS),
        "transfer": lambda: pairs("omnijet_transfer", TRANSFER),
    },
    "showers.md": {
        "showers": lambda: pairs("showers", SHOWERS),
        "ends": lambda: ends("showers", SHOWERS, CALORIMETERS),
    },
    "taus.md": {"taus": taus},
}


def main() -> None:
    """Replace the tables between their marks; a table whose file is not there stays as it is."""
    for page, tables in TABLES.items():
        path = DOCS / page
        text = path.read_text(encoding="utf-8")
        for name, make in tables.items():
            start = f"<!-- {name}: made by docs/scripts/omnijet_table.py -->\n"
            if start not in text:
                continue
            before, rest = text.split(start)
            _, after = rest.split(END, 1)
            text = f"{before}{start}\n{make()}\n{END}{after}"
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
