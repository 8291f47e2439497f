"""Exported tokenizers, embeddings and generators make what the package makes, of the same random numbers."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from export_cases import LIMIT, Case, capture_once, component

from hepfm.cli.export import command
from hepfm.core.errors import ConfigError, HepfmError, ModelError
from hepfm.core.rng import torch_generator
from hepfm.generators import GENERATORS
from hepfm.generators.flow import draw_noise
from hepfm.models import export as export_module
from hepfm.models.directory import Model
from hepfm.models.export import FORMATS, TOLERANCE, export
from hepfm.models.fixture import random_batch
from hepfm.models.graphs.capture import quiet
from hepfm.networks.specs import GeneratorSpec

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

ENDINGS = [".onnx", ".pt"]
TOKENIZER = Case("none", None, "features", "vqvae", ())
CODES = Case("post_norm_transformer", None, "codes", "vqvae_mlp", ())
DECODED = Case("transformer", "jet", "decoded", "kmeans", ())
FLOW = Case("transformer", "jet", "features", None, ())


def generative(case: Case, name: str, folder: Path, *, fitted: bool = True, label: bool = True) -> Path:
    """Write a model with a generator of random weights."""
    model = case.build()
    field = model.schema["jet_label"] if label else None
    model.network.add_generator(GeneratorSpec(component(GENERATORS, name), field, LIMIT))
    if name == "flow":
        model.network.generator.sampler.fitted.fill_(fitted)
        torch.nn.init.normal_(model.network.generator.out[-1].weight, std=0.3)
    model.save(folder)
    return folder


def opened(file: Path) -> Any:
    kind = next(kind for kind in FORMATS.values() if file.suffix in kind.endings)
    return kind.session(file)


def test_a_tokenizer_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture_once(monkeypatch)
    model = TOKENIZER.build()
    model.save(tmp_path / "model")
    for ending in ENDINGS:
        _there_and_back(model, tmp_path, ending)


def _there_and_back(model: Model, tmp_path: Path, ending: str) -> None:
    encode, decode = tmp_path / f"encode{ending}", tmp_path / f"decode{ending}"
    assert export(tmp_path / "model", output=encode, part="encode").differences == {"codes": 0.0}
    assert export(tmp_path / "model", output=decode, part="decode").inputs == ("codes",)
    batch = random_batch(model.features, rows=6, seed=3)
    expected_BN = model.network.encode(batch)
    codes_BN = opened(encode).run({"features": batch.features_BNF, "mask": batch.mask_BN})["codes"]
    assert torch.equal(codes_BN, expected_BN)
    with torch.no_grad():
        features_BNF = model.network.standardize.inverse(model.network.decode(codes_BN), batch.mask_BN)
    found_BNF = opened(decode).run({"codes": codes_BN})["features"]
    assert torch.allclose(found_BNF, features_BNF, atol=TOLERANCE)
    assert opened(encode).words["outputs"]["codes"]["values"] == "0 to 15"


def test_the_embedding_is_that_of_the_model(tmp_path: Path) -> None:
    ending = ".pt"
    model = Case("particle_transformer", None, "features", None, ()).build()
    model.save(tmp_path / "model")
    export(tmp_path / "model", output=tmp_path / f"x{ending}", part="embed")
    batch = random_batch(model.features, rows=4, seed=5)
    inputs = {"features": batch.features_BNF, "mask": batch.mask_BN, "p4": batch.p4_BN4}
    found_BD = opened(tmp_path / f"x{ending}").run(inputs)["embedding"]
    with torch.no_grad():
        pooled_BD = model.network.features(batch).pooled_BD
    assert torch.allclose(found_BD, pooled_BD, atol=TOLERANCE)


@pytest.mark.parametrize(("case", "endings"), [(CODES, ENDINGS[1:]), (DECODED, ENDINGS)], ids=str)
def test_tokens_are_drawn_as_by_generate(
    tmp_path: Path, case: Case, endings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same uniform numbers give the same rows, with the options fixed in the file."""
    capture_once(monkeypatch)
    path = generative(case, "autoregressive", tmp_path / "model")
    model = Model.load(path)
    label_B = torch.arange(12) % 4
    context_BC = torch.rand(12, 4) + 1 if case.context else None
    options = model.network.generator.config.model_copy(update={"temperature": 1.5, "top_k": 9})
    made = model.network.generate(label_B, context_BC, torch_generator(9, "test"), options=options)
    uniform_BT = torch.rand(12, LIMIT, generator=torch_generator(9, "test"))
    inputs = {"uniform": uniform_BT, "label": label_B, "context": context_BC}
    expected_BNF = model.network.standardize.inverse_within(made.x_BNF, made.mask_BN)
    lengths_B = made.mask_BN.sum(1)
    assert lengths_B.min() < lengths_B.max(), "rows of several lengths"
    for ending in endings:
        done = export(path, output=tmp_path / f"x{ending}", temperature=1.5, top_k=9)
        assert done.part == "generate"
        found = opened(tmp_path / f"x{ending}").run(inputs)
        assert torch.equal((found["codes"] >= 0).sum(1), lengths_B)
        features_BNF = found["features"][:, : made.mask_BN.shape[1]]
        assert torch.allclose(features_BNF, expected_BNF, atol=TOLERANCE)


@pytest.mark.parametrize("solver", ["heun", "adams_bashforth"])
def test_a_flow_is_solved_as_by_generate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, solver: str
) -> None:
    """The kinematics, the number of constituents and the constituents, of the same random numbers."""
    capture_once(monkeypatch)
    path = generative(FLOW, "flow", tmp_path / "model")
    model = Model.load(path)
    options = model.network.generator.config.model_copy(update={"steps": 2, "solver": solver})
    label_B, draws = torch.arange(9) % 4, torch_generator(9, "test")
    made = model.network.generate(label_B, None, torch_generator(9, "test"), options=options)
    inputs: dict[str, Any] = {
        "label": label_B,
        "jet_noise": torch.randn(9, 3, generator=draws),
        "count_uniform": torch.rand(9, generator=draws),
        "noise": draw_noise(made.mask_BN, len(model.features), draws),
    }
    expected_BNF = model.network.standardize.inverse_within(made.x_BNF, made.mask_BN)
    assert float(expected_BNF.abs().max()) > 1
    for ending in ENDINGS:
        done = export(path, output=tmp_path / f"x{ending}", steps=2, solver=solver)
        session = opened(tmp_path / f"x{ending}")
        found = session.run(inputs)
        assert torch.allclose(found["features"], expected_BNF, atol=1e-3)
        assert torch.equal(found["mask"], made.mask_BN)
        assert torch.allclose(found["context"], made.context_BC, atol=1e-3)
        assert session.words["generator"]["steps"] == 2
        assert set(done.differences) == set(done.outputs) == {"features", "mask", "context"}


def test_a_flow_of_given_kinematics(tmp_path: Path) -> None:
    path = generative(FLOW, "flow", tmp_path / "model", fitted=False)
    model = Model.load(path)
    options = model.network.generator.config.model_copy(update={"steps": 1, "solver": "midpoint"})
    label_B = torch.arange(9) % 4
    lengths = label_B.numpy() + 2
    context_BC = random_batch(model.features, context=model.context, lengths=lengths).context_BC
    made = model.network.generate(label_B, context_BC, torch_generator(9, "test"), options=options)
    noise_BNF = draw_noise(made.mask_BN, len(model.features), torch_generator(9, "test"))
    export(path, output=tmp_path / "x.pt", part="generate_like", steps=1)
    found = opened(tmp_path / "x.pt").run(
        {"label": label_B, "context": context_BC, "mask": made.mask_BN, "noise": noise_BNF}
    )
    expected_BNF = model.network.standardize.inverse_within(made.x_BNF, made.mask_BN)
    assert torch.allclose(found["features"], expected_BNF, atol=1e-3)


def test_a_flow_without_context_or_classes(tmp_path: Path) -> None:
    case = Case("transformer", None, "features", None, ())
    path = generative(case, "flow", tmp_path / "model", label=False)
    done = export(path, output=tmp_path / "x.pt", steps=1, solver="euler")
    assert done.inputs == ("count_uniform", "noise")
    path = generative(case, "flow", tmp_path / "unfitted", fitted=False)
    with pytest.raises(ModelError, match="choose --part generate_like"):
        export(path, output=tmp_path / "y.pt")


def test_torchscript_runs_where_only_torch_is(tmp_path: Path) -> None:
    """In a Python of its own, in which hepfm cannot be imported, with other sizes and the words inside."""
    case = Case("particle_transformer", None, "features", None, ("classify",))
    model = case.build()
    model.save(tmp_path / "model")
    done = CliRunner().invoke(command, [str(tmp_path / "model"), "-o", str(tmp_path / "model.pt")])
    assert done.exit_code == 0, done.output
    batch = random_batch(model.features, rows=5, seed=1)
    with torch.no_grad():
        expected = model.network(batch)["label_of_classify"].softmax(-1)
    tensors = [batch.features_BNF, batch.mask_BN, batch.p4_BN4]
    torch.save({"inputs": tensors, "expected": expected}, tmp_path / "tensors.pt")
    code = textwrap.dedent(
        """
        import json, sys, warnings
        sys.modules["hepfm"] = None
        warnings.simplefilter("ignore")
        import torch
        extra = {"hepfm.json": ""}
        module = torch.jit.load("model.pt", _extra_files=extra)
        saved = torch.load("tensors.pt", weights_only=True)
        (found,) = module(*saved["inputs"])
        words = json.loads(extra["hepfm.json"])
        assert not any(name.split(".")[0] == "hepfm" and module for name, module in sys.modules.items())
        print(json.dumps([float((found - saved["expected"]).abs().max()), words]))
        """
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    apart, words = json.loads(answer.stdout)
    assert apart < 1e-5
    assert list(words["inputs"]) == ["features", "mask", "p4"]
    assert words["outputs"]["label_of_classify"]["columns"] == ["QCD", "Tbqq", "Hbb"]
    assert words["inputs"]["p4"]["units"] == "GeV"


def test_torchscript_makes_everything_on_the_device_of_its_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On torch's device without memory, which refuses to be mixed with others, as a GPU does."""
    # Numbers of real pairs are unknown there; all is as if every pair were real.
    monkeypatch.setattr(torch.fx.experimental._config, "meta_nonzero_assume_all_nonzero", True)
    case = Case("particle_transformer", None, "decoded", "fsq", ("classify",))
    case.build().save(tmp_path / "model")
    export(tmp_path / "model", output=tmp_path / "model.pt")
    with quiet():
        module = torch.jit.load(str(tmp_path / "model.pt"), map_location="meta")
    batch = random_batch(case.build().features, rows=5, seed=1).to("meta")
    (found,) = module(batch.features_BNF, batch.mask_BN)
    assert found.device.type == "meta"
    assert found.shape == (5, 3)


def refused(model: Path, output: Path, **options: Any) -> str:
    with pytest.raises(HepfmError) as caught:
        export(model, output=output, **options)
    assert not output.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_a_model_does_not_have_is_refused(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    Case("transformer", None, "features", None, ("classify",)).build().save(plain)
    tokenizer = tmp_path / "tokenizer"
    TOKENIZER.build().save(tokenizer)
    assert "has no tokenizer" in refused(plain, tmp_path / "x.pt", part="encode")
    assert "has no generator" in refused(plain, tmp_path / "x.pt", part="generate")
    assert "did you mean 'heads'" in refused(plain, tmp_path / "x.pt", part="head")
    assert "options of a generator" in refused(plain, tmp_path / "x.pt", steps=3)
    assert "embeds nothing" in refused(tokenizer, tmp_path / "x.pt", part="embed")
    assert "has no head" in refused(tokenizer, tmp_path / "x.pt", part="heads")
    codes = generative(CODES, "autoregressive", tmp_path / "codes")
    assert "token by token" in refused(codes, tmp_path / "x.pt", part="generate_like")
    assert "temperature" in refused(codes, tmp_path / "x.pt", temperature=-1)
    flow = generative(FLOW, "flow", tmp_path / "flow")
    assert "is trained and cannot be changed" in refused(flow, tmp_path / "x.pt", num_blocks=1)


def test_files_that_cannot_be_written_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    Case("transformer", None, "features", None, ("classify",)).build().save(model)
    assert "says its format: .onnx for ONNX, .pt for TorchScript" in refused(model, tmp_path / "x.pth")
    assert "has not the ending" in refused(model, tmp_path / "x.onnx", format="torchscript")
    assert "unknown format" in refused(model, tmp_path / "x.pt2", format="aoti")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(HepfmError, match="--overwrite"):
        export(model, output=tmp_path / "file", format="torchscript")
    refused(model, tmp_path / "file" / "x.pt")
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    (model / "config.json").write_text(json.dumps({**config, "format_version": 99}), encoding="utf-8")
    assert "upgrade hepfm" in refused(model, tmp_path / "x.pt")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "pip install 'hepfm[onnx]'" in refused(model, tmp_path / "x.onnx")


def test_a_file_without_ending_needs_a_format(tmp_path: Path) -> None:
    Case("transformer", None, "features", None, ("classify",)).build().save(tmp_path / "model")
    with pytest.raises(ConfigError, match="--format"):
        export(tmp_path / "model", output=tmp_path / "tagger")
    export(tmp_path / "model", output=tmp_path / "tagger", format="torchscript")
    assert (tmp_path / "tagger").is_file()


def test_a_torchscript_file_of_another_function_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Case("transformer", None, "features", None, ("classify",)).build().save(tmp_path / "model")
    monkeypatch.setattr(export_module, "TOLERANCE", -1.0)
    assert "differs from torch" in refused(tmp_path / "model", tmp_path / "x.pt")
