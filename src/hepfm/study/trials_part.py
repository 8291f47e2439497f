"""Parts of a study's report: what is missing, and the rules that the study was made by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hepfm.report import html
from hepfm.report.results import budget_text
from hepfm.report.section import Part
from hepfm.report.table import ReportTable, make_table
from hepfm.study.config import StudyConfig
from hepfm.study.outcome import Missing, Panel
from hepfm.study.plan import Cell


def panel_name(panel: Panel) -> str:
    """Return size and pre-training rows for people."""
    rows = "" if panel.rows is None else f", {panel.rows:,} pre-training rows"
    return f"{panel.task}, {panel.size}{rows}"


def missing_part(missing: Sequence[Missing], lost: Mapping[str, str]) -> Part:
    """Build the part that lists every trial without a result, and every run that failed."""
    table = make_table(
        ("arm", "size", "pretrain_rows", "task", "labels", "replicate", "run", "why"),
        [[*_cell(one.trial.cell), one.trial.replicate, one.run, one.why] for one in missing],
    )
    tables: dict[str, ReportTable] = {"missing": table} if missing else {}
    if not missing and not lost:
        body = html.paragraph("Nothing: every trial of the study has a result.")
    else:
        body = _missing_table(missing) + _lost_list(lost)
    return Part("missing", "Missing", html.section("missing", "Failed and missing runs", body), tables)


def _cell(cell: Cell) -> list[str | int | None]:
    return [cell.arm, cell.size, cell.rows, cell.task, cell.budget]


def _missing_table(missing: Sequence[Missing]) -> str:
    if not missing:
        return ""
    rows = [
        [
            one.trial.cell.arm,
            one.trial.cell.size,
            one.trial.cell.task,
            one.why,
            budget_text(one.trial.cell.budget),
            str(one.trial.replicate),
            one.run,
        ]
        for one in missing
    ]
    return html.scroll_table(
        ("arm", "size", "task", "why", "labels", "replicate", "run"),
        rows,
        caption=(
            "Trials without a result. They are left out of every mean, so compare the numbers of trainings."
        ),
        text_columns=4,
    )


def _lost_list(lost: Mapping[str, str]) -> str:
    if not lost:
        return ""
    return html.paragraph("Runs that failed:") + html.bullets([f"{run}: {why}" for run, why in lost.items()])


def rules_part(config: StudyConfig) -> Part:
    """Build the part that says by which rules the study was made."""
    seeds = config.seeds
    lines = [
        f"Replicates of fine-tuning: {len(seeds.replicates)}; of pre-training: {len(seeds.pretrain)}.",
        (
            "All arms share recipe, optimiser, steps, validation cadence and early stopping; they differ in "
            "the objective of pre-training alone."
        ),
        "Validation, early stopping and the choice of the learning rate use labels of the budget only.",
        _search_line(config),
    ]
    return Part("rules", "Rules", html.section("rules", "Rules of this study", html.bullets(lines)), {})


def _search_line(config: StudyConfig) -> str:
    if config.search is None:
        return "No search: every arm, scratch too, is fine-tuned with the recipe's learning rate."
    rates = {task: ", ".join(f"{rate:g}" for rate in config.rates_of(task)) for task in config.downstream}
    if len(set(rates.values())) == 1:
        shown = next(iter(rates.values()))
    else:
        shown = "; ".join(f"{each} ({task})" for task, each in rates.items())
    who = {
        "run": "Every replicate chooses for itself.",
        "cell": "The first replicate chooses for the others of its arm, size, task and budget.",
    }[config.search.per]
    return (
        f"Learning rates {shown} are tried for every arm, scratch too; the lowest validation loss decides. "
        f"{who} The cost of the search is listed apart."
    )
