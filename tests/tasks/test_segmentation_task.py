"""Segments of events: counts against a plain computation, the chi-squared, chance, and what is refused."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from event_rows import event_columns
from hadronic_tops import events, store_of
from sklearn.metrics import adjusted_rand_score

from hepfm.api import evaluate, pretrain
from hepfm.core.errors import ConfigError, DataError, ModelError
from hepfm.core.ragged import Ragged, lists
from hepfm.data.schemas.events import OBJECT_ROLES, event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.definitions import definition_of
from hepfm.metrics.segments import NONE, ObjectSets, SegmentCounts
from hepfm.models.segments import EventSegments
from hepfm.tasks.base import load_task
from hepfm.tasks.evaluate import measure
from hepfm.tasks.result_folder import read_result
from hepfm.testing.tasks import check_agreement, check_same_rows

LEPTONIC = {
    "name": "segmentation",
    "segments": {"t_lep": [["t_b", "t_l"], ["tbar_b", "tbar_l"]], "z_lep": [["z_l"]]},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return store_of(tmp_path_factory.mktemp("tops") / "store", events(lose=0.03))


# -- counts


def random_segmentation(rng: np.random.Generator, lengths: np.ndarray, tags: int) -> ObjectSets:
    tag = rng.integers(0, tags + 1, (len(lengths), 3))
    row = np.repeat(np.arange(len(lengths)), lengths)
    segment = rng.integers(-1, 3, len(row))
    segment = np.where(tag[row, np.maximum(segment, 0)] > 0, segment, NONE)
    return ObjectSets(Ragged.from_lengths(segment, lengths), tag)


def plain(truth: ObjectSets, found: ObjectSets, row: int) -> dict[str, Any]:
    """Counts of one event by all matches of its segments."""
    true, said = truth.segment.row(row), found.segment.row(row)

    def sets(numbers: np.ndarray, tag: np.ndarray) -> dict[int, tuple[int, set[int]]]:
        return {k: (int(tag[k]), set(np.flatnonzero(numbers == k).tolist())) for k in range(3)}

    ours, theirs = sets(true, truth.tag[row]), sets(said, found.tag[row])

    def iou(a: int, b: int) -> float:
        same = ours[a][0] == theirs[b][0] > 0 and ours[a][1] & theirs[b][1]
        return len(ours[a][1] & theirs[b][1]) / len(ours[a][1] | theirs[b][1]) if same else 0.0

    best = max(permutations(range(3)), key=lambda order: sum(iou(a, b) for a, b in enumerate(order)))
    match = {a: b for a, b in enumerate(best) if iou(a, b) > 0}
    right = [s == NONE if t == NONE else match.get(int(t), -9) == s for t, s in zip(true, said, strict=True)]
    pairs = [(len(ours[a][1] & theirs[b][1]), len(ours[a][1]) + len(theirs[b][1])) for a, b in match.items()]
    return {
        "right": sum(right),
        "iou": sum(iou(a, b) for a, b in match.items()),
        "dice": sum(2 * both / total for both, total in pairs),
    }


def test_counts_are_those_of_all_matches() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, 9, 120)
    truth, found = (random_segmentation(rng, lengths, 2) for _ in range(2))
    counts = SegmentCounts.of(truth, found, tags=2)
    for row in range(120):
        expected = plain(truth, found, row)
        assert counts.iou_R[row] == pytest.approx(expected["iou"])
        assert counts.dice_R[row] == pytest.approx(expected["dice"])
        assert counts.right_RC[row].sum() == expected["right"]
        if lengths[row] > 1:
            index = adjusted_rand_score(truth.segment.row(row), found.segment.row(row))
            assert counts.pairs.adjusted_rand[row] == pytest.approx(index)
    assert (counts.right_RC <= np.minimum(counts.true_RC, counts.found_RC)).all()
    assert counts.true_RC.sum(1).tolist() == counts.found_RC.sum(1).tolist() == lengths.tolist()


def test_numbers_of_segments_do_not_matter_and_tags_do() -> None:
    truth = ObjectSets(Ragged.from_lists([[0, 0, 1, 1, -1]], np.int64), np.array([[1, 1]]))
    swapped = ObjectSets(Ragged.from_lists([[1, 1, 0, 0, -1]], np.int64), np.array([[1, 1]]))
    other = ObjectSets(truth.segment, np.array([[1, 2]]))
    merged = ObjectSets(Ragged.from_lists([[0, 0, 0, 0, -1]], np.int64), np.array([[1, 0]]))
    right = [SegmentCounts.of(truth, one, tags=2).right_RC.sum() for one in (truth, swapped, other, merged)]
    assert right == [5, 5, 3, 3]
    assert SegmentCounts.of(truth, merged, tags=2).iou_R.tolist() == [0.5]


def test_objects_go_to_the_likeliest_query_with_a_tag() -> None:
    tags = np.array([[[0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.2, 0.3, 0.5]]], np.float32)
    objects = np.array([[0.9, 0.99, 0.1], [0.6, 0.0, 0.7], [0.4, 0.9, 0.4], [0.0, 0.0, 0.0]], np.float32)
    said = EventSegments(("none", "a", "b"), tags, Ragged.from_lengths(objects, np.array([4])))
    query, tag = said.partition()
    assert query.values.tolist() == [0, 2, -1, -1]
    assert tag.tolist() == [[1, 0, 2]]


# -- the task


class Roles:
    """Knows the roles of objects, some of them wrong, and says them as queries in the opposite order."""

    fingerprint = "0" * 16
    training: ClassVar[dict[str, Any]] = {"arm": "roles"}
    classes: tuple[str, ...] = ()

    def __init__(self, segments: Any, *, wrong: float = 0.0, tags: tuple[str, ...] | None = None) -> None:
        self.segments, self.wrong = segments, wrong
        self.tags = tags or tuple(reversed(segments))

    def score(self, store: Store, rows: Any) -> EventSegments:
        role = lists(store.read(["object_role"], rows), "object_role")
        declared = [(tag, roles) for tag, several in self.segments.items() for roles in several][::-1]
        noise = np.concatenate(
            [
                np.random.default_rng([int(r), 3]).uniform(size=n)
                for r, n in zip(rows, role.lengths, strict=True)
            ]
        )
        values = np.where(noise < self.wrong, 0, role.values)
        inside = [np.isin(values, [OBJECT_ROLES.index(name) for name in roles]) for _, roles in declared]
        row, count = role.row_index(), len(role)
        tag = np.zeros((count, len(declared), len(self.tags) + 1), np.float32)
        for k, (name, roles) in enumerate(declared):
            all_there = np.logical_and.reduce(
                [
                    np.bincount(row[role.values == OBJECT_ROLES.index(one)], minlength=count) > 0
                    for one in roles
                ]
            )
            number = self.tags.index(name) + 1 if name in self.tags else 1
            tag[np.arange(count), k, np.where(all_there, number, 0)] = 1.0
        objects = np.stack(inside, axis=1).astype(np.float32)
        return EventSegments(("none", *self.tags), tag, role.with_values(objects))


def result_of(store: Store, folder: Path, spec: Any = "segmentation", **options: Any) -> Any:
    task = load_task(spec)
    return measure(Roles(task.config.segments, **options), task, store, output=folder).result  # type: ignore[attr-defined]


def value(result: Any, name: str) -> float:
    return result.metric(name).value


def test_the_truth_is_perfect_and_wrong_objects_cost_what_they_are(store: Store, tmp_path: Path) -> None:
    perfect = result_of(store, tmp_path / "perfect")
    for info in perfect.metrics:
        assert definition_of(info.definition) is not None, info.definition
        assert info.value == pytest.approx(1.0), info.name
    some = result_of(store, tmp_path / "some", wrong=0.2)
    # A fifth of the objects of tops are lost, and nothing wrong is put into them.
    assert value(some, "efficiency_t_had") == pytest.approx(0.8, abs=0.03)
    assert value(some, "purity_t_had") == 1.0
    assert value(some, "efficiency_none") == 1.0
    assert value(some, "event_efficiency") == pytest.approx(0.8**6, abs=0.06)
    assert value(some, "segment_iou") == pytest.approx(0.8, abs=0.03)
    assert value(some, "segment_iou") < value(some, "segment_dice") < 1
    assert 0 < value(some, "adjusted_rand") < 1
    info = some.metric("event_efficiency")
    assert info.low < info.value < info.high


def test_the_chi_squared_finds_tops_and_the_commonest_class_does_not(store: Store, tmp_path: Path) -> None:
    result = result_of(store, tmp_path / "result", wrong=0.1)
    found = {one.name: one for one in result.baselines}
    assert list(found) == ["chi2", "majority"]
    assert found["chi2"].metric("event_efficiency").value > 0.7
    assert found["majority"].metric("event_efficiency").value < 0.05
    assert found["majority"].title == "all objects t_had"
    counts = result.data.rows_per_class
    share = counts["objects: t_had"] / sum(counts.values())
    assert found["majority"].metric("purity_t_had").value < share
    # Decays to leptons have no known mass.
    events_of = store_of(tmp_path / "leptons", event_columns(60, processes=("ttbar",)))
    leptons = result_of(events_of, tmp_path / "leptonic", LEPTONIC)
    assert [one.name for one in leptons.baselines] == ["majority"]
    assert value(leptons, "object_accuracy") == 1.0


def test_the_missing_momentum_and_generator_objects_do_not_count(tmp_path: Path) -> None:
    columns = event_columns(40, processes=("ttbar",))
    events_of = store_of(tmp_path / "store", columns)
    result = result_of(events_of, tmp_path / "result", LEPTONIC)
    counts = result.data.rows_per_class
    assert counts["objects: t_lep"] == 4 * 40
    seen = (lists(columns, "object_level").values == 0) & (lists(columns, "object_type").values != 5)
    assert sum(counts.values()) == seen.sum()
    # An undefined number, of a class that does not occur, is none.
    assert value(result, "efficiency_z_lep") is None


def test_the_result_reads_back_and_its_order_changes_nothing(store: Store, tmp_path: Path) -> None:
    result = result_of(store, tmp_path / "result", wrong=0.2)
    assert read_result(tmp_path / "result") == result
    task = load_task("segmentation")
    check_agreement(task, result)
    statistics = task.row_statistics(tmp_path / "result", result)
    assert statistics is not None
    assert set(statistics.metrics) == {info.name for info in result.metrics}
    for info in result.metrics:
        assert statistics.metrics[info.name](statistics.weights) == pytest.approx(info.value), info.name
    result_of(store, tmp_path / "other", wrong=0.5)
    check_same_rows(task, tmp_path / "result", tmp_path / "other")
    half = statistics.weights * (np.arange(len(statistics.rows)) % 2)
    assert statistics.metrics["event_efficiency"](half) != value(result, "event_efficiency")


def test_what_cannot_be_measured_is_refused(store: Store, tmp_path: Path) -> None:
    refused = tmp_path / "refused"
    with pytest.raises(ConfigError, match="'t_b' is in two segments"):
        load_task({"name": "segmentation", "segments": {"t": [["t_b", "t_q"]], "b": [["t_b"]]}})
    with pytest.raises(ConfigError, match="'none' is the class of objects of no segment"):
        load_task({"name": "segmentation", "segments": {"none": [["t_b"]]}})
    with pytest.raises(DataError, match="needs events simulated with truth"):
        load_task("segmentation").bind(event_schema(("tt",)), where="data")
    with pytest.raises(DataError, match=r"no object has the role 't_quark'"):
        load_task({"name": "segmentation", "segments": {"t": [["t_quark"]]}}).bind(store.schema, where="data")
    with pytest.raises(DataError, match=r"no test event of .* has an object of every role of any of h"):
        result_of(store, refused, {"name": "segmentation", "segments": {"h": [["h_b"]]}})
    with pytest.raises(ModelError, match=r"has the tags top and the task t_had; name the segments"):
        result_of(store, refused, tags=("top",))
    with pytest.raises(ModelError, match="predicts nothing"):
        evaluate(store.path, "segmentation", store, output=refused, device="cpu")

    class Wrong(Roles):
        def score(self, store: Store, rows: Any) -> Any:
            return super().score(store, rows[:-1]) if self.wrong else np.zeros(len(rows))

    task = load_task("segmentation")
    for wrong, text in ((0.0, "finds no segments; fine-tune it"), (0.1, "segments of more objects")):
        with pytest.raises(ModelError, match=text):
            measure(Wrong(task.config.segments, wrong=wrong), task, store, output=refused)  # type: ignore[attr-defined]
    assert not refused.exists()


def test_a_model_learns_segments_and_one_without_the_head_is_told_how(store: Store, tmp_path: Path) -> None:
    columns = event_columns(400, processes=("ttbar",))
    path = tmp_path / "store"
    shards = [("train", columns), ("val", event_columns(40, seed=1, processes=("ttbar",)))]
    shards.append(("test", event_columns(80, seed=2, processes=("ttbar",))))
    leptons = Store.open(write_store(path, event_schema(("ttbar",), truth=True), shards, provenance={}))
    recipe: dict[str, Any] = {
        "data": {"store": str(path), "features": "event", "max_constituents": 20},
        "backbone": {"name": "transformer", "width": 32, "depth": 1, "num_heads": 4, "num_registers": 1},
        # Leptons and tagged jets of both tops in one set: they can be told by their types alone.
        "objective": {
            "name": "segmentation",
            "segments": {"tops": [["t_b", "t_l", "tbar_b", "tbar_l"]]},
            "head": {"num_heads": 4, "queries": 2},
        },
        "train": {
            "steps": 80,
            "batch_size": 64,
            "accumulate": 1,
            "device": "cpu",
            "optimizer": {"name": "adamw", "lr": 5e-3},
            "validate_every": 80,
            "checkpoint_every": 80,
        },
    }
    spec = {"name": "segmentation", "segments": {"tops": [["t_b", "t_l", "tbar_b", "tbar_l"]]}}
    model = pretrain(recipe, output=tmp_path / "run").model_path
    result = evaluate(model, spec, leptons, output=tmp_path / "result", device="cpu").result
    majority = result.baselines[-1]
    assert value(result, "object_accuracy") > 0.95 > majority.metric("object_accuracy").value
    with pytest.raises(ModelError, match=r"has the tags tops and the task t_had"):
        evaluate(model, "segmentation", store, output=tmp_path / "refused", device="cpu")
    with pytest.raises(ModelError, match=r"not 'event_neutrinos'"):
        evaluate(model, "neutrinos", leptons, output=tmp_path / "refused", device="cpu")
