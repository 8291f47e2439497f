"""What a tokenizer makes of rows: their codes, the rows that come back, and how much is lost on the way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hepfm.core.batch import Batch
from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.files import atomic_path, write_json
from hepfm.core.log import progress
from hepfm.core.ragged import Array, Ragged
from hepfm.data.loader import EvalLoader
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.models.codes_file import GIVEN, decoded_rows, makes_constituents, write_codes
from hepfm.models.directory import Model
from hepfm.models.token_report import Tokenized, accuracy_lost, describe
from hepfm.models.tokenizer import tokenizer_fingerprint
from hepfm.nn.momenta import relative_momenta

REPORT, CODES, RECONSTRUCTED = "tokens.json", "codes.arrow", "reconstructed"
_BATCH = 256


def tokenize_store(
    model: str | Path,
    store: str | Path,
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
        The jets.
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
        The report: ``code_use`` (share of the codes that occur), ``perplexity``, ``features`` and ``jets`` or
        ``showers`` (median and interquartile range of decoded minus original, by name; ``pt`` and ``energy``
        are relative), ``clipped`` (constituents with a feature beyond the network's clip) and ``outside``
        (beyond the tokenizer's fitted range).

    Raises
    ------
    IncompatibleError
        When the model has no tokenizer, or the store lacks its features, or the classifier does not fit.
    DataError
        When there is nothing to tokenize.
    """
    source, data = Model.load(model), Store.open(store)
    if source.network.tokenizer is None:
        raise IncompatibleError(f"{model} has no tokenizer; train one with `hepfm tokenize RECIPE`")
    rows = np.asarray(data.split(split) if split else data.index(None))
    rows = np.arange(len(data))[rows][:number] if rows.dtype != np.int64 else rows[:number]
    found = _run(source, data, rows)
    if not len(found.codes_T):
        raise DataError(f"{data.path} has no constituents to tokenize in its split {split!r}")
    report: dict[str, Any] = {
        "tokenizer": source.network.codes.tokenizer.spec() if source.network.codes else {},
        "tokenizer_fingerprint": tokenizer_fingerprint(source.network),
        "store_fingerprint": data.fingerprint,
        "split": split,
        **describe(source, found),
    }
    with atomic_path(Path(output)) as folder:
        folder.mkdir()
        write_codes(folder / CODES, report["tokenizer_fingerprint"], found, data)
        if makes_constituents(source):
            _write_rows(folder / RECONSTRUCTED, source, found, data, report)
        if classifier is not None:
            report["classifier"] = accuracy_lost(classifier, data, folder / RECONSTRUCTED, found)
        write_json(folder / REPORT, report)
    return report


@torch.no_grad()
def _run(model: Model, store: Store, rows: npt.NDArray[np.int64]) -> Tokenized:
    network = model.network
    assert network.tokenizer is not None
    loader = EvalLoader(
        store, model.content(store), rows=rows, batch_size=_BATCH, max_constituents=model.max_constituents
    )
    parts: list[tuple[Array, ...]] = []
    clipped = outside = 0
    with progress("tokenizing", len(rows)) as advance:
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
            real = batch.mask_BN
            parts.append(
                tuple(
                    tensor.cpu().numpy()
                    for tensor in (
                        batch.features_BNF[real],
                        decoded_BNF[real],
                        codes_BN[real],
                        real.sum(1),
                        batch.rows_B,
                        *(p4[real] for p4 in momenta if p4 is not None),
                    )
                )
            )
            advance(len(batch))
    if not parts:
        raise DataError(f"{store.path} has no rows to tokenize")
    original, decoded, codes, lengths, found_rows, *p4 = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    return Tokenized(
        original.astype(np.float64),
        decoded.astype(np.float64),
        codes,
        lengths,
        found_rows,
        clipped,
        outside,
        (p4[0].astype(np.float64), p4[1].astype(np.float64)) if p4 else None,
    )


def _beyond(model: Model, batch: Batch) -> torch.Tensor:
    layer = model.network.standardize
    beyond_BNF = ((batch.features_BNF - layer.centre_F) * layer.scale_F).abs() > layer.limit
    return beyond_BNF.any(-1)


def _write_rows(path: Path, model: Model, found: Tokenized, store: Store, report: Mapping[str, Any]) -> None:
    order = np.argsort(found.rows_R, kind="stable")
    label, classes = store.schema.label, store.schema.label_classes
    given = store.read([name for name in GIVEN if name in store.schema], found.rows_R)
    known = {name: np.asarray(values) for name, values in given.items()}
    schema, columns = decoded_rows(model, found.decoded_TF, found.lengths_R, known, classes=classes)
    if label and schema.label:
        columns[schema.label] = np.asarray(store.read([label], found.rows_R)[label]).astype(np.int16)
    taken = {
        name: values.take(order) if isinstance(values, Ragged) else values[order]
        for name, values in columns.items()
    }
    facts = {"source": "decoded", "tokenizer_fingerprint": report["tokenizer_fingerprint"]}
    write_store(path, schema, [("test", taken)], provenance={**facts, "store": store.fingerprint})
