"""What the layers of a backbone make of rows: one vector of each row from every layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

import numpy as np
from torch import Tensor, nn

from hepfm.backbones.base import Backbone
from hepfm.core.batch import Batch
from hepfm.core.ragged import Array, Columns
from hepfm.data.row_source import Rows, RowSource
from hepfm.models.directory import Model
from hepfm.models.over_rows import over_rows
from hepfm.nn.packing import Packing, rows_to_add
from hepfm.nn.pooling import masked_mean, summary

SUMMARY = "summary"
"""The summary vector of the row, which heads read: the last entry."""

_BATCH = 64
"""Rows of a batch; `hepfm.backbones.event_graph` passes no more at once on a processor."""


def layer_vectors(
    model: Model, source: RowSource, *, rows: Rows = None, device: str = "cpu"
) -> dict[str, Array]:
    """Return a vector of each row from every layer, float32 (R, D), in the order that the layers run.

    Layers are the modules of the backbone and the entries of its lists of modules (blocks), by the names that
    they have there: ``"embedding"``, ``"blocks_1"`` ..., then `SUMMARY`. A layer that runs several times has
    an entry for each. Of vectors of constituents the mean over the real ones is taken; of a step of a graph
    network the vector of the whole graph. Layers whose output belongs to pairs, or has no vector of each
    constituent (multivectors, tokens packed with others), have no entry.

    Parameters
    ----------
    model, source, rows, device
        As of `hepfm.models.over_rows.over_rows`.
    """
    with _recorded(model.network.backbone) as record:

        def work(batch: Batch) -> Columns:
            record.outputs = []
            features = model.network.features(batch)
            mask_BN = features.token_mask(batch.mask_BN)
            found = _named(record.outputs, mask_BN)
            found[SUMMARY] = summary(features.tokens_BND, features.pooled_BD, mask_BN)
            return {name: vectors.float().cpu().numpy() for name, vectors in found.items()}

        columns = over_rows(work, model, source, rows=rows, batch_size=_BATCH, device=device)
    return {name: np.asarray(column) for name, column in columns.items()}


@contextmanager
def _recorded(backbone: Backbone) -> Iterator[Any]:
    """Keep what the layers return, in the list ``outputs`` of the calling thread."""
    record = local()

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            record.outputs.append((name, output))

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in _layers(backbone)]
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()


def _layers(backbone: Backbone) -> Iterator[tuple[str, nn.Module]]:
    """Yield layers with the name of the attribute that they are in."""
    for name, module in backbone.named_children():
        if name in backbone.of_pairs:
            continue
        if isinstance(module, nn.ModuleList):
            yield from ((f"{name}_", entry) for entry in module)
        else:
            yield name, module


def _named(outputs: list[tuple[str, Any]], mask_BN: Tensor) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    times: Counter[str] = Counter()
    for name, output in outputs:
        vectors_BD = _of_rows(output, mask_BN)
        if vectors_BD is None:
            continue
        times[name] += 1
        first = not name.endswith("_") and times[name] == 1
        found[name if first else f"{name.rstrip('_')}_{times[name]}"] = vectors_BD
    return found


def _of_rows(output: Any, mask_BN: Tensor) -> Tensor | None:
    """Return one vector of each row, (B, D), of what a layer returns; None where there is none."""
    if isinstance(output, tuple):
        known = [one for one in (_of_rows(part, mask_BN) for part in reversed(output)) if one is not None]
        return known[0] if known else None
    if not isinstance(output, Tensor):
        return None
    rows, length = mask_BN.shape
    if output.ndim == 2 and output.shape[0] == rows:
        return output
    if output.ndim == 3 and output.shape[0] == rows and output.shape[1] >= length:
        # What stands in front of the constituents are tokens of the row: registers, context.
        return masked_mean(output[:, output.shape[1] - length :], mask_BN)
    real = int(mask_BN.sum())
    if output.ndim == 2 and output.shape[0] in (real, real + rows_to_add(real)):
        return masked_mean(Packing.of(mask_BN).unpack(output), mask_BN)
    return None
