"""``hepfm check``: verify a model directory and rerun its fixture."""

from __future__ import annotations

from pathlib import Path

from hepfm.core.errors import ModelError
from hepfm.models.directory import Model
from hepfm.models.fixture import TOLERANCE, forward, largest_differences, load_fixture
from hepfm.models.folder import FIXTURE, model_directory


def check(model: str | Path) -> dict[str, float]:
    """Load a model strictly, run its fixture, and compare with the outputs kept beside it.

    Parameters
    ----------
    model
        The model directory.

    Returns
    -------
    dict
        Largest difference of each kind of output, relative to its largest value.

    Raises
    ------
    ModelError
        When a file is missing or altered, or outputs differ by more than the tolerance.
    """
    folder = model_directory(model)
    loaded = Model.load(folder)
    batch, expected = load_fixture(folder / FIXTURE)
    differences = largest_differences(forward(loaded.network, batch), expected)
    worst = max(differences, key=lambda name: differences[name])
    if not differences[worst] <= TOLERANCE:
        raise ModelError(
            f"{folder}: output {worst!r} differs from the fixture by {differences[worst]:.2g} of its largest "
            f"value, allowed is {TOLERANCE:g}; the model does not compute here what it computed where it was "
            "saved"
        )
    return differences
