"""The part of the report that shows generated rows over real ones, from results or from stores alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hepfm.core.errors import DataError
from hepfm.data.store import Store
from hepfm.report.blocks import Block, Part, Text, folded, grid, titled
from hepfm.report.figures.confusion import typical
from hepfm.report.figures.generated import SpectrumPanel, generated_figure
from hepfm.report.figures.style import Figure, Pen, pens
from hepfm.report.sections import Section
from hepfm.tasks.base import load_task
from hepfm.tasks.generation import GenerationTask
from hepfm.tasks.jet_generation import JetGeneration
from hepfm.tasks.samples import draw_samples
from hepfm.tasks.shower_generation import ShowerGeneration
from hepfm.tasks.spectra import Overlay, overlays, read_spectra

OPEN_CLASSES = 3
"""Classes whose figures stand open; those of more are folded away."""

NOISE = (
    "Real and generated rows with the same number of rows of each class. Noise: constituents drawn from "
    "Gaussians with the mean and the spread of the real ones, as many as real rows have, without a network."
)


def section_spectra(section: Section, *, pens: Mapping[str, Pen], anchor: str) -> list[Part]:
    """Build the part of one task from the spectra in its result directories; nothing where they have none.

    Of each arm the training with the median primary metric at the largest number of labels is drawn.
    """
    drawn: dict[str, Sequence[Overlay]] = {}
    notes = []
    for arm in section.arms:
        group = section.of(arm)[-1]
        chosen = typical(group, load_task(section.task.spec).primary)
        spectra = read_spectra(chosen.path)
        if spectra:
            drawn[arm] = spectra
            notes.append(f"{arm}: seed {chosen.seed}, {section.budget_text(group.budget)}")
    if not drawn:
        return []
    note = f" Training with the median primary metric of each arm ({'; '.join(notes)})."
    title = f"Generated over real: {section.task.title}"
    return [_part(drawn, pens, anchor=anchor, title=title, note=note)]


def store_spectra(stores: Sequence[Store], *, anchor: str) -> list[Part]:
    """Build the part of one real store and stores of generated rows; nothing where there are not both.

    Raises
    ------
    DataError
        When there are several real stores beside generated ones, or they do not fit.
    """
    made = [store for store in stores if is_generated(store)]
    real = [store for store in stores if not is_generated(store)]
    if not made or not real:
        return []
    if len(real) > 1:
        several = ", ".join(str(store.path) for store in real)
        raise DataError(f"generated rows are drawn over those of one real store, {several} are several")
    task = _task(real[0])
    samples = [draw_samples(task, real[0], store) for store in made]
    names = [store.path.name for store in made]
    drawn = {
        name if names.count(name) == 1 else str(store.path): overlays(task, own, binned_by=samples[0])
        for name, store, own in zip(names, made, samples, strict=True)
    }
    title = f"Generated over real: {real[0].path.name}"
    return [_part(drawn, pens(list(drawn), ""), anchor=anchor, title=title, note="")]


def is_generated(store: Store) -> bool:
    """Tell whether a store holds what a model made."""
    return store.manifest.provenance.get("source") == "generated"


def _task(real: Store) -> GenerationTask:
    return ShowerGeneration() if "hit_energy" in real.schema else JetGeneration()


def _part(
    drawn: Mapping[str, Sequence[Overlay]], pens: Mapping[str, Pen], *, anchor: str, title: str, note: str
) -> Part:
    figures = _figures(drawn, pens, anchor, note)
    (first, *classes) = (titled(group or "All rows", grid(some)) for group, some in figures.items())
    each: list[Block] = [block for blocks in classes for block in blocks]
    blocks = [
        Text(NOISE),
        *first,
        *(folded(f"Each of {len(each)} classes", each) if len(each) > OPEN_CLASSES else each),
    ]
    return Part(anchor, title, tuple(blocks))


def _figures(
    drawn: Mapping[str, Sequence[Overlay]], pens: Mapping[str, Pen], anchor: str, note: str
) -> dict[str, list[Figure]]:
    """Return figures by class."""
    first = next(iter(drawn.values()))
    for arm, some in drawn.items():
        if any(not np.array_equal(a.axis.edges, b.axis.edges) for a, b in zip(first, some, strict=True)):
            raise DataError(
                f"the spectra of {arm!r} have other bins; run hepfm evaluate again for all results"
            )
    figures: dict[str, list[Figure]] = {}
    for index, overlay in enumerate(first):
        arms = {arm: some[index].samples["generated"] for arm, some in drawn.items()}
        shown = SpectrumPanel(
            overlay.axis,
            overlay.group,
            overlay.samples["reference"],
            overlay.samples["second"],
            overlay.samples["noise"],
            arms,
        )
        name = f"{anchor}-{overlay.axis.name}{f'-{overlay.group}' if overlay.group else ''}"
        figures.setdefault(overlay.group, []).append(generated_figure(shown, pens, name=name, note=note))
    return figures
