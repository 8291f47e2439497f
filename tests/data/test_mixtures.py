"""Weak supervision: two samples with the same background, of which one holds the signal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hepfm.cli.main import group
from hepfm.core.errors import DataError
from hepfm.data.mixtures import mix
from hepfm.data.store import Store

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
    assert "--field sample --signal mixed --background pure" in json.loads(done.stdout)["next"]
