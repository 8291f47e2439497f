"""Checkpoints of weaver-core with their files become models that say what weaver said; nothing is executed.

The numbers of weaver are in ``weaver_files.npz``, from the file of jets to the outputs; see
make_weaver_files_fixture.py.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from weaver_files import Files, files, jets, outputs

from hepfm.cli.main import group
from hepfm.core.errors import ConfigError, HepfmError, IncompatibleError, ModelError
from hepfm.data import feature_set
from hepfm.data.loader import EvalLoader
from hepfm.data.schemas.jetclass2 import JETCLASS2_CLASSES
from hepfm.data.store import Store
from hepfm.models.check import check
from hepfm.models.convert.weaver import particle_transformer, particlenet
from hepfm.models.convert.weaver.state import read_checkpoint
from hepfm.models.directory import Model
from hepfm.models.fixture import forward
from hepfm.train.finetune import Finetuning
from hepfm.train.recipe import read_finetune_recipe


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return jets(tmp_path_factory.mktemp("weaver"))


@pytest.fixture
def sophon(tmp_path: Path) -> Files:
    return files(tmp_path, "sophon")


@pytest.fixture
def jetclass(tmp_path: Path) -> Files:
    return files(tmp_path, "jetclass")


@pytest.fixture
def auto(tmp_path: Path) -> Files:
    return files(tmp_path, "auto")


def said(model: Model, store: Store) -> torch.Tensor:
    """Return the outputs of the heads, side by side."""
    batch = next(iter(EvalLoader(store, model.content(store), rows=None, batch_size=64)))
    with torch.no_grad():
        found = forward(model.network, batch)
    order = torch.argsort(batch.rows_B)
    return torch.cat([found[name] for name in model.outputs], dim=1)[order]


# -- what weaver says


@pytest.mark.parametrize(
    ("name", "tolerance"),
    # Pair masses are differences of squares in single precision, whose logarithms random weights amplify.
    [("sophon", 1e-4), ("jetclass", 2e-5), ("auto", 2e-5)],
)
def test_from_a_file_to_what_weaver_says(name: str, tolerance: float, tmp_path: Path, store: Store) -> None:
    files(tmp_path, name).convert()
    model = Model.load(tmp_path / "model")
    expected = outputs(name)
    assert float(expected.std()) > 0.01
    torch.testing.assert_close(said(model, store), expected, atol=tolerance, rtol=0)
    check(tmp_path / "model")


def test_a_file_with_the_constants_of_the_package_gives_its_feature_set(jetclass: Files) -> None:
    model = jetclass.convert()
    assert model.features is feature_set("full")
    assert model.max_constituents == 8
    assert model.classes == {"jet_label": ("QCD", "Hbb", "Tbqq")}
    assert model.backbone.config == particlenet.ParticleNetConfig(
        blocks=((6, 6), (20,)), num_neighbours=(3, 4)
    )
    head = model.outputs["jet_label"].head.config
    assert (head.hidden, head.dropout) == ((5,), 0.1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[part_pt_log, 1.7, 0.7]", "[part_pt_log, 1.8, 0.7]"),
        ("[part_logerel, -4.7, 0.7]", "[part_logerel, -4.7, 0.7, -3, 3]"),
        ("[part_deltaR, 0.2, 4.0]", "[part_deltaR, null]"),
        ("[part_d0err, 0, 1, 0, 1]", "[part_d0err, null]"),
        ("np.log(part_energy)", "np.log10(part_energy)"),
    ],
)
def test_other_constants_are_a_feature_set_of_the_model(before: str, after: str, jetclass: Files) -> None:
    model = jetclass.change(before, after).convert()
    assert model.features.written is not None
    assert len(model.features) == 17
    again = Model.load(jetclass.folder / "model")
    assert again.features.written == model.features.written
    np.testing.assert_array_equal(again.network.standardize.limit_F, model.network.standardize.limit_F)


def test_sophon_reads_momenta_scaled_to_500_gev(sophon: Files, store: Store) -> None:
    model = sophon.convert()
    assert model.features.row_pt == 500
    assert model.features.names[:3] == ("part_pt_scale_log", "part_e_scale_log", "log_pt_rel")
    assert model.backbone.config.pair_activation is False
    assert model.classes["jet_label"] == JETCLASS2_CLASSES
    batch = next(iter(EvalLoader(store, model.content(store), rows=None, batch_size=64)))
    assert batch.p4_BN4 is not None
    whole = batch.p4_BN4.sum(1)[batch.mask_BN.sum(1) < 8]
    np.testing.assert_allclose(torch.hypot(whole[:, 1], whole[:, 2]), 500, rtol=1e-4)


def test_measured_constants_and_a_regression(auto: Files) -> None:
    model = auto.convert()
    columns = {column["name"]: column for column in model.features.written["columns"]}
    assert columns["log_pt_rel"]["centre"] == pytest.approx(-2.61792397)
    assert columns["log_pt_rel"]["scale"] == pytest.approx(0.61634214)
    # (x - 0) * 0.4339 is clipped to -3 ... 2
    assert columns["part_sig"]["minimum"] == pytest.approx(-3 / 0.43393439)
    assert columns["part_sig"]["maximum"] == pytest.approx(2 / 0.43393439)
    assert columns["part_pt"] == {
        "name": "part_pt",
        "expression": "hypot(part_pt * cos(part_phi), part_pt * sin(part_phi))",
        "minimum": None,
        "maximum": None,
        "centre": 10.0,
        "scale": 0.1,
        "limit": 2.0,
    }
    assert list(model.outputs) == ["target_mass"]
    assert model.outputs["target_mass"].field.description == "as in data.yaml: jet_sdmass"


def test_several_values_are_several_heads(auto: Files, store: Store) -> None:
    one = said(auto.convert(), store)
    for kind in ("weight", "bias"):
        last = auto.state[f"mod.fc.1.{kind}"]
        auto.state[f"mod.fc.1.{kind}"] = torch.cat([last, 2 * last])
    auto.folder.joinpath("model").rename(auto.folder / "first")
    model = auto.change("target_mass: jet_sdmass", "target_mass: jet_sdmass\n    other: jet_tau1").convert()
    assert list(model.outputs) == ["target_mass", "other"]
    torch.testing.assert_close(said(model, store), torch.cat([one, 2 * one], dim=1))


def test_the_card_has_every_constant(sophon: Files) -> None:
    sophon.convert()
    card = (sophon.folder / "model" / "card.md").read_text()
    assert "| part_logptrel | log_pt_rel | -4.7 | 0.7 | -5 | 5 | 0 | wrap | 8 |" in card
    assert "| part_d0err | d0_error | 0 | 1 | 0 | 1 | 0 | wrap | 8 |" in card
    assert "| part_charge | charge | - | - | - | - | 0 | wrap | 8 |" in card
    assert "- `part_e_scale_log` = `log(part_energy / jet_pt * 500)`" in card
    assert "multiplied by 500 GeV over its jet_pt" in card
    assert "| part_d0 | mm |" in card
    assert "QCD_light" in card
    assert "- trained on: (jet_pt > 200) & (jet_pt < 2500)" in card
    facts = json.loads((sophon.folder / "model" / "provenance.json").read_text())["converted_from"]
    assert len({facts[key] for key in ("sha256", "preprocessing_sha256", "network_sha256")}) == 3
    assert "use_pre_activation_pair=True" in facts["options"]
    assert "remove_self_pair=False" in facts["assumed_options"]


# -- names, options and branches


@pytest.mark.parametrize("prefix", ["", "module.mod.", "_orig_mod.mod."])
def test_what_networks_were_wrapped_in(prefix: str, jetclass: Files, store: Store) -> None:
    jetclass.state = {prefix + name.removeprefix("mod."): v for name, v in jetclass.state.items()}
    torch.testing.assert_close(said(jetclass.convert(), store), outputs("jetclass"), atol=2e-5, rtol=0)


def test_the_layout_of_the_public_fine_tuning(jetclass: Files, store: Store) -> None:
    for kind in ("weight", "bias"):
        jetclass.state[f"fc_out.{kind}"] = jetclass.state.pop(f"mod.fc.1.{kind}")
    torch.testing.assert_close(said(jetclass.convert(), store), outputs("jetclass"), atol=2e-5, rtol=0)


def test_old_names_of_the_projections(sophon: Files) -> None:
    options = {"use_pre_activation_pair": True}
    old = {
        name.replace("in_proj.weight", "in_proj_weight").replace("in_proj.bias", "in_proj_bias"): value
        for name, value in sophon.state.items()
    }
    assert old.keys() != sophon.state.keys()
    first, second = (particle_transformer.map_weights(state, options) for state in (old, sophon.state))
    assert first.backbone.keys() == second.backbone.keys()


def test_options_in_place_of_the_network_file(jetclass: Files, sophon: Files, store: Store) -> None:
    model = jetclass.convert(network=None, options=["conv_params=[(3, (6, 6)), (4, (20,))]"])
    torch.testing.assert_close(said(model, store), outputs("jetclass"), atol=2e-5, rtol=0)
    sophon.folder.joinpath("model").rename(sophon.folder / "first")
    model = sophon.convert(options=["use_pre_activation_pair=false"])
    assert model.backbone.config.pair_activation is True
    assert float((said(model, store) - outputs("sophon")).abs().max()) > 0.01


def test_branches_of_another_experiment(jetclass: Files, store: Store) -> None:
    jetclass.data = jetclass.data.replace("part_charge", "pfcand_charge")
    with pytest.raises(ConfigError, match="what the branch 'pfcand_charge' holds is not known"):
        jetclass.convert()
    model = jetclass.convert(branches=["pfcand_charge = part_charge"])
    assert model.features.name == "full"
    torch.testing.assert_close(said(model, store), outputs("jetclass"), atol=2e-5, rtol=0)
    with pytest.raises(ConfigError, match=r"branch pfcand_charge: .*no 'part_q'; did you mean"):
        jetclass.convert(branches=["pfcand_charge=part_q"])
    with pytest.raises(ConfigError, match="cannot read the branch 'pfcand_charge'"):
        jetclass.convert(branches=["pfcand_charge"])


def test_names_of_classes(sophon: Files) -> None:
    model = sophon.convert(classes=[f"c{k}" for k in range(188)])
    assert model.classes["jet_label"][1] == "c1"
    with pytest.raises(ModelError, match="has 188 outputs, but 2 names were given"):
        sophon.convert(classes=["a", "b"])
    sophon.change("truth_label: jet_label", "truth_label: my_label")
    sophon.folder.joinpath("model").rename(sophon.folder / "first")
    assert sophon.convert().classes["jet_label"][1] == "label_1"


def test_command(jetclass: Files) -> None:
    jetclass.convert()
    place = jetclass.folder
    arguments = ["convert", "weaver", f"{place}/network.pt", "-o", f"{place}/again"]
    files = ["--data", f"{place}/data.yaml", "--network", f"{place}/network.py"]
    result = CliRunner().invoke(group, [*arguments, *files])
    assert result.exit_code == 0, result.output
    assert f"next: hepfm check {place / 'again'}" in result.output
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == 2
    assert "give --data CONFIG.yaml" in result.output


# -- training goes on


def test_fine_tuning_keeps_the_inputs(sophon: Files, jet_store: Store) -> None:
    model = sophon.convert()
    values = {
        "data": {"store": str(jet_store.path), "budget": 40, "validation_fraction": 0.25},
        "objective": "supervised",
        "train": {"steps": 2, "batch_size": 8},
    }

    def check(**others: Any) -> Finetuning:
        recipe = read_finetune_recipe({**values, **others}, where="test")
        return Finetuning.check(sophon.folder / "model", recipe)

    work = check()
    learner, table = work.learner()
    assert work.features.written == model.features.written
    assert table.dropped == {"heads.jet_label": 188 * 9}
    batch = next(iter(EvalLoader(jet_store, model.content(jet_store), rows=np.arange(9), batch_size=9)))
    with torch.no_grad():
        before, after = (network.eval().features(batch) for network in (model.network, learner.network))
    assert torch.equal(before.pooled_BD, after.pooled_BD)
    with pytest.raises(IncompatibleError, match="features of the whole row that would tell the rest"):
        check(objective="masked")


def test_a_column_twice_and_names_that_are_taken(jetclass: Files) -> None:
    model = (
        jetclass.change("[part_d0, null]", "[part_charge, 1, 2]")
        .change("part_dz: np.tanh(part_dzval)", "part_dz: part_dzval")
        .convert()
    )
    assert model.features.names[11:14] == ("part_charge", "d0_error", "part_dz")


# -- what is refused


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("np.tanh(part_d0val)", "np.linalg.norm(part_d0val)", r"variable 'part_d0': .*is not understood"),
        ("np.tanh(part_d0val)", "__import__('os').system('true')", "'part_d0': .*is not understood"),
        ("np.tanh(part_d0val)", "[x for x in part_d0val]", "'part_d0': .*is not understood"),
        ("np.tanh(part_d0val)", "part_d0val.max()", "'part_d0': .*is not understood"),
        ("np.tanh(part_d0val)", "ak.sum(part_d0val)", "'part_d0': .*is not understood"),
        ("np.tanh(part_d0val)", "np.tanh(", "'part_d0': 'np.tanh\\(' is no expression"),
        ("np.tanh(part_d0val)", "np.tanh(part_d1val)", "'part_d0': what the branch 'part_d1val' holds"),
        ("np.tanh(part_d0val)", "np.tanh(part_d0)", "'part_d0' is made of itself"),
        ("np.tanh(part_d0val)", "9**9**9**9", "variable 'part_d0': cannot compute"),
        ("np.tanh(part_d0val)", "np.log(-1 - part_d0err)", "variable 'part_d0' has no value"),
        ("np.tanh(part_d0val)", "np.hypot(part_d0val)", "variable 'part_d0': cannot compute"),
        ("[part_d0, null]", "[part_d0, auto]", "its centre is measured .* give the \\*.auto.yaml"),
        ("[part_d0, null]", "[part_d0, a, 1]", "part_d0: centre: expected a number, got 'a'"),
        ("[part_d0, null]", "[part_d0, 0, 0]", "part_d0: scale 0"),
        ("[part_d0, null]", "[part_d0, 0, 1, 2, 1]", "part_d0: scale 1.0, clip from 2.0 to 1.0"),
        ("[part_d0, null]", "{part_d0: 1}", "expected \\[variable, centre"),
        ("method: manual", "method: auto, params: {a: 1}", "nothing is said of 'part_deta'"),
        ("pf_features:", "pf_other:", "there is no pf_features"),
        ("pf_features:", "sv_features: {length: 8, vars: [part_d0]}\n  pf_features:", "several sets"),
        ("length: 8\n", "length: 9\n", "the lengths differ"),
        ("length: 8\n", "length: many\n", "length: expected the number of constituents, got 'many'"),
        ("ak.ones_like(part_energy)", "part_energy > 1", "not 1 for each constituent"),
        ("[part_deta, null], [part_dphi", "[part_deta, 0, 2], [part_dphi", "part_deta is standardised"),
        ("[[part_deta, null]", "[[part_pt, null]", "part_pt is not among the features"),
        ("type: simple", "type: other", "labels: type: expected simple or custom"),
        ("value: [label_QCD, ", "value: [", "has 3 outputs, but 2 labels"),
        ("inputs:", "inputs_:", "inputs: expected keys and values, got missing"),
        ("    - [part_charge, null]\n", "", "reads 17 features, .* has 16 \\(part_pt_log"),
    ],
)
def test_preprocessing_files_that_cannot_be_read(
    before: str, after: str, message: str, jetclass: Files
) -> None:
    with pytest.raises(HepfmError, match=message):
        jetclass.change(before, after).convert()
    assert not (jetclass.folder / "model").exists()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("part_px / jet_pt * 500", "part_px / jet_pt * 400", "are not px, py, pz and energy"),
        ("[part_px_scale, null], ", "", "are not px, py, pz and energy"),
        ("[part_px_scale, null]", "[part_px_scale, 0, 2]", "part_px_scale is standardised"),
        ("pf_vectors", "pf_momenta", "there is no pf_vectors"),
        ("truth_label: jet_label", "truth_label: jet_label, mass: jet_sdmass", "classes and values together"),
    ],
)
def test_momenta_and_labels_that_cannot_be_read(before: str, after: str, message: str, sophon: Files) -> None:
    with pytest.raises(HepfmError, match=message):
        sophon.change(before, after).convert()


def test_a_doubling_of_doublings_is_refused(jetclass: Files) -> None:
    steps = "\n".join(f"  v{k}: v{k - 1} + v{k - 1}" for k in range(1, 60))
    jetclass.change("  part_d0: np.tanh(part_d0val)", f"  v0: part_d0val\n{steps}\n  part_d0: v59")
    with pytest.raises(ConfigError, match="too long to be written out"):
        jetclass.convert()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sophon", ["num_heads=4"], "options say num_heads=4, the checkpoint has 2"),
        ("sophon", ["num_hads=4"], "no option 'num_hads'; did you mean 'num_heads'"),
        ("sophon", ["num_heads"], "cannot read the option 'num_heads'"),
        ("sophon", ["num_heads=1+"], "cannot read the value of the option"),
        ("sophon", ["activation=relu"], "with activation='relu' is not read, only 'gelu'"),
        ("sophon", ["remove_self_pair=true"], "with remove_self_pair=True is not read"),
        ("sophon", ["block_params={'dropout': 0.3}"], "different rates of dropout"),
        ("sophon", ["fc_params=[(3, 0.1)]"], "hidden layers of \\[3\\], the checkpoint has \\[\\]"),
        ("jetclass", ["use_counts=false"], "with use_counts=False is not read"),
        ("jetclass", ["use_fusion=true"], "options say use_fusion=True, the checkpoint has False"),
        ("jetclass", ["conv_params=[(3, (6, 6))]"], "blocks of \\[\\(6, 6\\)\\], the checkpoint has"),
        ("jetclass", ["conv_params=16"], "conv_params=16 is not what weaver-core takes"),
    ],
)
def test_options_that_do_not_fit(name: str, options: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(HepfmError, match=message):
        files(tmp_path, name).convert(options=options)


def test_options_that_no_file_tells(sophon: Files, jetclass: Files) -> None:
    with pytest.raises(ConfigError, match=r"does not show use_pre_activation_pair .*give --network"):
        sophon.convert(network=None)
    with pytest.raises(ConfigError, match=r"does not show conv_params .*give --network"):
        jetclass.convert(network=None)
    jetclass.network = "def other(): pass"
    with pytest.raises(ConfigError, match="has no function get_model"):
        jetclass.convert()
    jetclass.network = "def get_model("
    with pytest.raises(ConfigError, match=r"cannot read .*network.py as a network file"):
        jetclass.convert()
    with pytest.raises(ConfigError, match="missing"):
        jetclass.convert(network=jetclass.folder / "absent.py")
    with pytest.raises(ConfigError, match="give --data"):
        jetclass.convert(data=None)


class Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return Path.touch, (self.path,)


def saved(folder: Path, value: object) -> Path:
    torch.save(value, folder / "network.pt")
    return folder / "network.pt"


def test_pickles_are_not_executed(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    with pytest.raises(ModelError, match="never done here"):
        read_checkpoint(saved(tmp_path, {"weight": Trap(trace)}))
    bare = tmp_path / "bare.pt"
    bare.write_bytes(pickle.dumps(Trap(trace)))
    with pytest.raises(ModelError, match="not a plain file of weights"):
        read_checkpoint(bare)
    assert not trace.exists()


def test_unreadable_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no checkpoint file"):
        read_checkpoint(tmp_path / "absent.pt")
    with pytest.raises(ModelError, match="is a directory"):
        read_checkpoint(tmp_path)
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(ModelError, match="not a plain file of weights"):
        read_checkpoint(tmp_path / "text.pt")
    path = saved(tmp_path, {"weight": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ModelError, match="not a plain file of weights"):
        read_checkpoint(path)
    with pytest.raises(ModelError, match="a dict with epoch: int"):
        read_checkpoint(saved(tmp_path, {"epoch": 3}))
    with pytest.raises(ModelError, match="got a list"):
        read_checkpoint(saved(tmp_path, [torch.zeros(1)]))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("sophon", {"cls_token": None}, "lacks cls_token"),
        ("sophon", {"blocks.0.fc1_g.weight": torch.zeros(1)}, "version 2 or 3"),
        ("sophon", {"surprise": torch.zeros(1)}, "surprise"),
        ("sophon", {"blocks.0.fc2.bias": None}, r"feedforward\.contract\.bias"),
        ("sophon", {"pair_embed.embed.0.weight": torch.zeros(6)}, "only pair features of four-momenta"),
        ("sophon", {"fc.0.bias": None}, "no last layer"),
        ("sophon", {"fc.0.w12.weight": torch.zeros(1)}, "fc.0.w12.weight is no linear layer"),
        ("jetclass", {"edge_convs.0.convs.0.weight": None}, "lacks edge_convs.0.convs.0.weight"),
        ("jetclass", {"edge_convs.0.bns.1.bias": None}, r"blocks\.0\.norms\.1\.bias"),
        ("jetclass", {"fc.1.weight": torch.zeros(3, 5, 1)}, "labels constituents"),
    ],
)
def test_other_networks_are_refused(name: str, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    given = files(tmp_path, name)
    for key, value in change.items():
        given.state.pop(f"mod.{key}", None)
        if value is not None:
            given.state[f"mod.{key}"] = value
    with pytest.raises(ModelError, match=message):
        given.convert()
    assert not (tmp_path / "model").exists()
