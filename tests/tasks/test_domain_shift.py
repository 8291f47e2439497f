"""Domain shift: embeddings that are moved by known distances, and domains that cannot be compared."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hepfm.cli.main import group
from hepfm.core.errors import ConfigError, DataError, ModelError
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.definitions import definition_of
from hepfm.report.compare import compare
from hepfm.simulate.resimulation import Resimulation
from hepfm.tasks.base import MeasureOptions, load_task
from hepfm.tasks.evaluate import evaluate, result_file
from hepfm.tasks.result import ResultFile
from hepfm.tasks.result_folder import read_result, write_result
from hepfm.tasks.subject import Subject
from hepfm.testing.tasks import check_agreement, save_scoring_model

FIELDS = Resimulation().fields()
"""Origin, and one of the variations nominal, seed, fsr_up and fsr_down."""
WEIGHT = jet_schema(("QCD",), weight=True).weight


def write(
    path: Path, jet_columns: Any, *, classes: tuple[str, ...] = ("QCD", "Tbqq"), seed: int = 1, **given: Any
) -> Store:
    """Write 400 test rows of two classes: four simulations of each of 100 events."""
    rows = np.arange(400)
    columns = {
        **jet_columns(400, seed=seed, lengths=np.full(400, 3)),
        "jet_label": (rows // 4 % 2).astype(np.int16),
        "jet_origin": rows // 4,
        "jet_variation": (rows % 4).astype(np.int8),
        **given,
    }
    weighted = WEIGHT in given
    schema = replace(jet_schema(classes, weight=weighted, extra=FIELDS), group="jet_origin")
    parts = [("test", {name: columns[name] for name in schema.names()})]
    return Store.open(write_store(path, schema, parts, provenance={"source": "test"}))


@pytest.fixture(scope="module")
def stores(jet_columns: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    """Two stores that differ by chance; the second has its classes in another order, and a third."""
    folder = tmp_path_factory.mktemp("domains")
    label = np.array([2, 0], np.int16)[np.arange(400) // 4 % 2]
    other = write(folder / "other", jet_columns, classes=("Tbqq", "Hbb", "QCD"), seed=2, jet_label=label)
    return write(folder / "store", jet_columns), other


class Embedder(Subject):
    """Vectors of noise; those of a simulation, or of a store, are moved by class."""

    def __init__(self, *, arm: str = "made up", **moved: float) -> None:
        super().__init__(fingerprint="0" * 16, path="", training={"arm": arm, "seed": 1})
        self.moved = moved

    def embed(self, store: Store, rows: Any) -> Any:
        columns = store.read(["jet_label", "jet_variation", "jet_origin"], rows)
        label, variation, origin = (np.asarray(values).astype(int) for values in columns.values())
        name = np.array(store.schema.label_classes)[label]
        seed = 7 if store.path.name == "store" else 8
        noise = np.random.default_rng(seed).normal(size=(400, 6))
        far = np.zeros(len(rows))
        for what, by in self.moved.items():
            of, _, only = what.partition("_of_")
            here = (
                variation == FIELDS[1].classes.index(of) if of in FIELDS[1].classes else store.path.name == of
            )
            far += by * here * ((name == only) | (not only))
        return noise[rows] + 0.5 * noise[origin] + far[:, None]


def measured(subject: Subject, store: Store, folder: Path, **options: Any) -> ResultFile:
    task = load_task({"name": "domain_shift", **options}).bind(store.schema, where="the store")
    found = task.measure(subject, store, MeasureOptions())
    result = result_file(found, subject=subject, task=task, store=store)
    write_result(folder, result, found.tables)
    return result


def value(result: ResultFile, name: str) -> float:
    found = result.metric(name).value
    assert found is not None
    return found


SIMULATIONS = {"variation": "jet_variation", "against": "fsr_up"}


@pytest.mark.parametrize("design", ["store", "simulations"])
def test_a_known_move_of_one_class_is_found_there(
    design: str, stores: tuple[Store, Store], tmp_path: Path
) -> None:
    store, other = stores
    options: dict[str, Any] = SIMULATIONS if design == "simulations" else {"against": str(other.path)}
    moved = {"fsr_up_of_Tbqq" if design == "simulations" else "other_of_QCD": 30.0}
    far, still = (
        measured(Embedder(**by), store, tmp_path / name, **options)
        for name, by in (("far", moved), ("still", {}))
    )
    there, elsewhere = ("Tbqq", "QCD") if design == "simulations" else ("QCD", "Tbqq")
    assert value(far, f"a_distance_{there}") == 2.0
    assert value(far, f"mmd_{there}") > 0.5
    assert value(far, f"a_distance_{elsewhere}") == value(still, f"a_distance_{elsewhere}")
    for name in ("a_distance", "mmd"):
        both = [value(far, f"{name}_{of}") for of in ("QCD", "Tbqq")]
        assert value(far, name) == pytest.approx(np.mean(both))
        # The floor knows the first domain alone, which is not moved but for its units.
        assert value(far, f"{name}_floor_{elsewhere}") == value(still, f"{name}_floor_{elsewhere}")
    for result in (far, still):
        assert value(result, "a_distance_floor") == pytest.approx(0.0, abs=0.5)
        assert value(result, "mmd_floor") == pytest.approx(0.0, abs=0.02)
        assert all(definition_of(info.definition) for info in result.metrics)
        for info in result.metrics:
            assert info.low is not None
            assert info.high is not None
            assert info.low <= info.value <= info.high or info.name.startswith("a_distance")
        check_agreement(load_task(result.task.spec), result)
        assert result.data.rows == sum(result.data.rows_per_class.values())
        assert result.data.rows == (200 if design == "simulations" else 800)
    assert value(still, "a_distance") == pytest.approx(0.0, abs=0.4)
    assert value(still, "mmd") == pytest.approx(0.0, abs=0.02)
    # What the numbers of the row say does not depend on the network.
    (first,), (second,) = far.baselines, still.baselines
    assert first == second
    assert first.name == "row"
    assert abs(first.metric("mmd").value) < 0.05


def test_the_row_baseline_sees_another_selection(jet_columns: Any, tmp_path: Path) -> None:
    """Jets that are ten times as hard are told apart by their numbers, whatever the network does."""
    store = write(tmp_path / "store", jet_columns)
    columns = jet_columns(400, seed=2, lengths=np.full(400, 3))
    hard = write(tmp_path / "other", jet_columns, jet_pt=10 * columns["jet_pt"])
    result = measured(Embedder(), store, tmp_path / "result", against=str(hard.path))
    assert result.baselines[0].metric("a_distance").value == pytest.approx(2.0, abs=0.05)
    assert value(result, "a_distance") == pytest.approx(0.0, abs=0.4)


def test_another_mixture_of_classes_is_a_shift_only_of_all_rows_together(
    jet_columns: Any, tmp_path: Path
) -> None:
    class ByClass(Embedder):
        def embed(self, store: Store, rows: Any) -> Any:
            label = np.asarray(store.read(["jet_label"], rows)["jet_label"])
            return super().embed(store, rows) + 9.0 * label[:, None]

    store = write(tmp_path / "store", jet_columns)
    mixture = (np.arange(400) // 4 % 8 == 0).astype(np.int16)
    other = write(tmp_path / "other", jet_columns, jet_label=mixture)
    apart, together = (
        measured(ByClass(), store, tmp_path / f"{by_class}", against=str(other.path), by_class=by_class)
        for by_class in (True, False)
    )
    assert value(apart, "mmd") == pytest.approx(0.0, abs=0.02)
    assert value(together, "mmd") > 0.1
    assert [info.name for info in together.metrics] == ["a_distance", "mmd", "a_distance_floor", "mmd_floor"]
    assert together.data.rows_per_class == {}


def test_a_collapsed_network_has_no_shift(stores: tuple[Store, Store], tmp_path: Path) -> None:
    class Collapsed(Embedder):
        def embed(self, store: Store, rows: Any) -> Any:
            return np.ones((len(rows), 6))

    result = measured(Collapsed(), stores[0], tmp_path / "result", **SIMULATIONS)
    assert value(result, "mmd") == pytest.approx(0.0, abs=1e-9)
    assert value(result, "a_distance") == pytest.approx(0.0, abs=1e-9)


def test_event_weights_count(jet_columns: Any, tmp_path: Path) -> None:
    """Weights that leave nothing of the moved rows leave nothing of the shift."""

    class Half(Embedder):
        def embed(self, store: Store, rows: Any) -> Any:
            moved = (store.path.name == "other") & (rows // 8 % 2 == 0)
            return super().embed(store, rows) + 30.0 * moved[:, None]

    store = write(tmp_path / "store", jet_columns)
    weights = (np.arange(400) // 8 % 2).astype(np.float32)
    assert WEIGHT is not None
    plain = write(tmp_path / "plain" / "other", jet_columns)
    weighted = write(tmp_path / "weighted" / "other", jet_columns, **{WEIGHT: weights})
    first, second = (
        measured(Half(), store, tmp_path / f"{number}", against=str(other.path))
        for number, other in enumerate((plain, weighted))
    )
    assert value(first, "a_distance") > 0.8
    assert value(second, "a_distance") == pytest.approx(0.0, abs=0.5)
    assert value(second, "mmd") < value(first, "mmd") / 10
    assert (first.data.effective_rows, second.data.effective_rows) == (None, 600.0)


def test_rows_are_drawn_by_the_seed(stores: tuple[Store, Store], tmp_path: Path) -> None:
    store, other = stores
    values = []
    for number, seed in enumerate((0, 0, 1)):
        folder = tmp_path / f"{number}"
        result = measured(Embedder(), store, folder, against=str(other.path), rows=30, seed=seed)
        assert result.data.rows_per_class == {"QCD": 60, "Tbqq": 60}
        values.append(value(result, "mmd"))
    assert values[0] == values[1] != values[2]


def test_a_class_with_few_rows_is_left_out(
    stores: tuple[Store, Store], jet_columns: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    few = (np.arange(400) // 4 < 10).astype(np.int16)  # 40 rows, of 10 events
    other = write(tmp_path / "few" / "other", jet_columns, jet_label=few)
    with caplog.at_level(logging.WARNING):
        result = measured(Embedder(), stores[0], tmp_path / "result", against=str(other.path))
    assert result.data.rows_per_class == {"QCD": 560}
    assert "fewer than 20 independent test rows of Tbqq" in caplog.text


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ConfigError, r"against=STORE .* or a field and its class"),
        ({"variation": "jet_variation"}, ConfigError, "against=STORE"),
        ({"variation": "jet_setting", "against": "up"}, DataError, "has no field 'jet_setting'"),
        ({"variation": "jet_variation", "against": "fsr_ap"}, DataError, "did you mean 'fsr_up'"),
        ({"variation": "jet_variation", "against": "nominal"}, ConfigError, "compared with itself"),
        ({"variation": "jet_pt", "against": "up"}, DataError, "has no class 'nominal'"),
        ({**SIMULATIONS, "field": "jet_pt"}, DataError, "holds no classes"),
        ({**SIMULATIONS, "only": ["jet_label", "Top"]}, DataError, "has no class 'Top'"),
        ({"against": "nowhere"}, DataError, "nowhere"),
        ({**SIMULATIONS, "rows": 3}, ConfigError, "rows"),
        ({**SIMULATIONS, "distance": "w1"}, ConfigError, "unknown key 'distance'"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: dict[str, Any], error: type[Exception], message: str, stores: tuple[Store, Store], tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        measured(Embedder(), stores[0], tmp_path / "result", **options)


def test_stores_that_cannot_be_compared_are_refused(
    stores: tuple[Store, Store], jet_columns: Any, tmp_path: Path
) -> None:
    store, other = stores
    with pytest.raises(ConfigError, match="compared with itself"):
        measured(Embedder(), store, tmp_path / "result", against=str(store.path))
    strange = write(tmp_path / "strange", jet_columns, classes=("quark", "gluon"))
    with pytest.raises(DataError, match=r"no class has 20 independent test rows in both.*--by-class false"):
        measured(Embedder(), store, tmp_path / "result", against=str(strange.path))
    with pytest.raises(DataError, match="holds other rows"):
        measured(Embedder(), store, tmp_path / "result", against=str(other.path), fingerprint="0" * 16)
    with pytest.raises(ModelError, match="gives no summary vectors"):
        evaluate(other.path, {"name": "domain_shift", **SIMULATIONS}, store, output=tmp_path / "result")

    class Broken(Embedder):
        def embed(self, store: Store, rows: Any) -> Any:
            return np.full((len(rows), 6), np.nan)

    with pytest.raises(ModelError, match="NaN or infinite"):
        measured(Broken(), store, tmp_path / "result", **SIMULATIONS)
    assert not (tmp_path / "result").exists()


def test_a_model_is_measured_from_the_command_line_and_two_are_compared(
    stores: tuple[Store, Store], tmp_path: Path
) -> None:
    store, other = stores
    model = save_scoring_model(store, "jet_pt", tmp_path / "model")
    arguments = ["evaluate", model, "--on", "domain_shift", "--store", store.path, "--device", "cpu"]
    arguments += ["--against", other.path, "--rows", 40, "--by-class", "false", "-o", tmp_path / "result"]
    done = CliRunner().invoke(group, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
    assert "the same of" in done.output
    result = read_result(tmp_path / "result")
    assert result.task.options["fingerprint"] == other.fingerprint
    assert result.data.rows == 80
    for arm, moved in (("firm", 0.0), ("scratch", 3.0)):
        measured(Embedder(arm=arm, fsr_up=moved), store, tmp_path / arm, **SIMULATIONS)
    compare([tmp_path / "firm", tmp_path / "scratch"], output=tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "proxy A-distance of two halves (chance)" in page
