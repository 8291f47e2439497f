"""``train.compile`` on a processor: another machine code of the same network."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from hepfm.train.pretrain import pretrain
from hepfm.train.run import read_metrics


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # those of torch's compiler are not about this package
def test_a_compiled_network_has_the_losses_of_the_plain_one(recipe: dict[str, Any], tmp_path: Path) -> None:
    losses = {}
    for name in ("false", "true"):
        options = [
            f"train.compile={name}",
            "train.steps=2",
            "train.log_every=1",
            "backbone.dropout=0",
            "backbone.width=16",
            "backbone.depth=1",
            "backbone.num_heads=2",
        ]
        result = pretrain(recipe, output=tmp_path / name, overrides=options)
        losses[name] = [line["loss"] for line in read_metrics(result.path / "metrics.jsonl", "train")]
    assert len(losses["true"]) == 2
    assert losses["true"] == pytest.approx(losses["false"], rel=1e-4)
