"""Codes of a store's rows, as fast as the processor allows."""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch

from hepfm.core.batch import Batch
from hepfm.core.errors import IncompatibleError
from hepfm.core.ragged import Ragged
from hepfm.data.loader import EvalLoader
from hepfm.data.row_source import Rows, RowSource
from hepfm.generators.parallel import for_each
from hepfm.models.directory import Model

_BATCH = 256
_AHEAD = 16
"""Batches that are read before they are worked on, side by side."""


def encode(model: Model, source: RowSource, *, rows: Rows = None, device: str = "cpu") -> Ragged:
    """Return the codes of the constituents of each row, int64, in the order of `rows`.

    Parameters
    ----------
    model
        A model with a tokenizer.
    source
        The data, a store or a table; rows with more constituents than the model reads keep the leading ones.
    rows
        Which rows; all when None.
    device
        Where the network runs; on a processor batches are worked on side by side by torch's threads.

    Raises
    ------
    IncompatibleError
        When the model has no tokenizer, or the data lack its features.
    """
    network = model.network.to(device).eval()
    if network.tokenizer is None:
        raise IncompatibleError("this model has no tokenizer; train one with `hepfm tokenize RECIPE`")
    wanted = np.asarray(source.index(rows))
    unique, place = np.unique(wanted, return_inverse=True)
    loader = EvalLoader(source, model.content(source), rows=unique, batch_size=_BATCH)
    codes_of_batch: dict[int, Ragged] = {}
    batches = iter(loader)

    def work(batch: Batch) -> None:
        codes_BN = network.encode(batch.to(device)).cpu()
        codes = codes_BN[batch.mask_BN].numpy()
        codes_of_batch[int(batch.rows_B[0])] = Ragged.from_lengths(codes, batch.mask_BN.sum(1).numpy())

    order: list[np.ndarray] = []
    while ahead := list(islice(batches, _AHEAD)):
        order += [batch.rows_B.numpy() for batch in ahead]
        for_each(work, ahead, device=torch.device(device))
    if not order:
        return Ragged.from_lengths(np.zeros(0, np.int64), np.zeros(0, np.int64))
    parts = [codes_of_batch[int(numbers[0])] for numbers in order]
    lengths = np.concatenate([part.lengths for part in parts])
    joined = Ragged.from_lengths(np.concatenate([part.values for part in parts]), lengths)
    back = np.argsort(np.concatenate(order), kind="stable")
    return joined.take(back[place])
