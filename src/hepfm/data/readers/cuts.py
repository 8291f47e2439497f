"""Which objects of events are read, by their momentum."""

from __future__ import annotations

import numpy as np
import pydantic

from hepfm.core import config
from hepfm.core.ragged import Array


class MomentumCuts(config.Config):
    """Which jets, or other objects, are read.

    Attributes
    ----------
    min_pt
        Least transverse momentum, GeV.
    max_abs_eta
        Largest absolute pseudorapidity; null for any.
    """

    min_pt: float = pydantic.Field(default=0.0, ge=0)
    max_abs_eta: float | None = pydantic.Field(default=None, gt=0)

    def selected(self, pt: Array, eta: Array) -> Array:
        """Return which objects are read, boolean. Negative pt and NaN are, so that they are refused."""
        passed = ~((pt >= 0) & (pt < self.min_pt))
        return passed if self.max_abs_eta is None else passed & ~(np.abs(eta) > self.max_abs_eta)
