"""Recipes of joint pre-training: one backbone, several domains with data and an objective of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from hepfm.backbones import BACKBONES
from hepfm.core.config import Component, ComponentOf, Config, validate
from hepfm.core.errors import ConfigError
from hepfm.embeddings import EMBEDDINGS
from hepfm.groupings import GROUPINGS
from hepfm.objectives import OBJECTIVES
from hepfm.train.early_stopping import EarlyStoppingConfig
from hepfm.train.recipe import (
    PretrainDataConfig,
    PretrainRecipe,
    Seeded,
    TokenizerConfig,
    TrainConfig,
    chosen,
    read_pretrain_recipe,
)

DOMAINS = "domains"
"""The key by which a recipe of joint pre-training is told from an ordinary one."""

OF_A_DOMAIN = ("data", "tokenizer", "embedding", "grouping", "objective")
"""Keys of an ordinary recipe that each domain has for itself."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class DomainConfig(Config):
    """One entry of the section ``domains``.

    Attributes
    ----------
    data, tokenizer, embedding, grouping, objective
        As in a recipe of pre-training.
    weight
        Factor of the domain's loss in what is minimised.
    """

    data: PretrainDataConfig
    tokenizer: TokenizerConfig | None = None
    embedding: Annotated[Component, ComponentOf(EMBEDDINGS, default="ordinary")] = chosen("ordinary")
    grouping: Annotated[Component, ComponentOf(GROUPINGS, default="particles")] = chosen("particles")
    objective: Annotated[Component, ComponentOf(OBJECTIVES, default="supervised")] = chosen("supervised")
    weight: float = pydantic.Field(1.0, gt=0.0)


class JointRecipe(Seeded):
    """A recipe of ``hepfm pretrain`` with several domains, whose networks share one backbone.

    Attributes
    ----------
    description
        One line.
    domains
        Data and objective of each domain by its name, two at least; they are kept in alphabetical order.
    backbone
        The one backbone, with its ``size`` or options; each domain has its own embedding.
    train
        Length, optimizer, device and cadence of the training. ``batch_size`` is the rows of every domain in a
        step, as it would train alone.
    early_stopping
        None trains for all steps and keeps the last weights; otherwise those with the lowest sum of the
        domains' validation losses are kept.
    """

    description: str = ""
    domains: dict[str, DomainConfig]
    backbone: Annotated[Component, ComponentOf(BACKBONES)]
    train: TrainConfig
    early_stopping: EarlyStoppingConfig | None = None

    @pydantic.field_validator("domains")
    @classmethod
    def _named(cls, domains: dict[str, DomainConfig]) -> dict[str, DomainConfig]:
        odd = [name for name in domains if not _NAME.fullmatch(name)]
        if odd:
            raise ValueError(f"{odd[0]!r} is no name of a domain (letters, digits, _ and -)")
        if "name" in domains:  # mappings with this key are components where recipes are merged
            raise ValueError("a domain cannot be called 'name'; give it another one")
        if len(domains) < 2:
            raise ValueError(
                "joint pre-training has two domains at least; for one write an ordinary recipe, with data "
                "and objective beside the backbone"
            )
        return dict(sorted(domains.items()))

    @pydantic.model_validator(mode="after")
    def _check(self) -> JointRecipe:
        without = [name for name, one in self.domains.items() if one.data.validation is None]
        problems = []
        if without and len(without) < len(self.domains):
            problems.append(
                f"{', '.join(without)}: data.validation is null and that of other domains is not; the loss "
                "of validation is the sum over all of them"
            )
        if self.early_stopping and without:
            problems.append(
                "early stopping needs validation rows of every domain; set data.validation to a split or "
                "early_stopping=null"
            )
        if self.train.shard:
            problems.append(
                "train.shard=true splits one backbone over processes, and not one of several domains; set "
                "train.shard=false"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def recipe_of(self, name: str) -> PretrainRecipe:
        """Return the ordinary recipe that would train a domain alone."""
        one = self.domains[name]
        return PretrainRecipe(
            description=self.description,
            data=one.data,
            tokenizer=one.tokenizer,
            backbone=self.backbone,
            embedding=one.embedding,
            grouping=one.grouping,
            objective=one.objective,
            train=self.train,
            early_stopping=self.early_stopping,
            seed=self.seed,
            seeds=self.seeds,
        )

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each domain."""
        return {name: one.weight for name, one in self.domains.items()}


def is_joint(values: Mapping[str, Any]) -> bool:
    """Tell whether the values of a recipe of pre-training are those of a joint one."""
    return DOMAINS in values


def read_joint_recipe(values: Mapping[str, Any], *, where: str = "recipe") -> JointRecipe:
    """Check the values of a recipe with ``domains``; one `ConfigError` lists every mistake."""
    misplaced = [key for key in OF_A_DOMAIN if key in values]
    problems = [
        f"{where}: {key!r} belongs to each domain of a joint recipe; move it to {DOMAINS}.NAME.{key}, or "
        f"leave {DOMAINS!r} out for an ordinary recipe"
        for key in misplaced
    ]
    kept = {key: value for key, value in values.items() if key not in misplaced}
    try:
        recipe = validate(JointRecipe, kept, where=where)
    except ConfigError as error:
        problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return recipe


def read_either_recipe(values: Mapping[str, Any], *, where: str = "recipe") -> PretrainRecipe | JointRecipe:
    """Check the values of a recipe of pre-training, joint or ordinary."""
    read = read_joint_recipe if is_joint(values) else read_pretrain_recipe
    return read(values, where=where)
