"""A network on whole rows, with their constituents: from scratch, or a foundation model that is adapted.

It is trained by the package's own loop, as any fine-tuning is: with every backbone, mode and optimizer. Of
events of several rows, such as pairs of jets, it sees one row at a time: ln of the ratio of an event is the
sum over its rows, which is right as far as these are independent of each other within each sample.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pydantic

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import Component, ComponentOf, Config
from hepfm.core.errors import DivergedError
from hepfm.core.ragged import Columns
from hepfm.core.schema import Schema
from hepfm.data import context_set, feature_set
from hepfm.data.row_source import Index, RowSource
from hepfm.data.targets import RATIO_SAMPLE
from hepfm.heads import HEADS
from hepfm.methods.ratio.base import Floats, Ratio, RatioEstimator, TwoWeights
from hepfm.methods.ratio.source_rows import SourceRows, with_weights, write_training_store
from hepfm.models.device import pick_device
from hepfm.models.directory import Model
from hepfm.models.over_rows import over_rows
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives.compatibility import check_compatible
from hepfm.objectives.density_ratio import log_ratio
from hepfm.train.finetune import finetune
from hepfm.train.optimizers import OPTIMIZERS
from hepfm.train.recipe import TrainConfig, read_finetune_recipe
from hepfm.train.run import RunDirectory, RunResult, read_metrics
from hepfm.train.strategies import STRATEGIES

KEEP = "keep"
"""Setting of the context that keeps a model's own."""
_FORWARD = 1 / 3
"""Share of the forward pass in the time of a training step, whose backward pass costs twice as much."""


class RatioTraining(TrainConfig):
    """Section ``train`` of a recipe, with other defaults: for a density ratio of some ten thousand rows."""

    steps: int = pydantic.Field(2000, ge=1)
    batch_size: int = pydantic.Field(256, ge=1)
    accumulate: int = pydantic.Field(1, ge=1)
    optimizer: Annotated[Component, ComponentOf(OPTIMIZERS, default="adamw")] = pydantic.Field(
        {"name": "adamw", "lr": 5e-4}, validate_default=True
    )
    validate_every: int = pydantic.Field(100, ge=1)


class NetworkConfig(Config):
    """Options of `RatioNetwork`.

    Attributes
    ----------
    model
        Model directory, run, or ``hf://owner/name``, that is adapted; null for an untrained network.
    backbone, features
        Of an untrained network: component spec and feature set.
    context
        What the network is conditioned on of whole rows: ``keep`` takes what the model is, null nothing; of
        an untrained network a context set.
    max_constituents
        Rows with more keep the leading ones; null for as many as the model reads, 128 of an untrained one.
    withhold
        Groups of features that the network reads as zero, e.g. ``displacement`` at particle level.
    init
        ``pretrained`` starts from the model's weights, ``scratch`` from random ones.
    mode
        Which weights are trained: component spec of ``full``, ``frozen`` or ``lora``.
    head
        Component spec of the head, which is new.
    train
        Length, optimizer, device and cadence of the training.
    patience
        Validations without a better loss after which training ends. The best weights are kept.
    validation_fraction
        Part of the rows of each fit that is set aside.
    """

    model: str | None = None
    backbone: Annotated[Component, ComponentOf(BACKBONES)] | None = None
    features: str | None = None
    context: str | None = KEEP
    max_constituents: pydantic.PositiveInt | None = None
    withhold: tuple[str, ...] = ()
    init: Literal["pretrained", "scratch"] = "pretrained"
    mode: Annotated[Component, ComponentOf(STRATEGIES, default="full")] = pydantic.Field(
        "full", validate_default=True
    )
    head: Annotated[Component, ComponentOf(HEADS, default="classify")] = pydantic.Field(
        "classify", validate_default=True
    )
    train: RatioTraining = pydantic.Field(default_factory=lambda: RatioTraining.model_validate({}))
    patience: pydantic.PositiveInt = 5
    validation_fraction: float = pydantic.Field(0.2, gt=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _check(self) -> NetworkConfig:
        made = self.backbone is not None, self.features is not None
        if self.model is None and not all(made):
            raise ValueError(
                "give model, a model directory, or backbone and features of an untrained network"
            )
        if self.model is not None and any(made):
            raise ValueError("backbone and features are those of the model; give either it or these")
        if self.model is not None and self.context not in (KEEP, None):
            raise ValueError("the context is that of the model: keep, or null")
        if self.model is None and self.mode.name != "full":
            raise ValueError(f"mode {self.mode.name} leaves random weights untrained; use full")
        if not self.mode.cls.by_steps:
            raise ValueError(f"mode {self.mode.name} fits classes of rows; use full, frozen or lora")
        if self.train.shard:
            raise ValueError("a density ratio is learned in one process; set train.shard to false")
        return self


@dataclass(frozen=True)
class NetworkRatio(Ratio[SourceRows]):
    """An adapted network.

    Attributes
    ----------
    model
        The network with all that is needed to use it; `Model.save` keeps it.
    device
        Where it runs: ``auto``, ``cpu`` or ``cuda``.
    """

    model: Model
    device: str = "auto"
    facts: Mapping[str, Any] = field(default_factory=dict)

    def log_ratio(self, x: SourceRows) -> Floats:
        """Return the difference of both outputs, summed over the rows of an event; see `Ratio.log_ratio`."""
        head, logs = self.model.network.heads[RATIO_SAMPLE.name], np.empty(len(x))

        def work(batch: Batch) -> Columns:
            features = self.model.network.features(batch)
            said = head(features, features.token_mask(batch.mask_BN))
            return {RATIO_SAMPLE.name: log_ratio(said).cpu().numpy()}

        for source, places, rows in x.by_source():
            columns = over_rows(work, self.model, source, rows=rows.ravel(), device=pick_device(self.device))
            logs[places] = np.asarray(columns[RATIO_SAMPLE.name], np.float64).reshape(rows.shape).sum(axis=1)
        return logs


class RatioNetwork(RatioEstimator[SourceRows]):
    """Any backbone on all that a feature set reads of the rows; negative weights subtract.

    A fit is a fine-tuning with the objective ``density_ratio``. It writes the rows with both weights into a
    temporary store, in the folder that the environment variable ``TMPDIR`` names. All rows of an event have
    its weights, and are in the same part of training and validation.
    """

    Config: ClassVar[type[Config]] = NetworkConfig
    warm = True
    of_parts = True
    models = ("model",)
    config: NetworkConfig

    def check(self, schema: Schema) -> None:
        """Refuse rows that the model cannot read; see `RatioEstimator.check`."""
        model = self._model(schema)
        model.features_for(schema, where="the data")
        recipe = read_finetune_recipe(self._recipe("", seed=0), where="estimator network")
        check_compatible(recipe.objective, model.backbone, with_weights(schema), model.network.grouping_spec)

    def read(self, source: RowSource, rows: Index) -> SourceRows:
        """Return which rows of what, (R,) or (R, P); they are read when they are needed."""
        return SourceRows.of(source, rows)

    def join(self, parts: Sequence[SourceRows]) -> SourceRows:
        """Return rows one behind the other."""
        return SourceRows.joined(parts)

    def take(self, x: SourceRows, places: npt.NDArray[np.int64]) -> SourceRows:
        """Return some of the rows."""
        return x.take(places)

    def work(self, rows: int, *, scored: int) -> float:
        """Return the rows of all steps; those that are only looked at count a third. See
        `RatioEstimator.work`."""
        train = self.config.train
        validated = min(round(self.config.validation_fraction * rows), train.validation_rows)
        looked_at = scored + validated * (train.steps // train.validate_every)
        return train.steps * train.batch_size + _FORWARD * looked_at

    def fit(
        self, x: SourceRows, weights: TwoWeights, *, seed: int, start: Ratio[SourceRows] | None = None
    ) -> NetworkRatio:
        """Fine-tune to the best validation loss; see `RatioEstimator.fit`."""
        before = start.model if isinstance(start, NetworkRatio) else None
        model = _for_all(before or self._model(x.sources[0].schema), x)
        with tempfile.TemporaryDirectory(prefix="hepfm-ratio-") as temporary:
            folder = Path(temporary)
            store = write_training_store(folder / "store", x, weights, _columns(model, x))
            model.save(folder / "start")
            result = _finetuned(folder, self._recipe(str(store.path), seed=seed, goes_on=before is not None))
            return NetworkRatio(Model.load(result.model_path), self.config.train.device, _facts(result))

    def _model(self, schema: Schema) -> Model:
        """Return the model before it is adapted, with random weights where it was not trained before."""
        config = self.config
        model = self._given if config.model is not None else self._untrained(schema)
        model = model.without(config.withhold)
        if config.max_constituents is not None:
            model = replace(model, max_constituents=config.max_constituents)
        return model

    @cached_property
    def _given(self) -> Model:
        assert self.config.model is not None
        model = Model.load(self.config.model)
        return model if self.config.context == KEEP else replace(model, context=None)

    def _untrained(self, schema: Schema) -> Model:
        """Return a network without heads; fine-tuning from scratch draws its weights by the seed of the
        fit."""
        config = self.config
        assert config.backbone is not None
        assert config.features is not None
        features = feature_set(config.features)
        context = context_set(config.context) if config.context not in (KEEP, None) else None
        with seeded_init(0, "ratio.untrained"):
            network = build_network(config.backbone, features, context=context)
        return Model(network, config.backbone, features, schema, context=context)

    def _recipe(self, store: str, *, seed: int, goes_on: bool = False) -> dict[str, Any]:
        """Return the recipe of a fine-tuning, whose model has the options of these before already."""
        config = self.config
        untrained = config.model is None or config.init == "scratch"
        return {
            "data": {
                "store": store,
                "validation_fraction": config.validation_fraction,
                "weights": None,
                "context": "off" if config.context is None else "keep",
            },
            "init": "scratch" if untrained and not goes_on else "pretrained",
            "head": "keep" if goes_on else "new",
            "mode": config.mode.spec(),
            "objective": {"name": "density_ratio", "head": config.head.spec()},
            "train": config.train.model_dump(mode="json"),
            "early_stopping": {"patience": config.patience},
            "seed": seed,
        }


def _for_all(model: Model, x: SourceRows) -> Model:
    """Return the model that reads of no row what it can do without and one of the sources lacks."""
    for source in x.sources:
        model = replace(model, absent=tuple(sorted(model.features_of(source).absent)))
    return model


def _columns(model: Model, x: SourceRows) -> list[str]:
    """Return the fields that the model reads, and those of four-momenta where all sources have them."""
    features = model.known_features
    momenta = all(features.has_momenta(source.schema) for source in x.sources)
    names = (
        features.entries,
        *features.columns,
        *(features.momentum_columns if momenta else ()),
        *(model.context.columns if model.context else ()),
    )
    return list(dict.fromkeys(names))


def _finetuned(folder: Path, recipe: Mapping[str, Any]) -> RunResult:
    try:
        return finetune(folder / "start", recipe, output=folder / "run")
    except DivergedError as error:
        what = str(error).split(". ")[0]  # the rest names files that are removed
        raise DivergedError(
            f"the network of a density ratio: {what}; lower train.optimizer.lr, set train.clip, and look at "
            "the weights: large ones of both signs have no lowest loss"
        ) from None


def _facts(result: RunResult) -> dict[str, Any]:
    """Return what is told of a finished training."""
    run = RunDirectory(result.path)
    losses = [float(line["loss"]) for line in read_metrics(run.metrics, "validation")]
    training = Model.load(result.model_path).provenance["training"]
    return {
        "steps": training["steps"],
        "best_step": training["best_step"],
        "validation_loss": min(losses),
        "validation_losses": losses,
    }
