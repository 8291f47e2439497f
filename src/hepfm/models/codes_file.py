"""Codes of rows in a file, under the fingerprint of the tokenizer that made them, and back to rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Schema
from hepfm.core.showers import shower_schema
from hepfm.data.physical import generated_schema, physical_columns, with_energy
from hepfm.data.shower_features import CALO, shower_columns
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.models.directory import Model
from hepfm.models.token_report import Tokenized
from hepfm.models.tokenizer import tokenizer_fingerprint

_BATCH = 256
_FINGERPRINT = b"tokenizer_fingerprint"

GIVEN = ("jet_eta", "jet_phi", "incident_energy")
"""Fields of rows that no code holds and that decoded rows keep."""


def decode_codes(model: str | Path, codes: str | Path, *, output: str | Path) -> Path:
    """Make jets or showers of codes that `tokenize_store` wrote, or that were made elsewhere in its format.

    Raises
    ------
    IncompatibleError
        When the codes are of another tokenizer, by its fingerprint, or its features make no constituents.
    DataError
        When a code is none of the tokenizer's.
    """
    source, path = Model.load(model), Path(codes)
    if source.network.tokenizer is None:
        raise IncompatibleError(f"{model} has no tokenizer")
    if not makes_constituents(source):
        raise IncompatibleError(f"constituents cannot be made of the features {source.features.name!r}")
    table = _read_codes(path)
    own, theirs = tokenizer_fingerprint(source.network), (table.schema.metadata or {}).get(_FINGERPRINT)
    if theirs is None or theirs.decode() != own:
        raise IncompatibleError(
            f"{path} holds codes of the tokenizer {theirs.decode() if theirs else None}, and {model} has the "
            f"tokenizer {own}: codes mean something to their own tokenizer only"
        )
    lists = table["codes"].combine_chunks()
    values = lists.flatten().to_numpy().astype(np.int64)
    lengths = np.diff(lists.offsets.to_numpy())
    most = source.network.tokenizer.num_codes
    if len(values) and (values.min() < 0 or values.max() >= most):
        raise DataError(f"{path} has codes outside 0 to {most - 1}")
    decoded_TF = _decode(source, values, lengths)
    given = {name: table[name].to_numpy() for name in GIVEN if name in table.column_names}
    try:
        schema, columns = decoded_rows(source, decoded_TF, lengths, given)
    except KeyError as error:
        raise DataError(f"{path} is not a file of codes of such rows: it lacks {error}") from None
    facts = {"source": "decoded", "tokenizer_fingerprint": own}
    write_store(output, schema, [("test", columns)], provenance=facts)
    return Path(output)


def write_codes(path: Path, fingerprint: str, found: Tokenized, store: Store) -> None:
    """Write the codes of rows, with their numbers in the store and what is needed beside to decode them."""
    given = store.read([name for name in GIVEN if name in store.schema], found.rows_R)
    offsets = pa.array(np.concatenate(([0], np.cumsum(found.lengths_R))).astype(np.int32))
    columns = {
        "row": pa.array(found.rows_R),
        **{name: pa.array(np.asarray(values)) for name, values in given.items()},
        "codes": pa.ListArray.from_arrays(offsets, pa.array(found.codes_T.astype(np.int32))),
    }
    table = pa.table(columns).replace_schema_metadata({_FINGERPRINT: fingerprint.encode()})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _read_codes(path: Path) -> pa.Table:
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} is not a file of codes: {error}") from None
    if "codes" not in table.column_names:
        raise DataError(f"{path} is not a file of codes: it has no column codes")
    return table


def makes_constituents(model: Model) -> bool:
    """Tell whether constituents can be made of a model's features."""
    if model.network.feature_names == CALO.names:
        return True
    try:
        generated_schema(with_energy(model.network.feature_names))
    except IncompatibleError:
        return False
    return True


def decoded_rows(
    model: Model,
    decoded_TF: Array,
    lengths: Array,
    given: Mapping[str, Array],
    *,
    classes: tuple[str, ...] = (),
) -> tuple[Schema, dict[str, Array | Ragged]]:
    """Return schema and columns of decoded rows, all but the label.

    Parameters
    ----------
    decoded_TF
        Physical features of all constituents, row after row.
    lengths
        Constituents of each row.
    given
        The columns of `GIVEN` that are known: of jets both angles are needed. Constituents whose energy
        has no code are massless.
    classes
        Classes of the label, for the schema.
    """
    values = dict(zip(model.network.feature_names, decoded_TF.T, strict=True))
    if model.network.feature_names == CALO.names:
        columns = shower_columns(values, lengths=lengths)
        if "incident_energy" in given:
            columns["incident_energy"] = given["incident_energy"]
        return shower_schema(incident="incident_energy" in given), columns
    eta, phi = given["jet_eta"], given["jet_phi"]
    if "log_energy" not in values:
        part_eta = np.repeat(np.asarray(eta, np.float64), lengths) + values["deta"]
        values["log_energy"] = values["log_pt"] + np.log(np.cosh(part_eta))
    names = with_energy(model.network.feature_names)
    stacked = np.stack([values[name] for name in names], axis=-1)
    columns = physical_columns(stacked, lengths=lengths, feature_names=names, jet_eta=eta, jet_phi=phi)
    return generated_schema(names, classes), columns


def _decode(model: Model, values: Array, lengths: Array) -> npt.NDArray[np.float64]:
    parts = []
    for start in range(0, len(lengths), _BATCH):
        mine = lengths[start : start + _BATCH]
        mask = np.arange(mine.max(initial=1)) < mine[:, None]
        codes = np.full(mask.shape, -1, np.int64)
        first = lengths[:start].sum()
        codes[mask] = values[first : first + mine.sum()]
        with torch.no_grad():
            mask_BN = torch.from_numpy(mask)
            x_BNF = model.network.decode(torch.from_numpy(codes))
            parts.append(model.network.standardize.inverse(x_BNF, mask_BN)[mask_BN].double().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, len(model.network.feature_names)))
