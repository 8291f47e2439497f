"""OmniJet-alpha's checkpoints become models with the same codes, decoded features and logits.

``omnijet_alpha.npz`` was made with the public code (github.com/uhh-pd-ml/omnijet_alpha at 1c8d442, vqtorch):
small networks with random weights, and what they make of some constituents.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from hepfm.cli.main import group
from hepfm.core.errors import ConfigError, ModelError
from hepfm.data.store import Store
from hepfm.inference.generate import generate
from hepfm.models.convert import convert
from hepfm.models.directory import Model

ORDER = [1, 2, 0]
"""deta, dphi, ln pT among pT, deta, dphi."""


@pytest.fixture(scope="module")
def arrays() -> dict[str, Tensor]:
    with np.load(Path(__file__).with_name("omnijet_alpha.npz")) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def state(arrays: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}/state/"
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def saved(path: Path, values: Any) -> Path:
    torch.save(values, path)
    return path


@pytest.mark.parametrize("kind", ["normformer", "mlp"])
def test_a_vqvae_gives_its_codes_and_decodes_them(
    kind: str, arrays: dict[str, Tensor], tmp_path: Path
) -> None:
    lightning = {"state_dict": {f"model.{key}": value for key, value in state(arrays, kind).items()}}
    convert("omnijet_alpha", checkpoint=saved(tmp_path / "vq.pt", lightning), output=tmp_path / "model")
    tokenizer = Model.load(tmp_path / "model").network.tokenizer
    assert tokenizer is not None
    mask, wanted = arrays["mask"].bool(), arrays[f"{kind}/ids"]
    with torch.no_grad():
        ids = tokenizer.eval().encode(arrays["x"][..., ORDER], mask)
        decoded = tokenizer.decode(ids)
    assert len(wanted[mask].unique()) > 5
    assert torch.equal(ids[mask], wanted[mask].long())
    torch.testing.assert_close(
        decoded[mask], arrays[f"{kind}/decoded"][..., ORDER][mask], rtol=1e-5, atol=1e-5
    )


def test_the_older_class_differs_in_names_only(
    arrays: dict[str, Tensor], tokenizer: Path, tmp_path: Path
) -> None:
    names = (
        ("input_projection", "encoder.project_in"),
        ("encoder_normformer", "encoder"),
        ("latent_projection_in", "encoder.project_out"),
        ("latent_projection_out", "decoder.project_in"),
        ("decoder_normformer", "decoder"),
        ("output_projection", "decoder.project_out"),
    )
    older = {}
    for key, value in state(arrays, "normformer").items():
        start, _, rest = key.partition(".")
        older[f"{dict(names).get(start, start)}.{rest}"] = value
    convert("omnijet_alpha", checkpoint=saved(tmp_path / "old.pt", older), output=tmp_path / "older")
    found, wanted = (Model.load(path).network.state_dict() for path in (tmp_path / "older", tokenizer))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(value, found[name]) for name, value in wanted.items())


@pytest.fixture
def tokenizer(arrays: dict[str, Tensor], tmp_path: Path) -> Path:
    path = saved(tmp_path / "vq.pt", state(arrays, "normformer"))
    convert("omnijet_alpha", checkpoint=path, output=tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def test_a_backbone_gives_its_logits_and_jets(
    arrays: dict[str, Tensor], tokenizer: Path, tmp_path: Path
) -> None:
    path = saved(tmp_path / "gpt.pt", state(arrays, "backbone"))
    command = [
        "convert",
        "omnijet_alpha",
        str(path),
        "--tokenizer",
        str(tokenizer),
        "-o",
        str(tmp_path / "m"),
    ]
    done = CliRunner().invoke(group, command)
    assert done.exit_code == 0, done.output
    network = Model.load(tmp_path / "m").network.eval()
    generator: Any = network.generator
    codes = arrays["backbone/ids"].long()
    start = generator.starts(torch.zeros(len(codes), dtype=torch.int64))[:, None]
    with torch.no_grad():
        batch = network.physical(torch.zeros(*codes.shape, 3), torch.ones(codes.shape, dtype=torch.bool))
        features = network.features(batch, codes_BN=codes, prefix_BKD=start, causal=True)
        logits = generator.linear(generator.before(features))
    torch.testing.assert_close(logits, arrays["backbone/logits"][..., 1:], rtol=1e-5, atol=1e-5)
    jets = Store.open(generate(tmp_path / "m", n=20, output=tmp_path / "jets"))
    assert len(jets) == 20


def test_other_files_and_sizes_are_refused(
    arrays: dict[str, Tensor], tokenizer: Path, tmp_path: Path
) -> None:
    backbone, vqvae = state(arrays, "backbone"), state(arrays, "normformer")
    more = torch.zeros(40, 16)
    cases: list[tuple[Any, Path | None, str]] = [
        (backbone, None, "convert its VQ-VAE first"),
        ({**backbone, "module.embedding_table.weight": more}, tokenizer, "38 codes, the tokenizer"),
        (
            {key: value for key, value in backbone.items() if "head" not in key},
            tokenizer,
            "no next-token head",
        ),
        ({**vqvae, "input_projection.weight": torch.zeros(16, 10)}, None, "reads 10 features"),
        ({key: value for key, value in vqvae.items() if "norm2" not in key}, None, "not of OmniJet-alpha's"),
        ({"weight": torch.zeros(2)}, None, "neither a VQ-VAE"),
        ([1, 2], None, "expected a state dict"),
    ]
    for number, (values, model, message) in enumerate(cases):
        path = saved(tmp_path / f"{number}.pt", values)
        with pytest.raises(ModelError, match=message):
            convert("omnijet_alpha", checkpoint=path, output=tmp_path / "out", tokenizer=model)
    with pytest.raises(ConfigError, match="takes no classes"):
        convert("omnijet_alpha", checkpoint=path, output=tmp_path / "out", classes=["QCD"])
    with pytest.raises(ConfigError, match="takes no tokenizer"):
        convert("weaver", checkpoint=path, output=tmp_path / "out", tokenizer=tokenizer)
    assert not (tmp_path / "out").exists()
