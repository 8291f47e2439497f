"""The study file: arms, sizes, pre-training sets, downstream tasks, budgets and seeds, typed and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from hepfm.core.config import Config, load_recipe, merge, parse_override, validate
from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.metrics.contrast import Contrast, read_contrast
from hepfm.metrics.factorial import effects, factors_of
from hepfm.study.arm import Arm, adopted_problems, read_arm
from hepfm.study.domains import contrast_problems, domain_problems, domain_store
from hepfm.study.registered_contrast import RegisteredContrast
from hepfm.study.replicate_stores import is_own
from hepfm.study.scaling_grid import ScalingGrid
from hepfm.study.seeds import StudySeeds
from hepfm.workflow.store_entries import PER_REPLICATE, Count, StoreEntry, kind_of_store, made_of

SCRATCH = "scratch"
"""The arm without pre-training; all others are compared with it."""

Values = dict[str, Any]
"""Plain values as read from YAML."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


class PretrainGrid(Config):
    """Section ``pretrain``: one recipe for all arms, and the grid.

    Attributes
    ----------
    store
        Name of a store of the study.
    recipe
        Name or file of a pre-training recipe, or its values.
    options
        Keys laid over the recipe.
    sizes
        Values of ``backbone.size``; or a mapping from a name to keys laid over the recipe.
    rows
        Numbers of pre-training rows; null is all.
    """

    store: str = "pretrain"
    recipe: str | Values
    options: Values = pydantic.Field(default_factory=dict)
    sizes: tuple[str, ...] | dict[str, Values]
    rows: tuple[Count | None, ...] = (None,)

    @property
    def by_size(self) -> dict[str, Values]:
        """Keys of each size, laid over the recipe."""
        if isinstance(self.sizes, dict):
            return dict(self.sizes)
        return {size: {"backbone": {"size": size}} for size in self.sizes}


class StudyTokenizer(Config):
    """Section ``tokenizer``: one tokenizer for all arms, trained on the store of pre-training.

    Attributes
    ----------
    recipe, options
        Name, file or values of a recipe of ``hepfm tokenize``, and keys laid over it.
    inputs
        What the arms' backbones are given of a constituent, as in a recipe of pre-training.
    """

    recipe: str | Values
    options: Values = pydantic.Field(default_factory=dict)
    inputs: Literal["codes", "decoded", "features"] = "codes"


Rates = Annotated[tuple[Annotated[float, pydantic.Field(gt=0.0)], ...], pydantic.Field(min_length=2)]
"""Learning rates to choose among."""


class Generation(Config, extra="allow"):
    """How rows are generated for a task that measures them; further keys are options of the generator.

    Attributes
    ----------
    n
        Rows, all classes together.
    cells
        The calorimeter whose cells hits of showers are put into; null leaves them where they are.
    """

    n: Count
    cells: str | None = None

    @property
    def options(self) -> Values:
        """Options of the generator."""
        return dict(self.model_extra or {})


class Downstream(Config):
    """One downstream task.

    Attributes
    ----------
    task
        Name of the task, or a mapping with ``name`` and options; the name of the entry when null.
    store
        Name of a store of the study.
    domain
        In a study with domains: the one whose network is fine-tuned.
    test
        Name of the store whose test rows are measured, for tests out of domain; `store` when null.
    recipe, options
        Name, file or values of a fine-tuning recipe, and keys laid over it.
    budgets
        Numbers of rows, validation part included; null is all.
    objective
        Objective of fine-tuning; the recipe's when null.
    generate
        How jets are generated, for tasks that measure them; null for tasks that score the test rows.
    learning_rates
        Rates that the search tries for this task, in place of those of ``search``.
    """

    task: str | Values | None = None
    store: str
    domain: str | None = None
    test: str | None = None
    recipe: str | Values
    options: Values = pydantic.Field(default_factory=dict)
    budgets: tuple[Count | None, ...]
    objective: str | Values | None = None
    generate: Generation | None = None
    learning_rates: Rates | None = None


class Search(Config):
    """The search for the learning rate, the same for every arm.

    Attributes
    ----------
    learning_rates
        Rates that are tried in fine-tuning, unless a task names its own; the one with the lowest validation
        loss is taken.
    per
        ``"run"``: every replicate chooses for itself. ``"cell"``: the first replicate of an (arm, size, rows,
        budget) chooses for all.
    """

    learning_rates: Rates
    per: Literal["cell", "run"] = "run"


class StudyConfig(Config):
    """A study file.

    Attributes
    ----------
    description
        One line.
    stores
        Stores by name: a path, a simulation, or a mixture of another one's rows.
    seeds
        Replicates, and seeds of single purposes.
    tokenizer
        Where arms get codes from; null for arms without codes.
    domains
        Kinds of data by name, each with data (its store is one of the study), objective and weight as in a
        recipe of joint pre-training; the recipe of `pretrain` holds what they share. Empty for one kind.
    pretrain
        One recipe for all arms, and the grid of sizes and rows.
    search
        The search for the learning rate of fine-tuning; null for none.
    arms
        Pre-training objective of each arm, or objective and options; ``scratch: null`` has none.
    factors
        Names of objectives that arms combine: arm ``C+M`` has the factors C and M, scratch has none. All 2^k
        combinations must be arms; main effects and interactions are reported then.
    downstream
        Tasks by name; null leaves one out that the file has, with the contrasts about it. A study with
        `scaling` needs none.
    contrasts
        What is asked before the first run, by name.
    scaling
        Laws of the loss of pre-training against parameters and rows, and what they predict; null for none.
    """

    description: str = ""
    stores: dict[str, StoreEntry]
    seeds: StudySeeds = pydantic.Field(default_factory=StudySeeds)
    tokenizer: StudyTokenizer | None = None
    domains: dict[str, Values] = pydantic.Field(default_factory=dict)
    pretrain: PretrainGrid
    arms: dict[str, Annotated[Arm, pydantic.BeforeValidator(read_arm)] | None]
    factors: tuple[str, ...] = ()
    downstream: dict[str, Downstream] = pydantic.Field(default_factory=dict)
    contrasts: dict[str, RegisteredContrast] = pydantic.Field(default_factory=dict)
    search: Search | None = None
    scaling: ScalingGrid | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _without_left_out(cls, values: Any) -> Any:
        """Leave out tasks that are null, which an override makes them, and the contrasts about them."""
        tasks = values.get("downstream") if isinstance(values, Mapping) else None
        if not isinstance(tasks, Mapping) or all(one is not None for one in tasks.values()):
            return values
        kept = {name: one for name, one in tasks.items() if one is not None}
        left_out = set(tasks) - set(kept)
        contrasts = values.get("contrasts") or {}
        about = {name for name, one in contrasts.items() if _task_named_by(one) in left_out}
        asked = {name: one for name, one in contrasts.items() if name not in about}
        return {**values, "downstream": kept, "contrasts": asked}

    @pydantic.model_validator(mode="after")
    def _check(self) -> StudyConfig:
        problems = [
            *self._names(),
            *self._stores(),
            *self._empty(),
            *self._factorial(),
            *self._contrasts(),
            *self._rates(),
            *self._scaling(),
            *domain_problems(self),
            *adopted_problems(
                self.arms,
                sizes=len(self.pretrain.by_size),
                rows=len(self.pretrain.rows),
                domains=bool(self.domains),
            ),
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def by_size(self) -> dict[str, Values]:
        """Keys of each size, laid over the recipe of pre-training, those of predicted cells too."""
        return {**self.pretrain.by_size, **(self.scaling.sizes if self.scaling else {})}

    @property
    def pretrained(self) -> tuple[str, ...]:
        """Arms that are pre-trained here."""
        return tuple(name for name, arm in self.arms.items() if arm is not None and arm.model is None)

    def _scaling(self) -> list[str]:
        if self.scaling is None:
            return []
        return self.scaling.problems(self.pretrained, self.pretrain.by_size, self.pretrain.rows)

    def _names(self) -> list[str]:
        names = [*self.arms, *self.downstream, *self.stores, *self.by_size, *self.domains]
        odd = [
            f"{name!r} is no name (letters, digits, _ . + -)" for name in names if not NAME.fullmatch(name)
        ]
        for name, spec in self.arms.items():
            if (spec is None) != (name == SCRATCH):
                odd.append(f"arm {name!r}: the arm without pre-training, and only it, is called {SCRATCH!r}")
        return odd

    def _stores(self) -> list[str]:
        users = {f"domains.{name}.data.store": str(domain_store(one)) for name, one in self.domains.items()}
        users = users or {"pretrain.store": self.pretrain.store}
        for name, one in self.downstream.items():
            users[f"downstream.{name}.store"] = one.store
            users[f"downstream.{name}.test"] = one.test or one.store
        for name, entry in self.stores.items():
            source = made_of(entry)
            if source is not None:
                users[f"stores.{name}.{kind_of_store(entry)}"] = source
        known = ", ".join(self.stores)
        missing = [
            f"{user} names no store of the study ({store!r}); there are: {known}"
            for user, store in users.items()
            if store not in self.stores
        ]
        return [*missing, *self._own_stores(users)]

    def _own_stores(self, users: Mapping[str, str]) -> list[str]:
        """Say where a store that each replicate has for itself is read by something that they share."""
        own = {name for name, entry in self.stores.items() if is_own(entry)}
        return [
            f"{user} names {store!r}, of which every replicate has its own (seed: {PER_REPLICATE}), and is "
            "one for all of them; give the mixture a number as its seed"
            for user, store in users.items()
            if store in own and not user.startswith("downstream.")
        ]

    @property
    def effects(self) -> tuple[Contrast, ...]:
        """Main effects and interactions of the factors; empty without factors."""
        return effects(factors_of(list(self.arms), self.factors, none=SCRATCH)) if self.factors else ()

    def budgets_of(self, contrast: RegisteredContrast) -> tuple[int | None, ...]:
        """Return the numbers of labels at which a contrast is measured."""
        return self.downstream[contrast.task].budgets if contrast.budgets is None else contrast.budgets

    def rates_of(self, task: str) -> tuple[float, ...]:
        """Return the learning rates that are tried for a task; empty without a search."""
        if self.search is None:
            return ()
        return self.downstream[task].learning_rates or self.search.learning_rates

    def _rates(self) -> list[str]:
        return [
            f"downstream.{name}.learning_rates are for a search, and the study has none; add `search`"
            for name, one in self.downstream.items()
            if one.learning_rates and self.search is None
        ]

    def _factorial(self) -> list[str]:
        try:
            return [] if self.effects or not self.factors else ["factors: no arm has any of them"]
        except ConfigError as error:
            return [f"factors: {error}"]

    def _contrasts(self) -> list[str]:
        found = []
        for name, one in self.contrasts.items():
            try:
                arms = read_contrast(one.contrast).arms
            except ConfigError as error:
                found.append(f"contrasts.{name}: {error}")
                continue
            found += [
                f"contrasts.{name} names no arm of the study ({arm!r}{did_you_mean(arm, self.arms)})"
                for arm in arms
                if arm not in self.arms
            ]
            if one.task not in self.downstream:
                near = did_you_mean(one.task, self.downstream)
                found.append(f"contrasts.{name}.task names no entry of downstream ({one.task!r}{near})")
                continue
            if set(self.budgets_of(one)) - set(self.downstream[one.task].budgets):
                found.append(f"contrasts.{name}.budgets asks for budgets that downstream.{one.task} has not")
            known = [arm for arm in arms if arm in self.arms]
            found += [f"contrasts.{name}: {why}" for why in contrast_problems(self, known, one.task)]
        return found

    def _empty(self) -> list[str]:
        lists: dict[str, Sequence[Any] | Mapping[str, Any]] = {
            "arms": self.arms,
            **({} if self.scaling else {"downstream": self.downstream}),
            "pretrain.sizes": self.pretrain.sizes,
            "pretrain.rows": self.pretrain.rows,
            **{f"downstream.{name}.budgets": one.budgets for name, one in self.downstream.items()},
        }
        found = [f"{name} is empty" for name, values in lists.items() if not values]
        repeated = [
            name for name, values in lists.items() if not isinstance(values, Mapping) and _twice(values)
        ]
        return [*found, *(f"{name} names something twice" for name in repeated)]


def _task_named_by(contrast: Any) -> Any:
    """Return the task of the values of a contrast, which nobody has checked yet."""
    return contrast.get("task") if isinstance(contrast, Mapping) else None


def _twice(values: Sequence[Any]) -> bool:
    return len(set(values)) != len(values)


def read_study(study: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> StudyConfig:
    """Read a study by name, file or values, with ``key=value`` settings laid over it.

    Raises
    ------
    ConfigError
        With every mistake of the file.
    """
    if isinstance(study, str | Path):
        where, values = str(study), load_recipe(study, "study", overrides)
    else:
        where, values = "study", reduce(merge, map(parse_override, overrides), dict(study))
    return validate(StudyConfig, values, where=where)


def recipe_values(recipe: str | Values, verb: str, *layers: Values) -> Values:
    """Return a recipe's values with layers laid over them, the last one on top."""
    values = load_recipe(recipe, verb) if isinstance(recipe, str) else dict(recipe)
    return reduce(merge, layers, values)
