"""Registries name components, import them late, and take plug-ins."""

import importlib.metadata
import sys

import pytest

from hepfm.core.errors import ConfigError
from hepfm.core.registry import Registry


def test_components_are_imported_only_when_asked_for():
    registry = Registry("thing", {"colorsys": ("colorsys:rgb_to_hsv", "a function")})
    sys.modules.pop("colorsys", None)
    assert list(registry) == ["colorsys"]
    assert "colorsys" not in sys.modules
    assert registry.load("colorsys").__name__ == "rgb_to_hsv"


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="unknown thing 'y'; choose from: xylophone"):
        Registry("thing", {"xylophone": ("m:a", "")}).load("y")


def test_plug_ins_join_but_never_replace(monkeypatch):
    points = [
        importlib.metadata.EntryPoint("mine", "string:capwords", "hepfm.thing"),
        importlib.metadata.EntryPoint("own", "string:capwords", "hepfm.thing"),
    ]
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda *, group: points if group == "hepfm.thing" else []
    )
    registry = Registry("thing", {"own": ("colorsys:rgb_to_hsv", "")})
    assert set(registry) == {"own", "mine"}
    assert registry.load("own").__name__ == "rgb_to_hsv"
    assert registry.load("mine").__name__ == "capwords"
