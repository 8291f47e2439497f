"""A study whose arms predict codes: one tokenizer for all, its cost, its address, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from study_values import TINY, TRAIN, small_study

from hepfm.core.errors import ConfigError
from hepfm.core.files import read_json
from hepfm.data.store import Store
from hepfm.models.directory import Model
from hepfm.study.cost import estimate
from hepfm.study.folder import StudyFolder
from hepfm.study.study import prepare, study

pytestmark = pytest.mark.enable_socket  # Dask talks to itself

TOKENIZER = {
    "recipe": {
        "data": {"store": "", "features": "massless"},
        "backbone": "none",
        "objective": {"name": "tokenize", "tokenizer": {"name": "kmeans", "codes": 64}},
        "train": TRAIN,
    }
}
VQVAE = {"name": "vqvae", "codes": 64, "width": 16, "depth": 1, "num_heads": 2}
WHOLE_ROW = {
    "recipe": {**TOKENIZER["recipe"], "objective": {"name": "tokenize", "tokenizer": VQVAE}},
}
"""A tokenizer that decodes a constituent from all tokens of its row."""


@pytest.fixture(scope="module")
def values(jet_store: Store, tops: Store) -> dict[str, Any]:
    recipe = {
        "data": {"store": "", "features": "massless"},
        "backbone": {**TINY, "name": "post_norm_transformer", "num_registers": 0},
        "objective": "next_token",
        "train": TRAIN,
    }
    changes = {
        "tokenizer": TOKENIZER,
        "pretrain": {"recipe": recipe, "sizes": {"tiny": {}}},
        "arms": {"scratch": None, "next": "next_token"},
        "seeds": {"replicates": [1]},
    }
    return {**small_study(jet_store.path, tops.path), **changes}


def test_one_tokenizer_serves_all_arms(values: dict[str, Any], tmp_path: Path) -> None:
    cost = estimate(values, output=tmp_path / "study")
    assert [one.verb for one in cost.estimates] == [
        "tokenize", "pretrain", "pretrain", "finetune", "evaluate",
    ]  # fmt: skip
    assert not any(one.problem for one in cost.estimates)
    done = study(values, output=tmp_path / "study", processes=1)
    assert done.complete, done.states
    plan, folder = prepare(values), StudyFolder(tmp_path / "study")
    (made,) = (run for run in plan.runs.values() if run.verb == "tokenize")
    facts = folder.run(made.name).facts() or {}
    assert 0 < facts["code_use"] <= 1
    assert read_json(folder.run(made.name).tokens / "tokens.json")["num_codes"] == 64
    wanted = Model.load(folder.run(made.name).model).network.tokenizer
    assert wanted is not None
    for run in plan.runs.values():
        if run.verb in ("pretrain", "finetune"):
            found = Model.load(folder.run(run.name).model).network.tokenizer
            assert found is not None
            assert (found.codes_CF == wanted.codes_CF).all()


def test_another_tokenizer_is_another_study(values: dict[str, Any]) -> None:
    other = {**values, "tokenizer": {**TOKENIZER, "options": {"objective": {"tokenizer": {"codes": 32}}}}}
    first, second = (set(prepare(one).runs) for one in (values, other))
    assert not first & second


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": {"features": "kin"}}, "reads the features 'kin' and this recipe 'massless'"),
        ({"objective": {"tokenizer": {"codess": 32}}}, r"tokenizer: .*did you mean 'codes'"),
        ({"data": {"validation": "vall"}}, "no split 'vall'"),
    ],
)
def test_a_tokenizer_that_does_not_fit_is_refused(
    options: dict[str, Any], message: str, values: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=rf"(?s){message}"):
        prepare({**values, "tokenizer": {**TOKENIZER, "options": options}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tokenizer": {**WHOLE_ROW, "inputs": "decoded"}},
            "arm 'next', size 'tiny': .*objective.tokenizer.causal_decoder=true, or set tokenizer.inputs=",
        ),
        ({"tokenizer": {**TOKENIZER, "inputs": "features"}}, "set tokenizer.inputs to codes or decoded"),
        ({"tokenizer": None}, "this network has no tokenizer; train one"),
    ],
)
def test_what_an_objective_asks_of_its_tokenizer_is_checked_before_any_run(
    changes: dict[str, Any], message: str, values: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=rf"(?s){message}"):
        prepare({**values, **changes})


def test_a_causal_decoder_is_enough(values: dict[str, Any]) -> None:
    options = {"objective": {"tokenizer": {"causal_decoder": True}}}
    prepare({**values, "tokenizer": {**WHOLE_ROW, "options": options, "inputs": "decoded"}})


def test_a_recipe_that_trains_no_tokenizer_is_refused(values: dict[str, Any]) -> None:
    plain = {"recipe": {"data": {"store": "", "features": "massless"}, "backbone": TINY, "train": TRAIN}}
    with pytest.raises(ConfigError, match="trains no tokenizer"):
        prepare({**values, "tokenizer": plain})
