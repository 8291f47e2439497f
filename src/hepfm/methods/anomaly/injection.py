"""Data of a search: simulated background and a few signal events, whose truth no method is told, or events
of unknown truth."""

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
class SearchData:
    """Data of a search.

    Attributes
    ----------
    events
        The data, of equal weights.
    injected
        Which of them are signal, (R,), for measurements alone; None where that is not known.
    left
        Signal that is not in the data; None for none.
    """

    events: Events
    injected: npt.NDArray[np.bool_] | None
    left: Events | None


def inject(
    background: Events, signal: Events, *, count: int, size: int | None, draw: int, seed: int
) -> SearchData:
    """Draw background and add signal events, in a random order.

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
    return SearchData(_equal(joined.take(mixed)), mixed >= len(kept), signal.take(np.sort(left)))


def unknown(data: Events, *, signal: Events | None, seed: int) -> SearchData:
    """Return data whose truth is not known, in their own order; weighted ones are drawn by their weights.

    Parameters
    ----------
    data
        The events.
    signal
        Signal that is known as such, of a simulation.
    seed
        Of the draw.
    """
    rng = numpy_generator(seed, "anomaly.unweight.data")
    return SearchData(_equal(data.take(unweighted(data.weights, rng=rng, where="data"))), None, signal)


def _equal(events: Events) -> Events:
    return Events(events.stores, events.order, events.mass, np.ones(len(events)))


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
