"""Event weights in evaluation: taken from the store, kept with the scores, used to draw rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import ks_2samp

from hepfm.cli.evaluate import command
from hepfm.core.errors import DataError
from hepfm.core.ragged import take_rows
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.weights import weighed
from hepfm.data.writer import write_store
from hepfm.tasks.base import load_task
from hepfm.tasks.evaluate import measure, summary_lines
from hepfm.tasks.result_folder import read_result, read_scores
from hepfm.tasks.samples import draw_samples, rows_by_class

MakeStore = Callable[..., Store]


class Guess:
    """Scores that call every jet the class whose number is its multiplicity modulo ten."""

    classes = JETCLASS_CLASSES
    fingerprint = "0" * 16
    training: ClassVar = {"arm": "stub"}

    def score(self, store: Store, rows: np.ndarray) -> np.ndarray:
        return np.eye(10)[store.lengths("constituent", rows) % 10] * 0.9 + 0.01


@pytest.fixture
def weighted(jet_columns: Any, tmp_path: Path) -> MakeStore:
    """Return a function that writes test jets with weights, or without where they are None."""

    def make(weigh: Callable[[dict[str, Any]], Any] | None, *, jets: int = 400, classes: int = 10) -> Store:
        columns = jet_columns(jets, seed=11)
        kept = np.flatnonzero(columns["jet_label"] < classes)
        columns = dict(take_rows(columns, kept))
        if weigh is not None:
            columns["jet_weight"] = np.asarray(weigh(columns), np.float32)
        path = tmp_path / f"store{len(list(tmp_path.iterdir()))}"
        schema = jet_schema(JETCLASS_CLASSES, weight=weigh is not None)
        return Store.open(write_store(path, schema, [("test", columns)], provenance={}))

    return make


def uneven(columns: dict[str, Any]) -> Any:
    return np.where(columns["jet_pt"] > 750, 4.0, 0.25)


def test_the_stores_weights_are_used_unless_told_otherwise(weighted: MakeStore, tmp_path: Path) -> None:
    store, task = weighted(uneven), load_task("jetclass")
    columns = store.read(["jet_label", "jet_weight"])
    right = Guess().score(store, np.arange(400)).argmax(1) == columns["jet_label"]
    with_, without = (
        measure(Guess(), task, weighed(store, setting), output=tmp_path / name)
        for setting, name in (("auto", "with"), (None, "without"))
    )
    expected = np.average(right, weights=columns["jet_weight"])
    assert with_.result.metric("accuracy").value == pytest.approx(expected)
    assert without.result.metric("accuracy").value == pytest.approx(right.mean())
    assert abs(expected - right.mean()) > 1e-3
    data = with_.result.data
    assert (data.weights, without.result.data.weights) == ("jet_weight", None)
    assert data.fingerprint != without.result.data.fingerprint  # never in one table
    assert "400 test rows weighed by jet_weight, effective number" in summary_lines(with_)[0]
    predictions, rows = read_scores(tmp_path / "with", read_result(tmp_path / "with"))
    np.testing.assert_array_equal(predictions.weights, columns["jet_weight"][rows])
    assert read_scores(tmp_path / "without", without.result)[0].weights is None


def test_a_class_whose_weights_cancel_is_refused_by_name(weighted: MakeStore, tmp_path: Path) -> None:
    store = weighted(lambda c: np.where(c["jet_label"] == 4, -1.0, 1.0))
    with pytest.raises(DataError, match="class 'H4q' sum to -"):
        measure(Guess(), load_task("jetclass"), store, output=tmp_path / "result")


def test_generated_rows_are_compared_with_rows_drawn_by_weight(weighted: MakeStore) -> None:
    def steep(columns: dict[str, Any]) -> Any:
        return ((columns["jet_pt"] - 500) / 500) ** 2

    task = load_task("jet_generation")
    store, plain = weighted(steep, jets=6000, classes=2), weighted(None, jets=6000, classes=2)
    pt = np.asarray(store.read(["jet_pt"])["jet_pt"])
    target = 500 + 500 * np.random.default_rng(0).beta(3, 1, 3000)
    drawn = np.concatenate([*rows_by_class(task, store).values()])
    assert ks_2samp(pt[drawn], target).pvalue > 1e-3
    assert ks_2samp(pt, target).pvalue < 1e-9
    assert [len(rows) for rows in rows_by_class(task, plain).values()] == [
        (np.asarray(plain.read(["jet_label"])["jet_label"]) == k).sum() for k in (0, 1)
    ]
    samples = draw_samples(task, store, plain)
    assert max(samples.sizes.values()) < 300  # a third of 600, in two halves


def test_negative_weights_cannot_be_drawn_by(weighted: MakeStore) -> None:
    store = weighted(lambda c: np.where(np.arange(len(c["jet_pt"])) % 3 == 0, -1.0, 1.0), classes=1)
    with pytest.raises(DataError, match=r"class QCD: \d+ of \d+ weights are negative"):
        rows_by_class(load_task("jet_generation"), store)
    assert len(rows_by_class(load_task("jet_generation"), weighed(store, None))["QCD"]) == store.num_rows


@pytest.mark.parametrize(("text", "setting"), [(None, "auto"), ("null", None), ("jet_pt", "jet_pt")])
def test_the_command_line_takes_a_field_or_null(
    monkeypatch: pytest.MonkeyPatch, text: str | None, setting: str | None
) -> None:
    given: dict[str, Any] = {}

    def stop(*arguments: Any, **options: Any) -> None:
        given.update(options)
        raise DataError("enough")

    monkeypatch.setattr("hepfm.tasks.evaluate.evaluate", stop)
    option = [] if text is None else ["--weights", text]
    CliRunner().invoke(command, ["model", "--on", "jetclass", "--store", "store", *option])
    assert given["weights"] == setting


def test_what_cannot_be_a_weight_is_refused(weighted: MakeStore, tmp_path: Path) -> None:
    store = str(weighted(uneven, jets=50).path)
    arguments = [store, "--on", "jet_generation", "--store", store, "-o", str(tmp_path / "result")]
    done = CliRunner().invoke(command, [*arguments, "--weights", "jet_label"])
    assert done.exit_code == 2
    assert "'jet_label' cannot be a weight" in done.output
