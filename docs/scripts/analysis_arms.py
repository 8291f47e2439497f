"""Compare analyses with a pre-trained network with the same ones with a network from scratch, seed by seed.

python docs/scripts/analysis_arms.py FOLDER

FOLDER holds ``KIND-ARM-SEED`` for the kinds ``reweight`` and ``unfold``, the arms ``scratch`` and
``pretrained``, and seeds from 1: analyses of the same data, each with one training and, if it is pre-trained,
with a pre-training of its own. ``anomaly-SEED`` has methods ``METHOD_ARM``. Writes docs/data/analysis_arms.csv
and the table in docs/density_ratios.md.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from study_page import DOCS, markdown, number, put, read

from hepfm.metrics.holm import holm
from hepfm.metrics.paired import paired_trainings

ARMS = ("pretrained", "scratch")
FEWEST = 3
"""Seeds below which a comparison says nothing."""
DISTANCES = {"reweight": "after_distance", "unfold": "unfolded_distance"}
"""Column of the distance to the truth, in the tables of each kind."""
Values = dict[str, dict[str, dict[int, float]]]
"""By metric and arm the value of each seed."""


def add(values: Values, metric: str, arm: str, seed: int, value: float) -> None:
    """Note a value."""
    values.setdefault(metric, {}).setdefault(arm, {})[seed] = value


def collect(folder: Path) -> Values:
    """Return what the reports of all analyses say."""
    values: Values = {}
    for path in sorted(folder.iterdir()):
        kind, *rest = path.name.split("-")
        tables = path / "report" / "csv"
        if kind == "anomaly":
            for row in read(tables / "improvement.csv"):
                method, _, arm = row["method"].rpartition("_")
                metric = f"{method}, {row['signals']} signal events: largest significance improvement"
                add(values, metric, arm, int(rest[0]), float(row["improvement_median"]))
        elif kind in DISTANCES:
            arm, seed = rest[0], int(rest[1])
            distances = [float(row[DISTANCES[kind]]) for row in read(tables / "closure.csv")]
            metric = f"{kind}: 1000 Δ, mean of the observables"
            add(values, metric, arm, seed, 1000 * float(np.mean(distances)))
            for row in read(tables / "weights.csv") if kind == "reweight" else []:
                add(values, "reweight: AUC of other trees, after", arm, seed, float(row["auc_after"]))
    return values


def main(folder: Path) -> None:
    """Write the table."""
    values = collect(folder)
    rows, ps = [], []
    for metric, arms in values.items():
        seeds = sorted(set.intersection(*(set(arms.get(arm, ())) for arm in ARMS)))
        if len(seeds) < FEWEST:
            continue  # not run to the end yet
        ours, theirs = ([arms[arm][seed] for seed in seeds] for arm in ARMS)
        pairs = paired_trainings([ours], [theirs])
        measured = pairs.measurement
        rows.append(
            {
                "metric": metric,
                "seeds": len(seeds),
                "scratch": float(np.mean(theirs)),
                "pretrained": float(np.mean(ours)),
                "difference": measured.value,
                "low": measured.low,
                "high": measured.high,
            }
        )
        ps.append(pairs.p)
    for row, p in zip(rows, holm(ps), strict=True):
        row["p_holm"] = p
    path = DOCS / "data" / "analysis_arms.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    head = ["", "seeds", "scratch", "pre-trained", "difference, 95 %", "p (Holm)"]
    cells = [
        [
            str(row["metric"]),
            str(row["seeds"]),
            number(str(row["scratch"])),
            number(str(row["pretrained"])),
            f"{number(str(row['difference']))} ({number(str(row['low']))} to {number(str(row['high']))})",
            number(str(row["p_holm"])),
        ]
        for row in rows
    ]
    page = DOCS / "density_ratios.md"
    page.write_text(put(page.read_text(encoding="utf-8"), "arms", markdown(head, cells)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
