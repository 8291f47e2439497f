"""Recipes of training: a typed, frozen config per section, every mistake reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

from hepfm.backbones import BACKBONES
from hepfm.core.config import Component, ComponentOf, Config, validate
from hepfm.core.errors import ConfigError
from hepfm.data.weights import AUTO
from hepfm.embeddings import EMBEDDINGS
from hepfm.groupings import GROUPINGS
from hepfm.networks.specs import Inputs
from hepfm.objectives import OBJECTIVES
from hepfm.train.early_stopping import EarlyStoppingConfig
from hepfm.train.optimizers import OPTIMIZERS
from hepfm.train.schedules import SCHEDULES
from hepfm.train.strategies import STRATEGIES
from hepfm.train.trackers import TRACKERS


def chosen(name: str) -> Any:
    """Return the default of a field that is a component: the component of that name."""
    return pydantic.Field(name, validate_default=True)


class PretrainDataConfig(Config):
    """Section ``data`` of pre-training.

    Attributes
    ----------
    store
        Path of the store.
    features
        Feature set.
    max_constituents
        Rows with more keep the leading ones.
    train, validation
        Names of the splits; no validation when None.
    weights
        Field of the rows that weighs them in the loss, of training and of validation; ``auto`` takes the
        store's event weight where it has one, None means equal weights.
    rows
        Number of training rows, a seeded draw of the split, nested; None means all. With `members` whole
        groups are drawn, and there are at most so many rows.
    context
        Context set that the network is conditioned on; None for nothing.
    feature_dropout
        Probability with which a group of features (particle type, impact parameters) is set to zero for a
        row in training; above 0 the model can be used on data without these.
    members
        Rows of one group (re-simulations of one event, by the schema's role ``group``) that stand together in
        a batch, where a group has so many; None draws rows one by one.
    """

    store: str
    features: str = "full"
    max_constituents: int = pydantic.Field(128, ge=1)
    train: str = "train"
    validation: str | None = "val"
    weights: str | None = AUTO
    rows: int | None = pydantic.Field(None, ge=1)
    context: str | None = None
    feature_dropout: float = pydantic.Field(0.0, ge=0.0, lt=1.0)
    members: int | None = pydantic.Field(None, ge=2)


class FinetuneDataConfig(Config):
    """Section ``data`` of fine-tuning; features and limits come from the model.

    Attributes
    ----------
    store
        Path of the store.
    train
        Name of the split from which labels are taken. No other split is read.
    budget
        Number of labelled rows, validation part included, nested and class-balanced; None means all.
    validation_fraction
        Part of the budget that is set aside for validation and early stopping.
    weights
        Field of the rows that weighs them in the loss, of training and of validation; ``auto`` takes the
        store's event weight where it has one, None means equal weights.
    lacking
        Classes of the label that the training rows may lack. One that they lack is refused unless it is here;
        a label budget is balanced over the others.
    context
        Whether a network that was conditioned on the context of rows still is: ``"auto"`` keeps it where rows
        are generated and drops it elsewhere, because pt, mass and multiplicity of a jet answer a good part of
        a tagging task by themselves; ``"keep"``, ``"off"``.
    withhold
        Groups of features that the network reads as zero, in fine-tuning and ever after: ``identity`` (charge
        and particle type), ``displacement`` (impact parameters of tracks).
    """

    store: str
    train: str = "train"
    budget: int | None = pydantic.Field(None, ge=2)
    validation_fraction: float = pydantic.Field(0.2, ge=0.0, lt=1.0)
    weights: str | None = AUTO
    lacking: tuple[str, ...] = ()
    context: Literal["auto", "keep", "off"] = "auto"
    withhold: tuple[str, ...] = ()


class TrainConfig(Config):
    """Section ``train``.

    Attributes
    ----------
    steps
        Optimizer steps.
    batch_size
        Rows per optimizer step, over all processes and accumulated parts.
    accumulate
        Parts of a batch whose gradients are summed before a step. The batch is a random draw; its parts hold
        rows of similar length, so that little is padded.
    optimizer
        What takes the steps, with its peak learning rate.
    schedule
        How the learning rate changes over the steps.
    layer_decay
        Factor of the learning rate from one backbone layer to the one before it.
    head_factor
        Factor of the learning rate of what is new in fine-tuning (heads, generator, a conditioning that the
        model did not have, modules of the objective); in pre-training and from scratch, where all is new, of
        heads and generator.
    ema
        Decay of the averaged weights, which validation and the final model use; None means no average.
    clip
        Largest norm of the gradient; None means no clipping.
    precision
        ``"float32"``, or ``"bfloat16"`` for autocast.
    compile
        Whether to use ``torch.compile``.
    shard
        Whether the blocks of the backbone are split over the processes (FSDP2), each of which then holds a
        part of their weights, gradients and optimizer states; otherwise each holds all (DDP).
    device
        ``"auto"`` takes CUDA when there is one.
    log_every, validate_every, checkpoint_every
        Steps between lines of ``metrics.jsonl``, validations, checkpoints.
    validation_rows
        Most rows that a validation reads; a seeded draw of the split.
    trackers
        Names of trackers besides ``metrics.jsonl``.
    """

    steps: int = pydantic.Field(ge=1)
    batch_size: int = pydantic.Field(512, ge=1)
    accumulate: int = pydantic.Field(4, ge=1)
    optimizer: Annotated[Component, ComponentOf(OPTIMIZERS, default="adamw")] = chosen("adamw")
    schedule: Annotated[Component, ComponentOf(SCHEDULES, default="cosine")] = chosen("cosine")
    layer_decay: float = pydantic.Field(1.0, gt=0.0, le=1.0)
    head_factor: float = pydantic.Field(1.0, gt=0.0)
    ema: float | None = pydantic.Field(None, gt=0.0, lt=1.0)
    clip: float | None = pydantic.Field(1.0, gt=0.0)
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    shard: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    log_every: int = pydantic.Field(50, ge=1)
    validate_every: int = pydantic.Field(1000, ge=1)
    checkpoint_every: int = pydantic.Field(1000, ge=1)
    validation_rows: int = pydantic.Field(20_000, ge=1)
    trackers: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _check(self) -> TrainConfig:
        if self.shard and self.compile:
            raise ValueError("shard=true and compile=true do not go together; set one of them to false")
        return self

    @pydantic.field_validator("trackers")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            try:
                TRACKERS.load(name)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return names


class SeedsConfig(Config):
    """Section ``seeds``: seeds of single purposes, where they are not to be that of the recipe.

    Attributes
    ----------
    init
        Of new weights.
    order
        Of the order of rows, of noise, masks and dropout.
    subset
        Of the draw of training rows or of the label budget, its validation part included.
    """

    init: int | None = pydantic.Field(None, ge=0)
    order: int | None = pydantic.Field(None, ge=0)
    subset: int | None = pydantic.Field(None, ge=0)


class Seeded(Config):
    """What both recipes say of seeds.

    Attributes
    ----------
    seed
        Seed of everything.
    seeds
        Seeds of single purposes, in its place.
    """

    seed: int = pydantic.Field(0, ge=0)
    seeds: SeedsConfig = SeedsConfig(init=None, order=None, subset=None)

    def seed_of(self, purpose: Literal["init", "order", "subset"]) -> int:
        """Return the seed of a purpose; the recipe's own unless it is named."""
        named: int | None = getattr(self.seeds, purpose)
        return self.seed if named is None else named


class TokenizerConfig(Config):
    """Section ``tokenizer`` of pre-training.

    Attributes
    ----------
    model
        Model directory with the tokenizer; its weights and its standardisation are taken as they are, and
        stay so.
    inputs
        What the backbone is given of a constituent: its code (``codes``), the features that are decoded from
        it (``decoded``), or its own features (``features``; the codes are then targets only).
    """

    model: str
    inputs: Inputs = "codes"


class PretrainRecipe(Seeded):
    """A recipe of ``hepfm pretrain``.

    Attributes
    ----------
    description
        One line.
    data
        Which rows and features are read.
    tokenizer
        Where constituents get codes from; None for a network without codes.
    backbone
        What turns constituents into features, with its ``size`` or options.
    embedding
        What turns the numbers of a constituent into its vector: component spec of ``ordinary``, the
        backbone's own, ``numbers`` or ``number_tokens``.
    grouping
        What the backbone's tokens are made of: component spec of ``particles``, ``subjets`` or ``patches``.
    objective
        What the network is trained to do.
    train
        Length, optimizer, device and cadence of the training.
    early_stopping
        None trains for all steps and keeps the last weights; otherwise the best validated weights are kept.
    """

    description: str = ""
    data: PretrainDataConfig
    tokenizer: TokenizerConfig | None = None
    backbone: Annotated[Component, ComponentOf(BACKBONES)]
    embedding: Annotated[Component, ComponentOf(EMBEDDINGS, default="ordinary")] = chosen("ordinary")
    grouping: Annotated[Component, ComponentOf(GROUPINGS, default="particles")] = chosen("particles")
    objective: Annotated[Component, ComponentOf(OBJECTIVES, default="supervised")] = chosen("supervised")
    train: TrainConfig
    early_stopping: EarlyStoppingConfig | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> PretrainRecipe:
        if self.early_stopping and self.data.validation is None:
            raise ValueError(
                "early stopping needs validation rows; set data.validation to a split or early_stopping=null"
            )
        return self


class FinetuneRecipe(Seeded):
    """A recipe of ``hepfm finetune``.

    Attributes
    ----------
    description
        One line.
    data
        Which labelled rows are read.
    inputs
        For a model with a tokenizer: what the backbone is given of a constituent, if not what it was
        pre-trained with. ``decoded`` and ``features`` can be exchanged, as in 2512.04149.
    init
        ``"pretrained"`` starts from the model's weights, ``"scratch"`` from random ones.
    head
        ``"new"`` replaces the model's head, ``"keep"`` goes on with it (same field and classes), ``"reuse"``
        takes what fits of it but its last layer. From scratch it is new.
    standardize
        Constants of features and context: those of the ``"model"``, or measured on the training rows of the
        ``"data"``, with the backbone's weights made equivalent. ``"auto"`` measures them where the generator
        is new: noise has to have the spread of the rows that it becomes. From scratch they are always
        measured.
    mode
        Which weights are trained: component spec of ``full``, ``frozen``, ``probe``, ``knn`` or ``lora``.
    objective
        What the network is trained to do.
    train
        Length, optimizer, device and cadence of the training.
    early_stopping
        None trains for all steps and keeps the last weights; otherwise the best validated weights are kept.
    """

    description: str = ""
    data: FinetuneDataConfig
    inputs: Inputs | None = None
    init: Literal["pretrained", "scratch"] = "pretrained"
    head: Literal["new", "keep", "reuse"] = "new"
    standardize: Literal["auto", "data", "model"] = "auto"
    mode: Annotated[Component, ComponentOf(STRATEGIES, default="full")] = chosen("full")
    objective: Annotated[Component, ComponentOf(OBJECTIVES, default="supervised")] = chosen("supervised")
    train: TrainConfig
    early_stopping: EarlyStoppingConfig | None = pydantic.Field(default_factory=EarlyStoppingConfig)

    @property
    def keeps_head(self) -> bool:
        """Whether the model's head goes on."""
        return self.head == "keep" and self.init == "pretrained"

    @pydantic.model_validator(mode="after")
    def _check(self) -> FinetuneRecipe:
        if self.early_stopping and self.data.validation_fraction == 0.0:
            raise ValueError(
                "early stopping needs validation rows out of the label budget; set data.validation_fraction "
                "above 0 or early_stopping=null"
            )
        if self.train.shard and not self.mode.cls.by_steps:
            raise ValueError(
                f"train.shard=true splits what is trained step by step, and mode {self.mode.name!r} trains "
                "nothing so; set train.shard=false"
            )
        return self


def read_pretrain_recipe(values: Mapping[str, Any], *, where: str = "recipe") -> PretrainRecipe:
    """Check the values of a pre-training recipe; one `ConfigError` lists every mistake."""
    return validate(PretrainRecipe, values, where=where)


def read_finetune_recipe(values: Mapping[str, Any], *, where: str = "recipe") -> FinetuneRecipe:
    """Check the values of a fine-tuning recipe; one `ConfigError` lists every mistake."""
    return validate(FinetuneRecipe, values, where=where)
