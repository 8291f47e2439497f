"""The part of the report that shows a store: mass spectra, multiplicities and drawings of single jets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hepfm.core.errors import DataError
from hepfm.core.rng import numpy_generator
from hepfm.data.store import Store
from hepfm.report.blocks import Part, Text, grid, titled
from hepfm.report.figures.jets import first_of_each_class, jet_figure
from hepfm.report.figures.spectra import sample_rows, spectra_figures

ROWS = 20_000
"""Most jets in a spectrum."""

DEFAULT_RADIUS = 0.8


def gallery_part(store: Store, *, anchor: str, name: str = "") -> Part:
    """Build the part of the page for one store, by its name or that of its folder.

    Raises
    ------
    DataError
        When the store has no classes.
    """
    label = store.schema.label
    if label is None or not store.schema.label_classes:
        raise DataError(f"{store.path} has no classes; mass spectra and drawings are made by class")
    name = name or store.path.name
    split = "test" if "test" in store.splits else next(iter(store.splits))
    rows = sample_rows(store.split(split), ROWS, numpy_generator(0, "study.gallery"))
    where = f"{len(rows):,} jets of the split '{split}' of {name} ({store.fingerprint})"
    spectra = spectra_figures(store, rows, label=label, prefix=anchor, where=where)
    radius, known = jet_radius(store.manifest.provenance)
    drawings = [
        jet_figure(jet, radius=radius, name=f"{anchor}-jet-{index}")
        for index, jet in enumerate(first_of_each_class(store, rows, label=label))
    ]
    note = Text(
        "The first jet of each class among those of the spectra, not chosen by its looks. Marker area is "
        "proportional to transverse momentum; colour and shape give the type of the particle; the dashed "
        f"circle has the radius {radius:g}{'' if known else ', assumed: the store does not say it'}."
    )
    single = titled("One jet of each class", [note, *grid(drawings, small=True)])
    return Part(anchor, f"The jets of {name}", (*grid(spectra), *single))


def jet_radius(provenance: Mapping[str, Any]) -> tuple[float, bool]:
    """Return the jet radius of a simulated store and True; 0.8 and False when the store does not say."""
    recipe = provenance.get("recipe")
    selection = recipe.get("selection") if isinstance(recipe, Mapping) else None
    radius = selection.get("radius") if isinstance(selection, Mapping) else None
    return (float(radius), True) if isinstance(radius, int | float) else (DEFAULT_RADIUS, False)
