"""Parts of a study's report: one panel of arms, generation panels without scores, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hepfm.study import html
from hepfm.study.config import StudyConfig
from hepfm.study.figures.efficiency import budget_axis, curve_table, draw_curve
from hepfm.study.figures.style import MUTED, Figure, Pen, canvas, legend, plain_log_axis, to_svg
from hepfm.study.outcome import Missing, Panel
from hepfm.study.pairs import against_best, against_scratch, compare_pairs, has_scores, pairs_csv, pairs_table
from hepfm.study.plan import Cell
from hepfm.study.preference import lower_is_better, whole_metrics
from hepfm.study.results import BASELINE, Section, budget_text
from hepfm.study.section import Part, section_part
from hepfm.study.section_tables import results_csv, results_table
from hepfm.study.summary import Curve, curves
from hepfm.study.table import Table, make_table
from hepfm.tasks.result import MetricInfo

PAIRS = (
    "Replicates with equal numbers share the draw of labels, so they are compared pair by pair. Median: over "
    "pairs; difference, or ratio for 1/ε_B. 95% by seeds: Student's t over the pairs, of the mean. 95% by "
    "test jets: paired bootstrap, all models share the resampled jets. 'better' and 'worse' need both "
    "intervals to exclude no difference; everything else is not resolved. Many lines are looked at together."
)
CHOSEN = " The best arm is the one with the best median on these test jets: it is flattered a little."
NO_SCORES = (
    " What is generated has no scores of single test rows, so differences are judged by the seeds alone: the "
    "error of the finite samples is in the spread over seeds, that of the common reference is not."
)


def panel_part(panel: Panel, *, pens: Mapping[str, Pen], anchor: str) -> Part:
    """Build the part of one panel: curves and tables, then each arm against scratch and the best arm."""
    section = panel.section
    scored = has_scores(section)
    part = (section_part if scored else _generation_part)(section, pens=pens, anchor=anchor)
    title = f"{section.task.title}: {panel_name(panel)}"
    note = PAIRS if scored else PAIRS + NO_SCORES
    tables = dict(part.tables)
    body = ""
    for key, references, heading, caption in (
        ("scratch", against_scratch(section), f"Pairs of seeds against {BASELINE}", note),
        ("best", against_best(section), "Pairs of seeds against the best arm", note + CHOSEN),
    ):
        found = compare_pairs(section, references)
        if not scored:
            found = tuple(pair for pair in found if pair.metric in whole_metrics(section.results[0].file))
        name = f"{anchor}-against-{key}"
        if found:
            tables[name] = pairs_csv(found)
            shown = pairs_table(found, caption=caption) + html.csv_link(tables[name], name)
            body += html.subsection(heading, shown)
    own = part.html.removesuffix("</section>") + body + "</section>"
    return replace(part, title=title, html=_retitled(own, part.title, title), tables=tables)


def panel_name(panel: Panel) -> str:
    """Return size and pre-training rows for people."""
    rows = "" if panel.rows is None else f", {panel.rows:,} pre-training rows"
    return f"{panel.task}, {panel.size}{rows}"


def _retitled(text: str, old: str, new: str) -> str:
    return text.replace(f"<h2>{html.escape(old)}</h2>", f"<h2>{html.escape(new)}</h2>", 1)


# -- results without scores of single rows


def _generation_part(section: Section, *, pens: Mapping[str, Pen], anchor: str) -> Part:
    metrics = whole_metrics(section.results[0].file)
    figures = [
        _curve_figure(section, metric, pens, name=f"{anchor}-labels-{metric.name}")
        for metric in metrics
        if any(len(curve.points) > 1 for curve in curves(section, metric.name))
    ]
    tables = {f"{anchor}-results": results_csv(section), **{drawn.name: drawn.table for drawn in figures}}
    body = (
        html.paragraph(
            f"Protocol {section.task.name} version {section.task.version}. {section.data.rows:,} real rows "
            f"of the data set {section.data.fingerprint}; {len(section.results)} trained models."
        )
        + html.subsection("Metric against number of rows", html.grid(figures))
        + html.subsection(
            "All numbers",
            results_table(section) + html.csv_link(tables[f"{anchor}-results"], f"{anchor}-results"),
        )
    )
    return Part(anchor, section.task.title, html.section(anchor, section.task.title, body), tables)


def _curve_figure(section: Section, metric: MetricInfo, pens: Mapping[str, Pen], *, name: str) -> Figure:
    drawn = curves(section, metric.name)
    figure, axes = canvas()
    axes.set_xscale("log")
    positive = all(map(_positive, drawn))
    if positive:
        axes.set_yscale("log")
    for index, curve in enumerate(drawn):
        draw_curve(axes, curve, pens[curve.arm], shift=1.045 ** (index - (len(drawn) - 1) / 2))
    real = section.results[0].file.floor(metric.name)
    floor = None if real is None else real.value
    if floor is not None and (floor > 0 or not positive):
        axes.axhline(floor, color=MUTED, linewidth=1.0, linestyle=(0, (1, 1.5)), label="real against real")
    budget_axis(axes, sorted({budget for curve in drawn for budget in curve.budgets}))
    axes.set_ylabel(metric.title)
    if positive:
        plain_log_axis(axes)
    legend(axes, loc="best")
    alt = f"{metric.title} against the number of rows for {', '.join(curve.arm for curve in drawn)}."
    return Figure(name, to_svg(figure, name, title=alt), alt, _caption(metric, floor), curve_table(drawn))


def _positive(curve: Curve) -> bool:
    values = [value for point in curve.points for value in point.values]
    return bool(values) and all(value is not None and value > 0 for value in values)


def _caption(metric: MetricInfo, floor: float | None) -> str:
    line = "" if floor is None else f" Dotted line: real against other real ones, {floor:.3g}."
    return (
        f"{metric.title[:1].upper()}{metric.title[1:]} ({metric.definition}) against the number of rows for "
        f"fine-tuning; {'smaller' if lower_is_better(metric) else 'larger'} is better. Line: median over "
        "seeds. Band: spread over seeds. Bars: error of "
        f"one model's sample ({metric.interval}). Dots: every training.{line}"
    )


# -- what is missing, and how the study was made


def missing_part(missing: Sequence[Missing], lost: Mapping[str, str]) -> Part:
    """Build the part that lists every trial without a result, and every run that failed."""
    table = make_table(
        ("arm", "size", "pretrain_rows", "task", "labels", "replicate", "run", "why"),
        [[*_cell(one.trial.cell), one.trial.replicate, one.run, one.why] for one in missing],
    )
    tables: dict[str, Table] = {"missing": table} if missing else {}
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
        caption="Trials without a result. They are left out of every median, so compare the counts of seeds.",
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
    rates = ", ".join(f"{rate:g}" for rate in config.search.learning_rates)
    who = {
        "run": "Every replicate chooses for itself.",
        "cell": "The first replicate chooses for the others of its arm, size, task and budget.",
    }[config.search.per]
    return (
        f"Learning rates {rates} are tried for every arm, scratch too; the lowest validation loss decides. "
        f"{who} The cost of the search is listed apart."
    )
