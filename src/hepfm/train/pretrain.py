"""``hepfm pretrain``: from a recipe and its stores to a run directory with a model, or one of each domain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hepfm.train import prepare
from hepfm.train.distributed import join_world
from hepfm.train.dry_run import Cost, estimate_cost
from hepfm.train.joint_pretraining import JointPretraining
from hepfm.train.joint_recipe import JointRecipe, read_either_recipe
from hepfm.train.pretraining import Pretraining
from hepfm.train.recipe import PretrainRecipe
from hepfm.train.replicas import check_shard
from hepfm.train.run import RunResult


def check_work(recipe: PretrainRecipe | JointRecipe) -> Pretraining | JointPretraining:
    """Open the data of a recipe and refuse what does not fit."""
    return JointPretraining.check(recipe) if isinstance(recipe, JointRecipe) else Pretraining.check(recipe)


def check_pretrain(
    recipe: prepare.Recipe, *, overrides: Sequence[str] = (), smoke: bool = False
) -> tuple[Pretraining | JointPretraining, dict[str, Any]]:
    """Read and check a recipe; return the checked work and the recipe's values."""
    values = prepare.read_recipe(recipe, "pretrain", [*overrides, *(prepare.SMOKE if smoke else ())])
    checked = read_either_recipe(values, where=prepare.recipe_name(recipe))
    check_shard(checked.train.shard)
    return check_work(checked), values


def pretrain(
    recipe: prepare.Recipe, *, output: str | Path, overrides: Sequence[str] = (), smoke: bool = False
) -> RunResult:
    """Train a model from a recipe and write a run directory with the model directory in it.

    A recipe with ``domains`` trains one backbone on all of them together, and leaves a model directory of
    each in the folder ``models``.

    Parameters
    ----------
    recipe
        Name of a built-in recipe, path of a YAML file, or its values.
    output
        The run directory to make.
    overrides
        ``key=value`` settings laid over the recipe.
    smoke
        Shrink the run to seconds.

    Raises
    ------
    ConfigError
        With every mistake of the recipe.
    IncompatibleError
        When objective, backbone and data do not fit.
    TrainingError
        When the loss is not finite, or files cannot be written; the last checkpoint is named.
    """
    work, values = check_pretrain(recipe, overrides=overrides, smoke=smoke)
    return work.run(lambda: prepare.start_run(Path(output), recipe=values, config=work.config()))


def dry_run(recipe: prepare.Recipe, *, overrides: Sequence[str] = (), smoke: bool = False) -> Cost:
    """Build everything, do one step, and return what the run would cost; nothing is written."""
    work, _ = check_pretrain(recipe, overrides=overrides, smoke=smoke)
    world = join_world(work.recipe.train.device)
    return estimate_cost(work.job(world), world)
