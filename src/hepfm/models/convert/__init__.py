"""Converters: another package's checkpoint into a model directory. One file each, one row here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hepfm.core.registry import Registry

CONVERTERS = Registry(
    "converter",
    {
        "weaver": (
            "hepfm.models.convert.weaver:convert_weaver",
            "Particle Transformer state dicts of weaver-core (the published JetClass models)",
        ),
        "omnilearned": (
            "hepfm.models.convert.omnilearned:convert_omnilearned",
            "Point Edge Transformer checkpoints of omnilearned: body, classifier, generator of kinematics",
        ),
    },
)


def convert(package: str, *, checkpoint: str | Path, output: str | Path, classes: Sequence[str] = ()) -> Any:
    """Write another package's checkpoint as a model directory, and return the `Model`.

    Parameters
    ----------
    package
        Name of the converter, e.g. ``"weaver"``.
    checkpoint
        The file to read. It is never executed.
    output
        The model directory to write.
    classes
        Class names in the order of the checkpoint's outputs; the converter's own when left out.
    """
    converter = CONVERTERS.load(package)
    return converter(checkpoint, output=output, **({"classes": tuple(classes)} if classes else {}))
