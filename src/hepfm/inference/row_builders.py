"""From what a generator made to the rows of a store: jets, or showers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Schema
from hepfm.data.physical import generated_schema, physical_columns, with_energy
from hepfm.data.schemas.showers import shower_schema
from hepfm.data.shower_features import CALO, INCIDENT, shower_columns
from hepfm.data.shower_grid import hits_in_cells
from hepfm.generators.base import GeneratedRows
from hepfm.models.directory import Model
from hepfm.physics.voxels import Voxels, load_voxels

Values = Mapping[str, npt.NDArray[np.float64]]


class Maker(Protocol):
    """Turns physical features of constituents into columns of rows."""

    def schema(self, classes: tuple[str, ...]) -> Schema:
        """Return the schema of the rows; `classes` are those of their label, if they have one."""

    def columns(
        self, made: GeneratedRows, values: Values, lengths: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> dict[str, Array | Ragged]:
        """Return the columns of rows, all but the label.

        Parameters
        ----------
        made
            What the generator made.
        values
            Physical features of all constituents by name, shape (n,) each, row after row.
        lengths
            Constituents of each row, shape (R,).
        rng
            Of what the features do not tell.
        """


def maker_of(model: Model, *, cells: str | None = None) -> Maker:
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
    if model.features.names == CALO.names:
        return ShowerMaker(model, None if cells is None else load_voxels(cells))
    if cells is not None:
        raise ConfigError(f"cells={cells} is for showers, and this model makes jets; leave it out")
    return JetMaker(model)


class JetMaker:
    """Jets of constituents that are massless: their energy follows from pt and eta.

    The axis lies at the eta of the context and at a uniform phi.
    """

    def __init__(self, model: Model) -> None:
        self.context = model.context
        absent = {number for group in model.absent for number in model.features.groups[group]}
        names = (name for number, name in enumerate(model.features.names) if number not in absent)
        self.feature_names = with_energy(names)
        generated_schema(self.feature_names)

    def schema(self, classes: tuple[str, ...]) -> Schema:
        """Return the schema of jets."""
        return generated_schema(self.feature_names, classes)

    def columns(
        self, made: GeneratedRows, values: Values, lengths: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> dict[str, Array | Ragged]:
        """Return the columns of jets."""
        jet_phi = rng.uniform(-np.pi, np.pi, len(lengths))
        jet_eta = self._axis(made, values, lengths, rng)
        eta = np.repeat(jet_eta, lengths) + values["deta"]
        massless = {**values, "log_energy": values["log_pt"] + np.log(np.cosh(eta))}
        return physical_columns(
            np.stack([massless[name] for name in self.feature_names], axis=-1),
            lengths=lengths,
            feature_names=self.feature_names,
            jet_eta=jet_eta,
            jet_phi=jet_phi,
        )

    def _axis(
        self, made: GeneratedRows, values: Values, lengths: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Return the eta of jets: the context's, or what fits energies and pt with a random sign, else 0."""
        if made.context_BC is not None and self.context is not None and "jet_eta" in self.context.names:
            eta_B = made.context_BC[:, self.context.names.index("jet_eta")]
            return eta_B.double().cpu().numpy()
        if "log_energy" not in values:
            return np.zeros(len(lengths))
        row = np.repeat(np.arange(len(lengths)), lengths)
        energy, pt = (np.bincount(row, np.exp(values[name])) for name in ("log_energy", "log_pt"))
        return np.arccosh(np.maximum(energy / pt, 1.0)) * rng.choice([-1.0, 1.0], len(lengths))


class ShowerMaker:
    """Showers; the incident energy is the context's, where the model is told it.

    Parameters
    ----------
    model
        The model.
    voxels
        Cells that hits are put into, one hit in each (2501.05534); a hit without a cell is left out.
    """

    def __init__(self, model: Model, voxels: Voxels | None = None) -> None:
        self.told = model.context is not None and model.context.names == INCIDENT.names
        self.voxels = voxels

    def schema(self, classes: tuple[str, ...]) -> Schema:
        """Return the schema of showers."""
        return shower_schema(incident=self.told)

    def columns(
        self, made: GeneratedRows, values: Values, lengths: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> dict[str, Array | Ragged]:
        """Return the columns of showers."""
        columns = shower_columns(values, lengths=lengths)
        if self.voxels is not None:
            columns |= hits_in_cells(columns, self.voxels)
        if self.told and made.context_BC is not None:
            columns["incident_energy"] = made.context_BC[:, 0].double().exp().float().cpu().numpy()
        return columns
