"""Evaluation of real model directories, from Python and from the command line."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from hepfm.backbones import BACKBONES
from hepfm.cli.main import group
from hepfm.core.config import resolve_component
from hepfm.core.errors import ModelError
from hepfm.data import feature_set
from hepfm.heads import HEADS
from hepfm.models.directory import Model
from hepfm.models.scores import score
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.specs import HeadSpec
from hepfm.tasks.evaluate import evaluate
from hepfm.tasks.result_folder import read_result, read_scores

PROVENANCE = {
    "config": {
        "verb": "finetune",
        "init": "scratch",
        "mode": {"name": "full"},
        "data": {"budget": 400},
        "seed": 5,
        "model_sha256": "cd" * 32,
    }
}


def save_model(store, path, *, field="jet_label", head="classify"):
    spec = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}
    backbone = resolve_component(BACKBONES, spec, where="test")
    output = HeadSpec(resolve_component(HEADS, head, where="test"), store.schema[field])
    with seeded_init(0, "test"):
        network = build_network(backbone, feature_set("kin"), heads=[output])
    Model(network, backbone, feature_set("kin"), store.schema, provenance=PROVENANCE).save(path)
    return path


@pytest.fixture(scope="module")
def model(jet_store, tmp_path_factory):
    return save_model(jet_store, tmp_path_factory.mktemp("models") / "model")


def test_scores_are_the_models_own_and_provenance_is_kept(model, jet_store, tmp_path):
    evaluation = evaluate(model, "jetclass", jet_store, output=tmp_path / "result")
    result = read_result(tmp_path / "result")
    predictions, rows = read_scores(tmp_path / "result", result)
    expected = score(Model.load(model), jet_store, rows=rows)["jet_label"]
    np.testing.assert_array_equal(predictions.probabilities.astype(np.float32), expected)
    accuracy = (expected.argmax(1) == np.asarray(jet_store.read(["jet_label"], rows)["jet_label"])).mean()
    assert evaluation.result.metric("accuracy").value == pytest.approx(accuracy)
    training = result.training
    assert (training.arm_name, training.budget, training.seed) == ("scratch", 400, 5)
    assert (training.parent, training.backbone) == ("cd" * 8, "transformer")
    assert result.model.fingerprint == json.loads((model / "config.json").read_text())["fingerprint"]


def test_the_command_line_says_what_comes_next(model, jet_store, tmp_path):
    output = str(tmp_path / "result")
    arguments = ["evaluate", str(model), "--on", "jetclass", "--store", str(jet_store.path), "-o", output]
    done = CliRunner().invoke(group, [*arguments, "--arm", "mine"])
    assert done.exit_code == 0, done.output
    assert "accuracy" in done.output
    assert f"next: hepfm compare {output}" in done.output
    assert read_result(tmp_path / "result").training.arm_name == "mine"
    report = CliRunner().invoke(group, ["compare", output, "-o", str(tmp_path / "report"), "--json"])
    assert report.exit_code == 0, report.output
    values = json.loads(report.stdout)
    assert values["report"] == str(tmp_path / "report" / "report.html")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--on", "jetclas"], "did you mean 'jetclass'"),
        (["--on", "top_tagging"], "needs QCD, Tbqq"),
    ],
)
def test_mistakes_end_with_code_2_and_no_traceback(model, jet_store, tmp_path, arguments, message):
    command = ["evaluate", str(model), *arguments, "--store", str(jet_store.path), "-o", str(tmp_path / "r")]
    done = CliRunner().invoke(group, command)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "r").exists()


def test_compare_without_results_is_a_users_mistake():
    done = CliRunner().invoke(group, ["compare"])
    assert done.exit_code == 2
    assert "nothing to compare" in done.output


def test_a_model_that_predicts_something_else_is_refused(jet_store, tmp_path):
    path = save_model(
        jet_store,
        tmp_path / "mass",
        field="jet_softdrop_mass",
        head={"name": "regress", "centre": [90.0], "scale": [40.0]},
    )
    with pytest.raises(ModelError, match="not 'jet_label'"):
        evaluate(path, "jetclass", jet_store, output=tmp_path / "result")
    with pytest.raises(ModelError, match="neither a model directory nor a store"):
        evaluate(tmp_path, "jetclass", jet_store, output=tmp_path / "result")
