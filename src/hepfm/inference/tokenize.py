"""What a tokenizer makes of rows: their codes, the rows that come back, and how much is lost on the way."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.files import atomic_path, refuse_other_folder, write_json
from hepfm.core.log import progress
from hepfm.core.ragged import Array, Ragged
from hepfm.data.row_source import RowSource
from hepfm.data.store import open_rows
from hepfm.data.writer import StoreWriter
from hepfm.inference.codes_file import CodesWriter, kept_fields
from hepfm.inference.round_trip import RoundTrip, round_trip
from hepfm.inference.token_report import Tally, accuracy_lost
from hepfm.models.directory import Model
from hepfm.models.tokenizer import tokenizer_fingerprint

REPORT, CODES, RECONSTRUCTED = "tokens.json", "codes.arrow", "reconstructed"
BLOCK = 50_000
"""Rows that are held at once."""


def tokenize_store(
    model: str | Path,
    store: str | Path | RowSource,
    *,
    output: str | Path,
    split: str | None = "test",
    number: int | None = None,
    classifier: str | Path | None = None,
) -> dict[str, Any]:
    """Tokenize jets or showers, decode them, and report what was lost.

    Writes a folder with ``tokens.json`` (the report), ``codes.arrow`` (row, axis and codes of each jet, under
    the tokenizer's fingerprint) and, where constituents can be made of the features, ``reconstructed``, a
    store of the decoded jets in the split ``test``.

    Parameters
    ----------
    model
        Model directory with a tokenizer.
    store
        The jets: a store or a table.
    output
        The folder to make.
    split
        Which of them; all when None.
    number
        Most jets, the first of the split; None for all.
    classifier
        Model directory that predicts the store's label: its accuracy on the original and on the decoded jets
        is compared.

    Returns
    -------
    dict
        The report: ``code_use`` (fraction of the codes that occur), ``perplexity``, ``features`` and ``jets``
        or ``showers`` (median and interquartile range of decoded minus original, by name; ``pt`` and
        ``energy`` are relative), ``clipped`` (constituents with a feature beyond the network's clip) and
        ``outside`` (beyond the tokenizer's fitted range). Quantiles are those of the first ``jets_resolved``
        rows: memory is bounded, however large the store.

    Raises
    ------
    IncompatibleError
        When the model has no tokenizer, or the store lacks its features, or the classifier does not fit.
    DataError
        When there is nothing to tokenize.
    """
    source, data = _load(model), open_rows(store)
    refuse_other_folder(output, mark=REPORT, what="report of a tokenizer")
    rows = _rows(data, split, number)
    with atomic_path(Path(output)) as folder:
        folder.mkdir()
        tally = _write_round_trips(source, data, rows, folder)
        if not tally.constituents:
            raise DataError(f"{data.name} has no constituents to tokenize in its split {split!r}")
        report = {**_origin(source, data), "split": split, **tally.report()}
        if classifier is not None:
            report["classifier"] = accuracy_lost(classifier, data, folder / RECONSTRUCTED, rows)
        write_json(folder / REPORT, report)
    return report


def _load(path: str | Path) -> Model:
    model = Model.load(path)
    if model.network.tokenizer is None:
        raise IncompatibleError(f"{path} has no tokenizer; train one with `hepfm tokenize RECIPE`")
    return model


def _origin(model: Model, source: RowSource) -> dict[str, Any]:
    """Return which tokenizer and which data a report is about."""
    spec = model.network.tokenizer_spec
    return {
        "tokenizer": spec.tokenizer.spec() if spec else {},
        "tokenizer_fingerprint": tokenizer_fingerprint(model.network),
        "store_fingerprint": source.fingerprint,
    }


def _write_round_trips(model: Model, source: RowSource, rows: npt.NDArray[np.int64], folder: Path) -> Tally:
    """Write codes and decoded rows block by block; return what was lost."""
    features, fingerprint = model.known_features, tokenizer_fingerprint(model.network)
    tally = Tally(model)
    with ExitStack() as stack:
        codes = stack.enter_context(CodesWriter(folder / CODES, fingerprint, features, source))
        decoded = None
        if features.invertible:
            decoded = stack.enter_context(_decoded_writer(folder / RECONSTRUCTED, model, source, fingerprint))
        advance = stack.enter_context(progress("tokenizing", len(rows)))
        for start in range(0, len(rows), BLOCK):
            block = round_trip(model, source, rows[start : start + BLOCK])
            tally.add(block)
            codes.write(block)
            if decoded is not None:
                decoded.write(_decoded(model, source, block, label=decoded.schema.label), split="test")
            advance(len(block.rows_R))
    return tally


def _rows(source: RowSource, split: str | None, number: int | None) -> npt.NDArray[np.int64]:
    """Return the numbers of the rows, in their order."""
    rows = np.asarray(source.split(split) if split else source.index(None))
    return (np.arange(len(source))[rows] if rows.dtype != np.int64 else rows)[:number]


def _decoded_writer(path: Path, model: Model, source: RowSource, fingerprint: str) -> StoreWriter:
    features, classes = model.known_features, source.schema.label_classes
    schema = features.schema(classes=classes, known=kept_fields(features, source.schema))
    facts = {"source": "decoded", "tokenizer_fingerprint": fingerprint, "store": source.fingerprint}
    return StoreWriter(path, schema, provenance=facts)


def _decoded(
    model: Model, source: RowSource, block: RoundTrip, *, label: str | None
) -> dict[str, Array | Ragged]:
    """Return the columns of a block of decoded rows; the store's label under the name `label`."""
    features = model.known_features
    known = source.read(kept_fields(features, source.schema), block.rows_R)
    columns = features.invert(
        features.named(block.decoded_TF),
        lengths=block.lengths_R,
        row_fields={name: np.asarray(values) for name, values in known.items()},
    )
    if label and source.schema.label:
        read = source.read([source.schema.label], block.rows_R)
        columns[label] = np.asarray(read[source.schema.label]).astype(np.int16)
    return columns
