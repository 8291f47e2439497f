"""The contract of an inverse: from features of constituents back to rows as a store holds them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Schema

Values = Mapping[str, Array]
"""Physical features by name, shape (n,) each, of all constituents, row after row."""

RowFields = Mapping[str, Array]
"""Fields of the rows by name, shape (R,) each."""


class Inverse(Protocol):
    """Makes rows of the features of their constituents."""

    needs: tuple[str, ...]
    """Fields of the rows that no feature tells and without which no rows can be made."""

    keeps: tuple[str, ...]
    """Fields of the rows that rows keep where they are known; those of `needs` among them."""

    def fits(self, names: Sequence[str]) -> bool:
        """Tell whether constituents can be made of features of these names."""

    def schema(
        self, names: Sequence[str], *, classes: tuple[str, ...] = (), known: Collection[str] = ()
    ) -> Schema:
        """Return the schema of the rows.

        Parameters
        ----------
        names
            The features.
        classes
            Class names of the label; empty for rows without one.
        known
            The fields of `keeps` that are known.
        """

    def columns(
        self, values: Values, *, lengths: npt.NDArray[np.int64], row_fields: RowFields
    ) -> dict[str, Array | Ragged]:
        """Return the columns of `schema`, all but the label.

        Parameters
        ----------
        values
            The features.
        lengths
            Constituents of each row, shape (R,).
        row_fields
            The fields of `keeps` that are known.
        """

    def drawn(self, context_names: Collection[str]) -> tuple[str, ...]:
        """Return the fields of `keeps` that `draw` gives, where the context has these features."""

    def draw(
        self,
        values: Values,
        *,
        lengths: npt.NDArray[np.int64],
        context: RowFields,
        rng: np.random.Generator,
    ) -> RowFields:
        """Return fields of rows that a model generated: of their context where it tells them, else drawn.

        Parameters
        ----------
        values
            The features.
        lengths
            Constituents of each row, shape (R,).
        context
            Features of the rows that the model was given or drew, by name; in physical units.
        rng
            Of the draws.
        """
