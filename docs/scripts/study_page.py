"""Put the tables of a study's report into its page, and keep the report with it.

python docs/scripts/study_page.py STUDY_FOLDER NAME PAGE [EARLIER ...]

Reads STUDY_FOLDER/report and writes docs/reports/NAME and, between the markers of NAME that it has,
docs/PAGE.md. EARLIER are reports in docs/reports of the same study file, run with other arms. The overview
then has the arms of all of them, each from the report with most of its trainings. p-values over trainings are
corrected once more, for all comparisons of a task in the table together.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from hepfm.metrics.contrast import read_contrast
from hepfm.metrics.holm import holm
from hepfm.metrics.mean_interval import mean_interval
from hepfm.report.difference import ALPHA

DOCS = Path(__file__).parents[1]
METRICS = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "rejection_50": "1/ε_B at ε_S = 0.5",
    "fpd": "FPD",
    "w1m": "W1M",
    "w1_mass": "W1 of the mass [GeV]",
    "w1_pt": "W1 of pT [GeV]",
    "mtt_iqr": "m(tt) IQR/median",
    "mtt_bias": "m(tt) bias",
    "nu_pz_width": "neutrino pz width [GeV]",
    "pairing": "pairing",
    "solved": "solved",
    "event_efficiency": "events with all right, of those that can be",
    "significance_improvement_1": "ε_S/√ε_B at ε_B = 0.01",
    "significance_improvement_10": "ε_S/√ε_B at ε_B = 0.1",
    "classifier_auc": "AUC of a classifier",
    "w1_energy_ratio": "W1 of E over incident E",
    "w1_num_hits": "W1 of hits",
    "w1_longitudinal": "W1 of the depth profile [layers]",
}
PRIMARY = {"jetclass": "accuracy", "ttbar_reconstruction": "mtt_iqr", "assignment": "event_efficiency"}
"""Metric of a task's column in the overview; the AUC of others."""
FEWEST = 3
"""Trainings below which a table by size says nothing."""
MARKS = {"better": " ▲", "worse": " ▼", "no verdict": " (no plateau)"}
Row = dict[str, str]


def read(path: Path) -> list[Row]:
    """Return the rows of a table; none where it is absent."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def number(text: str) -> str:
    """Return a number with three digits; an absent one as a dash."""
    return f"{float(text):.3g}" if text else "-"


def contrasts(folders: Sequence[Path]) -> str:
    """Return the registered contrasts with their verdicts, also those whose arms are in different reports."""
    head = [
        "contrast",
        "family",
        "task",
        "metric",
        "labels",
        "mean",
        "95 % over trainings",
        "p (Holm)",
        "verdict",
    ]
    asked = merged(folders, "contrasts.csv", "comparison")
    asked += across(folders, {row["comparison"].split(":")[0] for row in asked})
    lines = []
    for family in dict.fromkeys(row["family"] for row in asked):
        members = [row for row in asked if row["family"] == family]
        corrected = holm([float(row["p"]) if row["p"] else None for row in members])
        for row, p in zip(members, corrected, strict=True):
            resolved = row["verdict"] in ("better", "worse")
            verdict = "not resolved by the trainings" if resolved and (p or 0) >= ALPHA else row["verdict"]
            interval = f"{number(row['trainings_low'])} to {number(row['trainings_high'])}"
            metric = METRICS[row["metric"]]
            what = [
                row["comparison"],
                family,
                row["panel"],
                metric,
                row["labels"] or "all",
                number(row["mean"]),
            ]
            lines.append([*what, interval, "-" if p is None else number(str(p)), verdict])
    return markdown(head, lines)


def across(folders: Sequence[Path], answered: Collection[str]) -> list[Row]:
    """Return the registered contrasts that no report answers alone, over trainings: rows have no scores
    here."""
    registered = json.loads((folders[0].parent / "registration.json").read_text(encoding="utf-8"))["content"]
    values = trainings(folders)
    unfinished = {
        (path.name.split("-")[1], row["labels"], row["plus"])
        for folder in folders
        for path in folder.glob("panel*-against-scratch.csv")
        for row in read(path)
        if row["verdict"].startswith("no verdict")
    }
    rows = []
    for name, entry in registered["contrasts"].items():
        task, contrast = entry["task"], read_contrast(entry["contrast"])
        metric = entry["metric"] or PRIMARY.get(task, "auc")
        for labels in entry["budgets"] or sorted({key[1] for key in values if key[0] == task}):
            found = {arm: values.get((task, str(labels), metric, arm), {}) for arm in contrast.arms}
            shared = sorted(set.intersection(*(set(one) for one in found.values())))
            if name in answered or not shared:
                continue
            paired = contrast.measure({arm: [one[key] for key in shared] for arm, one in found.items()})
            mean = paired.measurement
            stopped = [arm for arm in contrast.arms if (task, str(labels), arm) in unfinished]
            word = "better" if (mean.value or 0) > 0 else "worse"
            rows.append(
                {
                    "comparison": f"{name}: {contrast.name}",
                    "family": entry["family"],
                    "panel": task,
                    "metric": metric,
                    "labels": str(labels),
                    "mean": str(mean.value),
                    "trainings_low": str(mean.low),
                    "trainings_high": str(mean.high),
                    "p": str(paired.p),
                    "verdict": f"no verdict: no plateau ({', '.join(stopped)})" if stopped else word,
                }
            )
    return rows


def trainings(folders: Sequence[Path]) -> dict[tuple[str, str, str, str], dict[str, float]]:
    """Return the value of each replicate by task, budget, metric and arm, from the report with most of the
    arm."""
    found: dict[tuple[str, str, str, str], dict[str, float]] = {}
    for folder in folders:
        one: dict[tuple[str, str, str, str], dict[str, float]] = {}
        for row in read(folder.parent / "results.csv"):
            if row["value"]:
                key = (row["task"], row["budget"], row["metric"], row["arm"])
                one.setdefault(key, {})[row["replicate"]] = float(row["value"])
        found |= {key: values for key, values in one.items() if len(values) > len(found.get(key, {}))}
    return found


def by_size(study: Path, *, what: str) -> str:
    """Return a row for each size and arm: means over trainings with their 68 % intervals, by number of
    labels.

    Before them stand weights and cost; last is the row baseline, which is that of every size.
    """
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in read(study / "results.csv"):
        if row["metric"] == PRIMARY.get(row["task"], "auc") and row["value"]:
            column = f"{row['task']}, {row['budget'] or 'all'}: {METRICS[row['metric']]}"
            values = found.setdefault((row["size"], row["arm"]), {}).setdefault(column, [])
            values.append(float(row["value"]))
    columns = list(dict.fromkeys(column for row in found.values() for column in row))
    cost = {(row["size"], row["arm"]): row for row in read(study / "csv" / "compute.csv")}
    rows = []
    for (size, arm), values in found.items():
        if min(len(values.get(column, [])) for column in columns) < FEWEST:
            continue  # not run to the end yet
        cells = []
        for column in columns:
            numbers = np.array(values.get(column, []))
            low, high = mean_interval(numbers, level=0.68)
            cells.append(f"{numbers.mean():.4f} ({low:.4f} to {high:.4f})")
        weights, seconds = (float(cost[size, arm][name]) for name in ("parameters", "pretrain"))
        spent = [f"{weights:,.0f}", f"{seconds:.0f}"]
        rows.append([size, arm, *spent, str(max(map(len, values.values()))), *cells])
    rows.append(
        ["any", "row baseline", "-", "-", "-", *(row_baseline(study / "csv", column) for column in columns)]
    )
    head = [what, "arm", "parameters", "core seconds of pre-training", "trainings", *columns]
    return markdown(head, rows)


def row_baseline(tables: Path, column: str) -> str:
    """Return the row baseline of a task and a number of labels, from its first panel."""
    task, labels = column.split(":")[0].split(", ")
    for path in sorted(tables.glob(f"panel*-{task}-results.csv")):
        for row in read(path):
            if (row["arm"].startswith("row baseline"), row["metric"], row["labels"]) == (
                True,
                PRIMARY.get(task, "auc"),
                "" if labels == "all" else labels,
            ):
                return f"{float(row['mean']):.4f}"
    return "-"


def results(tables: Path) -> str:
    """Return the means of every arm with their intervals."""
    head = ["task", "metric", "budget", "arm", "trainings", "mean", "68 % of the mean"]
    rows = [
        [
            path.stem.removesuffix("-results").split("-", 1)[1],
            METRICS[row["metric"]],
            row["labels"],
            row["arm"],
            row["trainings"],
            number(row["mean"]),
            f"{number(row['mean_low'])} to {number(row['mean_high'])}" if row["mean_low"] else "-",
        ]
        for path in sorted(tables.glob("panel*-results.csv"))
        for row in read(path)
        if row["metric"] in METRICS
    ]
    return markdown(head, rows)


def merged(folders: Sequence[Path], name: str, arm: str) -> list[Row]:
    """Return the rows of a table of several reports: of each arm those of the report that has most of it."""
    found: dict[str, dict[Path, list[Row]]] = {}
    for folder in folders:
        for row in read(folder / name):
            found.setdefault(row[arm], {}).setdefault(folder, []).append(row)

    def trainings(rows: Sequence[Row]) -> int:
        return sum(int(row.get("trainings") or row.get("pairs") or 0) for row in rows)

    return [row for reports in found.values() for row in max(reports.values(), key=trainings)]


def marks(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """Return the mark of each arm and budget: that of its report, after Holm's correction over all rows."""
    corrected = holm([float(row["p"]) if row["p"] else None for row in rows])
    found = {}
    for row, p in zip(rows, corrected, strict=True):
        word = row["verdict"].split(":")[0].split(" by ")[0]
        if word in ("better", "worse") and (p is None or p >= ALPHA):
            word = "not resolved"
        found[row["plus"], row["labels"]] = MARKS.get(word, "")
    return found


def overview(folders: Sequence[Path]) -> str:
    """Return one table of all arms: the first metric of each task, its mean, and the verdict against
    scratch."""
    compute = {row["arm"]: row["pretrain"] for row in merged(folders, "compute.csv", "arm")}
    columns: dict[str, dict[str, str]] = {}
    panels = {path.name for folder in folders for path in folder.glob("panel*-results.csv")}
    for panel in sorted(panels, key=lambda name: int(name[5:].split("-")[0])):
        task = panel.removesuffix("-results.csv").split("-", 1)[1]
        metric = PRIMARY.get(task, "auc")
        compared = merged(folders, panel.replace("results", "against-scratch"), "plus")
        # The headline metric is a family of its own, as in a report.
        mark = marks([row for row in compared if row["metric"] == metric])
        for row in merged(folders, panel, "arm"):
            if row["metric"] == metric:
                cell = f"{float(row['mean']):.4f}"
                if row["mean_low"]:
                    cell += f" ± {(float(row['mean_high']) - float(row['mean_low'])) / 2:.4f}"
                cell += mark.get((row["arm"], row["labels"]), "")
                name = f"{task}, {row['labels'] or 'all'}: {METRICS[metric]}"
                columns.setdefault(name, {})[row["arm"]] = cell
    arms = dict.fromkeys(arm for column in columns.values() for arm in column)
    trivial = [arm for arm in arms if arm.startswith(("row baseline", "commonest"))]
    order = [*(arm for arm in arms if arm not in trivial), *trivial]
    head = ["arm", *columns, "core seconds of pre-training"]
    rows = [
        [arm, *(column.get(arm, "-") for column in columns.values()), f"{float(compute.get(arm) or 0):.0f}"]
        for arm in order
    ]
    return markdown(head, rows)


def put(text: str, name: str, table: str) -> str:
    """Return the page with a table between the markers of a name."""
    pattern = rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda found: f"{found[1]}\n{table}\n{found[2]}", text, flags=re.S)


def main(study: Path, name: str, page: Path, earlier: Sequence[str] = ()) -> None:
    """Copy the report and fill the page."""
    target = DOCS / "reports" / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(study / "report", target)
    shutil.copy(study / "results.csv", target / "results.csv")
    shutil.copy(study / "registration.json", target / "registration.json")
    text = page.read_text(encoding="utf-8")
    text = put(text, f"results of {name}", results(target / "csv"))
    what = "tokens" if name == "groupings_cpu" else "network"
    text = put(text, f"sizes of {name}", by_size(target, what=what))
    folders = [target / "csv", *(DOCS / "reports" / other / "csv" for other in earlier)]
    for kind, table in (("contrasts", contrasts), ("overview", overview)):
        text = put(text, f"{kind} of {name}", table(folders))
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], DOCS / f"{sys.argv[3]}.md", sys.argv[4:])
