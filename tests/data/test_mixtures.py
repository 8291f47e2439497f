"""Weak supervision: two samples with the same background, of which one holds the signal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hepfm.cli.main import group
from hepfm.core.errors import DataError
from hepfm.core.schema import Field, Kind, Level
from hepfm.data.mixtures import mix
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store

SIDES = {"signal": "Tbqq", "background": "QCD"}


def columns_of(store: Store, split: str) -> dict[str, Any]:
    return store.read(["jet_label", "sample", "jet_pt"], np.asarray(store.split(split)))


def counts(store: Store, split: str) -> dict[str, int]:
    columns, classes = columns_of(store, split), store.schema["jet_label"].classes
    names = [
        f"{('pure', 'mixed')[int(sample)]} {classes[int(label)]}"
        for label, sample in zip(columns["jet_label"], columns["sample"], strict=True)
    ]
    return {name: names.count(name) for name in sorted(set(names))}


def test_half_of_the_background_is_pure_and_the_signal_is_mixed(jet_store: Store, tmp_path: Path) -> None:
    store = Store.open(mix(jet_store, tmp_path / "mixed", **SIDES, count=12, seed=3))
    number = {name: index for index, name in enumerate(jet_store.schema.label_classes)}
    labels = {
        split: jet_store.read(["jet_label"], jet_store.split(split))["jet_label"]
        for split in jet_store.splits
    }
    background = {split: int((values == number["QCD"]).sum()) for split, values in labels.items()}
    train = counts(store, "train")
    assert train["mixed Tbqq"] == 12
    assert train["pure QCD"] == background["train"] // 2
    assert train["mixed QCD"] == background["train"] - background["train"] // 2
    assert counts(store, "val")["mixed Tbqq"] == 4  # 200 rows to the training split's 600
    test = counts(store, "test")
    assert test == {
        "mixed Tbqq": int((labels["test"] == number["Tbqq"]).sum()),
        "pure QCD": background["test"],
    }
    assert store.schema.label == "sample"
    # The halves are draws: they do not follow the order of the rows.
    pure = columns_of(store, "train")["sample"][columns_of(store, "train")["jet_label"] == number["QCD"]] == 0
    assert 0 < pure[: len(pure) // 2].sum() < len(pure) // 2


def grouped_store(jet_columns: Any, path: Path, *, size: int, classes: tuple[int, ...] = (0, 1)) -> Store:
    """Write jets in groups of neighbours, each group of one class of `classes` or, for one class, of both."""
    event = Field("event", Level.OBJECT, Kind.COUNT, dtype="int64", description="number of the hard event")
    schema = replace(jet_schema(("QCD", "Tbqq"), extra=(event,)), group="event")
    start, chunks = 0, []
    for split, rows in (("train", 400), ("val", 120), ("test", 120)):
        group = np.arange(rows) // size
        label = (group if len(classes) > 1 else np.arange(rows)) % 2
        columns = {
            **jet_columns(rows, seed=start),
            "event": start + group,
            "jet_label": label.astype(np.int8),
        }
        chunks.append((split, columns))
        start += rows
    return Store.open(write_store(path, schema, chunks, provenance={"source": "test"}))


@pytest.mark.parametrize("classes", [(0, 1), (0,)], ids=["one class a group", "both classes in a group"])
def test_rows_of_one_group_are_in_one_sample(
    classes: tuple[int, ...], jet_columns: Any, tmp_path: Path
) -> None:
    """Re-simulations of one event in both samples would be near copies with opposite labels."""
    source = grouped_store(jet_columns, tmp_path / "source", size=5, classes=classes)
    store = Store.open(mix(source, tmp_path / "mixed", **SIDES, count=33, seed=3))
    for split, signal in (("train", 33), ("val", 10)):
        columns = store.read(["event", "sample", "jet_label"], np.asarray(store.split(split)))
        samples: dict[int, set[int]] = {}
        for event, sample in zip(columns["event"].tolist(), columns["sample"].tolist(), strict=True):
            samples.setdefault(event, set()).add(sample)
        assert {len(found) for found in samples.values()} == {1}
        drawn = columns["sample"][columns["jet_label"] == 1]
        assert (len(drawn), drawn.min()) == (signal, 1)
        background = (columns["jet_label"] == 0).sum()
        assert background / 2 - 5 < (columns["sample"] == 0).sum() <= background / 2


def test_a_pure_sample_without_rows_is_refused(jet_columns: Any, tmp_path: Path) -> None:
    source = grouped_store(jet_columns, tmp_path / "source", size=120, classes=(0,))
    with pytest.raises(DataError, match="no group of background rows for the sample 'pure'"):
        mix(source, tmp_path / "mixed", **SIDES, count=33)


def test_a_seed_draws_the_same_rows_and_another_draws_others(jet_store: Store, tmp_path: Path) -> None:
    made = {
        name: Store.open(mix(jet_store, tmp_path / name, **SIDES, count=12, seed=seed))
        for name, seed in (("first", 3), ("again", 3), ("other", 4))
    }
    drawn = {name: columns_of(store, "train")["jet_pt"].tolist() for name, store in made.items()}
    assert drawn["first"] == drawn["again"] != drawn["other"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signal": "Tbq"}, "no class 'Tbq'; did you mean 'Tbqq'"),
        ({"signal": "QCD"}, "both 'QCD'"),
        ({"count": -1}, "not negative"),
        ({"count": 5000}, "rows of signal, 5000 are asked for"),
    ],
)
def test_what_cannot_be_mixed_is_refused(
    options: dict[str, Any], message: str, jet_store: Store, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        mix(jet_store, tmp_path / "mixed", **{**SIDES, "count": 5, **options})
    assert not (tmp_path / "mixed").exists()


def test_what_is_mixed_is_not_mixed_again(jet_store: Store, tmp_path: Path) -> None:
    path = mix(jet_store, tmp_path / "mixed", **SIDES, count=5)
    with pytest.raises(DataError, match="a field 'sample' already"):
        mix(path, tmp_path / "again", signal="mixed", background="pure", count=5)


def test_the_command_says_how_the_result_is_measured(jet_store: Store, tmp_path: Path) -> None:
    arguments = ["data", "mix", str(jet_store.path), "-o", str(tmp_path / "mixed"), "--count", "5", "--json"]
    done = CliRunner().invoke(group, [*arguments, "--signal", "Tbqq", "--background", "QCD"])
    assert done.exit_code == 0, done.output
    assert "--on weak_supervision" in json.loads(done.stdout)["next"]
