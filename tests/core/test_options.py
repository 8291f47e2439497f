"""Defaults and bounds of options are those of the committed list, and dataclasses are values."""

from __future__ import annotations

import json
from dataclasses import is_dataclass

from make_options import FILE, modules, options

CHANGING = {
    "hepfm.inference.round_trip.RoundTrip",
    "hepfm.models.directory.Model",
    "hepfm.nn.attention.KeyValueCache",
    "hepfm.simulate.event_weights._Sums",
    "hepfm.train.early_stopping.Best",
    "hepfm.train.meter.Meter",
}
"""The dataclasses that are no values: they count, grow, or are filled step by step."""


def test_defaults_and_bounds_of_options_do_not_change_unnoticed() -> None:
    """After a change that is meant: ``python tests/core/make_options.py``."""
    expected, current = json.loads(FILE.read_text(encoding="utf-8")), options()
    assert expected.keys() == current.keys()
    for name, fields in current.items():
        assert fields == expected[name], name


def test_dataclasses_are_values_but_for_a_few() -> None:
    changing = {
        f"{module.__name__}.{name}"
        for module in modules()
        for name, cls in vars(module).items()
        if is_dataclass(cls) and cls.__module__ == module.__name__ and not cls.__dataclass_params__.frozen
    }
    assert changing == CHANGING
