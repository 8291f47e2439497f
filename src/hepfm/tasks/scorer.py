"""A model directory as a scorer: its class probabilities, and what its provenance says of the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepfm.core.errors import ModelError
from hepfm.core.files import read_json
from hepfm.core.ragged import Array
from hepfm.data.store import Store
from hepfm.metrics.predictions import IntArray
from hepfm.models.directory import Model
from hepfm.models.folder import CONFIG
from hepfm.train.distributed import pick_device


@dataclass(frozen=True)
class ModelScorer:
    """The head of a model that predicts a task's label.

    Attributes
    ----------
    model
        The loaded model.
    label
        Name of the field that the head predicts.
    fingerprint
        Of the model directory.
    arm
        Name of the way of training; empty for one made from provenance.
    device
        Where the model runs.
    """

    model: Model
    label: str
    fingerprint: str
    arm: str = ""
    device: str = "cpu"

    @classmethod
    def load(cls, path: Path, *, label: str, arm: str = "", device: str = "cpu") -> ModelScorer:
        """Load a model directory; raise `ModelError` when it has no head that predicts classes of `label`."""
        model = Model.load(path)
        if label not in model.classes:
            raise ModelError(
                f"the model at {path} predicts {', '.join(model.classes) or 'no classes'}, not {label!r}; "
                "fine-tune it to the task first"
            )
        fingerprint = str(read_json(path / CONFIG, ModelError)["fingerprint"])
        return cls(model, label, fingerprint, arm, str(pick_device(device)))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the columns of `score`."""
        return self.model.classes[self.label]

    @property
    def training(self) -> dict[str, Any]:
        """Values of `hepfm.tasks.result.Training`."""
        return {
            **training_facts(self.model.provenance),
            "backbone": self.model.backbone.name,
            "arm": self.arm,
        }

    def score(self, store: Store, rows: IntArray) -> Array:
        """Return class probabilities of the given rows in their order, shape (len(rows), K)."""
        return self.model.predict(store, rows=rows, device=self.device)[self.label]


def training_facts(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return init, mode, budget, seed, parent and length of training of a provenance; only what it says.

    A model that was not fine-tuned has seed and length only, and one that was not trained by steps no length.
    """
    config = provenance.get("config", {})
    facts: dict[str, Any] = {"seed": config.get("seed")}
    if config.get("verb") == "finetune":
        facts["init"] = config["init"]
        facts["mode"] = config["mode"]["name"]
        facts["budget"] = config["data"]["budget"]
        facts["parent"] = str(config["model_sha256"])[:16]
    training = provenance.get("training", {})
    steps, rows = training.get("steps"), training.get("training_rows")
    if steps is not None and rows:
        facts |= {name: training[name] for name in ("steps", "best_step", "first_validation")}
        facts["updates_per_label"] = steps * training["batch_size"] / rows
    return facts
