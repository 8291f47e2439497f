"""Exported files compute what torch computes, for every component of the registries; the rest is refused."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from export_cases import LIMIT, Case, capture_once, cases, contexts, heads_of, ways
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.backbones.base import Features
from hepfm.cli.export import command
from hepfm.core.batch import Batch
from hepfm.core.errors import ModelError
from hepfm.data import context_set, feature_set
from hepfm.heads.sum import Sum
from hepfm.models.directory import Model
from hepfm.models.export import export
from hepfm.models.fixture import TOLERANCE, random_batch
from hepfm.models.graphs import onnx_file
from hepfm.tokenizers import TOKENIZERS

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

CASES = tuple(cases())
PLAIN = Case("transformer", None, "features", None, ("classify",))


def save(case: Case, folder: Path, **options: Any) -> Path:
    case.build(**options).save(folder)
    return folder


def expected_outputs(model: Model, batch: Batch) -> list[np.ndarray]:
    with torch.no_grad():
        raw = model.network(batch)
    return [
        (raw[name].softmax(-1) if output.field.classes else raw[name]).numpy()
        for name, output in model.outputs.items()
    ]


def tensors_of(batch: Batch) -> dict[str, Tensor | None]:
    return {
        "features": batch.features_BNF,
        "mask": batch.mask_BN,
        "p4": batch.p4_BN4,
        "context": batch.context_BC,
    }


def feed(batch: Batch, session: Any) -> dict[str, np.ndarray]:
    return {entry.name: tensors_of(batch)[entry.name].numpy() for entry in session.get_inputs()}


def pad(batch: Batch, extra: int) -> Batch:
    def longer(x: Tensor | None) -> Tensor | None:
        return x if x is None else torch.nn.functional.pad(x, (0, 0, 0, extra))

    mask_BN = torch.nn.functional.pad(batch.mask_BN, (0, extra))
    return replace(
        batch, features_BNF=longer(batch.features_BNF), mask_BN=mask_BN, p4_BN4=longer(batch.p4_BN4)
    )


def rows(case: Case, lengths: list[int], seed: int) -> Batch:
    context = context_set(case.context) if case.context else None
    return random_batch(feature_set("pet"), context=context, lengths=np.array(lengths), seed=seed)


def test_the_cases_pair_all_components() -> None:
    assert {case.backbone for case in CASES} == set(BACKBONES)
    for backbone in BACKBONES:
        own = [case for case in CASES if case.backbone == backbone]
        assert {case.context for case in own} == set(contexts(backbone))
        assert {head for case in own for head in case.heads} == set(heads_of(backbone))
        assert {case.inputs for case in own} == set(ways(backbone))
    with_codes = {(case.tokenizer, case.inputs) for case in CASES if case.tokenizer}
    assert with_codes == {(name, inputs) for name in TOKENIZERS for inputs in ("decoded", "codes")}


def coincident(batch: Batch) -> Batch:
    """Return rows in which constituents have the features of others."""
    twice_N = torch.arange(batch.mask_BN.shape[1]) // 3 * 3
    return replace(batch, features_BNF=batch.features_BNF[:, twice_N] * batch.mask_BN[..., None])


@pytest.mark.parametrize("case", [pytest.param(case, id=str(case)) for case in CASES])
def test_files_are_torch(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of 1 to the limit and none at all, padded to any length, in batches of any size.

    Equal tokens are decoded to equal momenta: the logarithm of the mass of such a pair must not be that of a
    rounding error. Measured momenta never coincide.
    """
    capture_once(monkeypatch)
    model = Model.load(save(case, tmp_path / "model"))
    batches = (
        rows(case, [1], 1),
        rows(case, list(range(LIMIT + 1)), 2),
        pad(rows(case, [0, LIMIT, 3], 3), 5),
        pad(rows(case, [2, 1], 4), 30),
        *([coincident(rows(case, [LIMIT, LIMIT, 6], 5))] if case.inputs == "decoded" else []),
    )
    for ending in (".onnx", ".pt"):
        file = tmp_path / f"model{ending}"
        done = export(tmp_path / "model", output=file)
        assert done.differences.keys() == model.outputs.keys()
        run, inputs = opened(file)
        assert ("context" in inputs) == (case.context is not None)
        for batch in batches:
            found = run([tensors_of(batch)[name] for name in inputs])
            for ours, theirs in zip(expected_outputs(model, batch), found, strict=True):
                # Sums in another order, through a dozen layers in single precision.
                np.testing.assert_allclose(theirs, ours, atol=TOLERANCE, rtol=TOLERANCE)


def opened(file: Path) -> tuple[Callable[[list[Tensor]], list[np.ndarray]], list[str]]:
    """Return what runs a file, and the names of its inputs by its own words."""
    if file.suffix == ".onnx":
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        names = [entry.name for entry in session.get_inputs()]
        words = json.loads(session.get_modelmeta().custom_metadata_map["hepfm"])
        assert list(words["inputs"]) == names
        return lambda given: session.run(
            None, {name: tensor.numpy() for name, tensor in zip(names, given, strict=True)}
        ), names
    extra = {"hepfm.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(file, _extra_files=extra)
    return lambda given: [tensor.detach().numpy() for tensor in module(*given)], list(
        json.loads(extra["hepfm.json"])["inputs"]
    )


@dataclass(frozen=True)
class Exported:
    """A model directory and its ONNX file."""

    model: Path
    file: Path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A plain model whose data had no impact parameters, exported by the command line."""
    folder = tmp_path_factory.mktemp("onnx")
    save(PLAIN, folder / "model", absent=("displacement",), features="petfull")
    arguments = ["export", str(folder / "model"), "-o", str(folder / "model.onnx")]
    done = CliRunner().invoke(command, arguments[1:])
    assert done.exit_code == 0, done.output
    return Exported(folder / "model", folder / "model.onnx")


def test_the_metadata_says_what_goes_in_and_out(exported: Exported) -> None:
    session = onnxruntime.InferenceSession(exported.file, providers=["CPUExecutionProvider"])
    words = json.loads(session.get_modelmeta().custom_metadata_map["hepfm"])
    features = words["inputs"]["features"]
    assert features["columns"] == list(feature_set("petfull").names)
    assert features["shape"] == ["batch", "constituents", len(features["columns"])]
    assert "GeV" in features["units"]
    assert words["outputs"] == {
        "label_of_classify": {
            "shape": ["batch", 3],
            "values": "probabilities",
            "columns": ["QCD", "Tbqq", "Hbb"],
        }
    }
    assert words["max_constituents"] == LIMIT
    assert words["read_as_zero"] == ["tanh_d0", "d0_error", "tanh_dz", "dz_error"]
    assert [entry.name for entry in session.get_inputs()] == ["features", "mask"]


def test_features_that_training_lacked_are_read_as_zero(exported: Exported) -> None:
    session = onnxruntime.InferenceSession(exported.file, providers=["CPUExecutionProvider"])
    batch = random_batch(feature_set("petfull"), rows=5, seed=1)
    other = batch.features_BNF.clone()
    other[..., -4:] = 7.0
    (found,) = session.run(None, feed(batch, session))
    (changed,) = session.run(None, feed(replace(batch, features_BNF=other), session))
    np.testing.assert_array_equal(changed, found)


def test_a_file_that_computes_something_else_is_not_kept(
    tmp_path: Path, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exporter is replaced by one that writes the file of other weights."""
    model = save(PLAIN, tmp_path / "model", seed=1, features="petfull")
    other = exported.file.read_bytes()
    monkeypatch.setattr(onnx_file, "write", lambda _, __, path: path.write_bytes(other))
    with pytest.raises(ModelError, match="differs from torch"):
        export(model, output=tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def refusal(model: Path, output: Path) -> str:
    """Return the one line with which the command line refuses to export."""
    done = CliRunner().invoke(command, [str(model), "-o", str(output)])
    assert done.exit_code == 2, done.output
    assert not output.exists()
    assert "Traceback" not in done.output
    (line,) = done.output.strip().splitlines()
    return line


def test_what_torch_cannot_export_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Host(Sum):
        def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
            host = torch.from_numpy(features.tokens_BND.detach().numpy() * 2.0)
            return super().forward(Features(host), mask_BN)

    model = save(replace(PLAIN, heads=("sum",)), tmp_path / "model")
    monkeypatch.setattr("hepfm.heads.sum.Sum.forward", Host.forward)
    assert "head sum) cannot be written as TorchScript" in refusal(model, tmp_path / "model.pt")
    line = refusal(model, tmp_path / "model.onnx")
    assert "backbone transformer, head sum) cannot be written as ONNX" in line
    assert f"hepfm predict {model}" in line


def test_a_size_that_is_fixed_in_the_graph_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fixed(self: Sum, features: Features, mask_BN: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.each(features.tokens_BND).sum(1))
        return logits + torch.ones(len(mask_BN))[:, None]

    model = save(replace(PLAIN, heads=("sum",)), tmp_path / "model")
    monkeypatch.setattr("hepfm.heads.sum.Sum.forward", fixed)
    assert "cannot be written as TorchScript" in refusal(model, tmp_path / "model.pt")


def test_a_tokenizer_alone_is_refused(tmp_path: Path) -> None:
    model = save(Case("none", None, "features", "kmeans", ()), tmp_path / "model")
    assert "choose --part encode or --part decode" in refusal(model, tmp_path / "model.onnx")


def test_a_model_without_heads_is_refused(tmp_path: Path) -> None:
    line = refusal(save(replace(PLAIN, heads=()), tmp_path / "model"), tmp_path / "model.onnx")
    assert f"hepfm finetune {tmp_path / 'model'} RECIPE" in line
