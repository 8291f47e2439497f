"""Trivial answers for a label of constituents: class fractions, and fractions in bins of |d0|/sigma.

What comes from a displaced decay has a track that misses the primary vertex. How far a network gets with the
whole jet is told by what a table of one number does: the fractions of the classes in 20 bins of the
significance of the transverse impact parameter, with as many tracks in each, and one bin for constituents
without a track. It is counted on training and validation rows, which are the label budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hepfm.core.ragged import Array, Ragged, lists
from hepfm.data.store import Store

if TYPE_CHECKING:
    from hepfm.train.row_baseline import Floats, Ints

BINS = 20
D0, D0_ERROR = "part_d0", "part_d0_error"


def fit_constituents(
    store: Store, rows: Ints, name: str, *, weights: Floats, max_constituents: int
) -> dict[str, Any]:
    """Return the fractions of the classes of a field of constituents, JSON-ready.

    Parameters
    ----------
    store, rows
        The labelled rows.
    name
        The field.
    weights
        Of the rows.
    max_constituents
        Constituents that the network reads; the others are left out here too.
    """
    classes = store.schema[name].classes
    labels, read = _leading(lists(store.read([name], rows), name), max_constituents)
    weight = weights[labels.row_index()]
    label = labels.values.astype(np.int64)
    facts: dict[str, Any] = {
        "classes": list(classes),
        "fractions": _fractions(label, weight, len(classes)).tolist(),
        "labels": len(rows),
        "max_constituents": max_constituents,
        "inputs": [],
    }
    if D0 not in store.schema:
        return facts
    significance = significances(store, rows)
    values = significance.values[read]
    tracks = values[np.isfinite(values)]
    edges = np.unique(np.quantile(tracks, np.arange(1, BINS) / BINS)) if len(tracks) else np.zeros(0)
    number = bins_of(values, edges)
    table = [
        _fractions(label[number == k], weight[number == k], len(classes), prior=facts["fractions"])
        for k in range(len(edges) + 2)
    ]
    return {**facts, "inputs": [D0, D0_ERROR], "edges": edges.tolist(), "table": np.array(table).tolist()}


def constituent_probabilities(values: Mapping[str, Any], store: Store, rows: Ints) -> Ragged:
    """Return the class probabilities of the constituents of rows by their significance, lists of (n, K)."""
    significance = significances(store, rows)
    number = bins_of(significance.values, np.array(values["edges"]))
    return significance.with_values(np.array(values["table"])[number])


def significances(store: Store, rows: Ints) -> Ragged:
    """Return |d0|/sigma of each constituent; infinite for those without a track."""
    columns = store.read([D0, D0_ERROR], rows)
    d0, error = (lists(columns, field) for field in (D0, D0_ERROR))
    there = error.values > 0
    out = np.full(len(there), np.inf)
    return d0.with_values(np.divide(np.abs(d0.values), error.values, out=out, where=there))


def bins_of(significance: Array, edges: Array) -> Ints:
    """Return the bin of each: one more than there are edges, and the last for those without a track."""
    return np.where(np.isfinite(significance), np.searchsorted(edges, significance), len(edges) + 1)


def _leading(values: Ragged, limit: int) -> tuple[Ragged, Array]:
    """Return the first entries of each row, and which they are."""
    place = np.arange(len(values.values)) - np.repeat(values.offsets[:-1], values.lengths)
    read = place < limit
    return values.keep(read), read


def _fractions(label: Ints, weight: Floats, classes: int, *, prior: Any = None) -> Floats:
    """Return the fractions by weight; with a prior as if one more constituent had its fractions."""
    sums = np.maximum(np.bincount(label, weight, minlength=classes), 0.0)
    if prior is not None:
        sums = sums + np.array(prior)
    fractions: Floats = sums / sums.sum()
    return fractions
