"""Arms that start from a model that is there: taken in once, addressed by its content, not called trained."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from study_values import TINY, TRAIN, small_study

from hepfm.core.errors import ConfigError, HepfmError
from hepfm.data.store import Store
from hepfm.models.directory import Model
from hepfm.study.config import read_study
from hepfm.study.cost import estimate
from hepfm.study.folder import StudyFolder
from hepfm.study.study import prepare, study
from hepfm.train.pretrain import pretrain

Values = dict[str, Any]


@pytest.fixture(scope="module")
def model(jet_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with a model."""
    recipe = {"data": {"store": str(jet_store.path), "features": "kin"}, "backbone": TINY, "train": TRAIN}
    return pretrain(recipe, output=tmp_path_factory.mktemp("foreign") / "run").path


@pytest.fixture
def values(jet_store: Store, tops: Store, model: Path) -> Values:
    return small_study(jet_store.path, tops.path, arms={"scratch": None, "mine": {"model": str(model)}})


@pytest.mark.enable_socket  # Dask talks to itself
def test_an_arm_starts_from_a_model_that_is_there(values: Values, model: Path, tmp_path: Path) -> None:
    cost = estimate(values, output=tmp_path / "study")
    assert {one.verb for one in cost.estimates} == {"adopt", "pretrain", "finetune", "evaluate"}
    assert not any(one.problem for one in cost.estimates)
    done = study(values, output=tmp_path / "study", processes=1)
    assert done.complete, done.states
    plan = prepare(values)
    (taken,) = {trial.pretrain for trial in plan.trials if trial.cell.arm == "mine"}
    copy = Model.load(StudyFolder(tmp_path / "study").run(str(taken)).model)
    assert copy.provenance == Model.load(model / "model").provenance
    page = (tmp_path / "study" / "report" / "report.html").read_text(encoding="utf-8")
    assert f"mine starts from the model {model}" in page


def test_a_model_is_addressed_by_what_is_in_it(values: Values, model: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(model / "model", moved)
    other = {**values, "arms": {"scratch": None, "mine": {"model": str(moved)}}}
    assert set(prepare(values).runs) == set(prepare(other).runs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": {"mine": {"model": "m", "objective": "supervised"}}}, "not trained here"),
        ({"arms": {"mine": {"model": "m", "options": {"train": {"steps": 1}}}}}, "not trained here"),
        ({"pretrain": {"sizes": {"a": {}, "b": {}}}}, "one size and one pre-training"),
        ({"pretrain": {"rows": [10, 20]}}, "one size and one pre-training"),
        ({"arms": {"other": {"objective": None}}}, "give the objective of pre-training, a model, or domains"),
    ],
)
def test_what_does_not_go_with_a_model_is_refused(values: Values, changes: Values, message: str) -> None:
    merged = {key: {**values[key], **change} for key, change in changes.items()}
    with pytest.raises(ConfigError, match=message):
        read_study({**values, **merged})


def test_a_model_that_is_not_there_is_refused_before_any_run(values: Values) -> None:
    with pytest.raises(HepfmError, match="not a model directory"):
        prepare({**values, "arms": {"scratch": None, "mine": {"model": "nowhere"}}})
    with pytest.raises(HepfmError, match="the package has no model 'nothing'"):
        prepare({**values, "arms": {"scratch": None, "mine": {"model": "hepfm:nothing"}}})
