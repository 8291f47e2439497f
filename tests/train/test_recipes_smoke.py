"""Every built-in recipe trains in smoke mode on a store of its kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from hepfm.core.config import builtin_recipes
from hepfm.data.store import Store
from hepfm.models.check import check
from hepfm.train.finetune import finetune
from hepfm.train.pretrain import pretrain
from hepfm.train.run import read_metrics


def few_codes(name: str) -> list[str]:
    """Fewer codes than the small store has constituents."""
    return ["objective.tokenizer.codes=64"] if name.endswith("_tokenizer") else []


SHALLOW = {"j_jepa": ["backbone.depth=1", "backbone.width=64", "objective.predictor.depth=1"]}
"""Networks of a hundred million weights, which take a minute, are tried with fewer layers."""


@pytest.mark.parametrize("name", sorted(builtin_recipes("pretrain")))
def test_pretraining(name: str, jet_store: Store, shower_store: Store, tmp_path: Path) -> None:
    store = shower_store if name.startswith("omnijet_alpha_c") else jet_store
    overrides = [f"data.store={store.path}", "train.device=cpu", *few_codes(name), *SHALLOW.get(name, [])]
    if f"{name}_tokenizer" in builtin_recipes("pretrain"):
        model = pretrain(
            f"{name}_tokenizer",
            output=tmp_path / "tokenizer",
            overrides=[*overrides, *few_codes(f"{name}_tokenizer")],
            smoke=True,
        ).model_path
        overrides.append(f"tokenizer.model={model}")
    result = pretrain(name, output=tmp_path / "run", overrides=overrides, smoke=True)
    assert read_metrics(result.path / "metrics.jsonl", "train")[-1]["step"] == 6
    assert max(check(result.model_path).values()) < 1e-5


@pytest.mark.parametrize("name", sorted(builtin_recipes("finetune")))
def test_finetuning(name: str, tiny_run: Path, jet_store: Store, tmp_path: Path) -> None:
    overrides = [f"data.store={jet_store.path}", "data.budget=60", "train.device=cpu"]
    result = finetune(tiny_run / "model", name, output=tmp_path / "run", overrides=overrides, smoke=True)
    assert read_metrics(result.path / "metrics.jsonl", "validation")
    assert max(check(result.model_path).values()) < 1e-5
