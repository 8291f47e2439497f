"""Reconstruction of dileptonic top pairs: what is measured, of a model and of the ways beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from top_decays import TOP, W, top_pairs
from top_events import CLASSES, top_store

from hepfm.api import evaluate, finetune, pretrain
from hepfm.core.errors import ConfigError, DataError, IncompatibleError, ModelError
from hepfm.core.ragged import Ragged, lists
from hepfm.data.event_features import is_reconstructed
from hepfm.data.schemas.events import OBJECT_ROLES, OBJECT_TYPES, event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.definitions import definition_of
from hepfm.models.directory import Model
from hepfm.models.scores import score
from hepfm.tasks.base import load_task
from hepfm.tasks.evaluate import measure
from hepfm.tasks.result_folder import read_result
from hepfm.tasks.ttbar_events import TopPairEvents
from hepfm.testing.tasks import check_agreement, check_same_rows
from hepfm.train.run import read_metrics

TASK = "ttbar_reconstruction"
SPEC: dict[str, Any] = {"name": TASK, "top_mass": TOP, "w_mass": W}
ROWS = 200


@pytest.fixture(scope="module", autouse=True)
def few_resamples() -> Any:
    """Take few draws of the intervals; their coverage is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hepfm.metrics.response.RESAMPLES", 20)
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return top_store(tmp_path_factory.mktemp("tops") / "store", {"train": 600, "val": 80, "test": ROWS})


class Truth:
    """Knows the momenta of generator objects, each multiplied by a number near one."""

    fingerprint = "0" * 16
    training: ClassVar[dict[str, Any]] = {"arm": "truth"}
    classes: tuple[str, ...] = ()

    def __init__(self, *, blur: float = 0.0, scale: float = 1.0) -> None:
        self.blur, self.scale = blur, scale

    def score(self, store: Store, rows: Any) -> Ragged:
        names = ("object_pt", "object_eta", "object_phi", "object_energy")
        columns = store.read([*names, "object_level", "object_type", "object_role"], rows)
        made = ~is_reconstructed(columns)
        values = np.stack([lists(columns, name).values.astype(np.float64) for name in names], axis=1)
        # Noise that belongs to the object, so that it does not depend on the order of the rows.
        factor = self.scale * (1 + self.blur * np.sin(1e4 * values[:, 2]))
        values[:, 0] *= factor
        values[:, 3] *= factor
        return lists(columns, "object_pt").with_values(values).keep(made)


def result_of(store: Store, folder: Path, *, spec: Any = None, **options: Any) -> Any:
    return measure(Truth(**options), load_task(spec or SPEC), store, output=folder).result


def value(result: Any, name: str) -> float:
    return result.metric(name).value  # type: ignore[no-any-return]


def test_the_truth_is_perfect_and_more_blur_is_worse(store: Store, tmp_path: Path) -> None:
    perfect = result_of(store, tmp_path / "perfect")
    assert perfect.data.rows == ROWS
    assert perfect.data.rows_per_class["matched"] == ROWS
    for info in perfect.metrics:
        assert definition_of(info.definition) is not None
        expected = 1.0 if info.name in ("pairing", "pairing_matched", "solved") else 0.0
        assert info.value == pytest.approx(expected, abs=2e-3), info.name
        assert info.low <= info.value <= info.high
    widths = [value(result_of(store, tmp_path / str(blur), blur=blur), "mtt_iqr") for blur in (0.1, 0.3)]
    assert 0.01 < widths[0] < widths[1]


def test_masses_that_are_all_too_small_are_biased_and_no_narrower(store: Store, tmp_path: Path) -> None:
    right, half = (result_of(store, tmp_path / str(scale), blur=0.2, scale=scale) for scale in (1.0, 0.5))
    assert value(half, "mtt_bias") == pytest.approx(0.5, abs=0.02)
    for name in ("mtt_iqr", "mtt_width", "mtt_std"):
        assert value(half, name) == pytest.approx(value(right, name), rel=1e-3)


def test_numbers_are_those_of_a_plain_computation(store: Store, tmp_path: Path) -> None:
    result = result_of(store, tmp_path / "result", blur=0.2)
    pairs = top_pairs(ROWS, seed=2)
    factor = []
    for p in (pairs.bottoms, pairs.leptons, pairs.neutrinos):
        phi = np.arctan2(p[..., 2], p[..., 1]).astype(np.float32).astype(np.float64)
        factor.append(p * (1 + 0.2 * np.sin(1e4 * phi))[..., None])
    tops = sum(factor)

    def mass(p: Any) -> Any:
        return np.sqrt(p[:, 0] ** 2 - (p[:, 1:] ** 2).sum(1))

    response = mass(tops.sum(1)) / mass(pairs.tops.sum(1))
    quarter = np.percentile(response, [25, 50, 75])
    assert value(result, "mtt_iqr") == pytest.approx((quarter[2] - quarter[0]) / quarter[1], rel=2e-3)
    assert value(result, "mtt_bias") == pytest.approx(abs(quarter[1] - 1), abs=1e-3)
    pt = np.hypot(tops[..., 1], tops[..., 2]) - np.hypot(pairs.tops[..., 1], pairs.tops[..., 2])
    low, high = np.percentile(pt, [15.865, 84.135])
    assert value(result, "top_pt_width") == pytest.approx((high - low) / 2, rel=2e-3)
    pz = (factor[2] - pairs.neutrinos)[..., 3]
    low, high = np.percentile(pz, [15.865, 84.135])
    assert value(result, "nu_pz_width") == pytest.approx((high - low) / 2, rel=2e-3)


def test_the_analytic_solution_of_exact_decays_is_exact_and_of_smeared_ones_it_is_not(tmp_path: Path) -> None:
    exact = top_store(tmp_path / "exact", {"test": ROWS}, smear=0.0)
    smeared = top_store(tmp_path / "smeared", {"test": ROWS}, smear=0.15)
    found = [result_of(one, tmp_path / f"{one.path.name}-result") for one in (exact, smeared)]
    analytic, worse = (next(b for b in one.baselines if b.name == "analytic") for one in found)
    assert value(analytic, "solved") > 0.98  # momenta are stored in single precision
    assert value(analytic, "pairing") > 0.8
    assert value(worse, "solved") < 0.85
    assert value(worse, "mtt_iqr_solved") > value(analytic, "mtt_iqr_solved")
    again = {**SPEC, "attempts": 10}
    more = result_of(smeared, tmp_path / "more", spec=again)
    analytic = next(b for b in more.baselines if b.name == "analytic")
    assert value(analytic, "solved") > value(worse, "solved") + 0.05
    # Of the model more events count as solved.
    assert more.data.rows_per_class["solved"] > found[1].data.rows_per_class["solved"]


def test_trivial_answers_stand_beside_the_model(store: Store, tmp_path: Path) -> None:
    result = result_of(store, tmp_path / "result", blur=0.05)
    named = {one.name: one for one in result.baselines}
    assert list(named) == ["analytic", "half", "median"]
    for name in ("mtt_iqr", "top_pt_width", "nu_px_width"):
        assert value(result, name) < value(named["half"], name)
        assert value(named["half"], name) < 2 * value(named["median"], name)
    assert named["median"].metric("pairing") is None
    assert value(named["median"], "mtt_bias") < 0.05


def test_the_result_reads_back_and_its_order_changes_nothing(store: Store, tmp_path: Path) -> None:
    result = result_of(store, tmp_path / "result", blur=0.3)
    assert read_result(tmp_path / "result") == result
    task = load_task(SPEC)
    check_agreement(task, result)
    statistics = task.row_statistics(tmp_path / "result", result)
    assert statistics is not None
    assert set(statistics.metrics) == {info.name for info in result.metrics}
    for info in result.metrics:
        again = statistics.metrics[info.name](statistics.weights)
        assert again == pytest.approx(info.value, rel=1e-6, abs=1e-9), info.name
    result_of(store, tmp_path / "other", blur=0.6)
    check_same_rows(task, tmp_path / "result", tmp_path / "other")
    half = np.arange(ROWS) % 2 == 0
    other = statistics.metrics["mtt_iqr"](statistics.weights * half)
    assert other != pytest.approx(value(result, "mtt_iqr"), rel=1e-6)
    rows = np.asarray(store.split("test"))[::-1].copy()
    columns = store.read(store.schema.names(), rows)
    write_store(tmp_path / "turned", store.schema, [("test", columns)], provenance={"source": "decays"})
    turned = result_of(Store.open(tmp_path / "turned"), tmp_path / "turned-result", blur=0.3)
    for info in result.metrics:
        assert turned.metric(info.name).value == pytest.approx(info.value, rel=1e-9), info.name


def changed(store: Store, **changes: Any) -> dict[str, Any]:
    rows = np.asarray(store.split("test"))
    return {**store.read(store.schema.names(), rows), **changes}


def written(columns: Any, path: Path) -> Store:
    write_store(path, event_schema(CLASSES, truth=True), [("test", columns)], provenance={"source": "decays"})
    return Store.open(path)


def test_events_without_a_lepton_or_a_jet_are_incomplete_and_not_solved(store: Store, tmp_path: Path) -> None:
    columns = changed(store)
    kind, level = lists(columns, "object_type"), lists(columns, "object_level").values
    row = kind.row_index()
    lost = (level == 0) & (
        ((kind.values == OBJECT_TYPES.index("electron")) & (row % 5 == 0))
        | ((kind.values == OBJECT_TYPES.index("jet")) & (row % 5 == 1))
        | ((kind.values == OBJECT_TYPES.index("met")) & (row % 5 == 2))
    )
    kept = {k: v.keep(~lost) if isinstance(v, Ragged) else v for k, v in columns.items()}
    damaged = written(kept, tmp_path / "damaged")
    events = TopPairEvents.read(damaged, np.arange(ROWS))
    place = np.arange(ROWS) % 5
    assert (events.seen.complete == (place > 2)).all()
    assert (events.matched == (place > 1)).all()
    result = result_of(damaged, tmp_path / "result")
    analytic = next(one for one in result.baselines if one.name == "analytic")
    assert analytic.metric("solved").value <= 0.4
    assert analytic.metric("pairing").n == ROWS
    # The truth has an answer to all events; a jet that is not there cannot be taken for the right one.
    assert value(result, "pairing") == pytest.approx(0.6)
    assert value(result, "pairing_matched") == 1.0
    assert value(result, "mtt_iqr") == pytest.approx(0.0, abs=1e-3)


def test_events_with_a_tau_or_without_a_particle_do_not_count(store: Store, tmp_path: Path) -> None:
    columns = changed(store)
    role = lists(columns, "object_role")
    level = lists(columns, "object_level").values
    tau = (role.values == OBJECT_ROLES.index("t_l")) & (level == 1) & (role.row_index() % 4 == 0)
    taken = np.where(tau, OBJECT_ROLES.index("t_tau"), role.values).astype(np.int8)
    some = written({**columns, "object_role": role.with_values(taken)}, tmp_path / "taus")
    result = result_of(some, tmp_path / "result")
    assert result.data.rows == ROWS * 3 // 4
    none = written(
        {**columns, "object_role": role.with_values(np.zeros_like(role.values))}, tmp_path / "none"
    )
    with pytest.raises(DataError, match=r"no test row of .* each top; .* `hepfm simulate ttbar_dilepton`"):
        result_of(none, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


def test_bad_subjects_options_and_stores_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="smallest_mass"):
        load_task({"name": TASK, "choice": "nearest"})
    with pytest.raises(DataError, match="has no field 'object_role'"):
        load_task(TASK).bind(event_schema(("tt",)), where="data")
    with pytest.raises(ModelError, match="predicts nothing"):
        evaluate(store.path, TASK, store, output=tmp_path / "refused", device="cpu")

    class Short(Truth):
        def score(self, store: Store, rows: Any) -> Ragged:
            said = super().score(store, rows)
            return said.keep(np.arange(len(said.values)) > 0)

    class Wild(Truth):
        def score(self, store: Store, rows: Any) -> Ragged:
            said = super().score(store, rows)
            return said.with_values(said.values * np.nan)

    for scorer, text in ((Short(), "must read both levels"), (Wild(), "NaN or infinite")):
        with pytest.raises(ModelError, match=text):
            measure(scorer, load_task(TASK), store, output=tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


# -- a model

TRAIN: dict[str, Any] = {
    "batch_size": 64,
    "accumulate": 1,
    "optimizer": {"name": "adamw", "lr": 3e-3},
    "device": "cpu",
    "validate_every": 100,
    "checkpoint_every": 500,
}
BACKBONE = {"name": "transformer", "width": 32, "depth": 1, "num_heads": 4, "num_registers": 1}
ALL = {
    "name": "masked_momenta",
    "choose": {"name": "levels", "random": 0, "generator": 1, "reconstructed": 0},
}


@pytest.fixture(scope="module")
def pretrained(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = {
        "data": {"store": str(store.path), "features": "bumblebee", "max_constituents": 16},
        "backbone": BACKBONE,
        "objective": "masked_momenta",
        "train": {**TRAIN, "steps": 80},
    }
    return pretrain(recipe, output=tmp_path_factory.mktemp("run") / "pretrained").model_path


@pytest.fixture(scope="module")
def finetuned(store: Store, pretrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = {
        "data": {"store": str(store.path), "validation_fraction": 0.1},
        "head": "keep",
        "objective": ALL,
        "train": {**TRAIN, "steps": 300},
    }
    return finetune(pretrained, recipe, output=tmp_path_factory.mktemp("run") / "tuned").model_path


def test_a_model_learns_to_reconstruct(store: Store, finetuned: Path, tmp_path: Path) -> None:
    result = evaluate(finetuned, SPEC, store, output=tmp_path / "result", device="cpu").result
    median = next(one for one in result.baselines if one.name == "median")
    assert value(result, "mtt_iqr") < 0.85 * value(median, "mtt_iqr")
    assert value(result, "top_pt_width") < 0.75 * value(median, "top_pt_width")
    assert value(result, "pairing") > 0.65


def test_answers_do_not_depend_on_what_is_asked_for(store: Store, finetuned: Path, tmp_path: Path) -> None:
    """The generator's momenta in the store, in any order, change nothing; those of the detector do."""
    model = Model.load(finetuned)
    first = score(model, store, rows=store.split("test"))["object_pt"]
    columns = changed(store)
    level = lists(columns, "object_level").values
    rng = np.random.default_rng(1)
    for which, same in ((1, True), (0, False)):
        others = {
            name: lists(columns, name).with_values(
                np.where(
                    level == which, lists(columns, name).values * factor, lists(columns, name).values
                ).astype(np.float32)
            )
            for name, factor in (
                ("object_pt", rng.uniform(0.5, 2)),
                ("object_energy", 3.0),
                ("object_eta", -0.5),
            )
        }
        other = written({**columns, **others}, tmp_path / str(which))
        again = score(model, other)["object_pt"]
        assert np.array_equal(first.values, again.values) is same
    assert (first.lengths == 6).all()
    assert first.values.shape == (ROWS * 6, 4)


def test_the_control_with_unrelated_events_learns_nothing(
    store: Store, pretrained: Path, tmp_path: Path
) -> None:
    """Generator objects of another event: nothing can be better than what all events have in common."""
    columns = {}
    for split in ("train", "val", "test"):
        rows = np.asarray(store.split(split))
        own, shifted = (store.read(store.schema.names(), r) for r in (rows, np.roll(rows, 1)))
        level = lists(own, "object_level").values
        columns[split] = {
            name: column.with_values(np.where(level == 0, column.values, shifted[name].values))  # type: ignore[union-attr]
            if isinstance(column, Ragged)
            else column
            for name, column in own.items()
        }
    path = tmp_path / "unrelated"
    write_store(path, store.schema, list(columns.items()), provenance={"source": "decays"})
    recipe = {
        "data": {"store": str(path), "validation_fraction": 0.1},
        "head": "keep",
        "init": "scratch",
        "objective": ALL,
        "train": {**TRAIN, "steps": 80},
    }
    model = finetune(pretrained, recipe, output=tmp_path / "run").model_path
    result = evaluate(model, SPEC, path, output=tmp_path / "result", device="cpu").result
    median = next(one for one in result.baselines if one.name == "median")
    assert value(result, "top_pt_width") > 0.9 * value(median, "top_pt_width")
    assert value(result, "pairing") == pytest.approx(0.5, abs=0.15)


def test_a_model_of_both_levels_is_used_on_reconstructed_objects_alone(
    store: Store, pretrained: Path, tmp_path: Path
) -> None:
    columns = {
        split: store.read(store.schema.names(), store.split(split)) for split in ("train", "val", "test")
    }
    schema = event_schema(("tt", "other"))
    shards = []
    for split, own in columns.items():
        real = lists(own, "object_level").values == 0
        kept = {k: v.keep(real) if isinstance(v, Ragged) else v for k, v in own.items() if k in schema}
        label = np.arange(len(np.asarray(own["event_label"]))) % 2
        pt = lists(kept, "object_pt")
        harder = np.where(label[pt.row_index()] == 1, 1.5, 1.0).astype(np.float32)
        for name in ("object_pt", "object_energy"):
            kept[name] = pt.with_values(lists(kept, name).values * harder)
        shards.append((split, {**kept, "event_label": label.astype(np.int16)}))
    path = tmp_path / "detector"
    write_store(path, schema, shards, provenance={"source": "decays"})
    recipe = {
        "data": {"store": str(path), "validation_fraction": 0.1, "withhold": ["generator"]},
        "objective": {"name": "supervised", "label": "event_label"},
        "train": {**TRAIN, "steps": 80},
    }
    with pytest.raises(IncompatibleError, match=r"object_pdg; .* data.withhold=\[generator\]"):
        finetune(
            pretrained, {**recipe, "data": {**recipe["data"], "withhold": []}}, output=tmp_path / "refused"
        )  # type: ignore[dict-item]
    model = finetune(pretrained, recipe, output=tmp_path / "run").model_path
    task = {"name": "classification", "field": "event_label", "signal": "other", "background": "tt"}
    result = evaluate(model, task, path, output=tmp_path / "result", device="cpu").result
    assert value(result, "auc") > 0.8
    # On data with generator objects it reads the same.
    both = score(Model.load(model), store, rows=range(5))["event_label"]
    assert both.shape == (5, 2)
    # What it was asked before it cannot be asked any more.
    with pytest.raises(ModelError, match="object_pt"):
        evaluate(model, TASK, store, output=tmp_path / "refused", device="cpu")


def test_the_initial_state_is_a_label_like_any_other(store: Store, pretrained: Path, tmp_path: Path) -> None:
    recipe = {
        "data": {"store": str(store.path), "validation_fraction": 0.2, "withhold": ["generator"]},
        "objective": {
            "name": "supervised",
            "label": "event_initial_state",
            "only": ["event_initial_state", "gg", "qqbar"],
        },
        "train": {**TRAIN, "steps": 20},
    }
    model = finetune(pretrained, recipe, output=tmp_path / "run").model_path
    task = {"name": "classification", "field": "event_initial_state", "signal": "qqbar", "background": "gg"}
    result = evaluate(model, task, store, output=tmp_path / "result", device="cpu").result
    # Decays of the test know of no initial state.
    assert value(result, "auc") == pytest.approx(0.5, abs=0.12)


def test_a_schedule_follows_the_training(store: Store, tmp_path: Path) -> None:
    """With weights that stand still, the validation loss changes where whole levels begin to be hidden."""
    recipe = {
        "data": {"store": str(store.path), "features": "bumblebee", "max_constituents": 16},
        "backbone": BACKBONE,
        "objective": {
            "name": "masked_momenta",
            "choose": {"name": "levels_schedule", "start": 0.5, "generator": 1.0},
        },
        "train": {**TRAIN, "steps": 4, "validate_every": 1, "optimizer": {"name": "adamw", "lr": 1e-12}},
    }
    run = pretrain(recipe, output=tmp_path / "run").path
    losses = [line["loss"] for line in read_metrics(run / "metrics.jsonl", "validation")]
    assert losses[1:] == pytest.approx([losses[1]] * 3, rel=1e-5)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


def test_events_that_are_longer_than_what_is_read_stop_a_training_before_it_starts(
    store: Store, pretrained: Path, tmp_path: Path
) -> None:
    recipe: dict[str, Any] = {
        "data": {"store": str(store.path), "features": "bumblebee", "max_constituents": 10},
        "backbone": BACKBONE,
        "objective": "masked_momenta",
        "train": {**TRAIN, "steps": 4},
    }
    with pytest.raises(
        DataError, match=r"has 11 objects of both levels, and 10 are read.*max_constituents=11"
    ):
        pretrain(recipe, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    columns = {
        split: store.read(store.schema.names(), store.split(split)) for split in ("train", "val", "test")
    }
    schema = event_schema(CLASSES)
    kept = [(split, {k: v for k, v in own.items() if k in schema}) for split, own in columns.items()]
    write_store(tmp_path / "plain", schema, kept, provenance={"source": "decays"})
    recipe["data"] = {**recipe["data"], "store": str(tmp_path / "plain")}
    with pytest.raises(DataError, match=r"lacks: object_pdg; it has those of event"):
        pretrain(recipe, output=tmp_path / "run")
