"""Signal region and sidebands in a resonant field."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pydantic

from hepfm.core.config import Config
from hepfm.core.errors import DataError
from hepfm.data.schemas.dijets import DIJET_MASS

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def _rising(window: tuple[float, float]) -> tuple[float, float]:
    low, high = window
    if not low < high:
        raise ValueError(f"a window is [low, high] with low below high, got [{low:g}, {high:g}]")
    return window


Window = Annotated[tuple[float, float], pydantic.AfterValidator(_rising)]
"""Values from the first number up to, and without, the second."""


class Regions(Config):
    """Where a signal is looked for, and where it is taken to be rare.

    Attributes
    ----------
    field
        The resonant observable, in its own unit.
    signal
        The signal region.
    sidebands
        One window below it and one above it: what is learned in them is interpolated.
    bins
        Bins of the field in the signal region; those of the sidebands are about as wide.
    """

    field: str = DIJET_MASS.name
    signal: Window
    sidebands: tuple[Window, Window]
    bins: int = pydantic.Field(4, ge=1)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Regions:
        (low, high), (below, above) = self.signal, self.sidebands
        if below[1] > low or above[0] < high:
            raise ValueError(
                f"the sidebands [{below[0]:g}, {below[1]:g}] and [{above[0]:g}, {above[1]:g}] overlap the "
                f"signal region [{low:g}, {high:g}] or are not one on each side of it: what is taken as "
                "background must hold none of the region's events"
            )
        return self

    @property
    def windows(self) -> tuple[tuple[float, float], ...]:
        """Lower sideband, signal region and upper sideband."""
        return self.sidebands[0], self.signal, self.sidebands[1]

    @property
    def ends(self) -> tuple[float, float]:
        """Lower end of the lower sideband and upper end of the upper one."""
        return self.sidebands[0][0], self.sidebands[1][1]

    @property
    def edges(self) -> Floats:
        """Edges of bins in which no bin is cut by the end of a window; a gap between windows is one bin."""
        width = (self.signal[1] - self.signal[0]) / self.bins
        parts = [
            np.linspace(low, high, max(1, round((high - low) / width)) + 1) for low, high in self.windows
        ]
        return np.unique(np.concatenate(parts))

    def inside(self, mass: npt.NDArray[Any]) -> Mask:
        """Tell which events are in the signal region."""
        return _within(mass, self.signal)

    def beside(self, mass: npt.NDArray[Any], reach: float | None = None) -> Mask:
        """Tell which events are in a sideband, at most `reach` away from the signal region."""
        found = _within(mass, self.sidebands[0]) | _within(mass, self.sidebands[1])
        if reach is not None:
            found &= _within(mass, (self.signal[0] - reach, self.signal[1] + reach))
        return found

    def used(self, mass: npt.NDArray[Any]) -> Mask:
        """Tell which events are in any of the windows."""
        return self.inside(mass) | self.beside(mass)

    def check(self, mass: npt.NDArray[Any], *, what: str) -> None:
        """Raise `DataError` when a window has no event; `what` says of which events in the message."""
        names = "lower sideband", "signal region", "upper sideband"
        counts = [int(_within(mass, window).sum()) for window in self.windows]
        for name, window, count in zip(names, self.windows, counts, strict=True):
            if not count:
                shown = ", ".join(f"{n:,} in the {one}" for one, n in zip(names, counts, strict=True))
                spread = f"; {self.field} is {mass.min():.4g} to {mass.max():.4g}" if len(mass) else ""
                raise DataError(
                    f"{what}: no event in the {name} [{window[0]:g}, {window[1]:g}] of {self.field} "
                    f"({shown}{spread}); move the windows, or look at the unit"
                )


def _within(values: npt.NDArray[Any], window: tuple[float, float]) -> Mask:
    return np.asarray((values >= window[0]) & (values < window[1]))
