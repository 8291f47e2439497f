"""The page: sections, method and provenance put together into one self-contained file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import hepfm
from hepfm.metrics.definitions import definition_of
from hepfm.study import html
from hepfm.study.results import Section, budget_text
from hepfm.study.section import Part

METHOD = (
    (
        "Two errors, kept apart",
        (
            "The test-set error says how a number would move with other test jets and the same trained "
            "model. The spread over seeds says how it would move with another training: other labels "
            "drawn, other initial weights, other order of batches. They answer different questions, so "
            "they stand in separate columns and are never added."
        ),
    ),
    (
        "Test-set error",
        (
            "Accuracy and AUC: percentile bootstrap over test jets with Poisson(1) weights, 200 resamples, "
            "68%. Rejections 1/ε_B: Clopper-Pearson interval of ε_B at fixed threshold, 68%; where no "
            "background jet passes there is no value, only the 95% lower limit."
        ),
    ),
    (
        "Spread over seeds",
        (
            "Median; 16-84% quantiles from five seeds on, smallest to largest below; standard deviation with "
            "ddof = 1."
        ),
    ),
    (
        "Not resolved",
        (
            "A difference counts only when zero (ratio: one) lies outside both 95% intervals, the paired "
            "bootstrap over test jets and Student's t over pairs of seeds. Otherwise the page says that it "
            "is not resolved, and by what."
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
    css = (files("hepfm.study") / "report.css").read_text(encoding="utf-8")
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
