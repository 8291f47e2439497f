"""Model directories as subjects of a task, and what their provenance says of the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepfm.core.errors import ConfigError, ModelError
from hepfm.core.files import read_json
from hepfm.core.ragged import Array
from hepfm.data.manifest import MANIFEST
from hepfm.data.store import Store
from hepfm.inference.withhold import withhold as withheld
from hepfm.metrics.predictions import IntArray
from hepfm.models.directory import Model
from hepfm.models.folder import CONFIG
from hepfm.models.layer_vectors import layer_vectors
from hepfm.models.neutrinos import neutrino_solutions
from hepfm.models.scores import embed, score
from hepfm.models.segments import event_segments
from hepfm.tasks.baselines import FittedAnswer, trivial_answers
from hepfm.tasks.subject import GeneratedSubject, RowsWanted, Scorer, Subject
from hepfm.train.distributed import pick_device


def open_subject(
    path: str | Path, *, arm: str = "", device: str = "auto", withhold: Sequence[str] = ()
) -> Subject:
    """Open a model directory or a store of generated rows.

    Parameters
    ----------
    path
        The directory.
    arm
        What a comparison calls this way of training; made from the provenance when empty.
    device
        Where a model runs.
    withhold
        Groups of features that a model reads as zero.

    Raises
    ------
    ModelError
        When the directory is neither, or damaged.
    """
    folder = Path(path)
    if (folder / MANIFEST).is_file():
        if withhold:
            raise ConfigError(f"{folder} is a store of rows, not a model: nothing can be withheld from it")
        return GeneratedSubject(Store.open(folder), arm=arm)
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{folder} is neither a model directory nor a store of generated rows")
    return ModelSubject(folder, arm=arm, device=str(pick_device(device)), withhold=withhold)


@dataclass(frozen=True)
class ModelHead:
    """The head of a model that predicts one field.

    Attributes
    ----------
    model
        The loaded model.
    field
        Name of the field.
    device
        Where the model runs.
    drawing
        How solutions are drawn; of a head of solutions only.
    """

    model: Model
    field: str
    device: str
    drawing: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the columns of `score`; empty for numbers."""
        return self.model.classes.get(self.field, ())

    def score(self, store: Store, rows: IntArray) -> Any:
        """Return what `hepfm.models.scores.score` says of the field, or the solutions or segments."""
        level = self.model.outputs[self.field].head.cls.level
        if level == "solutions":
            return neutrino_solutions(self.model, store, rows=rows, device=self.device, **self.drawing)
        if level == "segment":
            return event_segments(self.model, store, rows=rows, device=self.device)
        return score(self.model, store, rows=rows, device=self.device)[self.field]


class ModelSubject(Subject):
    """A model directory."""

    def __init__(
        self, folder: Path, *, arm: str = "", device: str = "cpu", withhold: Sequence[str] = ()
    ) -> None:
        self.model = withheld(Model.load(folder), withhold)
        self.folder, self.device = folder, device
        fingerprint = str(read_json(folder / CONFIG, ModelError)["fingerprint"])
        facts = {**training_facts(self.model.provenance), "backbone": self.model.backbone.name, "arm": arm}
        facts["withheld"] = tuple(sorted({*facts.get("withheld", ()), *withhold}))
        super().__init__(fingerprint=fingerprint, path=str(folder), training=facts)

    def scorer(
        self,
        field: str,
        objective: Mapping[str, Any] | None = None,
        *,
        drawing: Mapping[str, Any] | None = None,
    ) -> Scorer:
        """Return the head of a field; raise `ModelError` when the model has none."""
        if field not in self.model.outputs:
            with_ = f" with the objective {_flow(objective)}" if objective else ""
            raise ModelError(
                f"the model at {self.folder} predicts {', '.join(self.model.outputs) or 'nothing'}, not "
                f"{field!r}; fine-tune it to the task first{with_}"
            )
        return ModelHead(self.model, field, self.device, drawing or {})

    def baselines(self, field: str) -> Sequence[FittedAnswer]:
        """Return the trivial answers of the provenance."""
        return trivial_answers(self.model.provenance, field)

    def layers(self, store: Store, rows: IntArray) -> dict[str, Array]:
        """Return a vector of each row from every layer."""
        return layer_vectors(self.model, store, rows=rows, device=self.device)

    def embed(self, store: Store, rows: IntArray) -> Array:
        """Return the summary vector of each row, shape (R, D)."""
        return embed(self.model, store, rows=rows, device=self.device)

    def generate(self, wanted: RowsWanted, options: Mapping[str, Any], *, output: Path) -> Store:
        """Write generated rows to a new store."""
        from hepfm.inference.generate import generate

        origin = {"classes": wanted.classes} if wanted.like is None else {"like": wanted.like}
        arguments = {**options, **origin, "n": wanted.n, "output": output, "device": self.device}
        return Store.open(generate(self.folder, **arguments))


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(one) for one in value) + "]"
    return str(value)


def training_facts(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return init, mode, budget, seed, parent, length of training and groups withheld; only what is known.

    A model that was not fine-tuned has seed and length only; one that was not trained by steps has no length.
    """
    config = provenance.get("config", {})
    facts: dict[str, Any] = {"seed": config.get("seed")}
    if config.get("verb") == "finetune":
        facts["init"] = config["init"]
        facts["mode"] = config["mode"]["name"]
        facts["budget"] = config["data"]["budget"]
        facts["withheld"] = tuple(config["data"].get("withhold", ()))
        facts["parent"] = str(config["model_sha256"])[:16]
    training = provenance.get("training", {})
    steps, rows = training.get("steps"), training.get("training_rows")
    if steps is not None and rows:
        facts |= {name: training[name] for name in ("steps", "best_step", "first_validation")}
        facts["updates_per_label"] = steps * training["batch_size"] / rows
    return facts
