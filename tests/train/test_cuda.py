"""Training on a CUDA device, where there is one."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from hepfm.train.pretrain import pretrain
from hepfm.train.run import read_metrics

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")


@pytest.mark.parametrize("options", [["train.precision=bfloat16"], ["train.compile=true"], []])
def test_training_on_cuda_lowers_the_loss(recipe: dict[str, Any], tmp_path: Path, options: list[str]) -> None:
    common = ["train.device=cuda", "train.steps=60", "backbone.dropout=0"]
    result = pretrain(recipe, output=tmp_path / "run", overrides=[*common, *options])
    losses = [line["loss"] for line in read_metrics(result.path / "metrics.jsonl", "train")]
    assert all(math.isfinite(loss) for loss in losses)
    assert sum(losses[-10:]) < sum(losses[:10])
