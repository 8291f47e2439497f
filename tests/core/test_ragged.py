"""Ragged lists against plain Python lists."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hepfm.core.ragged import Ragged, concatenate, take_rows

ROWS = st.lists(st.lists(st.integers(-5, 5), max_size=4), max_size=6)


def lists(ragged):
    return [ragged.row(index).tolist() for index in range(len(ragged))]


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, data=st.data())
def test_take_and_keep_are_what_lists_do(rows, data):
    ragged = Ragged.from_lists(rows, np.int64)
    assert lists(ragged) == rows
    order = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8)) if rows else []
    assert lists(ragged.take(np.asarray(order, np.int64))) == [rows[index] for index in order]
    assert lists(ragged.keep(ragged.values > 0)) == [[value for value in row if value > 0] for row in rows]
    assert ragged.row_index().tolist() == [index for index, row in enumerate(rows) for _ in row]


@settings(max_examples=30, deadline=None)
@given(first=ROWS, second=ROWS)
def test_concatenate_is_list_addition(first, second):
    parts = [
        {"x": Ragged.from_lists(rows, np.int64), "n": np.asarray([len(row) for row in rows], np.int64)}
        for rows in (first, second)
    ]
    joined = concatenate(parts)
    assert lists(joined["x"]) == first + second
    assert joined["n"].tolist() == [len(row) for row in first + second]


def test_take_rows_with_a_mask():
    columns = {"x": Ragged.from_lists([[1], [2, 3]]), "n": np.asarray([1, 2])}
    taken = take_rows(columns, np.asarray([False, True]))
    assert lists(taken["x"]) == [[2.0, 3.0]]
    assert taken["n"].tolist() == [2]
