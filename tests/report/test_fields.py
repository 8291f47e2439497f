"""The picture of all fields of a store."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from event_rows import PROCESSES, event_columns

from hepfm.core.errors import ConfigError, DataError, HepfmError, MissingExtraError
from hepfm.core.ragged import Ragged
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.schemas.events import event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.report.figures.fields import plot_fields

pytest.importorskip("matplotlib", reason="matplotlib is not installed")


def texts_of(path: Path) -> str:
    """Return the comments of an SVG file, which hold every text that is drawn."""
    return path.read_text()


def test_every_field_is_drawn_with_units_classes_and_counts(jet_store: Store, tmp_path: Path) -> None:
    drawn = texts_of(plot_fields(jet_store, tmp_path / "fields.svg"))
    for field in jet_store.schema:
        assert f"<!-- {field.name}" in drawn, field.name
    for text in (
        "jet_pt [GeV]",
        "part_d0 [mm]",
        "constituents per row",
        "1,000 rows (train 600, val 200, test 200)",
        "1,000 entries · no zeros",
        "charged_hadron",
        "-π/2",
    ):
        assert f"<!-- {text} -->" in drawn, text
    label = np.asarray(jet_store.read(["jet_label"])["jet_label"])
    for number, name in enumerate(jet_store.schema.label_classes):
        assert f"<!-- {name} ({(label == number).sum():,}) -->" in drawn


def odd_store(path: Path, rows: int, *, classes: int = 2, **changes: Any) -> Store:
    """Return a store of fields whose values are hard to draw."""
    fields = (
        Field(
            "label",
            Level.OBJECT,
            Kind.CATEGORICAL,
            dtype="int16",
            classes=tuple(f"c{k}" for k in range(classes)),
        ),
        Field("constant", Level.OBJECT, unit="GeV"),
        Field("outlier", Level.OBJECT),
        Field("large", Level.OBJECT, Kind.COUNT, dtype="int64"),
        Field("flag", Level.OBJECT, Kind.FLAG, dtype="bool"),
        Field("weight", Level.OBJECT),
        Field("hits", Level.HIT),
    )
    rng = np.random.default_rng(1)
    columns = {
        "label": np.arange(rows) % classes,
        "constant": np.full(rows, 3e-7),
        "outlier": np.append(rng.normal(size=rows - 1), -999.0),
        "large": np.arange(rows) * 10**15,
        "flag": rng.random(rows) < 0.5,
        "weight": np.ones(rows),
        "hits": Ragged.from_lengths(np.zeros(0), np.zeros(rows, int)),
        **changes,
    }
    schema = Schema(fields, label="label", weight="weight")
    return Store.open(write_store(path, schema, [("train", columns)], provenance={}))


@pytest.mark.parametrize(("ending", "begin"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_kind_of_file_by_ending(tmp_path: Path, ending: str, begin: bytes) -> None:
    store = odd_store(tmp_path / "s", 20)
    path = plot_fields(store, tmp_path / f"fields.{ending}", split="train", rows=10)
    assert path.read_bytes().startswith(begin)
    with pytest.raises(HepfmError, match="exists already"):
        plot_fields(store, path)


@pytest.mark.filterwarnings("error")
def test_odd_values(tmp_path: Path) -> None:
    drawn = texts_of(plot_fields(odd_store(tmp_path / "s", 1000), tmp_path / "s.svg"))
    assert "% outside; values from -999 to" in drawn
    assert "<!-- 0 entries · no zeros -->" in drawn
    assert "1,000 rows (train 1,000); event weights (weight) are not applied" in drawn
    one = texts_of(plot_fields(odd_store(tmp_path / "one", 1), tmp_path / "one.svg"))
    assert "<!-- 1 entries · no zeros -->" in one


def test_many_classes_are_drawn_together(tmp_path: Path) -> None:
    drawn = texts_of(plot_fields(odd_store(tmp_path / "s", 330, classes=11), tmp_path / "s.svg", rows=110))
    assert "330 rows (train 330), 110 of them drawn at random; the 11 classes are drawn together" in drawn


def test_mistakes(jet_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.png, \.pdf, \.svg"):
        plot_fields(jet_store, tmp_path / "fields.jpg")
    with pytest.raises(ConfigError, match="1 or more, got 0"):
        plot_fields(jet_store, tmp_path / "fields.png", rows=0)
    with pytest.raises(DataError, match="no split 'tset'"):
        plot_fields(jet_store, tmp_path / "fields.png", split="tset")
    original = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name=name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"hepfm\[plot\]"):
        plot_fields(jet_store, tmp_path / "fields.png")
    assert not (tmp_path / "fields.png").exists()


def test_objects_of_events_are_drawn_by_level_and_type(tmp_path: Path) -> None:
    columns = event_columns(40, seed=1)
    schema = event_schema(PROCESSES, truth=True)
    store = Store.open(write_store(tmp_path / "s", schema, [("train", columns)], provenance={}))
    drawn = texts_of(plot_fields(store, tmp_path / "s.svg"))
    for text in (
        "objects per row, jet",
        "objects per row, generator top",
        "object_pt [GeV], met",
        "object_b_tag, jet",
        "|object_pdg|, generator",
        "object_role, reconstructed",
        "tbar_nu",
    ):
        assert f"<!-- {text} -->" in drawn, text
    # One missing momentum of each event, no b tags of leptons, no codes of what was reconstructed, no w2_q.
    for text in (
        "objects per row, met",
        "object_b_tag, muon",
        "|object_pdg|, reconstructed",
        "w2_q",
        "object_pt [GeV]",
    ):
        assert f"<!-- {text} -->" not in drawn, text
    jets = (columns["object_type"].values == 0).sum()
    assert f"<!-- {jets:,} entries · no zeros -->" in drawn
