"""Put the tables of a study's report into its page, and keep the report with it.

python docs/scripts/study_page.py STUDY_FOLDER NAME

Reads STUDY_FOLDER/report and writes docs/reports/NAME and, between the markers of NAME, docs/pretraining_objectives.md.
"""

from __future__ import annotations

import csv
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).parents[1]
PAGE = DOCS / "pretraining_objectives.md"
METRICS = {
    "auc": "AUC",
    "rejection_50": "1/ε_B at ε_S = 0.5",
    "fpd": "FPD",
    "w1m": "W1M",
    "w1_mass": "W1 of the mass [GeV]",
    "w1_pt": "W1 of pT [GeV]",
}
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


def contrasts(tables: Path) -> str:
    """Return the registered contrasts with their verdicts."""
    head = ["contrast", "family", "metric", "budget", "mean", "95 % over trainings", "p (Holm)", "verdict"]
    rows = [
        [
            row["comparison"],
            row["family"],
            METRICS[row["metric"]],
            row["labels"],
            number(row["mean"]),
            f"{number(row['trainings_low'])} to {number(row['trainings_high'])}",
            number(row["p_holm"]),
            row["verdict"],
        ]
        for row in read(tables / "contrasts.csv")
    ]
    return markdown(head, rows)


def results(tables: Path) -> str:
    """Return the means of every arm with their intervals."""
    head = ["metric", "budget", "arm", "trainings", "mean", "68 % of the mean"]
    rows = [
        [
            METRICS[row["metric"]],
            row["labels"],
            row["arm"],
            row["trainings"],
            number(row["mean"]),
            f"{number(row['mean_low'])} to {number(row['mean_high'])}",
        ]
        for path in sorted(tables.glob("panel*-results.csv"))
        for row in read(path)
        if row["metric"] in METRICS
    ]
    return markdown(head, rows)


def put(text: str, name: str, table: str) -> str:
    """Return the page with a table between the markers of a name."""
    pattern = rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)"
    assert re.search(pattern, text, flags=re.S), name
    return re.sub(pattern, lambda found: f"{found[1]}\n{table}\n{found[2]}", text, flags=re.S)


def main(study: Path, name: str) -> None:
    """Copy the report and fill the page."""
    target = DOCS / "reports" / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(study / "report", target)
    shutil.copy(study / "results.csv", target / "results.csv")
    shutil.copy(study / "registration.json", target / "registration.json")
    text = PAGE.read_text(encoding="utf-8")
    text = put(text, f"contrasts of {name}", contrasts(target / "csv"))
    text = put(text, f"results of {name}", results(target / "csv"))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
