"""The page: sections, method and provenance put together into one self-contained file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import hepfm
from hepfm.metrics.definitions import definition_of
from hepfm.report import html
from hepfm.report.results import Section, budget_text
from hepfm.report.section import Part

METHOD = (
    (
        "Two errors, kept apart",
        (
            "The statistical uncertainty of the test jets says how a number would move with other test jets "
            "and the same trained model. The interval of the mean over trainings says how the mean would "
            "move with other trainings: other labels drawn, other initial weights, other order of batches, "
            "and another pre-training where there are several. They answer different questions, so they "
            "stand in separate columns and are never added."
        ),
    ),
    (
        "Statistical uncertainty of the test jets",
        (
            "Percentile bootstrap over test jets with Poisson(1) weights, 200 resamples, 68%. For "
            "rejections 1/ε_B every resample finds its own threshold, and the interval reaches at least as "
            "far as the Clopper-Pearson interval at the threshold of the sample; where no background jet "
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
            "run, and a 95% interval over test jets that excludes no difference. There is no verdict where "
            "more than a fifth of the trainings of an arm were stopped while they still improved, nor "
            "between generators that both are no better than noise."
        ),
    ),
)


def render(
    sections: Sequence[Section],
    parts: Sequence[Part],
    *,
    title: str = "Comparison of trained models",
    lead: str | None = None,
) -> str:
    """Return the page as text.

    Parameters
    ----------
    sections
        What was compared, for the lead and the table of provenance.
    parts
        Finished parts in the order of the page.
    title, lead
        Heading and first paragraph; the lead counts models and arms when None.
    """
    css = (files("hepfm.report") / "report.css").read_text(encoding="utf-8")
    links = [(part.anchor, part.title) for part in parts]
    links += [("method", "Definitions and errors"), ("provenance", "Where the numbers come from")]
    body = "".join(part.html for part in parts) + _method(sections) + _provenance(sections)
    return html.page(
        title=title,
        lead=_lead(sections) if lead is None else lead,
        links=links,
        body=body,
        footer=f"Made by hepfm {hepfm.__version__}. One file, no scripts, nothing is loaded from elsewhere.",
        css=css,
    )


def _lead(sections: Sequence[Section]) -> str:
    if not sections:
        return "No results; data only."
    models = sum(len(section.results) for section in sections)
    arms = sorted({arm for section in sections for arm in section.arms})
    apart = " Results on different tasks or test jets are in separate sections." if len(sections) > 1 else ""
    return f"{models} models, {len(arms)} ways of training: {'; '.join(arms)}.{apart}"


def _method(sections: Sequence[Section]) -> str:
    shown = [metric.definition for section in sections for metric in section.results[0].file.metrics]
    found = [definition_of(identifier) for identifier in shown]
    terms = dict.fromkeys((one.title, one.text) for one in found if one is not None)
    return html.section("method", "Definitions and errors", html.definitions([*METHOD, *terms]))


def _provenance(sections: Sequence[Section]) -> str:
    rows = [
        [
            section.task.name,
            result.arm,
            budget_text(result.budget),
            "none" if result.seed is None else str(result.seed),
            result.file.model.fingerprint,
            result.file.training.parent or "none",
            result.file.data.fingerprint,
            (result.file.code.commit or "unknown")[:10],
        ]
        for section in sections
        for result in section.results
    ]
    table = html.scroll_table(
        ("task", "arm", "labels", "seed", "model", "started from", "test data", "commit"),
        rows,
        caption=(
            "Every model behind this page. Fingerprints are hashes: of weights and config for a model, of "
            "schema and contents for a data set."
        ),
        text_columns=2,
    )
    body = html.folded(f"{len(rows)} models", table)
    return html.section("provenance", "Where the numbers come from", body)
