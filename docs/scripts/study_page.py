"""Write ``docs/pretraining_objectives.md`` from the results in ``docs/reports/pretraining_objectives_cpu``.

python docs/scripts/study_page.py STUDY_DIRECTORY    # take over the results of a finished study first
python docs/scripts/study_page.py                    # the page alone
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from hepfm.metrics.trainings import mean_over_trainings

DOCS = Path(__file__).parents[1]
DATA = DOCS / "reports" / "pretraining_objectives_cpu"
STUDY = "pretraining_objectives_cpu"
ARMS = ("scratch", "C", "G", "M", "C+G", "C+M", "G+M", "C+G+M")
WITH_G = (("G", "scratch"), ("C+G", "C"), ("G+M", "M"), ("C+G+M", "C+M"))
"""Arms that differ by flow matching alone."""

TAGGING = {"auc": "AUC", "rejection_50": "1/ε_B at ε_S = 0.5", "rejection_30": "1/ε_B at ε_S = 0.3"}
GENERATION = {
    "fpd": "FPD",
    "w1m": "W1M",
    "w1_mass": "W1 of mass [GeV]",
    "w1_multiplicity": "W1 of multiplicity",
    "w1_tau21": "W1 of τ21",
}

Row = dict[str, str]


# -- taking over a study


def take_over(directory: Path) -> None:
    """Copy the report of a study, and compare the arms that the page asks about."""
    from hepfm.study.folder import StudyFolder
    from hepfm.study.outcome import collect, panels
    from hepfm.study.study import prepare

    DATA.mkdir(parents=True, exist_ok=True)
    shutil.copy(directory / "report" / "report.html", DATA)
    shutil.copy(directory / "results.csv", DATA)
    shutil.copytree(directory / "report" / "csv", DATA / "csv", dirs_exist_ok=True)
    plan, folder = prepare(STUDY), StudyFolder(directory)
    outcomes, _ = collect(plan, folder, {name: folder.status(name) for name in plan.runs})
    pairs: list[Row] = []
    floors: list[Row] = []
    for panel in panels(outcomes):
        pairs += _pairs(panel)
        file = panel.outcomes[0].result.file
        floors += [{"metric": one.name, "value": repr(one.value)} for one in file.floors]
    _write(DATA / "comparisons.csv", pairs)
    _write(DATA / "floors.csv", floors)


def _pairs(panel) -> list[Row]:  # type: ignore[no-untyped-def]
    """Return the comparisons that the page asks for; each metric is a family of its own."""
    from hepfm.metrics.contrast import Contrast
    from hepfm.study.comparer import Comparer
    from hepfm.study.difference import corrected
    from hepfm.study.difference_table import differences_csv
    from hepfm.study.preference import whole_metrics

    few, many = min(panel.section.budgets), max(panel.section.budgets)
    wanted = {(arm, base, budget) for arm, base in WITH_G for budget in (few, many)}
    wanted |= {(arm, "C", many) for arm in ARMS if arm != "C"}
    wanted |= {(arm, "C+M", few) for arm in ARMS if arm != "C+M"}
    comparer, found = Comparer(panel.section), []
    for metric in whole_metrics(panel.section.results[0].file):
        family = [
            comparer.difference(Contrast(f"{arm} - {base}", (arm,), (base,)), budget, metric)
            for arm, base, budget in sorted(wanted)
        ]
        table = differences_csv(corrected([one for one in family if one is not None]))
        found += [{"task": panel.task, **row} for row in csv.DictReader(table.to_csv().splitlines())]
    return found


def _write(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


# -- the page


def read(name: str) -> list[Row]:
    """Return the rows of a table."""
    with (DATA / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def budgets(results: Iterable[Row], task: str) -> list[int]:
    """Return the label budgets of a task."""
    return sorted({int(row["budget"]) for row in results if row["task"] == task})


def means(results: Sequence[Row], task: str, metrics: dict[str, str]) -> str:
    """Return the table of means over replicates with their 68 % intervals."""
    names = {row["metric"] for row in results if row["task"] == task}
    shown = {name: title for name, title in metrics.items() if name in names}
    floors = {row["metric"]: float(row["value"]) for row in read("floors.csv") if row["value"] != "None"}
    lines = ["| labels | arm | " + " | ".join(shown.values()) + " |", "|---|---|" + "---|" * len(shown)]
    for budget in budgets(results, task):
        for arm in ARMS:
            cells = [_cell(results, task, budget, arm, name) for name in shown]
            lines.append(f"| {budget:,} | {arm} | " + " | ".join(cells) + " |")
    if any(name in floors for name in shown):
        cells = [f"{floors[name]:.3g}" if name in floors else "" for name in shown]
        lines.append("| | *real against real* | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(results: Sequence[Row], task: str, budget: int, arm: str, metric: str) -> str:
    key = (task, str(budget), arm, metric)
    values = [
        float(row["value"])
        for row in results
        if (row["task"], row["budget"], row["arm"], row["metric"]) == key and row["value"]
    ]
    if not values:
        return "missing"
    digits = ".4f" if metric == "auc" else ".3g"
    mean = mean_over_trainings(values, scale="ratio" if metric.startswith("rejection") else "difference")
    if mean.low is None or mean.high is None:
        return f"{mean.value:{digits}}"
    return f"{mean.value:{digits}} [{mean.low:{digits}}, {mean.high:{digits}}]"


class Pairs:
    """The comparisons, by task, metric, arm, base and budget."""

    def __init__(self) -> None:
        self.rows = {
            (row["task"], row["metric"], row["plus"], row["minus"], int(row["labels"])): row
            for row in read("comparisons.csv")
        }

    def get(self, task: str, metric: str, arm: str, base: str, budget: int) -> Row:
        """Return one comparison."""
        return self.rows[task, metric, arm, base, budget]


def pair_table(rows: Sequence[Row]) -> str:
    """Return comparisons as a table."""
    lines = [
        "| metric | labels | arm | against | mean | 95 % over trainings | 95 % over test jets | p (Holm) | verdict on the arm |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['metric']} | {int(row['labels']):,} | {row['plus']} | {row['minus']} | {_number(row, 'mean')} | "
        f"{_ends(row, 'trainings')} | {_ends(row, 'test')} | {float(row['p_holm'] or 1):.2g} | {row['verdict']} |"
        for row in rows
    ]
    return "\n".join(lines)


def _number(row: Row, key: str) -> str:
    if not row[key]:
        return "not defined"
    sign = "+" if row["scale"] != "ratio" else ""
    return f"{'x' if not sign else ''}{float(row[key]):{sign}.3g}"


def _ends(row: Row, kind: str) -> str:
    low, high = f"{kind}_low", f"{kind}_high"
    if not row[low] and not row[high]:
        return "none"
    return f"{_number(row, low)} to {_number(row, high)}"


def best_verdict(rows: Sequence[Row]) -> str:
    """Say whether the base of all comparisons is the best arm."""
    verdicts = [row["verdict"] for row in rows]
    winners = [row["plus"] for row in rows if row["verdict"] == "better"]
    if winners:
        return f"**contradicted** ({', '.join(winners)} better)"
    if all(verdict == "worse" for verdict in verdicts):
        return "**reproduced**"
    beaten = [row["plus"] for row in rows if row["verdict"] == "worse"]
    return f"**not resolved** (nothing is better; resolved as worse: {', '.join(beaten) or 'none'})"


def useless_verdict(rows: Sequence[Row]) -> str:
    """Say whether the arms with flow matching are no better than those without."""
    if any(row["verdict"] == "better" for row in rows):
        found = [
            f"{row['plus']} over {row['minus']} at {row['labels']}"
            for row in rows
            if row["verdict"] == "better"
        ]
        return f"**contradicted** (better: {', '.join(found)})"
    worse = [
        f"{row['plus']} under {row['minus']} at {row['labels']}" for row in rows if row["verdict"] == "worse"
    ]
    if worse:
        return f"**reproduced** (no addition of G is better, some are worse: {', '.join(worse)})"
    return "**not resolved** (no addition of G is better or worse; the intervals bound its use)"


def needed_verdict(rows: Sequence[Row]) -> str:
    """Say whether every arm with flow matching generates better than the same arm without."""
    verdicts = [row["verdict"] for row in rows]
    if any(verdict == "worse" for verdict in verdicts):
        return "**contradicted**"
    if all(verdict == "better" for verdict in verdicts):
        return "**reproduced**"
    count = sum(verdict == "better" for verdict in verdicts)
    return (
        f"**not resolved** ({count} of {len(verdicts)} additions of G are resolved as better, none as worse)"
    )


def page() -> str:
    """Return the page."""
    results, pairs = read("results.csv"), Pairs()
    top, jets = "top_tagging", "jet_generation"
    few, many = budgets(results, top)
    few_jets, many_jets = budgets(results, jets)
    q1 = [pairs.get(top, "auc", arm, "C", many) for arm in ARMS if arm != "C"]
    q2 = [pairs.get(top, "auc", arm, "C+M", few) for arm in ARMS if arm != "C+M"]
    q3 = [pairs.get(top, "auc", arm, base, budget) for budget in (few, many) for arm, base in WITH_G]
    q4 = {
        budget: [pairs.get(jets, "fpd", arm, base, budget) for arm, base in WITH_G]
        for budget in (few_jets, many_jets)
    }
    others = [
        pairs.get(jets, "w1_mass", arm, base, budget)
        for budget in (few_jets, many_jets)
        for arm, base in WITH_G
    ]
    commits = ", ".join(sorted({row["commit"][:10] for row in results}))
    replicates = sorted({row["replicate"] for row in results})
    counted = {(row["arm"], row["task"], row["budget"], row["replicate"]) for row in results}
    expected = len(ARMS) * 4 * len(replicates)
    return TEXT.format(
        commits=commits,
        seeds=", ".join(replicates),
        trials=f"{len(counted)} of {expected}",
        few=f"{few:,}",
        many=f"{many:,}",
        tagging_weights=_weights(results, "top_tagging"),
        generator_weights=_weights(results, "jet_generation"),
        few_jets=f"{few_jets:,}",
        many_jets=f"{many_jets:,}",
        v1=best_verdict(q1),
        v2=best_verdict(q2),
        v3=useless_verdict(q3),
        v4="; ".join(f"{budget:,} jets: {needed_verdict(rows)}" for budget, rows in q4.items()),
        t1=pair_table(q1),
        t2=pair_table(q2),
        t3=pair_table(q3),
        t4=pair_table([*q4[few_jets], *q4[many_jets], *others]),
        tagging=means(results, top, TAGGING),
        generation=means(results, jets, GENERATION),
    )


def _weights(results: list[Row], task: str) -> str:
    """Return the number of weights of the networks of a task; it is the same for all arms."""
    (number,) = {int(row["parameters"]) for row in results if row["task"] == task}
    return f"{number:,}"


TEXT = """# Pre-training objectives, the study in small

Classification (C), flow matching (G) and masked modelling (M), alone and summed, against training from scratch: the
arms of 2606.14870 on simulated jets, with the `micro` Point Edge Transformer ({tagging_weights} weights, {generator_weights} with the generator), the 30 hardest
constituents, 20,000 pre-training jets of the ten JetClass classes and 250 steps of 128 jets. Fine-tuned on
{few} and {many} top-tagging labels, and on the generation of {few_jets} and {many_jets} jets near 1 TeV.

```console
hepfm study pretraining_objectives_cpu -o studies/cpu --processes 2     # about two hours on two cores
python docs/scripts/study_page.py studies/cpu                           # this page
```

Commit of the runs: {commits}. Replicates: {seeds}; each has its own pre-training, initial weights, order and draw of
labels, the same numbers in every arm. Trials with a result: {trials}. [The whole report](reports/pretraining_objectives_cpu/report.html),
its tables (`docs/reports/pretraining_objectives_cpu/csv`), every number with its cost
([`results.csv`](reports/pretraining_objectives_cpu/results.csv)) and the comparisons below
([`comparisons.csv`](reports/pretraining_objectives_cpu/comparisons.csv)) are kept with this page.

These are 20,000 jets against the paper's 100 million, and a shorter training: it tests the machinery and asks
whether the conclusions hold in this corner. It cannot say that they fail at theirs.

## The paper's four conclusions

| conclusion | here |
|---|---|
| Classification is the best pre-training when labels are plentiful ({many} labels) | {v1} |
| Classification with masked modelling is the best when they are few ({few} labels) | {v2} |
| Flow matching is of no use to classification | {v3} |
| Flow matching is needed for generation | {v4} |

Rules, written before the results of single arms were read (medians pooled over arms had been seen): a difference counts as *better* or *worse* only if its p-value over
pairs of trainings, corrected after Holm for all comparisons by the same metric, is below 5 % and, for tagging, the 95 %
interval over test jets (paired bootstrap) excludes no difference. "Best" is *reproduced* if every other arm is worse, *contradicted* if any is better. "No use" is
*contradicted* if any arm gains by G, *reproduced* if none does and some lose. "Needed" is *reproduced* if all four arms
generate better (by FPD) with G than without, *contradicted* if any generates worse. Primary metrics: AUC, FPD.

### Classification alone, {many} labels

Differences of the arm from C (AUC); *worse* means that C is better.

{t1}

### Classification and masked modelling, {few} labels

Differences of the arm from C+M (AUC).

{t2}

### What flow matching adds to tagging

{t3}

The intervals bound what G may add or cost.

### What flow matching adds to generation

Smaller is better; no single test jet has a score here, so trainings alone decide.

{t4}

## All arms

Means over the replicates, geometric for rejections, with the 68 % intervals of the means in brackets. The
statistical uncertainty of the test jets and the differences from
scratch are in the report.

Top tagging, 10,000 test jets:

{tagging}

Generation, 1,000 jets with 8 midpoint steps, smaller is better:

{generation}

## How far it can be trusted

- The learning rate of fine-tuning was searched (two values) by the first replicate of each arm, task and budget, with labels of
  the budget; the rate and length of pre-training were one untuned choice for all arms. A sum of objectives sees as
  many jets as a single one and costs up to three times as much: the report's table of equal compute stands beside that.
- Fine-tuning has at most 120 steps and stops early, for all arms by the same rule. Generated jets are far from the
  real-against-real line: models this small, trained for minutes, are compared with each other here, not recommended.
- A pre-trained network keeps the standardisation of its pre-training (wider jets of 500 to 1000 GeV), training from scratch measures
  its own on the narrow jets near 1 TeV. What a short flow training gets wrong is wrong in those units, so the poor jets of the
  arms without G against scratch may in part be that, not the objective; it was not measured, and arms with G have the
  same standardisation. Arms that differ by G alone share the
  standardisation, except G against scratch, where it counts against G.
- Five seeds and few labels make wide intervals: at {few} labels scratch and several arms have a seed or two far below the rest. *Not resolved*
  means that, not *equal*.
- All jets are simulated without multi-parton interactions; those of pre-training and tagging with the package's parametrised
  detectors, those of generation at particle level.
"""


if __name__ == "__main__":
    if len(sys.argv) > 1:
        take_over(Path(sys.argv[1]))
    (DOCS / "pretraining_objectives.md").write_text(page(), encoding="utf-8")
