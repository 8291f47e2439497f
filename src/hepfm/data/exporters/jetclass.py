"""JetClass's own schema: branches, order and types of its ROOT files (2202.03772, 10.5281/zenodo.6619768)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

import numpy as np

from hepfm.core import config
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged, lists
from hepfm.core.schema import Schema
from hepfm.data.exporters.sinks import Sink, open_sink
from hepfm.data.readers.jetclass import COPIED, FLAGS
from hepfm.data.schemas.jets import JETCLASS_CLASSES

LABEL_DTYPES = {
    **dict.fromkeys(("QCD",), "float32"),
    **dict.fromkeys(("Hbb", "Hcc", "Hgg", "H4q", "Hqql"), "bool"),
    **dict.fromkeys(("Zqq", "Wqq", "Tbqq", "Tbl"), "int32"),
}
"""The labels' types, which differ in the published files."""

PARTICLE_BRANCHES = (
    *("part_px", "part_py", "part_pz", "part_energy", "part_deta", "part_dphi"),
    *("part_d0val", "part_d0err", "part_dzval", "part_dzerr", "part_charge"),
)
JET_BRANCHES = (
    *("jet_pt", "jet_eta", "jet_phi", "jet_energy", "jet_nparticles", "jet_sdmass"),
    *("jet_tau1", "jet_tau2", "jet_tau3", "jet_tau4"),
)


_CYLINDRICAL = ("part_pt", "part_eta", "part_phi")


class JetClassFormat:
    """Converts jets into JetClass's branches.

    The ``aux_*`` branches (generator record) are left out, as stores do not hold it; so are the labels of an
    unlabelled store. Event weights become a branch called like their field, after the published ones.

    Raises
    ------
    DataError
        When the store lacks a field, or has classes that JetClass does not define.
    """

    endings: ClassVar = (".root", ".parquet")
    chunk_rows: ClassVar = 20_000

    class Config(config.Config):
        """No options."""

    def __init__(self, config: Config, schema: Schema) -> None:
        self.config = config
        roles = [role for role in (schema.label, schema.weight) if role]
        self.columns = tuple(dict.fromkeys([*COPIED, "part_pt", "part_eta", "part_phi", "part_pid", *roles]))
        missing = [name for name in self.columns if name not in schema]
        if missing:
            raise DataError(f"JetClass's schema needs fields that this store lacks: {', '.join(missing)}")
        self.label, self.weight = schema.label, schema.weight
        self.classes = schema.label_classes
        unknown = [name for name in self.classes if name not in JETCLASS_CLASSES]
        if unknown or (self.label and not self.classes):
            raise DataError(f"JetClass has no label for: {', '.join(unknown) or self.label}")

    def open(self, path: Path, ending: str) -> AbstractContextManager[Sink]:
        """Open a ROOT or Parquet file."""
        return open_sink(path, ending, self.branches)

    @property
    def branches(self) -> dict[str, str]:
        """NumPy type of each branch, in the order of the published files."""
        labels = {f"label_{name}": LABEL_DTYPES[name] for name in JETCLASS_CLASSES} if self.label else {}
        return {
            **dict.fromkeys(PARTICLE_BRANCHES, "float32"),
            **dict.fromkeys(FLAGS, "int32"),
            **labels,
            **dict.fromkeys(JET_BRANCHES, "float32"),
            **({self.weight: "float32"} if self.weight else {}),
        }

    def convert(self, columns: Columns) -> dict[str, Array | Ragged]:
        """Return the branches of some jets, of the types of `branches`."""
        branches: dict[str, Array | Ragged] = {branch: columns[name] for name, branch in COPIED.items()}
        branches |= _momenta(columns) | _axes(columns)
        pid = lists(columns, "part_pid")
        branches |= {flag: pid.with_values(pid.values == number) for number, flag in enumerate(FLAGS)}
        branches["jet_nparticles"] = pid.lengths
        if self.weight:
            branches[self.weight] = columns[self.weight]
        if self.label:
            names = np.asarray(self.classes)[np.asarray(columns[self.label])]
            branches |= {f"label_{name}": names == name for name in JETCLASS_CLASSES}
        return {branch: _cast(branches[branch], dtype) for branch, dtype in self.branches.items()}


def _momenta(columns: Columns) -> dict[str, Ragged]:
    pt_lists = lists(columns, "part_pt")
    pt, eta, phi = (lists(columns, f"part_{name}").values.astype(np.float64) for name in ("pt", "eta", "phi"))
    parts = {"part_px": pt * np.cos(phi), "part_py": pt * np.sin(phi), "part_pz": pt * np.sinh(eta)}
    return {name: pt_lists.with_values(values) for name, values in parts.items()}


def _axes(columns: Columns) -> dict[str, Ragged]:
    """Return the angles to the jet axis; JetClass mirrors eta where the jet's is not positive."""
    eta, phi = lists(columns, "part_eta"), lists(columns, "part_phi")
    jet_eta, jet_phi = (
        np.repeat(np.asarray(columns[name], np.float64), eta.lengths) for name in ("jet_eta", "jet_phi")
    )
    deta = (eta.values - jet_eta) * np.where(jet_eta > 0, 1, -1)
    dphi = phi.values - jet_phi
    dphi -= 2 * np.pi * np.rint(dphi / (2 * np.pi))
    return {"part_deta": eta.with_values(deta), "part_dphi": phi.with_values(dphi)}


def _cast(column: Array | Ragged, dtype: str) -> Array | Ragged:
    if isinstance(column, Ragged):
        return column.with_values(column.values.astype(dtype))
    return np.asarray(column).astype(dtype)
