"""Neutrinos of events: resolution of an answer, calibration of draws, and the ways beside a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from event_rows import event_columns
from top_decays import top_pairs
from top_events import CLASSES, top_store

from hepfm.api import evaluate, pretrain
from hepfm.core.errors import ConfigError, DataError, ModelError
from hepfm.core.ragged import Ragged, lists
from hepfm.data import target_set
from hepfm.data.schemas.events import OBJECT_ROLES, event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.coverage import COVERED, coverage, covered, half_widths, least_draws
from hepfm.metrics.definitions import definition_of
from hepfm.models.neutrinos import NeutrinoSolutions
from hepfm.tasks.base import load_task
from hepfm.tasks.evaluate import measure
from hepfm.tasks.result_folder import read_result
from hepfm.testing.tasks import check_agreement, check_same_rows

ROWS, DRAWS = 300, 60


@pytest.fixture(scope="module", autouse=True)
def few_resamples() -> Any:
    """Take few draws of the intervals; their coverage is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hepfm.metrics.response.RESAMPLES", 20)
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return top_store(tmp_path_factory.mktemp("tops") / "store", {"train": 200, "val": 40, "test": ROWS})


class Draws:
    """Knows a number near each component of the true neutrinos, and how near it is.

    Centre = truth + spread * noise; draws = centre + width * spread * noise: with a width of 1 truth and
    draws are of one distribution, given the centre.
    """

    fingerprint = "0" * 16
    training: ClassVar[dict[str, Any]] = {"arm": "draws"}
    classes: tuple[str, ...] = ()

    def __init__(self, *, spread: float, width: float = 1.0, draws: int = DRAWS, shift: float = 0.0) -> None:
        self.spread, self.width, self.draws, self.shift = spread, width, draws, shift

    def score(self, store: Store, rows: Any) -> NeutrinoSolutions:
        targets = target_set("event_neutrinos")
        truth = targets.compute(store.read(targets.columns, rows))[..., 1:]
        noise = np.stack(
            [np.random.default_rng([int(row), 5]).normal(size=(self.draws + 1, 2, 3)) for row in rows]
        )
        centre = truth + self.spread * noise[:, 0] + self.shift
        draws = centre[:, None] + self.width * self.spread * noise[:, 1:]
        there = np.ones(truth.shape[:2], np.float32)
        return NeutrinoSolutions(draws.astype(np.float32), centre.astype(np.float32), there)


def result_of(store: Store, folder: Path, **options: Any) -> Any:
    return measure(Draws(**options), load_task("neutrinos"), store, output=folder).result


def value(result: Any, name: str) -> float:
    return result.metric(name).value


def baseline(result: Any, name: str) -> Any:
    return next(one for one in result.baselines if one.name == name)


# -- calibration, as pure functions


def test_intervals_of_the_right_draws_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    values = rng.exponential(size=(20_000, 41)) * rng.uniform(1, 3, (20_000, 1))
    truth, draws = values[:, 0], values[:, 1:]
    for nominal in COVERED.values():
        assert coverage(covered(draws, truth, nominal)) == pytest.approx(nominal, abs=0.012)
        assert coverage(covered(draws / 2, truth, nominal)) < nominal - 0.05
        assert coverage(covered(draws, 3 * truth, nominal)) < nominal - 0.05
    assert np.isnan(covered(draws[:1], np.array([np.nan]), 0.95)).all()


def test_half_widths_and_least_draws_are_those_of_their_definition() -> None:
    draws = np.arange(1.0, 40.0)[None]  # at p (S + 1) = 40 p lies the number 40 p
    assert half_widths(draws, 0.95) == pytest.approx([0.95 * 40 / 2])
    assert [least_draws(nominal) for nominal in (0.5, 0.9, 0.95)] == [3, 19, 39]


# -- the task


def test_the_truth_is_perfect(store: Store, tmp_path: Path) -> None:
    result = result_of(store, tmp_path / "result", spread=0.0)
    assert result.data.rows == ROWS
    assert result.data.rows_per_class["neutrinos"] == 2 * ROWS
    assert result.data.rows_per_class["dileptonic top pairs"] == ROWS
    for info in result.metrics:
        assert definition_of(info.definition) is not None, info.definition
        if info.name.startswith(("nu_", "w_mass", "sharpness")):
            assert info.value == pytest.approx(0.0, abs=2e-3), info.name
    # The missing momentum of this store is that of the neutrinos and of smeared jets.
    assert value(result, "missing") == pytest.approx(baseline(result, "truth").metric("missing").value)
    assert value(result, "missing") > 1.0


def test_widths_are_those_of_the_noise_and_biases_those_of_a_shift(store: Store, tmp_path: Path) -> None:
    result = result_of(store, tmp_path / "result", spread=10.0, shift=30.0)
    for name in ("px", "py", "pz"):
        assert value(result, f"nu_{name}_width") == pytest.approx(10.0, rel=0.15)
        assert value(result, f"nu_{name}_width_draw") == pytest.approx(10.0 * np.sqrt(2), rel=0.15)
        assert value(result, f"nu_{name}_bias") == pytest.approx(30.0, abs=1.5)
        info = result.metric(f"nu_{name}_width")
        assert info.low < info.value < info.high
        assert info.n == 2 * ROWS


def test_numbers_are_those_of_a_plain_computation(store: Store, tmp_path: Path) -> None:
    result = result_of(store, tmp_path / "result", spread=15.0)
    rows = np.asarray(store.split("test"))
    said = Draws(spread=15.0).score(store, rows).estimate.astype(np.float64)
    pairs = top_pairs(ROWS, seed=2)
    energy = np.linalg.norm(said, axis=-1)
    w = pairs.leptons + np.concatenate([energy[..., None], said], axis=-1)
    mass = np.sqrt(w[..., 0] ** 2 - (w[..., 1:] ** 2).sum(-1)) / 80.4
    low, middle, high = np.percentile(mass.ravel(), [15.865, 50, 84.135])
    assert value(result, "w_mass_width") == pytest.approx((high - low) / 2 / middle, rel=5e-3)
    assert value(result, "w_mass_bias") == pytest.approx(abs(middle - 1), abs=3e-3)
    pt = np.hypot(said[..., 0], said[..., 1]) - np.hypot(*pairs.neutrinos[..., 1:3].T).T
    assert value(result, "nu_pt_bias") == pytest.approx(abs(np.median(pt)), abs=1e-3)
    difference = energy - pairs.neutrinos[..., 0]
    assert value(result, "nu_energy_bias") == pytest.approx(abs(np.median(difference)), abs=1e-3)


@pytest.mark.parametrize(("width", "expected"), [(1.0, 0.6827), (0.3, 0.2358), (4.0, 0.9999)])
def test_coverage_tells_right_narrow_and_wide_draws(
    store: Store, tmp_path: Path, width: float, expected: float
) -> None:
    """Of Gaussian draws of this width P(|z| < width) of the truth is covered, up to the number of draws."""
    result = result_of(store, tmp_path / "result", spread=10.0, width=width)
    for name in ("px", "py", "pz"):
        found = value(result, f"coverage_68_{name}")
        assert found == pytest.approx(expected, abs=0.06)
        assert value(result, f"miscoverage_68_{name}") == pytest.approx(abs(found - 0.6827))
        assert value(result, f"sharpness_{name}") == pytest.approx(10 * width, rel=0.1)
    if width == 1.0:
        assert value(result, "coverage_95_pz") == pytest.approx(0.95, abs=0.03)


def test_other_ways_stand_beside_the_model(store: Store, tmp_path: Path) -> None:
    result = result_of(store, tmp_path / "result", spread=5.0)
    assert [one.name for one in result.baselines] == ["analytic", "half", "median", "truth"]
    analytic, half, median = (baseline(result, name) for name in ("analytic", "half", "median"))
    for name in ("nu_px_width", "nu_pz_width"):
        assert value(result, name) < half.metric(name).value < 1.2 * median.metric(name).value
    # On events with a solution both are compared on the same neutrinos.
    assert result.metric("nu_px_width_solved").n == analytic.metric("nu_px_width").n
    assert analytic.metric("w_mass_width") is None
    pairs = top_pairs(ROWS, seed=2)
    low, high = np.percentile(pairs.neutrinos[..., 3], [15.865, 84.135])
    assert median.metric("nu_pz_width").value == pytest.approx((high - low) / 2, rel=1e-3)


def test_the_analytic_solution_of_exact_decays_is_exact(tmp_path: Path) -> None:
    exact = top_store(tmp_path / "exact", {"test": ROWS}, smear=0.0)
    result = result_of(exact, tmp_path / "result", spread=5.0)
    analytic = baseline(result, "analytic")
    # Several solutions are exact, and not always the true one is taken: most are.
    assert analytic.metric("nu_px_width").value < 0.4 * baseline(result, "half").metric("nu_px_width").value
    assert value(result, "missing") > 1.0
    assert baseline(result, "half").metric("missing").value == pytest.approx(0.0, abs=1e-3)
    assert baseline(result, "truth").metric("missing").value == pytest.approx(0.0, abs=1e-3)


def test_the_result_reads_back(store: Store, tmp_path: Path) -> None:
    result = result_of(store, tmp_path / "result", spread=20.0)
    assert read_result(tmp_path / "result") == result
    task = load_task("neutrinos")
    check_agreement(task, result)
    statistics = task.row_statistics(tmp_path / "result", result)
    assert statistics is not None
    assert set(statistics.metrics) == {info.name for info in result.metrics}
    for info in result.metrics:
        again = statistics.metrics[info.name](statistics.weights)
        assert again == pytest.approx(info.value, rel=1e-5, abs=1e-9), info.name
    result_of(store, tmp_path / "other", spread=50.0)
    check_same_rows(task, tmp_path / "result", tmp_path / "other")
    half = statistics.weights * (np.arange(ROWS) % 2)
    assert statistics.metrics["nu_pz_width"](half) != pytest.approx(value(result, "nu_pz_width"), rel=1e-6)


def written(columns: Any, path: Path, classes: tuple[str, ...] = CLASSES) -> Store:
    schema = event_schema(classes, truth=True)
    return Store.open(write_store(path, schema, [("test", columns)], provenance={"source": "decays"}))


def test_events_with_one_neutrino_are_measured_without_a_top_pair(store: Store, tmp_path: Path) -> None:
    """Antineutrinos are taken out: the other one has all of the missing momentum for a baseline."""
    rows = np.asarray(store.split("test"))
    columns = store.read(store.schema.names(), rows)
    lost = (lists(columns, "object_role").values == OBJECT_ROLES.index("tbar_nu")) & (
        lists(columns, "object_level").values == 1
    )
    kept = {k: v.keep(~lost) if isinstance(v, Ragged) else v for k, v in columns.items()}
    single = written(kept, tmp_path / "single")
    result = result_of(single, tmp_path / "result", spread=3.0)
    assert result.data.rows_per_class == {"neutrinos": ROWS, "dileptonic top pairs": 0, "solved": 0}
    assert [one.name for one in result.baselines] == ["half", "median", "truth"]
    assert result.metric("nu_pz_width").n == ROWS
    assert result.metric("w_mass_width").n == ROWS
    assert "mtt_iqr" not in {info.name for info in result.metrics}
    pairs = top_pairs(ROWS, seed=2)
    other = pairs.neutrinos[:, 1, 1]  # all of the missing momentum is one neutrino and the other one
    low, high = np.percentile(other, [15.865, 84.135])
    assert baseline(result, "half").metric("nu_px_width").value == pytest.approx((high - low) / 2, rel=0.15)


def test_stores_and_subjects_that_do_not_fit_are_refused(store: Store, tmp_path: Path) -> None:
    refused = tmp_path / "refused"
    with pytest.raises(
        DataError, match=r"does not know the hard process; .* `hepfm simulate ttbar_dilepton`"
    ):
        load_task("neutrinos").bind(event_schema(("tt",)), where="data")
    z = written(event_columns(20, processes=("Zjets",)), tmp_path / "z", ("Zjets",))
    with pytest.raises(DataError, match=r"no test row of .* has a neutrino in its hard process"):
        result_of(z, refused, spread=1.0)
    with pytest.raises(ConfigError, match="draws"):
        load_task({"name": "neutrinos", "draws": 38})
    with pytest.raises(ModelError, match="gives 10 draws; intervals of 95 % need 39 or more"):
        result_of(store, refused, spread=1.0, draws=10)
    with pytest.raises(ModelError, match="NaN or infinite"):
        result_of(store, refused, spread=np.nan)

    class Wrong(Draws):
        def score(self, store: Store, rows: Any) -> Any:
            return super().score(store, rows[:-1]) if self.width else np.zeros(len(rows))

    with pytest.raises(ModelError, match=r"of 300 events they are \(300, S, 2, 3\)"):
        measure(Wrong(spread=1.0), load_task("neutrinos"), store, output=refused)
    with pytest.raises(ModelError, match="draws no neutrinos; fine-tune it"):
        measure(Wrong(spread=1.0, width=0.0), load_task("neutrinos"), store, output=refused)
    with pytest.raises(ModelError, match="predicts nothing"):
        evaluate(store.path, "neutrinos", store, output=refused, device="cpu")
    assert not refused.exists()


# -- a model


def trained(store: Store, folder: Path, objective: Any, steps: int, *, lr: float = 3e-3) -> Path:
    recipe = {
        "data": {"store": str(store.path), "features": "event", "max_constituents": 16},
        "backbone": {"name": "transformer", "width": 32, "depth": 1, "num_heads": 4, "num_registers": 1},
        "objective": objective,
        "train": {
            "steps": steps,
            "batch_size": 128,
            "accumulate": 1,
            "optimizer": {"name": "adamw", "lr": lr},
            "device": "cpu",
            "validate_every": steps,
            "checkpoint_every": steps,
        },
    }
    return pretrain(recipe, output=folder).model_path


def test_a_model_learns_neutrinos_and_draws_by_its_seed(tmp_path: Path) -> None:
    """One draw learns that both together are the missing momentum; an untrained model does not know it."""
    store = top_store(tmp_path / "store", {"train": 800, "val": 20, "test": 100})
    objective = {"name": "neutrinos", "head": {"name": "neutrinos", "steps": 6}}
    model, untrained = (
        trained(store, tmp_path / f"run{steps}", objective, steps, lr=5e-3) for steps in (140, 1)
    )
    results = [
        evaluate(
            path,
            {"name": "neutrinos", "draws": 39, "seed": seed},
            store,
            output=tmp_path / f"{k}",
            device="cpu",
        ).result
        for k, (path, seed) in enumerate(((model, 0), (model, 1), (untrained, 0)))
    ]
    assert value(results[1], "nu_px_width_draw") != value(results[0], "nu_px_width_draw")
    assert value(results[0], "missing_draw") < 0.6 * value(results[2], "missing_draw")
    assert value(results[0], "nu_px_width") < value(results[0], "nu_px_width_draw")
    assert value(results[0], "coverage_95_px") > 0.8


def test_a_model_without_the_head_is_told_how_to_get_it(store: Store, tmp_path: Path) -> None:
    objective = {"name": "supervised", "label": "event_initial_state"}
    model = trained(store, tmp_path / "run", objective, 2)
    with pytest.raises(
        ModelError, match=r"not 'event_neutrinos'; fine-tune .* objective \{name: neutrinos\}"
    ):
        evaluate(model, "neutrinos", store, output=tmp_path / "refused", device="cpu")
    with pytest.raises(
        ModelError, match=r"with the objective \{name: assignment, .*alike: \[\[t, tbar\]\]\}"
    ):
        evaluate(model, "assignment", store, output=tmp_path / "refused", device="cpu")
