"""The choice of a learning rate looks at the weights that were kept."""

from __future__ import annotations

import json
from pathlib import Path

from hepfm.core.files import write_json
from hepfm.workflow.folder import RunFolder
from hepfm.workflow.selection import choose


def finetuned(path: Path, losses: list[float], best_step: int) -> RunFolder:
    """Write what a fine-tuning with early stopping leaves behind."""
    folder = RunFolder(path)
    folder.training.mkdir(parents=True)
    lines = [{"kind": "validation", "step": 5 * (i + 1), "loss": loss} for i, loss in enumerate(losses)]
    (folder.training / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    write_json(folder.training / "config.json", {"early_stopping": {"patience": 2, "min_delta": 0.1}})
    write_json(folder.training / "training.json", {"best_step": best_step})
    folder.finish({"seconds": 1.0, "threads": 1})
    return folder


def test_a_lower_loss_within_min_delta_is_not_that_of_the_kept_weights(tmp_path: Path) -> None:
    kept_worse = finetuned(tmp_path / "a", [1.0, 0.95, 0.93], best_step=5)
    kept_better = finetuned(tmp_path / "b", [1.2, 0.98], best_step=10)
    assert choose([kept_worse, kept_better]).path.name == "b"
