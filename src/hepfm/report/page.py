"""The page: parts, definitions and provenance in one self-contained file, with a CSV file for each table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import markupsafe

import hepfm
from hepfm.core.files import atomic_path
from hepfm.metrics.definitions import definition_of
from hepfm.report.blocks import Definitions, Part, folded
from hepfm.report.formats import labels_text
from hepfm.report.sections import Result, Section
from hepfm.report.table import Column, ReportTable, text
from hepfm.tasks.result import MetricInfo

REPORT, CSV = "report.html", "csv"

METHOD = (
    (
        "Two errors, kept apart",
        (
            "The statistical uncertainty of the test rows says how a number would move with other test rows "
            "and the same trained model. The interval of the mean over trainings says how the mean would "
            "move with other trainings: other labels drawn, other initial weights, other order of batches, "
            "and another pre-training where there are several. They answer different questions, so they "
            "stand in separate columns and are never added."
        ),
    ),
    (
        "Statistical uncertainty of the test rows",
        (
            "Percentile bootstrap over test rows with Poisson(1) weights, 200 resamples, 68%. For "
            "rejections 1/ε_B every resample finds its own threshold, and the interval reaches at least as "
            "far as the Clopper-Pearson interval at the threshold of the sample; where no background row "
            "passes there is no value, only the 95% lower limit."
        ),
    ),
    (
        "Mean over trainings",
        (
            "Mean, geometric for rejections, with an interval of that mean: the wider of Student's t and "
            "Student's t after Hall's transformation, which follows the skewness of the trainings. Fewer "
            "than three trainings, or equal values, have none. In simulations with three to ten trainings "
            "the 95% interval covers the true mean in 96% of normal samples, in 94% to 98% of moderately "
            "skewed ones and of differences, in 88% to 91% of strongly skewed ones, and less where one "
            "training in five fails completely: no interval knows of a failure that did not happen in the "
            "sample."
        ),
    ),
    (
        "Verdicts",
        (
            "'better' and 'worse' need a p-value over trainings below 0.05 after Holm's correction for all "
            "comparisons of the table, or of the family for contrasts that were registered before the first "
            "run, and a 95% interval over test rows that excludes no difference. There is no verdict where "
            "more than a fifth of the trainings of an arm were stopped while they still improved, nor "
            "between generators that both are no better than noise."
        ),
    ),
)


@dataclass(frozen=True)
class Page:
    """Everything on the page.

    Attributes
    ----------
    title, lead
        Heading and first paragraph.
    parts
        In their order.
    """

    title: str
    lead: str
    parts: tuple[Part, ...]

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write ``report.html`` and ``csv/*.csv``; return the paths of the CSV files.

        The folder is replaced when the new one is complete. The same parts give the same bytes.
        """
        tables = {name: table for part in self.parts for name, table in part.tables.items()}
        with atomic_path(folder) as temporary:
            (temporary / CSV).mkdir(parents=True)
            for name, table in tables.items():
                (temporary / CSV / f"{name}.csv").write_text(table.to_csv(), encoding="utf-8")
            (temporary / REPORT).write_text(self.render(), encoding="utf-8")
        return tuple(folder / CSV / f"{name}.csv" for name in tables)

    def render(self) -> str:
        """Return the page as text."""
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("hepfm.report"), autoescape=True, undefined=jinja2.StrictUndefined
        )
        environment.filters["symbols"] = symbols
        template = environment.get_template("page.html.j2")
        return template.render(title=self.title, lead=self.lead, parts=self.parts, version=hepfm.__version__)


def symbols(text: str) -> markupsafe.Markup:
    """Return plain text as HTML, with ε_S, p_B and the like as symbols with an index.

    >>> str(symbols("1/ε_B < 3"))
    '1/ε<sub>B</sub> &lt; 3'
    """
    escaped = str(markupsafe.escape(text))
    return markupsafe.Markup(re.sub(r"\b([εp])_([SBab])\b", r"\1<sub>\2</sub>", escaped))


def closing_parts(sections: Sequence[Section]) -> tuple[Part, ...]:
    """Return the parts that close every page: how the numbers were made, and from which models."""
    return _definitions(sections), _provenance(sections)


def _definitions(sections: Sequence[Section]) -> Part:
    metrics = [metric for section in sections for metric in section.results[0].file.metrics]
    terms = dict.fromkeys(term for metric in metrics if (term := _definition(metric)))
    return Part("method", "Definitions and errors", (Definitions((*METHOD, *terms)),))


def _definition(metric: MetricInfo) -> tuple[str, str] | None:
    """Return title and definition of a metric; None where a plug-in has given none."""
    known = definition_of(metric.definition)
    if known is not None:
        return known.title, known.text
    return (metric.title, metric.explanation) if metric.explanation else None


PROVENANCE: tuple[Column[tuple[Section, Result]], ...] = (
    text("task", "task", lambda row: row[0].task.name),
    text("arm", "arm", lambda row: row[1].arm),
    Column("labels", "labels", lambda row: row[1].budget, lambda row: labels_text(row[1].budget)),
    Column("seed", "seed", lambda row: row[1].seed, lambda row: _or_none(row[1].seed)),
    Column("model", "model", lambda row: row[1].file.model.fingerprint),
    Column(
        "started from",
        "started_from",
        lambda row: row[1].file.training.parent,
        lambda row: _or_none(row[1].file.training.parent),
    ),
    Column("test data", "test_data", lambda row: row[1].file.data.fingerprint),
    Column(
        "commit",
        "commit",
        lambda row: row[1].file.code.commit,
        lambda row: (row[1].file.code.commit or "unknown")[:10],
    ),
)


def _or_none(value: int | str | None) -> str:
    return "none" if value is None else str(value)


def _provenance(sections: Sequence[Section]) -> Part:
    rows = tuple((section, result) for section in sections for result in section.results)
    table = ReportTable(
        PROVENANCE,
        rows,
        caption=(
            "Every model behind this page. Fingerprints are hashes: of weights and config for a model, of "
            "schema and contents for a data set."
        ),
        name="provenance" if rows else "",
    )
    return Part("provenance", "Where the numbers come from", tuple(folded(f"{len(rows)} models", [table])))
