"""What pre-training and fine-tuning share: recipes, loaders, the run directory, the final model directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.core.config import load_recipe, merge, parse_override
from hepfm.core.errors import ConfigError
from hepfm.core.rng import numpy_generator
from hepfm.data.clustering import Subjets
from hepfm.data.content import Content
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureSet
from hepfm.data.groups import draw_whole, read_groups
from hepfm.data.loader import EvalLoader, TrainLoader
from hepfm.data.row_source import Rows, draw_rows
from hepfm.data.store import Store
from hepfm.data.targets import TargetSet
from hepfm.data.weights import weight_field
from hepfm.models.directory import Model
from hepfm.models.fixture import ROWS
from hepfm.train.distributed import World, first_process
from hepfm.train.fitting import ROWS as FITTING_ROWS
from hepfm.train.fitting import Constants, Fitting
from hepfm.train.recipe import TrainConfig
from hepfm.train.run import Length, RunDirectory, environment, read_metrics
from hepfm.train.watch import ROWS as WATCH_ROWS
from hepfm.train.watch import Watch

Recipe = str | Path | Mapping[str, Any]
"""A recipe's name, its file, or its values."""

SMOKE = (
    "train.steps=6",
    "train.batch_size=16",
    "train.accumulate=1",
    "train.log_every=2",
    "train.validate_every=3",
    "train.checkpoint_every=3",
    "train.validation_rows=64",
)
"""Overrides that shrink a run to seconds."""


_VALIDATION_BATCH = 128
_KEYS = ("kind", "step")


def read_recipe(recipe: Recipe, verb: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the values of a recipe with overrides applied."""
    if isinstance(recipe, str | Path):
        return load_recipe(recipe, verb, overrides)
    values = dict(recipe)
    for override in overrides:
        values = merge(values, parse_override(override))
    return values


def start_run(path: Path, *, recipe: Mapping[str, Any], config: Mapping[str, Any]) -> RunDirectory:
    """Make the run directory, in the first of several processes; the others wait for it."""
    if first_process():
        return RunDirectory.create(path, recipe=recipe, config=config)
    return RunDirectory(path)


def recipe_name(recipe: Recipe) -> str:
    """Return how error messages call a recipe."""
    return str(recipe) if isinstance(recipe, str | Path) else "recipe"


@dataclass(frozen=True)
class Loaders:
    """Makes the loaders of a run.

    Attributes
    ----------
    store, features, max_constituents
        What batches hold.
    weights
        The setting ``data.weights``.
    fields
        Label fields.
    targets
        Target sets.
    config
        The section ``train``.
    seed
        Of the order of rows.
    world
        This process among all; each gets its part of every batch.
    """

    store: Store
    features: FeatureSet
    max_constituents: int
    weights: str | None
    fields: tuple[str, ...]
    targets: tuple[TargetSet, ...]
    config: TrainConfig
    seed: int
    world: World
    context: ContextSet | None = None
    random_parts: bool = False
    """Whether the parts of a batch are random draws, not rows of similar length."""
    subjets: Subjets | None = None
    """What makes subjets of the constituents, once for each row."""
    members: int | None = None
    """Rows of one group that stand together in a part of a batch; None draws rows one by one."""

    @property
    def weight_field(self) -> str | None:
        """Field that weighs the rows, None for equal weights."""
        return weight_field(self.weights, self.store.schema)

    def train(self, rows: Rows) -> TrainLoader:
        """Return an endless loader of parts of batches of ``train.batch_size`` rows."""
        parts = self.world.size * self.config.accumulate
        if self.config.batch_size % parts:
            raise ConfigError(
                f"train.batch_size={self.config.batch_size} cannot be shared by {self.world.size} processes "
                f"with train.accumulate={self.config.accumulate}; choose a multiple of {parts}"
            )
        size = self.config.batch_size // parts
        if self.members is not None and self.members > size:
            raise ConfigError(
                f"data.members={self.members} rows of a group do not fit into the {size} rows of a part of a "
                "batch; raise train.batch_size or lower train.accumulate"
            )
        return TrainLoader(
            self.store,
            self._content(weights=self.weight_field),
            rows=rows,
            batch_size=size * self.world.size,
            members=self.members,
            seed=self.seed,
            rank=self.world.rank,
            world_size=self.world.size,
            batches_per_step=1 if self.random_parts else self.config.accumulate,
        )

    def validation(self, rows: Rows) -> EvalLoader | None:
        """Return a loader of ``train.validation_rows`` of the rows, a seeded draw; None without rows."""
        drawn = self._validation_rows(rows)
        if len(drawn) == 0:
            return None
        return self._each(
            drawn[self.world.rank :: self.world.size] if len(drawn) >= self.world.size else drawn,
            weights=self.weight_field,
        )

    def _validation_rows(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Return a draw of the rows: of whole groups where members of groups are trained on together."""
        limit, purpose = self.config.validation_rows, "validation.rows"
        if self.members is None or len(self.store.index(rows)) <= limit:
            return self._draw(rows, limit, purpose)
        index = np.asarray(self.store.index(rows))
        groups = read_groups(self.store, index)
        return index[draw_whole(groups, limit, numpy_generator(self.seed, purpose))]

    def watch(self, train: Rows, validation: Rows, *, label: str | None) -> Watch:
        """Return what is watched of the embedding; labels are compared where the data have classes."""

        def loader(rows: Rows, purpose: str) -> EvalLoader:
            content = replace(self._content(weights=None), labels=(label,) if label else (), targets=())
            drawn = self._draw(rows, WATCH_ROWS, purpose)
            return EvalLoader(self.store, content, rows=drawn, batch_size=_VALIDATION_BATCH)

        bank = loader(train, "watch.bank") if label else None
        return Watch(loader(validation, "watch.rows"), bank, label)

    def fitting(self, rows: Rows, *, constants: Constants) -> Fitting:
        """Return what is measured on the training rows before the first step, in every process alike.

        All rows count alike: centre and scale are units of the network's inputs, not estimates of anything.
        """
        sample = self._each(self._draw(rows, FITTING_ROWS, "fitting.rows"))
        return Fitting(sample, self.features, constants)

    def _draw(self, rows: Rows, limit: int, purpose: str) -> npt.NDArray[np.int64]:
        return draw_rows(self.store.index(rows), limit, numpy_generator(self.seed, purpose))

    def _each(self, rows: npt.NDArray[np.int64], *, weights: str | None = None) -> EvalLoader:
        return EvalLoader(self.store, self._content(weights=weights), rows=rows, batch_size=_VALIDATION_BATCH)

    def _content(self, *, weights: str | None) -> Content:
        return Content(
            self.features,
            self.fields,
            weights,
            self.max_constituents,
            self.context,
            self.subjets,
            self.targets,
        )


def data_facts(store: Store, rows: int, *, weights: str | None) -> dict[str, Any]:
    """Return the provenance of training data; `weights` is the setting ``data.weights``."""
    facts = {
        "store_fingerprint": store.fingerprint,
        "rows": rows,
        "weights": weight_field(weights, store.schema) or "none: all rows alike",
        "classes": ", ".join(store.schema.label_classes),
    }
    return {**facts, **{f"data_{name}": value for name, value in store.manifest.provenance.items()}}


@dataclass(frozen=True)
class Finished:
    """A finished training, as the provenance of a model tells of it.

    Attributes
    ----------
    path
        Where the model directory is written.
    config
        The resolved config, paths of data left out.
    metrics
        Numbers of the validation of the weights that are kept.
    step, length
        The step of these weights, and how long the training was.
    facts
        Further facts for the card.
    """

    path: Path
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    step: int
    length: Length
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, run: RunDirectory, step: int, length: Length) -> Finished:
        """Return what a run directory with one model says."""
        return cls(run.model, run.config(), validation_metrics(run, step), step, length)


def save_model(
    model: Model,
    *,
    store: Store,
    rows: Rows,
    finished: Finished,
    facts: Mapping[str, Any],
    baselines: Mapping[str, Any],
) -> None:
    """Write the model directory of a finished run, with a fixture from the training rows.

    Parameters
    ----------
    model
        The model; its provenance, metrics and fixture are set here.
    store, rows
        What it was trained on.
    finished
        The training.
    facts
        Facts of it for the card.
    baselines
        What `hepfm.train.row_baseline.fit_baselines` gives, for the provenance.
    """
    config = finished.config
    index = store.index(rows)
    fixture = EvalLoader(store, model.content(store), rows=index[:ROWS], batch_size=ROWS)
    model.fixture = next(iter(fixture))
    model.metrics = dict(finished.metrics)
    model.provenance = {
        "data": data_facts(store, len(index), weights=config["data"]["weights"]),
        "training": {
            **facts,
            **finished.facts,
            "step": finished.step,
            **finished.length.to_dict(),
            "seed": config["seed"],
            "fingerprint": config["fingerprint"],
        },
        "config": {**config, "data": {key: value for key, value in config["data"].items() if key != "store"}},
        "environment": environment(),
        "baselines": dict(baselines),
    }
    model.save(finished.path)


def validation_metrics(run: RunDirectory, step: int) -> dict[str, float]:
    """Return the numbers of the validation at a step; nothing where there was none."""
    lines = [line for line in read_metrics(run.metrics, "validation") if line["step"] == step]
    return {
        f"validation_{name}": value for line in lines for name, value in line.items() if name not in _KEYS
    }
