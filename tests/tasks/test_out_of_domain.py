"""Models on stores that are not like their own: other classes, fewer fields, features withheld."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hepfm.cli.main import group
from hepfm.core.errors import ConfigError, ModelError
from hepfm.core.ragged import Ragged
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.inference.withhold import withhold
from hepfm.models.directory import Model
from hepfm.models.scores import score
from hepfm.report.compare import compare
from hepfm.tasks.evaluate import evaluate
from hepfm.testing.tasks import save_scoring_model
from hepfm.train.finetune import finetune

TWO = {"name": "classification", "signal": "Tbqq", "background": "QCD"}
SPLITS = ("train", "val", "test")


def rewritten(store: Store, path: Path, *, classes: tuple[str, ...], schema: Any, **columns: Any) -> Store:
    """Write the rows of some classes of a store with another schema, and other columns where given."""
    names = np.array(store.schema.label_classes)
    parts = []
    for split in SPLITS:
        rows = np.asarray(store.split(split))
        of = names[np.asarray(store.read(["jet_label"], rows)["jet_label"])]
        kept = np.isin(of, classes)
        read = store.read([name for name in schema.names() if name in store.schema], rows[kept])
        label = np.array([schema.label_classes.index(name) for name in of[kept]])
        parts.append((split, {**read, "jet_label": label, **{k: f(read) for k, f in columns.items()}}))
    return Store.open(write_store(path, schema, parts, provenance={"source": "test"}))


@pytest.fixture(scope="module")
def model(jet_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained tagger of ten classes that reads all features."""
    path = tmp_path_factory.mktemp("model") / "model"
    return save_scoring_model(jet_store, "jet_label", path, features="full")


def recipe(store: Store, **data: Any) -> dict[str, Any]:
    return {
        "data": {"store": str(store.path), "budget": 100, **data},
        "mode": "probe",
        "objective": "supervised",
        "early_stopping": {"patience": 2},
        "train": {"steps": 1, "device": "cpu"},
        "seed": 1,
    }


def scrambled(store: Store, path: Path, name: str) -> Store:
    """Write the same rows with a field of the constituents in the opposite order."""

    def turned(read: Any) -> Ragged:
        return Ragged(read[name].values[::-1].copy(), read[name].offsets)

    every = tuple(store.schema.label_classes)
    return rewritten(store, path, classes=every, schema=store.schema, **{name: turned})


@pytest.mark.parametrize(("name", "field"), [("identity", "part_pid"), ("displacement", "part_d0")])
def test_what_is_withheld_has_no_influence(
    name: str, field: str, jet_store: Store, model: Path, tmp_path: Path
) -> None:
    other, rows = scrambled(jet_store, tmp_path / "store", field), np.arange(800, 850)
    loaded = Model.load(model)
    told, untold = ([score(one, data, rows=rows)["jet_label"] for data in (jet_store, other)]
                    for one in (loaded, withhold(loaded, [name])))  # fmt: skip
    assert not np.allclose(*told)
    np.testing.assert_array_equal(*untold)
    assert not np.allclose(told[0], untold[0])


def test_a_model_that_is_tuned_without_stays_without(jet_store: Store, model: Path, tmp_path: Path) -> None:
    tuned = finetune(model, recipe(jet_store, withhold=["identity"]), output=tmp_path / "tuned").model_path
    assert Model.load(tuned).absent == ("identity",)
    other = scrambled(jet_store, tmp_path / "store", "part_pid")
    values = [score(Model.load(tuned), data, rows=range(30))["jet_label"] for data in (jet_store, other)]
    np.testing.assert_array_equal(*values)
    plain = finetune(model, recipe(jet_store), output=tmp_path / "plain").model_path
    for name, path, groups in (
        ("full", plain, []),
        ("less", tuned, []),
        ("least", tuned, ["displacement"]),
    ):
        evaluate(path, TWO, jet_store, output=tmp_path / name, device="cpu", withhold=groups)
    folders = [tmp_path / name for name in ("full", "less", "least")]
    arms = [json.loads((folder / "results.json").read_text())["training"]["withheld"] for folder in folders]
    assert arms == [[], ["identity"], ["displacement", "identity"]]
    compare(folders, output=tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "pre-trained, probe, without displacement and identity" in page


def test_evaluate_and_predict_withhold_the_same(jet_store: Store, model: Path, tmp_path: Path) -> None:
    run = CliRunner()
    outputs = [str(tmp_path / name) for name in ("scores.arrow", "result")]
    common = ["--withhold", "identity, displacement", "--device", "cpu"]
    one = run.invoke(group, ["predict", str(model), str(jet_store.path), "-o", outputs[0], *common])
    two = run.invoke(
        group,
        [
            "evaluate",
            str(model),
            "--on",
            "jetclass",
            "--store",
            str(jet_store.path),
            "-o",
            outputs[1],
            *common,
        ],
    )
    assert one.exit_code == two.exit_code == 0, (one.output, two.output)
    import pyarrow as pa

    predicted, scored = (
        pa.ipc.open_file(path).read_all() for path in (outputs[0], str(tmp_path / "result" / "scores.arrow"))
    )
    rows = scored["row"].to_numpy()
    np.testing.assert_allclose(
        predicted["jet_label_QCD"].to_numpy()[rows], scored["score_QCD"].to_numpy(), rtol=1e-5
    )


def test_groups_that_cannot_be_withheld_are_refused(jet_store: Store, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no group 'tracks'; choose from: displacement, identity"):
        evaluate(model, "jetclass", jet_store, output=tmp_path / "result", withhold=["tracks"])
    with pytest.raises(ConfigError, match="no group 'pid'"):
        finetune(model, recipe(jet_store, withhold=["pid"]), output=tmp_path / "tuned")
    kinematic = save_scoring_model(jet_store, "jet_label", tmp_path / "kin")
    with pytest.raises(ConfigError, match="'kin' has no group 'identity'"):
        evaluate(kinematic, "jetclass", jet_store, output=tmp_path / "result", withhold=["identity"])
    with pytest.raises(ConfigError, match="nothing can be withheld"):
        evaluate(
            jet_store.path, "jet_generation", jet_store, output=tmp_path / "result", withhold=["identity"]
        )


def test_a_store_with_other_classes_is_measured_by_the_names_that_both_know(
    jet_store: Store, model: Path, tmp_path: Path
) -> None:
    """Fewer classes, another order, one that the model does not know."""
    schema = jet_schema(("Tbqq", "Xyy", "Wqq", "QCD"))
    other = rewritten(jet_store, tmp_path / "store", classes=("QCD", "Tbqq"), schema=schema)
    result = evaluate(model, TWO, other, output=tmp_path / "result", device="cpu").result
    assert set(result.data.rows_per_class) == {"QCD", "Tbqq"}
    rows = np.flatnonzero(
        np.isin(
            np.array(JETCLASS_CLASSES)[np.asarray(jet_store.read(["jet_label"])["jet_label"])],
            ["QCD", "Tbqq"],
        )
    )
    at_home = evaluate(model, TWO, jet_store, output=tmp_path / "home", device="cpu").result
    assert result.metric("auc").value == pytest.approx(at_home.metric("auc").value, abs=1e-6)
    assert result.data.rows <= len(rows)
    with pytest.raises(ModelError, match=r"not Xyy; .*only classes that it knows \(Tbqq, Wqq, QCD\)"):
        evaluate(model, "classification", other, output=tmp_path / "all", device="cpu")
