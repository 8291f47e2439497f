"""What a tokenizer makes of rows: their codes, the rows that come back, and how much is lost on the way."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hepfm.core.batch import Batch
from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.files import atomic_path, refuse_other_folder, write_json
from hepfm.core.log import progress
from hepfm.core.ragged import Array, Ragged
from hepfm.data.loader import EvalLoader
from hepfm.data.row_source import RowSource
from hepfm.data.store import open_rows
from hepfm.data.writer import StoreWriter
from hepfm.inference.codes_file import CodesWriter, kept_fields
from hepfm.inference.token_report import Tally, Tokenized, accuracy_lost
from hepfm.models.directory import Model
from hepfm.models.tokenizer import tokenizer_fingerprint
from hepfm.nn.momenta import relative_momenta

REPORT, CODES, RECONSTRUCTED = "tokens.json", "codes.arrow", "reconstructed"
BLOCK = 50_000
"""Rows that are held at once."""

_BATCH = 256


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
    source, data = Model.load(model), open_rows(store)
    if source.network.tokenizer is None:
        raise IncompatibleError(f"{model} has no tokenizer; train one with `hepfm tokenize RECIPE`")
    refuse_other_folder(output, mark=REPORT, what="report of a tokenizer")
    fingerprint, rows = tokenizer_fingerprint(source.network), _rows(data, split, number)
    tally = Tally(source)
    with atomic_path(Path(output)) as folder:
        folder.mkdir()
        with ExitStack() as stack:
            codes = stack.enter_context(CodesWriter(folder / CODES, fingerprint, source.known_features, data))
            decoded = None
            if source.known_features.invertible:
                decoded = stack.enter_context(
                    _decoded_writer(folder / RECONSTRUCTED, source, data, fingerprint)
                )
            advance = stack.enter_context(progress("tokenizing", len(rows)))
            for start in range(0, len(rows), BLOCK):
                block = _run(source, data, rows[start : start + BLOCK])
                tally.add(block)
                codes.write(block)
                if decoded is not None:
                    decoded.write(_decoded(source, data, block, label=decoded.schema.label), split="test")
                advance(len(block.rows_R))
        if not tally.constituents:
            raise DataError(f"{data.name} has no constituents to tokenize in its split {split!r}")
        report: dict[str, Any] = {
            "tokenizer": source.network.tokenizer_spec.tokenizer.spec()
            if source.network.tokenizer_spec
            else {},
            "tokenizer_fingerprint": fingerprint,
            "store_fingerprint": data.fingerprint,
            "split": split,
            **tally.report(),
        }
        if classifier is not None:
            report["classifier"] = accuracy_lost(classifier, data, folder / RECONSTRUCTED, rows)
        write_json(folder / REPORT, report)
    return report


def _rows(source: RowSource, split: str | None, number: int | None) -> npt.NDArray[np.int64]:
    """Return the numbers of the rows, in their order."""
    rows = np.asarray(source.split(split) if split else source.index(None))
    return (np.arange(len(source))[rows] if rows.dtype != np.int64 else rows)[:number]


@torch.no_grad()
def _run(model: Model, source: RowSource, rows: npt.NDArray[np.int64]) -> Tokenized:
    network = model.network
    assert network.tokenizer is not None
    loader = EvalLoader(source, model.content(source), rows=rows, batch_size=_BATCH)
    parts: list[tuple[Array, ...]] = []
    clipped = outside = 0
    for batch in loader:
        codes_BN = network.encode(batch)
        x_BNF = network.standardize(batch.features_BNF, batch.mask_BN)
        decoded_BNF = network.standardize.inverse(network.decode(codes_BN), batch.mask_BN)
        clipped += int((_beyond(model, batch) & batch.mask_BN).sum())
        outside += int(network.tokenizer.outside(x_BNF, batch.mask_BN).sum())
        momenta = [
            relative_momenta(values, batch.mask_BN, network.feature_names)
            for values in (batch.features_BNF, decoded_BNF)
        ]
        of_constituents = (
            batch.features_BNF,
            decoded_BNF,
            codes_BN,
            *(p4 for p4 in momenta if p4 is not None),
        )
        real = batch.mask_BN
        found = (real.sum(1), batch.rows_B, *(values[real] for values in of_constituents))
        parts.append(tuple(tensor.cpu().numpy() for tensor in found))
    lengths, numbers, *columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    # Batches come in order of length: back to the order of the rows.
    order = np.argsort(numbers, kind="stable")
    original, decoded, codes, *p4 = (Ragged.from_lengths(one, lengths).take(order).values for one in columns)
    return Tokenized(
        original.astype(np.float64),
        decoded.astype(np.float64),
        codes,
        lengths[order],
        numbers[order],
        clipped,
        outside,
        (p4[0].astype(np.float64), p4[1].astype(np.float64)) if p4 else None,
    )


def _beyond(model: Model, batch: Batch) -> torch.Tensor:
    layer = model.network.standardize
    beyond_BNF = ((batch.features_BNF - layer.centre_F) * layer.scale_F).abs() > layer.limit
    return beyond_BNF.any(-1)


def _decoded_writer(path: Path, model: Model, source: RowSource, fingerprint: str) -> StoreWriter:
    features, classes = model.known_features, source.schema.label_classes
    schema = features.schema(classes=classes, known=kept_fields(features, source.schema))
    facts = {"source": "decoded", "tokenizer_fingerprint": fingerprint, "store": source.fingerprint}
    return StoreWriter(path, schema, provenance=facts)


def _decoded(
    model: Model, source: RowSource, block: Tokenized, *, label: str | None
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
