"""Run directories: what makes two runs equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hepfm.train.run import RunDirectory

CONFIG: dict[str, Any] = {
    "data": {"store": "/here/jets", "budget": 100},
    "model": "/here/model",
    "model_sha256": "1234",
    "seed": 1,
}


def fingerprint(folder: Path, config: dict[str, Any]) -> str:
    text: str = RunDirectory.create(folder, recipe={}, config=config).config()["fingerprint"]
    return text


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"data": {"store": "/there/jets", "budget": 100}}, True),
        ({"model": "/there/model"}, True),
        ({"model_sha256": "5678"}, False),
        ({"data": {"store": "/here/jets", "budget": 200}}, False),
        ({"seed": 2}, False),
    ],
)
def test_places_do_not_make_runs_different_and_contents_do(
    change: dict[str, Any], same: bool, tmp_path: Path
) -> None:
    first, second = fingerprint(tmp_path / "a", CONFIG), fingerprint(tmp_path / "b", {**CONFIG, **change})
    assert (first == second) is same
