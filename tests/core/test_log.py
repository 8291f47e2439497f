"""Progress where there is no terminal: plain lines, with the total where it is known."""

from __future__ import annotations

import pytest

from hepfm.core import log


@pytest.mark.parametrize(
    ("total", "expected"), [(5, ["work: 2/5 a", "work: 5/5 b"]), (None, ["work: 2 a", "work: 5 b"])]
)
def test_lines(
    total: int | None, expected: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 11))
    monkeypatch.setattr(log.time, "monotonic", lambda: next(clock))
    with caplog.at_level("INFO", "hepfm"), log.progress("work", total) as advance:
        advance(2, "a")
        advance(3, "b")
    assert [record.getMessage() for record in caplog.records] == expected
