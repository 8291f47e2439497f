"""What estimators share that look at observables of the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hepfm.core.config import Config
from hepfm.core.schema import Schema
from hepfm.data.row_source import Index, RowSource
from hepfm.methods.observables import Values, check_observables, read_observables
from hepfm.methods.ratio.base import RatioEstimator


class ObservablesConfig(Config):
    """What options of such an estimator begin with.

    Attributes
    ----------
    observables
        Observables of the rows (`hepfm.methods.observables`); those of the analysis when there are none.
    """

    observables: tuple[str, ...] = ()


class OnObservables(RatioEstimator[Values]):
    """Reads fields of the rows, float32 (R, F)."""

    config: ObservablesConfig

    def check(self, schema: Schema) -> None:
        """Refuse rows without the observables; see `RatioEstimator.check`."""
        check_observables(schema, self.config.observables, where="the data")

    def read(self, source: RowSource, rows: Index) -> Values:
        """Return the observables."""
        return read_observables(source, rows, self.config.observables)

    def join(self, parts: Sequence[Values]) -> Values:
        """Return rows one behind the other."""
        return np.concatenate(parts)

    def take(self, x: Values, places: npt.NDArray[np.int64]) -> Values:
        """Return some of the rows."""
        return x[places]
