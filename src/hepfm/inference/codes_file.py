"""Codes of rows in a file, under the fingerprint of the tokenizer that made them, and back to rows."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.guards import reading, regular_file
from hepfm.core.ragged import Array
from hepfm.data.features import FeatureSet
from hepfm.data.row_source import RowSource
from hepfm.data.writer import StoreWriter
from hepfm.inference.round_trip import RoundTrip
from hepfm.models.directory import Model
from hepfm.models.tokenizer import tokenizer_fingerprint

_BATCH = 256
_FINGERPRINT = b"tokenizer_fingerprint"


def decode_codes(model: str | Path, codes: str | Path, *, output: str | Path) -> Path:
    """Make jets or showers of codes that `tokenize_store` wrote, or that were made elsewhere in its format.

    Raises
    ------
    IncompatibleError
        When the codes are of another tokenizer, by its fingerprint, or no rows can be made of its features.
    DataError
        When a code is outside the codebook.
    """
    path = regular_file(Path(codes))
    source = Model.load(model)
    if source.network.tokenizer is None:
        raise IncompatibleError(f"{model} has no tokenizer")
    features, tokenizer = source.known_features, source.network.tokenizer
    inverse, expected = features.require_inverse(), tokenizer_fingerprint(source.network)
    with _opened(path) as reader:
        theirs = (reader.schema.metadata or {}).get(_FINGERPRINT)
        if theirs is None or theirs.decode() != expected:
            raise IncompatibleError(
                f"{path} holds codes of the tokenizer {theirs.decode() if theirs else None}, and {model} has "
                f"the tokenizer {expected}: codes mean something to their own tokenizer only"
            )
        given = kept_fields(features, reader.schema.names)
        missing = [name for name in inverse.needs if name not in given]
        if missing:
            raise DataError(
                f"{path} lacks {', '.join(missing)}, without which no rows can be made of its codes"
            )
        schema, facts = features.schema(known=given), {"source": "decoded", "tokenizer_fingerprint": expected}
        with StoreWriter(output, schema, provenance=facts) as writer:
            for number in range(reader.num_record_batches):
                values, lengths, known = _block(reader, number, given, path)
                if len(values) and (values.min() < 0 or values.max() >= tokenizer.num_codes):
                    raise DataError(f"{path} has codes outside 0 to {tokenizer.num_codes - 1}")
                decoded = features.named(_decode(source, values, lengths))
                writer.write(features.invert(decoded, lengths=lengths, row_fields=known), split="test")
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
    features
        The model's feature set, which says what decoded rows keep.
    source
        Where the rows come from.
    """

    def __init__(self, path: Path, fingerprint: str, features: FeatureSet, source: RowSource) -> None:
        self.source = source
        self.given = kept_fields(features, source.schema)
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

    def write(self, block: RoundTrip) -> None:
        """Add rows."""
        given = self.source.read(self.given, block.rows_R) if self.given else {}
        offsets = np.concatenate(([0], np.cumsum(block.lengths_R))).astype(np.int32)
        codes = pa.ListArray.from_arrays(pa.array(offsets), pa.array(block.codes_T.astype(np.int32)))
        columns = [
            pa.array(block.rows_R),
            *(pa.array(np.asarray(given[name], np.float32)) for name in self.given),
            codes,
        ]
        self._writer.write_batch(pa.record_batch(columns, schema=self.schema))


@contextmanager
def _opened(path: Path) -> Iterator[pa.ipc.RecordBatchFileReader]:
    with reading(path, what="a file of codes"):
        source = pa.memory_map(str(regular_file(path)))
        reader = pa.ipc.open_file(source)
    if "codes" not in reader.schema.names:
        raise DataError(f"{path} is not a file of codes: it has no column codes")
    with source:
        yield reader


def _block(
    reader: pa.ipc.RecordBatchFileReader, number: int, given: Collection[str], path: Path
) -> tuple[Array, Array, dict[str, Array]]:
    """Return codes, their number in each row, and what is known of the rows, of a block of a file."""
    with reading(path, what="a file of codes"):
        block = reader.get_batch(number)
        block.validate(full=True)
        values = block["codes"].flatten().to_numpy().astype(np.int64)
        lengths = np.diff(block["codes"].offsets.to_numpy())
        return values, lengths, {name: block[name].to_numpy(zero_copy_only=False) for name in given}


def kept_fields(features: FeatureSet, available: Container[str]) -> list[str]:
    """Return the fields of rows that no code holds and that decoded rows keep, of those that there are."""
    return [name for name in features.inverse.keeps if name in available] if features.inverse else []


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
