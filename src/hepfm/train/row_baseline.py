"""The row baseline: a regression on the numbers of the whole row, fitted to the labels of a network.

A network that sees the constituents must do better than pt, eta, mass and multiplicity of the jet do by
themselves; of an event, these are missing momentum, sums of pt, masses and numbers of what was reconstructed.
For a categorical label these numbers enter a multinomial logistic regression, for a number a ridge
regression; inputs are standardised, C = 1 and alpha = 1, no search. It is fitted to training and validation
rows together, which are the label budget, to at most 50,000 of them (a seeded draw).

A label of constituents has a table of one number in its place, see `hepfm.train.significance_baseline`.

Kept with it is what the majority baseline needs: the fractions of the classes in the training split (a label
budget is drawn with equal fractions, and would not tell the commonest class), or the median of the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Kind, Level, Schema
from hepfm.data.context import JET, ContextSet
from hepfm.data.event_features import EVENT_CONTEXT
from hepfm.data.row_selection import RowSelection
from hepfm.data.row_source import Rows, draw_rows
from hepfm.data.store import Store
from hepfm.train.significance_baseline import fit_constituents

MOST_ROWS = 50_000
STRENGTH = 1.0
"""C of the logistic regression, alpha of the ridge regression."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelledRows:
    """The rows whose labels a network was given.

    Attributes
    ----------
    store
        The data.
    rows
        Training and validation rows.
    split
        Rows that the fractions of the classes are taken from.
    max_constituents
        Constituents that the network reads; the multiplicity is counted up to it.
    weights
        Field of the event weights; None for equal ones. Rows of negative weight are left out of the fit.
    seed
        Of the draws.
    """

    store: Store
    rows: Rows
    split: Rows
    max_constituents: int
    weights: str | None
    seed: int

    def some(self, rows: Rows, only: RowSelection | None) -> Ints:
        """Return at most `MOST_ROWS` of the rows, those that count, in rising order."""
        index = draw_rows(self.store.index(rows), MOST_ROWS, numpy_generator(self.seed, "row_baseline"))
        return index if only is None else only.of_rows(self.store, index)


def fit_baselines(
    labelled: LabelledRows, head_rows: Mapping[str, RowSelection | None], fields: tuple[str, ...]
) -> dict[str, Any]:
    """Return the baselines of some label fields, JSON-ready, by field; none where rows have no constituents.

    Parameters
    ----------
    labelled
        The rows.
    head_rows
        By predicted field the only rows that teach it, None for all; see `Requirements`.
    fields
        Fields that heads predict.
    """
    schema = labelled.store.schema
    if not inputs_of(schema):
        return {}
    # Objects of events have no table of one number, as the constituents of jets have.
    learned = (
        name
        for name in fields
        if name in schema and (schema[name].level is not Level.OBJECT or not schema.is_ragged(name))
    )
    return {name: _fit(labelled, name, head_rows[name]) for name in learned if name in head_rows}


def _whole(schema: Schema) -> ContextSet | None:
    return next((one for one in (JET, EVENT_CONTEXT) if not one.missing(schema)), None)


def inputs_of(schema: Schema) -> tuple[str, ...]:
    """Return the names of the numbers of a whole row: of the jet, of the event, or only the multiplicity.

    None for rows without any of these.
    """
    whole = _whole(schema)
    if whole is not None:
        return whole.names
    return JET.names[-1:] if schema.names(Level.CONSTITUENT) else ()


def read_inputs(store: Store, rows: Rows, *, max_constituents: int) -> Floats:
    """Return the numbers of rows, shape (R, C)."""
    whole = _whole(store.schema)
    if whole is EVENT_CONTEXT:
        # Its numbers are those of all reconstructed objects; nothing is asked of a generator's.
        return whole.compute(store.read(whole.columns, rows), np.zeros(0, np.int64)).astype(np.float64)
    lengths = np.minimum(store.lengths(Level.CONSTITUENT, rows), max_constituents).astype(np.int64)
    if whole is None:
        return lengths[:, None].astype(np.float64)
    return whole.compute(store.read(whole.columns, rows), lengths).astype(np.float64)


def _fit(labelled: LabelledRows, name: str, only: RowSelection | None) -> dict[str, Any]:
    store, field = labelled.store, labelled.store.schema[name]
    rows = labelled.some(labelled.rows, only)
    weights = _weights(labelled, rows)
    rows, weights = rows[weights > 0], weights[weights > 0]
    weights = weights / weights.mean()  # or their unit would set how much the penalty counts
    if store.schema.is_ragged(name):
        limit = labelled.max_constituents
        return fit_constituents(store, rows, name, weights=weights, max_constituents=limit)
    x_RC = read_inputs(store, rows, max_constituents=labelled.max_constituents)
    centre, scale = x_RC.mean(axis=0), np.maximum(x_RC.std(axis=0), 1e-6)
    facts = {
        "inputs": list(inputs_of(store.schema)),
        "max_constituents": labelled.max_constituents,
        "labels": len(rows),
        "strength": STRENGTH,
        "centre": centre.tolist(),
        "scale": scale.tolist(),
    }
    target = np.asarray(store.read([name], rows)[name])
    z_RC = (x_RC - centre) / scale
    if field.kind is Kind.CATEGORICAL:
        fractions = _fractions(labelled, name, only, len(field.classes))
        return {
            **facts,
            "classes": list(field.classes),
            "fractions": fractions,
            **_logistic(z_RC, target, weights),
        }
    from sklearn.linear_model import Ridge  # two seconds that a training need not wait for

    ridge = Ridge(alpha=STRENGTH).fit(z_RC, target.astype(np.float64), sample_weight=weights)
    return {
        **facts,
        "coefficients": ridge.coef_.tolist(),
        "intercept": float(ridge.intercept_),
        "median": float(np.median(target)),
    }


def _weights(labelled: LabelledRows, rows: Ints) -> Floats:
    if labelled.weights is None:
        return np.ones(len(rows))
    return np.asarray(labelled.store.read([labelled.weights], rows)[labelled.weights], np.float64)


def _fractions(labelled: LabelledRows, name: str, only: RowSelection | None, classes: int) -> list[float]:
    rows = labelled.some(labelled.split, only)
    labels = np.asarray(labelled.store.read([name], rows)[name]).astype(np.int64)
    sums = np.bincount(labels, _weights(labelled, rows), minlength=classes)
    sums = np.maximum(sums, 0.0)
    fractions: list[float] = (sums / sums.sum()).tolist()
    return fractions


def _logistic(z_RC: Floats, label_R: Floats, weights_R: Floats) -> dict[str, Any]:
    """Return coefficients by class that occurs, (K, C), and intercepts (K,); one of two classes has zeros."""
    present = np.unique(label_R)
    coefficients, intercept = np.zeros((1, z_RC.shape[1])), np.zeros(1)
    if len(present) > 1:
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression(C=STRENGTH, max_iter=1000).fit(z_RC, label_R, sample_weight=weights_R)
        coefficients, intercept = fitted.coef_, fitted.intercept_
    if len(present) == 2:
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercept = np.concatenate([np.zeros(1), intercept])
    return {
        "fitted": present.astype(int).tolist(),
        "coefficients": coefficients.tolist(),
        "intercept": intercept.tolist(),
    }


def row_probabilities(values: Mapping[str, Any], x_RC: Floats) -> Floats:
    """Return the class probabilities of rows by their numbers, shape (R, K); 0 for classes never seen."""
    logits = _linear(values, x_RC)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    out = np.zeros((len(x_RC), len(values["classes"])))
    out[:, values["fitted"]] = p / p.sum(axis=1, keepdims=True)
    return out


def row_values(values: Mapping[str, Any], x_RC: Floats) -> Floats:
    """Return the predicted numbers of rows by their numbers, shape (R,)."""
    return _linear(values, x_RC)


def _linear(values: Mapping[str, Any], x_RC: Floats) -> Floats:
    z_RC = (x_RC - np.array(values["centre"])) / np.array(values["scale"])
    present: Floats = z_RC @ np.array(values["coefficients"]).T + np.array(values["intercept"])
    return present
