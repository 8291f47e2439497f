"""Write ``docs/demo.md`` from the report of a demo run that lies in ``docs/reports/demo``.

cp -r demo/report/report.html demo/report/csv docs/reports/demo/ && python docs/scripts/demo_page.py
"""

from __future__ import annotations

import csv
from pathlib import Path

DOCS = Path(__file__).parents[1]
TABLES = DOCS / "reports" / "demo" / "csv"
METRICS = {"auc": "AUC", "rejection_50": "1/ε_B at ε_S = 0.5", "rejection_30": "1/ε_B at ε_S = 0.3"}

TEXT = """# The demo

```console
make demo            # or, where hepfm is installed: hepfm demo -o demo
```

It takes minutes on two cores and ends in `demo/report/report.html`:

1. `simulate jetclass_fast`: 15,000 jets of the ten JetClass classes, 13 TeV, and `simulate top_tagging`:
   hadronic top quarks against dijets at 14 TeV with another detector, another range of pT and kinematics only.
2. `pretrain demo`: a small Particle Transformer (two blocks of 64 channels) learns the ten classes from
   kinematics of the 50 leading constituents.
3. `finetune demo`: from 100 and 1,000 labelled jets of the second set, five times each, from the pre-trained
   weights and from scratch, each until 15 validations bring nothing better (600 steps at the most). Each run draws
   its own labels and order; validation is paid for with a fifth of the same labels; settings are the same for both.
4. `evaluate` on 4,000 test jets, and the report.

The demo is the built-in [study](studies.md) `demo` (`hepfm show study demo`). What is complete is kept: the same command goes on after a stop.
Settings follow as `key=value`, e.g.
`hepfm demo -o big stores.pretrain.rows.train=10000 pretrain.options.train.steps=10000 downstream.top_tagging.budgets=[100,1000,10000] stores.top.rows.train=10000`.

## What pre-training buys

[The whole report of a run](reports/demo/report.html). Means over five trainings, geometric for rejections,
the 68 % intervals of the means in brackets, then the 68 % statistical uncertainty of the test rows. All fine-tunings
start from one pre-training: the intervals do not hold how another would have come out.

"""

AFTER = """
Differences from scratch, asked twice (paired bootstrap over test rows; the mean over five pairs of trainings with
its interval), are called *better* only if the p-value over trainings, corrected after Holm for all lines of a table,
is below 5 % and the 95 % interval over test rows excludes "no difference":

"""

END = """
**Read with care.** No run had its last step as the best one; one of the five from scratch with 100 labels was best at its first validation, after 10 steps. Scratch
with 100 labels lies below the regression on four numbers: a network of this size finds less in 80 jets than these numbers
hold. All fine-tunings start from one pre-training.

It is a demonstration: few jets, a small network, no multi-parton interactions, minutes of training. With five
seeds the spread of small label budgets is wide, and the page says where it resolves nothing. The learning rate of
fine-tuning is one choice for both starting points, made by where the best validation lies; nothing was chosen by test rows.
"""


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of one of the report's tables."""
    with (TABLES / f"panel1-top_tagging-{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(text: str) -> str:
    """Return a number with the digits that matter; an open end as a dash."""
    if not text:
        return "-"
    value = float(text)
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.3g}"


def results() -> list[str]:
    """Return the table of means with both errors."""
    lines = ["| labels | start | " + " | ".join(METRICS.values()) + " |", "|---|---|---|---|---|"]
    found = {(row["labels"], row["arm"], row["metric"]): row for row in rows("results")}
    for labels, arm in sorted({key[:2] for key in found}, key=lambda key: (int(key[0]), key[1])):
        cells = [_cell(found[labels, arm, metric]) for metric in METRICS]
        lines.append(f"| {labels} | {arm} | " + " | ".join(cells) + " |")
    return lines


def _cell(row: dict[str, str]) -> str:
    over = f"[{number(row['mean_low'])}, {number(row['mean_high'])}]"
    return f"{number(row['mean'])} {over}; {number(row['test_low'])} to {number(row['test_high'])}"


def differences() -> list[str]:
    """Return the table of differences from scratch."""
    header = [
        "labels",
        "metric",
        "difference",
        "95 % over test rows",
        "95 % over trainings",
        "p (Holm)",
        "verdict",
    ]
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for row in rows("against-scratch"):
        if row["metric"] in METRICS:
            value = ("x" if row["scale"] == "ratio" else "") + number(row["mean"])
            test = f"{number(row['test_low'])} to {number(row['test_high'])}"
            over = f"{number(row['trainings_low'])} to {number(row['trainings_high'])}"
            p = number(row["p_holm"])
            cells = [row["labels"], METRICS[row["metric"]], value, test, over, p, row["verdict"]]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    text = TEXT + "\n".join(results()) + "\n" + AFTER + "\n".join(differences()) + "\n" + END
    (DOCS / "demo.md").write_text(text, encoding="utf-8")
