"""From a tokenizer to a backbone that reads its codes, to generation and fine-tuning."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from click.testing import CliRunner

from hepfm.cli.main import group
from hepfm.core.errors import ConfigError, DataError, IncompatibleError, ModelError
from hepfm.core.files import sha256
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.inference.codes_file import decode_codes
from hepfm.inference.encode import encode
from hepfm.inference.generate import generate
from hepfm.inference.tokenize import tokenize_store
from hepfm.models.check import check
from hepfm.models.directory import Model, fingerprint
from hepfm.models.folder import CONFIG, WEIGHTS
from hepfm.models.tokenizer import tokenizer_fingerprint
from hepfm.models.weights import load_tensors, save_tensors
from hepfm.train.finetune import check_finetune, finetune
from hepfm.train.pretrain import check_pretrain, pretrain
from hepfm.train.resume import resume
from hepfm.train.tokenize import tokenize

TRAIN = {
    "steps": 8,
    "batch_size": 32,
    "accumulate": 2,
    "log_every": 4,
    "validate_every": 4,
    "checkpoint_every": 4,
    "device": "cpu",
}
SMALL = {"width": 16, "depth": 1, "num_heads": 2}
CAUSAL = {
    "name": "vqvae_transformer",
    "codes": 64,
    "causal_decoder": True,
    "replace_after": 2,
    **SMALL,
}


def tokenizer_recipe(store: Store, spec: dict[str, Any] = CAUSAL, **changes: Any) -> dict[str, Any]:
    return {
        "data": {"store": str(store.path), "features": "massless"},
        "backbone": "none",
        "objective": {"name": "tokenize", "tokenizer": spec},
        "train": TRAIN,
        **changes,
    }


def recipe(store: Store, tokenizer: Path, *, inputs: str = "codes", **changes: Any) -> dict[str, Any]:
    name = "post_norm_transformer" if inputs == "codes" else "transformer"
    return {
        "data": {"store": str(store.path), "features": "massless"},
        "tokenizer": {"model": str(tokenizer), "inputs": inputs},
        "backbone": {"name": name, **SMALL},
        "objective": {"name": "next_token", "max_constituents": 128},
        "train": TRAIN,
        **changes,
    }


TUNE = {"data": {"store": "", "budget": 60}, "early_stopping": None, "train": TRAIN}


def tuned(store: Store, **changes: Any) -> dict[str, Any]:
    return {**TUNE, "data": {"store": str(store.path), "budget": 60}, **changes}


@pytest.fixture(scope="module")
def tokenizer(jet_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("tokens") / "run"
    return pretrain(tokenizer_recipe(jet_store), output=output).model_path


@pytest.fixture(scope="module")
def model(jet_store: Store, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("next") / "run"
    return pretrain(recipe(jet_store, tokenizer), output=output).model_path


def same_tokenizer(one: Path, other: Path) -> bool:
    networks = [Model.load(path).network for path in (one, other)]
    states = [
        {
            name: value
            for name, value in network.state_dict().items()
            if name.startswith(("tokenizer.", "standardize."))
        }
        for network in networks
    ]
    assert states[0].keys() == states[1].keys()
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("inputs", ["codes", "decoded", "features"])
def test_the_tokenizer_stays_bit_for_bit_in_what_follows(
    inputs: str, jet_store: Store, tokenizer: Path, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {}
    if inputs == "features":  # codes are targets only
        changes["objective"] = {"name": "masked", "targets": ["codes"]}
    model = pretrain(
        recipe(jet_store, tokenizer, inputs=inputs, **changes), output=tmp_path / "run"
    ).model_path
    assert same_tokenizer(tokenizer, model)
    assert max(check(model).values()) < 1e-5
    for init in ("pretrained", "scratch"):
        result = finetune(model, tuned(jet_store, init=init), output=tmp_path / init)
        assert same_tokenizer(tokenizer, result.model_path)


def test_loaded_weights_survive_every_later_initialisation(
    jet_store: Store, model: Path, tmp_path: Path
) -> None:
    """The trainer has built the heads, the optimizer and the strategy by then, and no step is done yet."""
    from hepfm.train.distributed import join_world
    from hepfm.train.loop import Trainer
    from hepfm.train.run import RunDirectory

    head = {"name": "supervised", "head": "sum"}
    work, _ = check_finetune(model, tuned(jet_store, objective=head))
    before = load_tensors(model / WEIGHTS)
    world = join_world("cpu")
    learner, table = work.learner()
    strategy = work.strategy(learner.network)
    (tmp_path / "run").mkdir()
    trainer = Trainer(work.job(learner, strategy, world), RunDirectory(tmp_path / "run"), world)
    after = trainer.learner.network.state_dict()
    loaded = [name for name in before if name.startswith(("backbone.", "tokenizer.", "standardize."))]
    assert len(loaded) > 20
    for name in loaded:
        assert torch.equal(before[name], after[name]), name
    assert any(part.startswith("backbone") for part in table.loaded)
    assert not any(part.startswith(("backbone", "tokenizer")) for part in table.new)


def test_scratch_draws_a_new_backbone_and_keeps_the_tokenizer(jet_store: Store, model: Path) -> None:
    work, _ = check_finetune(model, tuned(jet_store, init="scratch"))
    learner, _ = work.learner()
    old = Model.load(model).network
    new = learner.network.state_dict()
    weights = [name for name, value in old.backbone.named_parameters() if value.ndim > 1 and value.numel()]
    assert all(
        not torch.equal(old.state_dict()[f"backbone.{name}"], new[f"backbone.{name}"]) for name in weights
    )
    assert torch.equal(old.state_dict()["tokenizer.quantizer.codes_CK"], new["tokenizer.quantizer.codes_CK"])


def test_training_on_codes_resumes_bit_for_bit(jet_store: Store, tokenizer: Path, tmp_path: Path) -> None:
    values = recipe(jet_store, tokenizer)
    whole = pretrain(values, output=tmp_path / "whole")
    stopped = tmp_path / "stopped"
    shutil.copytree(whole.path, stopped)
    shutil.rmtree(stopped / "model")
    for path in stopped.glob("checkpoints/*8*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = resume(stopped)
    one, other = (load_tensors(path / WEIGHTS) for path in (whole.model_path, again.model_path))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("inputs", ["codes", "decoded"])
def test_generated_jets_do_not_depend_on_the_batch_size(
    inputs: str, jet_store: Store, tokenizer: Path, tmp_path: Path
) -> None:
    model = pretrain(recipe(jet_store, tokenizer, inputs=inputs), output=tmp_path / "run").model_path
    paths = [
        generate(model, n=30, output=tmp_path / f"jets{size}", seed=5, batch_size=size, top_p=0.9)
        for size in (7, 30)
    ]
    one, other = (Store.open(path).read(["part_pt", "jet_pt"]) for path in paths)
    np.testing.assert_allclose(one["jet_pt"], other["jet_pt"], rtol=1e-4)
    assert (np.diff(one["part_pt"].offsets) >= 1).all()
    with pytest.raises(ConfigError, match="steps"):
        generate(model, n=3, output=tmp_path / "no", steps=4)


def test_classes_as_first_tokens(jet_store: Store, tokenizer: Path, tmp_path: Path) -> None:
    objective = {"name": "next_token", "max_constituents": 128, "label": "jet_label"}
    model = pretrain(recipe(jet_store, tokenizer, objective=objective), output=tmp_path / "run").model_path
    made = Store.open(generate(model, n=20, output=tmp_path / "jets", classes=["Tbqq"]))
    assert made.schema.label_classes[int(made.read(["jet_label"])["jet_label"][0])] == "Tbqq"
    assert len(set(np.asarray(made.read(["jet_label"])["jet_label"]).tolist())) == 1


def test_codes_of_a_store_in_the_order_of_rows(jet_store: Store, tokenizer: Path) -> None:
    loaded = Model.load(tokenizer)
    whole = encode(loaded, jet_store)
    lengths = np.minimum(jet_store.lengths(jet_store.schema["part_pt"].level), 128)
    assert whole.lengths.tolist() == lengths.tolist()
    some = encode(loaded, jet_store, rows=np.array([5, 2, 5]))
    assert [some.row(k).tolist() for k in range(3)] == [whole.row(k).tolist() for k in (5, 2, 5)]


def test_a_report_and_the_way_back(jet_store: Store, tokenizer: Path, tmp_path: Path) -> None:
    report = tokenize_store(tokenizer, jet_store.path, output=tmp_path / "tokens", split="test")
    assert set(report["features"]) == {"deta", "dphi", "log_pt"}
    assert set(report["jets"]) == {"pt", "mass", "tau21", "tau32"}
    assert 1 <= report["perplexity"] <= 64
    assert 0 < report["code_use"] <= 1
    assert json.loads((tmp_path / "tokens" / "tokens.json").read_text()) == report
    back = Store.open(decode_codes(tokenizer, tmp_path / "tokens" / "codes.arrow", output=tmp_path / "back"))
    direct = Store.open(tmp_path / "tokens" / "reconstructed")
    assert len(back) == len(direct) == report["jets_read"]
    pt = [np.sort(np.asarray(store.read(["jet_pt"])["jet_pt"])) for store in (back, direct)]
    np.testing.assert_allclose(pt[0], pt[1], rtol=1e-4)
    labels = np.asarray(direct.read(["jet_label"])["jet_label"])
    rows = np.arange(len(jet_store))[jet_store.split("test")]
    assert labels.tolist() == np.asarray(jet_store.read(["jet_label"], rows)["jet_label"]).tolist()


def test_blocks_change_nothing_and_bound_what_is_kept(
    jet_store: Store, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tokenize_store(tokenizer, jet_store.path, output=tmp_path / "whole", split="test")
    monkeypatch.setattr("hepfm.inference.tokenize.BLOCK", 30)
    parts = tokenize_store(tokenizer, jet_store.path, output=tmp_path / "parts", split="test")
    assert {**parts, "features": 0, "jets": 0} == {**whole, "features": 0, "jets": 0}
    # The same to rounding, since batches have other shapes; tau ratios are not, where codes coincide.
    for kind, names in (("features", whole["features"]), ("jets", ("pt", "mass"))):
        for name in names:
            assert parts[kind][name] == pytest.approx(whole[kind][name], rel=1e-4, abs=1e-5)
    direct, blocks = (Store.open(tmp_path / name / "reconstructed") for name in ("whole", "parts"))
    for name in direct.schema.names():
        one, other = direct.read([name])[name], blocks.read([name])[name]
        values = (np.asarray(getattr(column, "values", column)) for column in (one, other))
        np.testing.assert_allclose(*values, rtol=1e-3, atol=1e-4)
    back = Store.open(decode_codes(tokenizer, tmp_path / "parts" / "codes.arrow", output=tmp_path / "back"))
    assert len(back) == whole["jets_read"] == whole["jets_resolved"]
    monkeypatch.setattr("hepfm.inference.token_report.KEPT", 1)
    few = tokenize_store(tokenizer, jet_store.path, output=tmp_path / "few", split="test")
    assert few["jets_resolved"] == few["jets"]["pt"]["n"] == 30
    same = ("code_use", "perplexity", "jets_read", "constituents", "clipped", "outside")
    assert [few[name] for name in same] == [whole[name] for name in same]


def test_finer_bins_lose_less(jet_store: Store, tmp_path: Path) -> None:
    widths = []
    for bins in (3, 30):
        spec = {"name": "binned", "bins": [bins] * 3}
        report = tokenize(tokenizer_recipe(jet_store, spec), output=tmp_path / str(bins), split="test")
        widths.append(report["features"]["log_pt"]["half68"])
    assert widths[1] < 0.2 * widths[0]
    assert report["outside"] > 0


def test_the_accuracy_lost_by_a_classifier(jet_store: Store, tokenizer: Path, tmp_path: Path) -> None:
    values = {
        "data": {"store": str(jet_store.path), "features": "kin"},
        "backbone": {"name": "transformer", **SMALL},
        "train": TRAIN,
    }
    classifier = pretrain(values, output=tmp_path / "run").model_path
    report = tokenize_store(tokenizer, jet_store.path, output=tmp_path / "tokens", classifier=classifier)
    lost = report["classifier"]["lost"]
    assert lost["value"] == pytest.approx(
        report["classifier"]["original"] - report["classifier"]["reconstructed"], abs=1e-9
    )
    assert lost["low"] <= lost["value"] <= lost["high"]
    with pytest.raises(IncompatibleError, match="does not predict the classes"):
        tokenize_store(tokenizer, jet_store.path, output=tmp_path / "no", classifier=tokenizer)


def test_codes_of_another_tokenizer_are_refused(jet_store: Store, tokenizer: Path, tmp_path: Path) -> None:
    other = pretrain(tokenizer_recipe(jet_store, seed=9), output=tmp_path / "run").model_path
    tokenize_store(other, jet_store.path, output=tmp_path / "tokens")
    with pytest.raises(IncompatibleError, match="mean something to their own tokenizer only"):
        decode_codes(tokenizer, tmp_path / "tokens" / "codes.arrow", output=tmp_path / "back")


def test_codes_that_are_none_are_refused(jet_store: Store, tokenizer: Path, tmp_path: Path) -> None:
    tokenize_store(tokenizer, jet_store.path, output=tmp_path / "tokens")
    path = tmp_path / "tokens" / "codes.arrow"
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    offsets = table["codes"].combine_chunks().offsets
    wrong = pa.ListArray.from_arrays(offsets, pa.array(np.full(offsets[-1].as_py(), 64, np.int32)))
    table = table.set_column(table.column_names.index("codes"), "codes", wrong)
    with (
        pa.OSFile(str(tmp_path / "wrong.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)
    with pytest.raises(DataError, match="outside 0 to 63"):
        decode_codes(tokenizer, tmp_path / "wrong.arrow", output=tmp_path / "back")
    (tmp_path / "junk.arrow").write_bytes(b"junk")
    with pytest.raises(DataError, match="as a file of codes"):
        decode_codes(tokenizer, tmp_path / "junk.arrow", output=tmp_path / "back")


def test_a_model_with_another_tokenizer_put_into_it_is_refused(
    jet_store: Store, model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    tensors = load_tensors(broken / WEIGHTS)
    tensors["tokenizer.quantizer.codes_CK"] = tensors["tokenizer.quantizer.codes_CK"].flip(0)
    save_tensors(broken / WEIGHTS, tensors)
    config = json.loads((broken / CONFIG).read_text())
    config.pop("fingerprint")
    config["sha256"][WEIGHTS] = sha256(broken / WEIGHTS)
    (broken / CONFIG).write_text(json.dumps({**config, "fingerprint": fingerprint(config)}))
    with pytest.raises(ModelError, match="is not the one that the model was trained with"):
        Model.load(broken)


def test_the_fingerprint_knows_weights_and_standardisation(tokenizer: Path) -> None:
    network = Model.load(tokenizer).network
    before = tokenizer_fingerprint(network)
    assert tokenizer_fingerprint(Model.load(tokenizer).network) == before
    network.standardize.scale_F[0] *= 1.01
    assert tokenizer_fingerprint(network) != before


def test_what_does_not_fit_is_refused(
    jet_store: Store, tokenizer: Path, model: Path, tiny_run: Path, tmp_path: Path
) -> None:
    other_features = recipe(jet_store, tokenizer)
    other_features["data"] = {**other_features["data"], "features": "pet"}
    with pytest.raises(IncompatibleError, match=r"set data\.features=massless"):
        check_pretrain(other_features)
    with pytest.raises(IncompatibleError, match="has no tokenizer"):
        check_pretrain(recipe(jet_store, tiny_run / "model"))
    with pytest.raises(IncompatibleError, match="cannot be given features"):
        check_finetune(model, tuned(jet_store, inputs="features"))
    with pytest.raises(IncompatibleError, match="has no tokenizer"):
        check_finetune(tiny_run / "model", tuned(jet_store, inputs="codes"))
    with pytest.raises(IncompatibleError, match="has no tokenizer"):
        tokenize_store(tiny_run / "model", jet_store.path, output=tmp_path / "no")
    with pytest.raises(ConfigError, match="trains no tokenizer"):
        tokenize(recipe(jet_store, tokenizer), output=tmp_path / "no")
    with pytest.raises(ConfigError, match="--on STORE"):
        tokenize(tokenizer, output=tmp_path / "no")


def test_a_store_of_empty_jets(tokenizer: Path, tmp_path: Path, jet_columns: Any) -> None:
    columns = jet_columns(4, lengths=np.zeros(4, np.int64))
    write_store(tmp_path / "empty", jet_schema(), [("test", _unlabelled(columns))], provenance={})
    with pytest.raises(DataError, match="no constituents to tokenize"):
        tokenize_store(tokenizer, tmp_path / "empty", output=tmp_path / "tokens")
    columns = jet_columns(3, lengths=np.array([0, 5, 0]))
    write_store(tmp_path / "some", jet_schema(), [("test", _unlabelled(columns))], provenance={})
    report = tokenize_store(tokenizer, tmp_path / "some", output=tmp_path / "tokens")
    assert report["constituents"] == 5
    assert report["jets"]["mass"]["n"] == 1


def _unlabelled(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: values for name, values in columns.items() if name in jet_schema()}


def test_the_verb(jet_store: Store, tmp_path: Path) -> None:
    spec = "{name: tokenize, tokenizer: {name: kmeans, codes: 64}}"
    run = CliRunner().invoke(
        group,
        [
            *("tokenize", "omnijet_alpha_tokenizer", "-o", str(tmp_path / "run"), "--smoke", "--json"),
            *(f"data.store={jet_store.path}", f"objective={spec}", "train.device=cpu"),
        ],
    )
    assert run.exit_code == 0, run.output
    result = json.loads(run.output)
    assert result["report"]["num_codes"] == 64
    model = str(tmp_path / "run" / "model")
    again = CliRunner().invoke(
        group, ["tokenize", model, "--on", str(jet_store.path), "-o", str(tmp_path / "tokens"), "-q"]
    )
    assert again.exit_code == 0, again.output
    assert "perplexity" in again.output
    back = CliRunner().invoke(
        group,
        ["tokenize", model, "--decode", str(tmp_path / "tokens" / "codes.arrow"), "-o", str(tmp_path / "b")],
    )
    assert back.exit_code == 0, back.output


def test_a_resumed_tokenizer_makes_its_report(
    jet_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("omnijet_alpha_tokenizer", "--smoke", "--json", f"data.store={jet_store.path}", "-n", "50")
    more = ("objective={name: tokenize, tokenizer: {name: kmeans, codes: 64}}", "train.device=cpu")
    whole = CliRunner().invoke(group, ["tokenize", *arguments, *more, "-o", str(tmp_path / "whole")])
    assert whole.exit_code == 0, whole.output

    def stop(*_: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hepfm.train.tokenize.tokenize_store", stop)
        halves = CliRunner().invoke(group, ["tokenize", *arguments, *more, "-o", str(tmp_path / "halves")])
    assert halves.exit_code == 130
    assert f"go on with `hepfm resume {tmp_path / 'halves'}`" in halves.output
    assert not (tmp_path / "halves" / "tokens").exists()
    again = CliRunner().invoke(group, ["resume", str(tmp_path / "halves")])
    assert again.exit_code == 0, again.output
    reports = [
        json.loads((tmp_path / run / "tokens" / "tokens.json").read_text()) for run in ("whole", "halves")
    ]
    assert reports[0] == reports[1]
