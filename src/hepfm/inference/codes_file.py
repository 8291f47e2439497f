"""Codes of rows in a file, under the fingerprint of the tokenizer that made them, and back to rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Schema
from hepfm.data.physical import generated_schema, physical_columns, with_energy
from hepfm.data.row_source import RowSource
from hepfm.data.schemas.showers import shower_schema
from hepfm.data.shower_features import CALO, shower_columns
from hepfm.data.writer import StoreWriter
from hepfm.inference.token_report import Tokenized
from hepfm.models.directory import Model
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
    own, tokenizer = tokenizer_fingerprint(source.network), source.network.tokenizer
    with _opened(path) as reader:
        theirs = (reader.schema.metadata or {}).get(_FINGERPRINT)
        if theirs is None or theirs.decode() != own:
            raise IncompatibleError(
                f"{path} holds codes of the tokenizer {theirs.decode() if theirs else None}, and {model} has "
                f"the tokenizer {own}: codes mean something to their own tokenizer only"
            )
        given = [name for name in GIVEN if name in reader.schema.names]
        missing = [name for name in needed(source) if name not in given]
        if missing:
            raise DataError(f"{path} is not a file of codes of such rows: it lacks {', '.join(missing)}")
        schema, facts = decoded_schema(source, given), {"source": "decoded", "tokenizer_fingerprint": own}
        with StoreWriter(output, schema, provenance=facts) as writer:
            for number in range(reader.num_record_batches):
                block = reader.get_batch(number)
                values = block["codes"].flatten().to_numpy().astype(np.int64)
                lengths = np.diff(block["codes"].offsets.to_numpy())
                if len(values) and (values.min() < 0 or values.max() >= tokenizer.num_codes):
                    raise DataError(f"{path} has codes outside 0 to {tokenizer.num_codes - 1}")
                known = {name: block[name].to_numpy(zero_copy_only=False) for name in given}
                columns = decoded_columns(source, _decode(source, values, lengths), lengths, known)
                writer.write(columns, split="test")
    return Path(output)


class CodesWriter:
    """Writes the codes of rows, with their numbers in the store and what is needed beside to decode them.

    A context manager; each `write` makes one record batch.

    Parameters
    ----------
    path
        The file to make.
    fingerprint
        Of the tokenizer.
    source
        Where the rows come from.
    """

    def __init__(self, path: Path, fingerprint: str, source: RowSource) -> None:
        self.source = source
        self.given = [name for name in GIVEN if name in source.schema]
        fields = [("row", pa.int64()), *((name, pa.float32()) for name in self.given)]
        self.schema = pa.schema(
            [*fields, ("codes", pa.list_(pa.int32()))], {_FINGERPRINT: fingerprint.encode()}
        )
        self._stack = ExitStack()
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._sink, self.schema)

    def __enter__(self) -> Self:
        self._stack.enter_context(self._sink)
        self._stack.enter_context(self._writer)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def write(self, found: Tokenized) -> None:
        """Add rows."""
        given = self.source.read(self.given, found.rows_R) if self.given else {}
        offsets = np.concatenate(([0], np.cumsum(found.lengths_R))).astype(np.int32)
        codes = pa.ListArray.from_arrays(pa.array(offsets), pa.array(found.codes_T.astype(np.int32)))
        columns = [
            pa.array(found.rows_R),
            *(pa.array(np.asarray(given[name], np.float32)) for name in self.given),
            codes,
        ]
        self._writer.write_batch(pa.record_batch(columns, schema=self.schema))


@contextmanager
def _opened(path: Path) -> Iterator[pa.ipc.RecordBatchFileReader]:
    try:
        source = pa.memory_map(str(path))
        reader = pa.ipc.open_file(source)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} is not a file of codes: {error}") from None
    if "codes" not in reader.schema.names:
        raise DataError(f"{path} is not a file of codes: it has no column codes")
    with source:
        yield reader


def makes_constituents(model: Model) -> bool:
    """Tell whether constituents can be made of a model's features."""
    if model.network.feature_names == CALO.names:
        return True
    try:
        generated_schema(with_energy(model.network.feature_names))
    except IncompatibleError:
        return False
    return True


def needed(model: Model) -> tuple[str, ...]:
    """Return the fields of `GIVEN` without which no rows can be made."""
    return () if model.network.feature_names == CALO.names else ("jet_eta", "jet_phi")


def decoded_schema(model: Model, given: Collection[str], classes: tuple[str, ...] = ()) -> Schema:
    """Return the schema of decoded rows.

    Parameters
    ----------
    given
        The fields of `GIVEN` that are known.
    classes
        Classes of the rows' label, if they have one.
    """
    if model.network.feature_names == CALO.names:
        return shower_schema(incident="incident_energy" in given)
    return generated_schema(with_energy(model.network.feature_names), classes)


def decoded_columns(
    model: Model, decoded_TF: Array, lengths: Array, given: Mapping[str, Array]
) -> dict[str, Array | Ragged]:
    """Return the columns of decoded rows, all but the label.

    Parameters
    ----------
    decoded_TF
        Physical features of all constituents, row after row.
    lengths
        Constituents of each row.
    given
        The columns of `GIVEN` that are known, those of `needed` among them. Constituents whose energy has no
        code are massless.
    """
    values = dict(zip(model.network.feature_names, decoded_TF.T, strict=True))
    if model.network.feature_names == CALO.names:
        columns = shower_columns(values, lengths=lengths)
        if "incident_energy" in given:
            columns["incident_energy"] = given["incident_energy"]
        return columns
    eta, phi = given["jet_eta"], given["jet_phi"]
    if "log_energy" not in values:
        part_eta = np.repeat(np.asarray(eta, np.float64), lengths) + values["deta"]
        values["log_energy"] = values["log_pt"] + np.log(np.cosh(part_eta))
    names = with_energy(model.network.feature_names)
    stacked = np.stack([values[name] for name in names], axis=-1)
    return physical_columns(stacked, lengths=lengths, feature_names=names, jet_eta=eta, jet_phi=phi)


def _decode(model: Model, values: Array, lengths: Array) -> npt.NDArray[np.float64]:
    parts = []
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    for start in range(0, len(lengths), _BATCH):
        mine = lengths[start : start + _BATCH]
        mask = np.arange(mine.max(initial=1)) < mine[:, None]
        codes = np.full(mask.shape, -1, np.int64)
        codes[mask] = values[offsets[start] : offsets[start + len(mine)]]
        with torch.no_grad():
            mask_BN = torch.from_numpy(mask)
            x_BNF = model.network.decode(torch.from_numpy(codes))
            parts.append(model.network.standardize.inverse(x_BNF, mask_BN)[mask_BN].double().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, len(model.network.feature_names)))
