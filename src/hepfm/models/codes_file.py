"""Codes of jets in a file, under the fingerprint of the tokenizer that made them, and back to jets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.ragged import Array, Ragged
from hepfm.data.physical import generated_schema, physical_columns, with_energy
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.models.directory import Model
from hepfm.models.token_report import Tokenized
from hepfm.models.tokenizer import tokenizer_fingerprint

_BATCH = 256
_FINGERPRINT = b"tokenizer_fingerprint"


def decode_codes(model: str | Path, codes: str | Path, *, output: str | Path) -> Path:
    """Make jets of codes that `tokenize_store` wrote, or that were made elsewhere in its format.

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
    eta, phi = (table[name].to_numpy() for name in ("jet_eta", "jet_phi"))
    columns = decoded_columns(source, decoded_TF, lengths, eta, phi)
    facts = {"source": "decoded", "tokenizer_fingerprint": own}
    schema = generated_schema(with_energy(source.network.feature_names))
    write_store(output, schema, [("test", columns)], provenance=facts)
    return Path(output)


def write_codes(path: Path, fingerprint: str, found: Tokenized, store: Store) -> None:
    """Write the codes of jets, with their rows and their axes in the store."""
    axes = store.read(["jet_eta", "jet_phi"], found.rows_R) if "jet_eta" in store.schema else {}
    offsets = pa.array(np.concatenate(([0], np.cumsum(found.lengths_R))).astype(np.int32))
    columns = {
        "row": pa.array(found.rows_R),
        **{name: pa.array(np.asarray(values)) for name, values in axes.items()},
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
    lacking = [name for name in ("jet_eta", "jet_phi", "codes") if name not in table.column_names]
    if lacking:
        raise DataError(f"{path} is not a file of codes of jets: it lacks {', '.join(lacking)}")
    return table


def makes_constituents(model: Model) -> bool:
    """Tell whether constituents can be made of a model's features."""
    try:
        generated_schema(with_energy(model.network.feature_names))
    except IncompatibleError:
        return False
    return True


def decoded_columns(
    model: Model, decoded_TF: Array, lengths: Array, eta: Array, phi: Array
) -> dict[str, Array | Ragged]:
    """Return the columns of decoded jets; constituents whose energy has no code are massless."""
    values = dict(zip(model.network.feature_names, decoded_TF.T, strict=True))
    if "log_energy" not in values:
        part_eta = np.repeat(np.asarray(eta, np.float64), lengths) + values["deta"]
        values["log_energy"] = values["log_pt"] + np.log(np.cosh(part_eta))
    names = with_energy(model.network.feature_names)
    stacked = np.stack([values[name] for name in names], axis=-1)
    return physical_columns(stacked, lengths=lengths, feature_names=names, jet_eta=eta, jet_phi=phi)


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
