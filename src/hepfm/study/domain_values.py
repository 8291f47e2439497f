"""Recipes of pre-training in a study with domains."""

from __future__ import annotations

from collections.abc import Sequence

from hepfm.study.config import StudyConfig, Values, recipe_values
from hepfm.study.domains import ARCHITECTURE_ALONE


def single_values(
    config: StudyConfig, arm: str, size: str, rows: int | None, seed: int, domain: str
) -> Values:
    """Return the recipe that pre-trains on one domain, or the one that scratch has its architecture from."""
    given = config.arms[arm]
    of_domain = {key: value for key, value in config.domains[domain].items() if key != "weight"}
    layers = [config.pretrain.options, config.by_size[size], of_domain, {"data": {"rows": rows}}]
    if given is None:
        layers[-1] = ARCHITECTURE_ALONE
        seed = config.seeds.pretrain[0]
    else:
        layers.append(given.options)
    return {**recipe_values(config.pretrain.recipe, "pretrain", *layers), "seed": seed}


def joint_values(
    config: StudyConfig, arm: str, size: str, rows: int | None, seed: int, domains: Sequence[str]
) -> Values:
    """Return the recipe that pre-trains on several domains together, `rows` of each."""
    given = config.arms[arm]
    together: Values = {"domains": {name: config.domains[name] for name in domains}}
    few: Values = {"domains": {name: {"data": {"rows": rows}} for name in domains}}
    layers = [config.pretrain.options, config.by_size[size], together, few, given.options if given else {}]
    return {**recipe_values(config.pretrain.recipe, "pretrain", *layers), "seed": seed}
