"""Defaults and bounds of all options are those of the committed list: a change of one is a decision."""

from __future__ import annotations

import json

from make_options import FILE, options


def test_defaults_and_bounds_of_options_do_not_change_unnoticed() -> None:
    """After a change that is meant: ``python tests/core/make_options.py``."""
    expected, current = json.loads(FILE.read_text(encoding="utf-8")), options()
    assert expected.keys() == current.keys()
    for name, fields in current.items():
        assert fields == expected[name], name
