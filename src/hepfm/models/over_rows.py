"""A function of batches, applied to the rows of a source: what it returns stands in the order of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.ragged import Columns, Ragged, concatenate, take_rows
from hepfm.data.loader import EvalLoader
from hepfm.data.row_source import Rows, RowSource
from hepfm.generators.parallel import for_each
from hepfm.models.directory import Model
from hepfm.models.fixture import random_batch

_BATCH_ROWS = {"cpu": 128, "cuda": 1024}
"""Rows of a batch by kind of device. On a processor larger ones are slower and take gigabytes."""

_BATCHES_AHEAD = 16
"""Batches that are read before a processor's threads work on them side by side."""

Work = Callable[[Batch], Columns]
"""What is made of a batch: an array or a `Ragged` of its rows by name, in the order of its rows."""


def over_rows(
    work: Work,
    model: Model,
    source: RowSource,
    *,
    rows: Rows = None,
    labels: Sequence[str] = (),
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
) -> Columns:
    """Return what `work` makes of each row, in the order of `rows`; the network runs without gradients.

    Parameters
    ----------
    work
        Called with batches of rows of similar length, on a processor by several threads at once. Its results
        must be on the processor, and of a row must not depend on the others of its batch.
    model
        Its network is moved to the device and put into evaluation mode.
    source
        The data, a store or a table; rows with more constituents than the model reads keep the leading ones.
    rows
        Which rows, in any order, repeated ones too; all when None.
    labels
        Fields that batches hold as labels.
    batch_size
        Rows of a batch; what suits the device when None.
    device
        Where the network runs.

    Raises
    ------
    IncompatibleError
        When the source lacks fields that the model reads.
    """
    target = torch.device(device)
    model.network.to(target).eval()
    wanted = np.asarray(source.index(rows))
    distinct, place_of = np.unique(wanted, return_inverse=True)
    size = batch_size or _BATCH_ROWS[target.type]
    content = replace(model.content(source), labels=tuple(labels))
    loader = EvalLoader(source, content, rows=distinct, batch_size=size)
    numbers, parts = _run(work, loader, target)
    if not parts:
        return _without_rows(work, model, target, labels)
    rising = np.argsort(np.concatenate(numbers), kind="stable")
    return take_rows(concatenate(parts), rising[place_of])


def of_constituents(values_BN: Tensor, mask_BN: Tensor) -> Ragged:
    """Return what belongs to the real constituents of a batch, (B, N, ...), as lists of its rows."""
    lengths = mask_BN.sum(1).cpu().numpy()
    return Ragged.from_lengths(values_BN[mask_BN].cpu().numpy(), lengths)


def _run(work: Work, loader: EvalLoader, device: torch.device) -> tuple[list[np.ndarray], list[Columns]]:
    """Return row numbers and results of each batch of a loader, in the order of the batches."""
    numbers: list[np.ndarray] = []
    parts: list[Columns] = []
    for batches in _several(iter(loader)):
        numbers += [batch.rows_B.numpy() for batch in batches]
        parts += for_each(lambda batch: work(batch.to(device)), batches, device=device)
    return numbers, parts


def _several(batches: Iterator[Batch]) -> Iterator[list[Batch]]:
    while ahead := list(islice(batches, _BATCHES_AHEAD)):
        yield ahead


def _without_rows(work: Work, model: Model, device: torch.device, labels: Sequence[str]) -> Columns:
    """Return columns of no rows; a made-up row tells their shapes and types."""
    batch = random_batch(model.features, context=model.context, rows=1)
    batch = replace(batch, labels=dict.fromkeys(labels, batch.mask_BN.float())).to(device)
    (made_up,) = for_each(work, [batch], device=device)
    return take_rows(made_up, np.arange(0))
