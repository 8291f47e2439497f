"""Histograms of learned weights."""

from __future__ import annotations

import numpy as np

from hepfm.report.figures.weight_distribution import weight_figure


def test_all_weights_are_counted_but_those_that_cannot_be_drawn() -> None:
    weights = np.array([0.0, 1e-9, 1.0, 2.0, 500.0, -1.0, np.nan, np.inf])
    figure = weight_figure({"a": weights, "b": np.ones(7)}, name="w", caption="")
    counts = {what: sum(row[3] for row in figure.table.rows if row[0] == what) for what in "ab"}
    assert counts == {"a": 5, "b": 7}
    assert "weight / mean weight" in figure.svg


def test_weights_that_are_all_zero_draw_nothing() -> None:
    figure = weight_figure({"a": np.zeros(5)}, name="w", caption="")
    assert not figure.table.rows
