"""Refuse a study that cannot work before anything runs, with all its mistakes at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hepfm.core.config import Component, resolve_component
from hepfm.core.errors import ConfigError, HepfmError, did_you_mean
from hepfm.study.config import SCRATCH, Downstream, Generate, StudyConfig, Values
from hepfm.study.plan import (
    TOKENIZER,
    Cell,
    Resolve,
    TaskSpec,
    finetune_values,
    pretrain_values,
    task_spec,
    tokenizer_values,
)
from hepfm.study.stores import StoreInfo

if TYPE_CHECKING:
    from hepfm.networks.specs import GeneratorSpec
    from hepfm.objectives.requirements import Requirements
    from hepfm.tasks.base import Task
    from hepfm.train.recipe import FinetuneDataConfig


def resolver() -> Resolve:
    """Return the checks of recipes by the floors below; remembers what it has checked."""
    from hepfm.tasks.base import load_task
    from hepfm.train.recipe import read_finetune_recipe, read_pretrain_recipe

    def pretrain(values: Values, where: str) -> Values:
        return read_pretrain_recipe(values, where=where).model_dump(mode="json")

    def finetune(values: Values, where: str) -> Values:
        return read_finetune_recipe(values, where=where).model_dump(mode="json")

    def conditioned(spec: TaskSpec) -> bool:
        return load_task(spec).needs.conditioned

    return Resolve(pretrain, finetune, lambda spec: load_task(spec).version, conditioned)


def check_study(config: StudyConfig, stores: Mapping[str, StoreInfo]) -> None:
    """Raise one `ConfigError` with everything about a study that cannot work.

    Looked at: every recipe of every arm, size and task; whether objective, backbone and data fit together;
    whether the stores have the rows, labels and classes that the grid asks for.
    """
    problems: list[str] = []
    _note(problems, _tokenizer_problem(config, stores))
    for size in config.pretrain.by_size:
        for arm in config.arms:
            _note(problems, _arm_problem(config, stores, arm, size))
        for name in config.downstream:
            for problem in _downstream_problems(config, stores, name, size):
                _note(problems, problem)
    problems += _contrast_problems(config, stores)
    if problems:
        raise ConfigError("\n".join(problems))


def _note(problems: list[str], problem: str | None) -> None:
    if problem and problem not in problems:
        problems.append(problem)


def _contrast_problems(config: StudyConfig, stores: Mapping[str, StoreInfo]) -> list[str]:
    """Return what is wrong with the metrics and margins of contrasts."""
    from hepfm.metrics.paired import neutral

    problems = []
    for name, contrast in config.contrasts.items():
        try:
            task = _bound_task(contrast.task, config.downstream[contrast.task], stores)
        except HepfmError:
            continue  # said of the task itself
        try:
            metric = task.metric(contrast.metric or task.primary)
        except ConfigError as error:
            problems.append(f"contrasts.{name}.metric: {error}")
            continue
        if contrast.equivalence is not None and contrast.equivalence <= neutral(metric.scale):
            problems.append(
                f"contrasts.{name}.equivalence: {metric.title} is compared by ratio, give a margin above 1 "
                f"(got {contrast.equivalence:g})"
            )
    return problems


def _bound_task(name: str, downstream: Downstream, stores: Mapping[str, StoreInfo]) -> Task:
    """Return the task of a downstream entry, with what its options leave to the data filled in."""
    from hepfm.tasks.base import load_task

    where = f"the store {downstream.store!r}"
    return load_task(task_spec(name, downstream)).bind(stores[downstream.store].schema, where=where)


def _tokenizer_problem(config: StudyConfig, stores: Mapping[str, StoreInfo]) -> str | None:
    """Return what is wrong with the tokenizer at the first thing that is."""
    from hepfm.objectives.compatibility import check_compatible
    from hepfm.train.recipe import read_pretrain_recipe

    if config.tokenizer is None:
        return None
    info = stores[config.pretrain.store]
    try:
        recipe = read_pretrain_recipe(tokenizer_values(config), where=TOKENIZER)
        requirements = check_compatible(recipe.objective, recipe.backbone, info.schema)
        _check_split(info, recipe.data.train)
        if recipe.data.validation:
            _check_split(info, recipe.data.validation)
    except HepfmError as error:
        text = str(error)
        return text if text.startswith(TOKENIZER) else f"{TOKENIZER}: {text}"
    if requirements.tokenizer is None:
        return f"{TOKENIZER}: the objective {recipe.objective.name!r} trains no tokenizer; use tokenize"
    return _other_features(config, recipe.data.features)


def _other_features(config: StudyConfig, features: str) -> str | None:
    """Return what is wrong when the arms read other features than the tokenizer."""
    from hepfm.train.recipe import read_pretrain_recipe

    arm, size = next(iter(config.arms)), next(iter(config.pretrain.by_size))
    try:
        read = read_pretrain_recipe(pretrain_values(config, arm, size, None, 0), where="").data.features
    except HepfmError:
        return None  # said of the arm itself
    if read == features:
        return None
    return f"{TOKENIZER}: it reads the features {features!r} and the arms {read!r}; set data.features alike"


def _arm_problem(config: StudyConfig, stores: Mapping[str, StoreInfo], arm: str, size: str) -> str | None:
    """Return what is wrong with the pre-training of an arm at the first thing that is."""
    from hepfm.objectives.compatibility import check_compatible
    from hepfm.train.recipe import read_pretrain_recipe

    info, where = stores[config.pretrain.store], f"arm {arm!r}, size {size!r}"
    try:
        for rows in config.pretrain.rows:
            recipe = read_pretrain_recipe(pretrain_values(config, arm, size, rows, 0), where=where)
            check_compatible(recipe.objective, recipe.backbone, info.schema)
            _check_rows(info, recipe.data.train, rows, "pretrain.rows")
            if recipe.data.validation:
                _check_split(info, recipe.data.validation)
    except HepfmError as error:
        text = str(error)
        return text if text.startswith(where) else f"{where}: {text}"
    return None


def _downstream_problems(
    config: StudyConfig, stores: Mapping[str, StoreInfo], name: str, size: str
) -> list[str]:
    """Return what is wrong with a downstream task; budgets are looked at one by one."""
    problems = []
    for budget in config.downstream[name].budgets:
        try:
            _check_downstream(config, stores, Cell(SCRATCH, size, None, name, budget))
        except HepfmError as error:
            text = str(error)
            problems.append(text if text.startswith(f"task {name!r}") else f"task {name!r}: {text}")
    return problems


def _check_downstream(config: StudyConfig, stores: Mapping[str, StoreInfo], cell: Cell) -> None:
    from hepfm.objectives.compatibility import check_compatible
    from hepfm.train.recipe import read_finetune_recipe

    downstream = config.downstream[cell.task]
    info = stores[downstream.store]
    recipe = read_finetune_recipe(finetune_values(config, cell, 0, None), where=f"task {cell.task!r}")
    requirements = check_compatible(recipe.objective, _backbone(config, cell.size), info.schema)
    data = recipe.data
    _check_rows(info, data.train, cell.budget, f"downstream.{cell.task}.budgets")
    if config.search or recipe.early_stopping:
        _check_held_out(info, data, requirements, cell.budget)
    _check_task(cell.task, downstream, stores)
    _check_learned(cell.task, downstream, stores, requirements)
    if downstream.generate is not None:
        _check_generate(downstream.generate, recipe.objective.name, requirements.generator, info)
    targets = requirements.labels
    if len(targets) == 1 and info.schema[targets[0]].classes and requirements.rows is None:
        _check_classes(info, data.train, targets[0], cell.budget)


def _backbone(config: StudyConfig, size: str) -> Component:
    from hepfm.backbones import BACKBONES

    values = pretrain_values(config, next(iter(config.arms)), size, None, 0)
    return resolve_component(BACKBONES, values.get("backbone"), where="pretrain: backbone")


def _check_split(info: StoreInfo, split: str) -> int:
    if split not in info.splits:
        raise ConfigError(f"the store has no split {split!r}{did_you_mean(split, info.splits)}")
    return info.splits[split]


def _check_held_out(
    info: StoreInfo, data: FinetuneDataConfig, requirements: Requirements, budget: int | None
) -> None:
    """Refuse a budget of which no row is left for the search or for early stopping."""
    from hepfm.train.validation_rows import check_validation_part, validation_places

    rows, targets = budget or _check_split(info, data.train), requirements.labels
    balanced = budget is not None and len(targets) == 1
    width = sum(count > 0 for count in info.class_counts(data.train, targets[0]).values()) if balanced else 1
    held_out = validation_places(rows, data.validation_fraction, width=max(width, 1))
    check_validation_part(rows, int(held_out.sum()), fraction=data.validation_fraction)


def _check_rows(info: StoreInfo, split: str, rows: int | None, key: str) -> None:
    have = _check_split(info, split)
    if rows is not None and rows > have:
        raise ConfigError(f"{key} asks for {rows:,} rows, split {split!r} of its store has {have:,}")


def _check_task(name: str, downstream: Downstream, stores: Mapping[str, StoreInfo]) -> None:
    info, task = stores[downstream.store], _bound_task(name, downstream, stores)
    _check_split(info, task.split)
    if task.needs.conditioned and downstream.generate is not None:
        _check_rows(info, task.split, downstream.generate.n, "generate.n")
    if task.needs.generator != (downstream.generate is not None):
        fix = "generated rows: give" if task.needs.generator else "scores of test rows: remove"
        raise ConfigError(f"the task measures {fix} the section 'generate'")


def _check_learned(
    name: str, downstream: Downstream, stores: Mapping[str, StoreInfo], requirements: Requirements
) -> None:
    """Raise `ConfigError` when the recipe does not learn the field that the task measures."""
    task = _bound_task(name, downstream, stores)
    learned = tuple(requirements.heads)
    if task.needs.field is not None and task.needs.field not in learned:
        raise ConfigError(
            f"the recipe learns {', '.join(learned) or 'no field'} and the task {task.name!r} measures "
            f"{task.needs.field}; set downstream.{name}.objective to {task.objective()}"
        )


def _check_generate(
    generate: Generate, objective: str, generator: GeneratorSpec | None, info: StoreInfo
) -> None:
    from hepfm.inference.generate import generator_options
    from hepfm.physics.voxels import load_voxels

    if generate.cells is not None:
        load_voxels(generate.cells)
        if "hit_energy" not in info.schema:
            raise ConfigError(
                "generate: cells are for showers, and the rows of the store are jets; remove it"
            )
    if generator is None:
        raise ConfigError(
            f"generate: the objective {objective!r} trains no generator; use flow_matching or next_token"
        )
    generator_options(generator.generator, generate.options)


def _check_classes(info: StoreInfo, split: str, field: str, budget: int | None) -> None:
    counts = info.class_counts(split, field)
    absent = [name for name, count in counts.items() if count == 0]
    if absent:
        raise ConfigError(
            f"no row of split {split!r} has the class {', '.join(absent)}; a model cannot learn it there"
        )
    each = -(-(budget or 0) // len(counts))
    few = [f"{name} ({count:,})" for name, count in counts.items() if count < each]
    if few:
        raise ConfigError(
            f"a budget of {budget:,} takes {each:,} rows of each class; split {split!r} has fewer of "
            f"{', '.join(few)}"
        )
