"""Model directories: exact on loading, strict, and refused when anything was changed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hepfm.backbones import BACKBONES
from hepfm.core.config import fingerprint, resolve_component
from hepfm.core.errors import HepfmError, IncompatibleError, ModelError
from hepfm.core.files import read_json, write_json
from hepfm.data import context_set, feature_set
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.generators import GENERATORS
from hepfm.heads import HEADS
from hepfm.models.check import check
from hepfm.models.directory import Model
from hepfm.models.fixture import forward, random_batch
from hepfm.models.scores import embed, score
from hepfm.models.weights import save_tensors
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.specs import GeneratorSpec, HeadSpec
from hepfm.nn.standardize import Standardize

TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}
FILES = ("model.safetensors", "config.json", "fixture.safetensors", "provenance.json")


def make_model(features: str = "kin", seed: int = 0) -> Model:
    schema = jet_schema(JETCLASS_CLASSES)
    outputs = [
        HeadSpec(resolve_component(HEADS, "classify", where="test"), schema["jet_label"]),
        HeadSpec(
            resolve_component(HEADS, {"name": "regress", "centre": [90.0], "scale": [40.0]}, where="test"),
            schema["jet_softdrop_mass"],
        ),
    ]
    backbone = resolve_component(BACKBONES, TINY, where="test")
    with seeded_init(seed, "test"):
        network = build_network(backbone, feature_set(features), heads=outputs)
    facts = {"training": {"steps": 3}, "data": {"licence": "CC-BY-4.0"}}
    return Model(network, backbone, feature_set(features), schema, provenance=facts, metrics={"loss": 1.5})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    make_model().save(tmp_path / "model")
    return tmp_path / "model"


def test_what_is_saved_is_what_is_loaded(saved: Path) -> None:
    model, loaded = make_model(), Model.load(saved)
    batch = random_batch(model.features, seed=5)
    before, after = forward(model.network.eval(), batch), forward(loaded.network, batch)
    assert before.keys() == after.keys() == {"jet_label", "jet_softdrop_mass", "embedding"}
    for name, values in before.items():
        torch.testing.assert_close(after[name], values, rtol=0, atol=0)
    assert loaded.schema == model.schema
    assert loaded.classes == {"jet_label": JETCLASS_CLASSES}
    assert loaded.provenance == model.provenance
    assert not loaded.network.training


def test_loading_leaves_the_random_state_alone(saved: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    Model.load(saved)
    assert torch.equal(torch.rand(3), expected)


def test_saving_a_loaded_model_gives_the_same_weights_and_fixture(saved: Path, tmp_path: Path) -> None:
    Model.load(saved).save(tmp_path / "again")
    for name in ("model.safetensors", "fixture.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_there_is_no_pickle(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {*FILES, "card.md"}
    for path in saved.iterdir():
        assert path.read_bytes()[:2] not in (b"\x80\x02", b"\x80\x04", b"PK")


def test_card_and_config_say_the_constants_of_the_standardisation(tmp_path: Path) -> None:
    """Of features as network and backbone read them, of the context, and of what a generator draws."""
    backbone = resolve_component(BACKBONES, TINY, where="test")
    network = build_network(backbone, feature_set("pet"), context=context_set("jet"))
    flow = resolve_component(GENERATORS, "flow", where="test")
    network.add_generator(GeneratorSpec(flow, None, 8))
    network.restandardize(torch.tensor([0.25, 0.0, 1.5, 2.5]), torch.tensor([4.0, 1.0, 0.5, 0.125]))
    assert network.conditioning is not None
    assert network.conditioning.standardize is not None
    network.conditioning.standardize.centre_F.copy_(torch.tensor([6.5, 0.0, 4.5, 37.0]))
    network.generator.sampler.standardize.scale_F.fill_(7.25)
    Model(network, backbone, feature_set("pet"), jet_schema(()), context=context_set("jet")).save(
        tmp_path / "model"
    )
    found = read_json(tmp_path / "model" / "config.json")["standardisation"]
    assert found["features"]["log_pt"] == {"centre": 1.5, "scale": 0.5}
    assert found["backbone"]["log_pt"] == {"centre": 0.0, "scale": 1.0}
    assert found["context"]["num_constituents"] == {"centre": 37.0, "scale": 1.0}
    assert found["generator"]["log_jet_pt"]["scale"] == 7.25
    assert list(found["generator"]) == ["log_jet_pt", "jet_eta", "log_jet_mass"]
    card = (tmp_path / "model" / "card.md").read_text()
    assert "| log_energy | constituent | 2.5 | 0.125 |" in card
    assert "| num_constituents | whole row | 37 | 1 |" in card


def test_the_card_says_what_one_must_know(saved: Path) -> None:
    card = (saved / "card.md").read_text()
    for words in ("part_pt | GeV", "QCD, Hbb", "licence: CC-BY-4.0", "loss: 1.5", "Intended", "SHA-256"):
        assert words.lower() in card.lower()


def test_check_reruns_the_fixture(saved: Path) -> None:
    found = check(saved)
    assert found.keys() == {"jet_label", "jet_softdrop_mass", "embedding"}
    assert max(found.values()) <= 1e-6


def test_check_finds_a_network_that_computes_something_else(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Standardize.forward
    monkeypatch.setattr(Standardize, "forward", lambda self, x, mask: original(self, x, mask) * 1.01)
    with pytest.raises(ModelError, match="differs from the fixture"):
        check(saved)


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_changed_byte_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: float, flip: int
) -> None:
    folder = tmp_path_factory.mktemp("changed") / "model"
    make_model().save(folder)
    content = bytearray((folder / name).read_bytes())
    position = int(place * len(content))
    if name == "config.json" and chr(content[position]).isspace():
        return
    content[position] ^= flip
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(HepfmError):
        Model.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(ModelError, match=name):
        Model.load(saved)


def rewrite_config(folder: Path, **changes: object) -> None:
    config = read_json(folder / "config.json")
    config.pop("fingerprint")
    config.update(changes)
    write_json(folder / "config.json", {**config, "fingerprint": fingerprint(config)})


def test_a_newer_format_is_refused_with_the_fix(saved: Path) -> None:
    rewrite_config(saved, format_version=99)
    with pytest.raises(ModelError, match="upgrade hepfm"):
        Model.load(saved)


def test_a_folder_without_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a model directory"):
        Model.load(tmp_path)


def test_a_config_of_something_else_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(ModelError, match="no format_version"):
        Model.load(tmp_path)


def test_weights_of_another_architecture_are_refused_by_name(saved: Path) -> None:
    rewrite_config(saved, backbone={**TINY, "width": 32})
    with pytest.raises(ModelError, match=r"has shape .*expected"):
        Model.load(saved)


def test_an_extra_tensor_is_refused(saved: Path) -> None:
    from hepfm.core.files import sha256
    from hepfm.models.weights import load_tensors

    tensors = {**load_tensors(saved / "model.safetensors"), "extra": torch.zeros(1)}
    save_tensors(saved / "model.safetensors", tensors)
    config = read_json(saved / "config.json")
    hashes = {**config["sha256"], "model.safetensors": sha256(saved / "model.safetensors")}
    rewrite_config(saved, sha256=hashes)
    with pytest.raises(ModelError, match="extra is not of this architecture"):
        Model.load(saved)


def test_predictions_come_in_the_order_asked_for(jet_store: Store) -> None:
    model = make_model()
    rows = np.random.default_rng(0).permutation(jet_store.num_rows)[:100]
    together = score(model, jet_store, rows=rows, batch_size=32)
    assert together["jet_label"].dtype == np.float32
    assert together["jet_label"].shape == (100, 10)
    assert together["jet_softdrop_mass"].shape == (100,)
    np.testing.assert_allclose(together["jet_label"].sum(1), 1, rtol=1e-5)
    for place in (0, 41, 99):
        alone = score(model, jet_store, rows=rows[place : place + 1])
        np.testing.assert_allclose(alone["jet_label"][0], together["jet_label"][place], atol=1e-6)
    embedded = embed(model, jet_store, rows=rows)
    np.testing.assert_allclose(embed(model, jet_store, rows=rows[[7]])[0], embedded[7], atol=1e-5)


def test_a_row_asked_for_twice_comes_twice(jet_store: Store) -> None:
    scores = score(make_model(), jet_store, rows=[5, 3, 5])["jet_label"]
    np.testing.assert_array_equal(scores[0], scores[2])
    assert not np.array_equal(scores[0], scores[1])


def test_no_rows_give_empty_predictions(jet_store: Store) -> None:
    assert score(make_model(), jet_store, rows=[])["jet_label"].shape == (0, 10)
    assert embed(make_model(), jet_store, rows=[]).shape == (0, 16)


def test_empty_and_single_constituent_jets_give_finite_scores(tmp_path: Path, jet_columns: object) -> None:
    columns = jet_columns(3, seed=4, lengths=[0, 1, 200])  # type: ignore[operator]
    write_store(tmp_path / "odd", jet_schema(JETCLASS_CLASSES), [("test", columns)], provenance={})
    store = Store.open(tmp_path / "odd")
    scores = score(make_model(), store)["jet_label"]
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)


def test_data_without_the_fields_of_the_model_are_refused_with_the_fix(
    tmp_path: Path, jet_columns: object
) -> None:
    columns = jet_columns(4, seed=4)  # type: ignore[operator]
    schema = jet_schema(JETCLASS_CLASSES, identity=False, tracks=False)
    write_store(tmp_path / "kin", schema, [("test", {n: columns[n] for n in schema.names()})], provenance={})
    with pytest.raises(IncompatibleError, match=r"part_charge.*data.features=kin"):
        make_model("full").features_of(Store.open(tmp_path / "kin"))


def test_a_failed_save_leaves_the_old_model(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = shutil.copytree(saved, saved.with_name("copy"))
    monkeypatch.setattr("hepfm.models.directory.render_card", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make_model(seed=1).save(saved)
    assert (saved / "model.safetensors").read_bytes() == (before / "model.safetensors").read_bytes()
    check(saved)


@pytest.mark.parametrize("name", ["notes.txt", "model.onnx", ".DS_Store", "folder"])
def test_what_is_not_of_the_model_is_refused(saved: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    (copy / name).mkdir() if name == "folder" else (copy / name).write_text("x")
    with pytest.raises(ModelError, match=rf"holds what is not of the model: {name}; move it elsewhere"):
        Model.load(copy)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "fixture.safetensors", "provenance.json"]
)
def test_links_out_of_the_model_and_pipes_are_not_opened(
    saved: Path, tmp_path: Path, name: str, kind: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    (copy / name).rename(tmp_path / name)
    if kind == "link":
        (copy / name).symlink_to(tmp_path / name)
    elif kind == "pipe":
        os.mkfifo(copy / name)
    else:
        (copy / name).mkdir()
    with pytest.raises(ModelError, match=r"link out of its folder|not a file"):
        Model.load(copy)


@pytest.mark.parametrize("odd", [None, True, -1, 2.5, "text", [], [1], {}, {"a": 1}], ids=repr)
def test_every_value_of_a_config_of_another_type(saved: Path, tmp_path: Path, odd: object) -> None:
    """A config with a fitting fingerprint and nonsense in it: it loads, or the model is named."""
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    good = json.loads((copy / "config.json").read_text())
    del good["fingerprint"]
    refused = {}
    for key in good:
        values = {**good, key: odd}
        (copy / "config.json").write_text(json.dumps({**values, "fingerprint": fingerprint(values)}))
        try:
            Model.load(copy)
        except HepfmError as error:
            refused[key] = str(error)
    assert {"format_version", "backbone", "features", "schema", "sha256"} <= set(refused)
    assert all(str(copy) in message for message in refused.values())


def test_no_place_of_the_user_is_kept(saved: Path, tmp_path: Path) -> None:
    model = Model.load(saved)
    model.provenance = {
        "config": {"model": "/home/me/runs/first/model", "tokenizer": {"model": "~/tokens/model"}},
        "data": {"event_files": {"/data/me/events.lhe.gz": "abc"}},
        "lines": ["Beams:LHEF = /data/me/events.lhe.gz", "see https://example.org/a/b, 10.5281/zenodo.1"],
    }
    model.save(tmp_path / "again")
    found = json.loads((tmp_path / "again" / "provenance.json").read_text())
    assert found == {
        "config": {"model": "model", "tokenizer": {"model": "model"}},
        "data": {"event_files": {"events.lhe.gz": "abc"}},
        "lines": ["Beams:LHEF = events.lhe.gz", "see https://example.org/a/b, 10.5281/zenodo.1"],
    }
    assert "/data/me" not in (tmp_path / "again" / "card.md").read_text()


def test_a_model_never_replaces_another_folder(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("cat")
    with pytest.raises(HepfmError, match="is not a model directory"):
        Model.load(saved).save(tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.jpg").exists()
