"""Fu-tau-re (10.5281/zenodo.13881061): jets of taus and quarks in e+e- at 380 GeV, Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepfm.core import config
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Schema
from hepfm.data.readers.base import momentum_fields, require, sort_by_pt
from hepfm.data.readers.physics import constituent_fields, impact_parameters, jet_fields, particle_types
from hepfm.data.remote import DataFile, readable
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.schemas.taus import TAU_FIELDS
from hepfm.data.tables.base import CHUNK_ROWS
from hepfm.physics.kinematics import mass_of
from hepfm.physics.taus import decay_mode_class

CLASSES = ("quark", "tau")
LEPTONIC = 16
"""Mode of a tau that decays into leptons; such jets are left out, as by the authors."""

_LISTS = {
    "part_charge": "reco_cand_charge",
    "part_d0": "reco_cand_dxy",
    "part_d0_error": "reco_cand_dxy_err",
    "part_dz": "reco_cand_dz",
    "part_dz_error": "reco_cand_dz_err",
}
_NEEDED = (
    *("reco_cand_p4s", "reco_cand_pdg", "reco_jet_p4s", "gen_jet_tau_decaymode", "gen_jet_tau_p4s"),
    *_LISTS.values(),
)


class FuTauReader:
    """Reads files such as ``z_train.parquet`` and ``qq_test.parquet``.

    A jet with a generated tau is a ``tau``, one without is a ``quark``. Impact parameters are taken for mm;
    those of neutral candidates, a fill value in the files, become 0. Four-momenta may hold energy (``t``) or
    mass (``tau``), as the files of both versions do.
    """

    endings: ClassVar = (".parquet",)

    class Config(config.Config):
        """No options."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the origin of the published files."""
        return {"title": "Fu-tau-re", "doi": "10.5281/zenodo.13881061", "paper": "2503.19165"}

    def schema(self, path: DataFile) -> Schema:
        """Return the schema: all constituent fields, tau labels."""
        _open(path)
        return jet_schema(CLASSES, substructure=False, extra=TAU_FIELDS)

    def num_rows(self, path: DataFile) -> int:
        """Return the number of jets of a file, those of leptonic decays left out."""
        modes = _open(path).read(columns=["gen_jet_tau_decaymode"])
        return int((np.asarray(modes["gen_jet_tau_decaymode"]) != LEPTONIC).sum())

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the jets of a file."""
        for batch in _open(path).iter_batches(CHUNK_ROWS, columns=list(_NEEDED)):
            if batch.column("gen_jet_tau_decaymode").null_count:
                raise DataError(f"{path}: a decay mode is missing; jets without tau have -1")
            kept = np.flatnonzero(np.asarray(batch.column("gen_jet_tau_decaymode")) != LEPTONIC)
            if len(kept):
                yield _jets(batch.take(pa.array(kept)), path)


def _open(path: DataFile) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(readable(path))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"cannot read {path} as Parquet: {error}") from None
    require(file.schema_arrow.names, _NEEDED, path, what="columns of Fu-tau-re")
    return file


def _jets(batch: pa.RecordBatch, path: DataFile) -> dict[str, Array | Ragged]:
    p4s = batch.column("reco_cand_p4s")
    lengths = np.asarray(p4s.value_lengths()).astype(np.int64)
    pdg = _values(batch, "reco_cand_pdg", lengths, path)
    candidates = _momenta(p4s.flatten(), path, "reco_cand_p4s")
    values = {name: _values(batch, column, lengths, path) for name, column in _LISTS.items()}
    charge, *tracks = values.values()
    lists = {
        "part_charge": charge.astype(np.float32),
        "part_pid": particle_types(pdg),
        **impact_parameters(*tracks, charged=charge != 0),
    }
    jet = jet_fields(*_momenta(batch.column("reco_jet_p4s"), path, "reco_jet_p4s"))
    mode = np.asarray(batch.column("gen_jet_tau_decaymode")).astype(np.int64)
    return sort_by_pt(
        {
            **jet,
            "jet_label": (mode >= 0).astype(np.int16),
            **_truth(batch, mode, np.asarray(jet["jet_pt"]), path),
            **constituent_fields(*candidates, lengths=lengths),
            **{name: Ragged.from_lengths(numbers, lengths) for name, numbers in lists.items()},
        }
    )


def _truth(batch: pa.RecordBatch, mode: Array, jet_pt: Array, path: DataFile) -> dict[str, Array]:
    px, py, pz, energy = _momenta(batch.column("gen_jet_tau_p4s"), path, "gen_jet_tau_p4s")
    has = mode >= 0
    pt, eta, phi = momentum_fields(px, py, pz)
    ratio = np.divide(pt, jet_pt, out=np.ones(len(pt), np.float64), where=has & (pt > 0))
    values = {
        "tau_log_pt_ratio": np.log(ratio),
        "tau_visible_pt": pt,
        "tau_visible_eta": eta,
        "tau_visible_phi": phi,
        "tau_visible_mass": mass_of(np.stack([energy, px, py, pz], axis=-1)),
    }
    kept = {name: np.where(has, value, 0).astype(np.float32) for name, value in values.items()}
    return {"tau_decay_mode": decay_mode_class(mode), **kept}


def _momenta(array: pa.Array, path: DataFile, name: str) -> tuple[Array, Array, Array, Array]:
    """Return px, py, pz and energy of a column of structures, in double precision."""
    fields = {field.name: number for number, field in enumerate(array.type)} if _is_struct(array) else {}
    last = next((key for key in ("t", "tau") if key in fields), None)
    if not {"x", "y", "z"} <= fields.keys() or last is None:
        raise DataError(f"{path}: column {name!r} must hold structures of x, y, z and t or tau")
    px, py, pz, fourth = (
        np.asarray(array.field(fields[key]).to_numpy(zero_copy_only=False), np.float64)
        for key in ("x", "y", "z", last)
    )
    energy = fourth if last == "t" else np.sqrt(px**2 + py**2 + pz**2 + fourth**2)
    return px, py, pz, energy


def _is_struct(array: pa.Array) -> bool:
    return bool(pa.types.is_struct(array.type))


def _values(batch: pa.RecordBatch, name: str, lengths: Array, path: DataFile) -> Array:
    column = batch.column(name)
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise DataError(f"{path}: column {name!r} must hold a list per jet")
    if not np.array_equal(np.asarray(column.value_lengths()), lengths):
        raise DataError(f"{path}: column {name!r} and reco_cand_p4s have different numbers of candidates")
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False))
