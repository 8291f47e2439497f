"""Compare: result directories in, tables, curves and one self-contained ``report.html`` out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hepfm.core.files import refuse_other_folder
from hepfm.core.log import progress
from hepfm.data.store import Store
from hepfm.report.blocks import Part
from hepfm.report.comparer import Comparer, task_of
from hepfm.report.figures.style import pens
from hepfm.report.formats import interval, number
from hepfm.report.gallery import gallery_part
from hepfm.report.generated_part import section_spectra, store_spectra
from hepfm.report.page import REPORT, Page, closing_parts
from hepfm.report.sections import BASELINE, Section, load_sections
from hepfm.report.summary import summarise
from hepfm.report.task_part import task_part


@dataclass(frozen=True)
class Comparison:
    """A finished comparison: the report, its CSV files, and the sections that it shows."""

    report: Path
    tables: tuple[Path, ...]
    sections: tuple[Section, ...]


def compare(
    results: Sequence[str | Path], *, output: str | Path, stores: Sequence[str | Path] = ()
) -> Comparison:
    """Compare evaluated models and write ``report.html`` and ``csv/*.csv``.

    Results on different tasks, versions of a task, or test rows come into separate sections. The same results
    give the same bytes.

    Parameters
    ----------
    results
        Result directories of `evaluate`.
    output
        Directory of the report; one that is there is replaced when the new one is complete.
    stores
        Stores to show as well: mass spectra, multiplicities and drawings of jets. One real store and stores
        of generated rows are also drawn over each other, without any result too.

    Raises
    ------
    DataError
        When nothing is given, a result is damaged, or two results are the same training.
    """
    folder = Path(output)
    refuse_other_folder(folder, mark=REPORT, what="report")
    opened = [Store.open(store) for store in stores]
    sections = load_sections(results) if results or not opened else ()
    for section in sections:
        task_of(section)
    parts = (*_parts(sections, opened), *closing_parts(sections))
    page = Page("Comparison of trained models", _lead(sections), parts)
    return Comparison(folder / REPORT, page.write(folder), sections)


def _lead(sections: Sequence[Section]) -> str:
    if not sections:
        return "No results; data only."
    models = sum(len(section.results) for section in sections)
    arms = sorted({arm for section in sections for arm in section.arms})
    apart = " Results on different tasks or test rows are in separate sections." if len(sections) > 1 else ""
    return f"{models} models, {len(arms)} ways of training: {'; '.join(arms)}.{apart}"


def _parts(sections: Sequence[Section], stores: Sequence[Store]) -> list[Part]:
    drawn_with = pens(sorted({arm for section in sections for arm in section.arms}), BASELINE)
    parts = []
    with progress("report", len(sections) + len(stores)) as advance:
        for index, section in enumerate(sections):
            anchor = f"task{index + 1}"
            parts.append(
                task_part(Comparer(section), pens=drawn_with, anchor=f"{anchor}-{section.task.name}")
            )
            parts += section_spectra(section, pens=drawn_with, anchor=f"{anchor}-spectra")
            advance(1, section.task.name)
        spectra = store_spectra(stores, anchor="stores-spectra")
        parts += spectra
        for index, store in enumerate(stores):
            if store.schema.label_classes or not spectra:
                parts.append(gallery_part(store, anchor=f"store{index + 1}"))
            advance(1, store.path.name)
    return parts


def summary_lines(comparison: Comparison) -> list[str]:
    """Return the means of each task's primary metric for people, one group a line."""
    lines = []
    for section in comparison.sections:
        primary = task_of(section).primary
        metric = section.results[0].file.metric(primary)
        lines.append(f"{section.task.title}: {metric.title}, mean over trainings")
        for group in section.groups:
            mean = summarise(group, primary).mean
            error = interval(mean.low, mean.high, metric.scale)
            lines.append(
                f"  {group.label:44} {number(mean.value, metric.scale):>9}  ({error}; {mean.interval})"
            )
    return [*lines, f"report: {comparison.report}"]
