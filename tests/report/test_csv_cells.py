"""CSV files hold no formulas, whatever models, arms and classes are called."""

from __future__ import annotations

import csv
import io

import pytest

from hepfm.report.table import make_table


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_texts_that_a_spreadsheet_would_run(start: str) -> None:
    text = f"{start}HYPERLINK(1)"
    table = make_table((text, "value"), [(text, 1), ("a=b", None)])
    header, first, second = csv.reader(io.StringIO(table.to_csv(), newline=""))
    shown = "'" + text.replace("\r", " ")
    assert header == [shown, "value"]
    assert first == [shown, "1"]
    assert second == ["a=b", ""]


def test_numbers_stay_numbers() -> None:
    table = make_table(("a", "b", "c"), [(-1.5, "-2.5", "+3e-4")])
    assert list(csv.reader(io.StringIO(table.to_csv())))[1] == ["-1.5", "-2.5", "+3e-4"]
