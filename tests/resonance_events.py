"""Events of a toy resonance: a falling spectrum, features that follow it, and a signal that peaks in all."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hepfm.core.ragged import Array
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.table import Table
from hepfm.data.writer import StoreWriter
from hepfm.methods.anomaly.regions import Regions

MASS = "event_dijet_mass"
FEATURES = ("event_x", "event_y")
SLOPE = 0.5
"""Change of the mean of x with the mass in TeV: the mean of y does not move, its width does."""
REGIONS = Regions(signal=(3300, 3700), sidebands=((2300, 3300), (3700, 5000)))


def schema(*, weight: bool = False) -> Schema:
    """Return the fields of the events."""
    fields = [Field(name, Level.EVENT) for name in (MASS, *FEATURES)]
    fields.append(
        Field("event_label", Level.EVENT, Kind.CATEGORICAL, dtype="int16", classes=("background", "signal"))
    )
    if weight:
        fields.append(Field("event_weight", Level.EVENT, Kind.CONTINUOUS))
    return Schema(tuple(fields), Level.EVENT, "event_label", "event_weight" if weight else None)


def resonance_events(
    background: int, signal: int, *, seed: int, independent: bool = False
) -> dict[str, Array]:
    """Return columns of events, background first.

    Parameters
    ----------
    background, signal
        Numbers of events.
    seed
        Of the draw.
    independent
        Whether the features of background say nothing of its mass.
    """
    rng = numpy_generator(seed, "test.resonance")
    mass = 2300 - 700 * np.log(1 - rng.uniform(0, 1 - np.exp(-2700 / 700), background))
    place = np.zeros(background) if independent else (mass - 3500) / 1000
    x = rng.normal(SLOPE * place, 1)
    y = rng.normal(0, 1 + 0.2 * np.abs(place))
    peak = rng.normal([2.0, 2.0], 0.3, (signal, 2))
    return {
        MASS: np.concatenate([mass, rng.normal(3500, 60, signal)]).astype(np.float32),
        "event_x": np.concatenate([x, peak[:, 0]]).astype(np.float32),
        "event_y": np.concatenate([y, peak[:, 1]]).astype(np.float32),
        "event_label": np.repeat([0, 1], [background, signal]).astype(np.int16),
    }


def resonance_table(background: int, signal: int, *, seed: int, independent: bool = False) -> Table:
    """Return such events in memory."""
    return Table.from_dict(resonance_events(background, signal, seed=seed, independent=independent), schema())


def resonance_store(path: Path, sizes: dict[str, tuple[int, int]], *, independent: bool = False) -> Path:
    """Write a store of such events; sizes are numbers of background and signal of each split."""
    with StoreWriter(path, schema(), provenance={"source": "test"}) as writer:
        for seed, (split, (background, signal)) in enumerate(sizes.items()):
            events = resonance_events(background, signal, seed=seed, independent=independent)
            writer.write(events, split=split)
    return writer.path
