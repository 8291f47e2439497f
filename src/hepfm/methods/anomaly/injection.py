"""Data of a search made of simulated background and a few signal events, whose truth no method is told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.rng import numpy_generator
from hepfm.data.row_source import Index
from hepfm.data.weights import unweighted
from hepfm.methods.anomaly.events import Events


@dataclass(frozen=True)
class Injected:
    """Data with injected signal.

    Attributes
    ----------
    events
        The data in a random order, of equal weights.
    signal
        Which of them are signal, (R,); for measurements alone.
    left
        Signal that was not injected.
    """

    events: Events
    signal: npt.NDArray[np.bool_]
    left: Events


def inject(
    background: Events, signal: Events, *, count: int, size: int | None, draw: int, seed: int
) -> Injected:
    """Draw background and add signal events.

    Parameters
    ----------
    background, signal
        What is drawn from. Weighted events are drawn by their weights, so that data have none.
    count
        Number of signal events. Fewer of one draw are among the more of the same draw.
    size
        Number of background events; all when None.
    draw
        Number of the draw. Draws of other numbers share no background as long as there is enough.
    seed
        Of all draws.

    Raises
    ------
    DataError
        When there are too few events, or weights by which none can be drawn.
    """
    kept = _places(background, size, draw, seed)
    pool = unweighted(signal.weights, rng=numpy_generator(seed, "anomaly.unweight.signal"), where="signal")
    if count > len(pool):
        raise DataError(f"{count:,} signal events are asked for, there are {len(pool):,}")
    order = pool[numpy_generator(seed, "anomaly.signal", draw).permutation(len(pool))]
    chosen, left = order[:count], order[count:]
    joined = Events.joined([background.take(kept), signal.take(chosen)])
    mixed = numpy_generator(seed, "anomaly.order", draw).permutation(len(joined))
    events = joined.take(mixed)
    equal = Events(events.stores, events.order, events.mass, np.ones(len(events)))
    return Injected(equal, mixed >= len(kept), signal.take(np.sort(left)))


def _places(background: Events, size: int | None, draw: int, seed: int) -> Index:
    rng = numpy_generator(seed, "anomaly.background")
    pool = unweighted(background.weights, rng=rng, where="background")
    if size is None:
        return pool
    if size > len(pool):
        raise DataError(
            f"{size:,} background events are asked for, there are {len(pool):,} in signal region and "
            "sidebands that can be drawn; ask for fewer (events), or make more"
        )
    order = pool[rng.permutation(len(pool))]
    return np.take(order, np.arange(draw * size, (draw + 1) * size), mode="wrap")
