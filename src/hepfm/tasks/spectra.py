"""``spectra.arrow`` of a result directory: the binned spectra of real, generated and noise rows.

With it a report draws generated over real rows without the stores. One row is one bin of one sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hepfm.core.guards import member, reading
from hepfm.metrics.generation.spectra import Axis, Binned, binned
from hepfm.metrics.predictions import FloatArray
from hepfm.tasks.samples import Samples, of_group

if TYPE_CHECKING:
    from hepfm.tasks.generation import GenerationTask

SPECTRA = "spectra.arrow"
SAMPLES = ("reference", "second", "generated", "noise")


@dataclass(frozen=True)
class Overlay:
    """One axis of one class of rows, with every sample.

    Attributes
    ----------
    axis
        What is drawn.
    group
        Class of the rows; empty for all together.
    samples
        Spectra by the names of `SAMPLES`.
    """

    axis: Axis
    group: str
    samples: Mapping[str, Binned]


def overlays(
    task: GenerationTask, samples: Samples, *, binned_by: Samples | None = None
) -> tuple[Overlay, ...]:
    """Return the overlays of all classes together, then of each where there are several.

    Parameters
    ----------
    task
        The protocol.
    samples
        What is drawn.
    binned_by
        Samples whose reference gives the bins; those of `samples` by default.
    """
    classes = [name for name in samples.sizes if name]
    drawn_overlays = []
    spectra = task.spectra((binned_by or samples).reference)
    for group in ("", *(classes if len(classes) > 1 else ())):
        parts = {name: of_group(samples, name, group) for name in SAMPLES}
        for spectrum in spectra:
            drawn = {name: binned(spectrum, part) for name, part in parts.items()}
            drawn_overlays.append(Overlay(spectrum.axis, group, drawn))
    return tuple(drawn_overlays)


def spectra_table(drawn: Sequence[Overlay]) -> pa.Table:
    """Return ``spectra.arrow``."""
    return pa.Table.from_pylist([row for overlay in drawn for row in _rows(overlay)], schema=_SCHEMA)


_AXIS = {"name": pa.string(), "title": pa.string(), "label": pa.string(), "y_label": pa.string()}
_AXIS |= {"log_x": pa.bool_(), "log_y": pa.bool_()}
_BIN = {name: pa.float64() for name in ("low", "high", "value", "error")}
_SCHEMA = pa.schema({**_AXIS, "class": pa.string(), "sample": pa.string(), "rows": pa.int64(), **_BIN})


def _rows(overlay: Overlay) -> Iterator[dict[str, Any]]:
    axis = {key: value for key, value in asdict(overlay.axis).items() if key in _AXIS}
    low, high = overlay.axis.edges[:-1], overlay.axis.edges[1:]
    for name, drawn in overlay.samples.items():
        for ends in zip(low, high, drawn.value, drawn.error, strict=True):
            numbers = dict(zip(_BIN, map(float, ends), strict=True))
            yield {**axis, "class": overlay.group, "sample": name, "rows": drawn.rows, **numbers}


def read_spectra(folder: Path) -> tuple[Overlay, ...]:
    """Return the overlays of a result directory; none where it has no ``spectra.arrow``.

    Raises
    ------
    DataError
        When the file is damaged.
    """
    path = folder / SPECTRA
    if not path.exists():
        return ()
    with reading(path, what="spectra", fix="run hepfm evaluate again"):
        with pa.memory_map(str(member(folder, SPECTRA))) as file:
            rows = pa.ipc.open_file(file).read_all().to_pylist()
        parts: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}
        for row in rows:
            parts.setdefault((row["class"], row["name"]), {}).setdefault(row["sample"], []).append(row)
        return tuple(_overlay(group, samples) for (group, _), samples in parts.items())


def _overlay(group: str, samples: Mapping[str, list[dict[str, Any]]]) -> Overlay:
    bins = samples[SAMPLES[0]]
    edges = np.array([*_column(bins, "low"), bins[-1]["high"]])
    axis = Axis(**{key: bins[0][key] for key in _AXIS}, edges=edges)
    drawn = {
        name: Binned(_column(rows, "value"), _column(rows, "error"), rows[0]["rows"])
        for name, rows in samples.items()
    }
    return Overlay(axis, group, drawn)


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> FloatArray:
    return np.array([row[key] for row in rows], np.float64)
