"""From what a generator made to the rows of a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Schema
from hepfm.data.features import FeatureSet
from hepfm.data.shower_grid import GRID_COLUMNS, hits_in_cells
from hepfm.generators.base import GeneratedRows
from hepfm.models.directory import Model
from hepfm.physics.voxels import Voxels, load_voxels

Values = Mapping[str, npt.NDArray[np.float64]]

_MASSLESS_WITHOUT = "log_energy"
"""Generated constituents are massless: an energy that was generated beside pt and eta is not used."""


@dataclass(frozen=True)
class RowBuilder:
    """Makes rows of what a generator made.

    Attributes
    ----------
    features
        The features of which the rows are made.
    context_names
        Features of the context that the generator is given or draws; empty without context.
    voxels
        Cells that hits of showers are put into, one hit in each (2501.05534); a hit without a cell is left
        out. None leaves hits where they are.
    """

    features: FeatureSet
    context_names: tuple[str, ...] = ()
    voxels: Voxels | None = None

    def schema(self, classes: tuple[str, ...]) -> Schema:
        """Return the schema of the rows; `classes` are those of their label, if they have one."""
        known = self.features.require_inverse().drawn(self.context_names)
        return self.features.schema(classes=classes, known=known)

    def columns(
        self,
        generated: GeneratedRows,
        values: Values,
        lengths: npt.NDArray[np.int64],
        rng: np.random.Generator,
    ) -> dict[str, Array | Ragged]:
        """Return the columns of rows, all but the label.

        Parameters
        ----------
        generated
            What the generator made.
        values
            Physical features of all constituents by name, shape (n,) each, row after row.
        lengths
            Constituents of each row, shape (R,).
        rng
            Of what the features do not tell.
        """
        inverse = self.features.require_inverse()
        fields = inverse.draw(values, lengths=lengths, context=self._context(generated), rng=rng)
        massless = {name: values[name] for name in values if name != _MASSLESS_WITHOUT}
        columns = self.features.invert(massless, lengths=lengths, row_fields=fields)
        return columns if self.voxels is None else columns | hits_in_cells(columns, self.voxels)

    def _context(self, generated: GeneratedRows) -> dict[str, Array]:
        if generated.context_BC is None:
            return {}
        context_CB = generated.context_BC.double().cpu().numpy().T
        return dict(zip(self.context_names, context_CB, strict=True))


def row_builder(model: Model, *, cells: str | None = None) -> RowBuilder:
    """Return how rows are made of a model's features.

    Parameters
    ----------
    model
        The model.
    cells
        The calorimeter whose cells hits of showers are put into; None to leave them where they are.

    Raises
    ------
    ConfigError
        When there are no such cells, or the model makes no showers.
    IncompatibleError
        When rows cannot be made of them.
    """
    features = model.known_features
    names = model.context.names if model.context else ()
    builder = RowBuilder(features, names)
    schema = builder.schema(())
    if cells is None:
        return builder
    if not all(name in schema for name in GRID_COLUMNS):
        raise ConfigError(f"cells={cells} is for showers, and this model makes {features.rows}; leave it out")
    return RowBuilder(features, names, load_voxels(cells))
