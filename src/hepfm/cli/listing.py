"""``hepfm list``: components by kind, and built-in recipes."""

from __future__ import annotations

from dataclasses import dataclass

import click

from hepfm.cli.common import verb
from hepfm.cli.completion import complete_kind
from hepfm.cli.result import VerbResult
from hepfm.core.registry import Registry

OTHERS = ("dataset", "model", "recipes")
"""What can be listed beside the registries."""

RECIPE_VERBS = ("simulate", "label", "pretrain", "finetune", "study", "anomaly", "reweight", "unfold")


def registries() -> dict[str, Registry]:
    """Return every registry by its kind."""
    from hepfm.backbones import BACKBONES
    from hepfm.data import CONTEXT_SETS, EXPORTERS, FEATURE_SETS, READERS, TARGET_SETS
    from hepfm.embeddings import EMBEDDINGS
    from hepfm.generators import GENERATORS
    from hepfm.groupings import GROUPINGS
    from hepfm.heads import HEADS
    from hepfm.methods.anomaly import ANOMALY_METHODS
    from hepfm.methods.ratio import RATIO_ESTIMATORS
    from hepfm.models.convert import CONVERTERS
    from hepfm.objectives import OBJECTIVES
    from hepfm.objectives.augmentations import AUGMENTATIONS
    from hepfm.objectives.hidden_choice import HIDDEN_CHOICE
    from hepfm.objectives.masked_hiding import MASKED_HIDING
    from hepfm.objectives.masked_targets import MASKED_TARGETS
    from hepfm.simulate import DETECTORS, LABELLERS, SIMULATIONS
    from hepfm.tasks import TASKS
    from hepfm.tasks.anomaly_scores import ANOMALY_SCORES
    from hepfm.tokenizers import TOKENIZERS
    from hepfm.train.optimizers import OPTIMIZERS
    from hepfm.train.schedules import SCHEDULES
    from hepfm.train.strategies import STRATEGIES
    from hepfm.train.trackers import TRACKERS
    from hepfm.workflow.verbs import VERBS

    every = (
        BACKBONES,
        TOKENIZERS,
        EMBEDDINGS,
        GROUPINGS,
        HEADS,
        OBJECTIVES,
        MASKED_HIDING,
        HIDDEN_CHOICE,
        MASKED_TARGETS,
        AUGMENTATIONS,
        GENERATORS,
        TASKS,
        ANOMALY_SCORES,
        ANOMALY_METHODS,
        RATIO_ESTIMATORS,
        FEATURE_SETS,
        CONTEXT_SETS,
        TARGET_SETS,
        READERS,
        EXPORTERS,
        CONVERTERS,
        SIMULATIONS,
        LABELLERS,
        DETECTORS,
        OPTIMIZERS,
        SCHEDULES,
        STRATEGIES,
        TRACKERS,
        VERBS,
    )
    return {registry.kind: registry for registry in every}


def _recipes(*verbs: str) -> dict[str, str]:
    """Return what the built-in recipes of some verbs are for, by verb and name."""
    from hepfm.core.config import builtin_recipes, read_yaml

    return {
        f"{verb_name} {name}": str(read_yaml(path).get("description", ""))
        for verb_name in verbs
        for name, path in builtin_recipes(verb_name).items()
    }


def _rows(kind: str) -> dict[str, str]:
    if kind == "recipes" or kind in RECIPE_VERBS:
        return _recipes(*(RECIPE_VERBS if kind == "recipes" else (kind,)))
    if kind == "dataset":
        from hepfm.data.public.catalogue import catalogue

        return {
            name: f"{one.title} ({one.origin}; read by {one.reader or 'a map'})"
            for name, one in catalogue().items()
        }
    if kind == "model":
        from hepfm.models.pretrained import summaries

        return summaries()
    from hepfm.core.errors import ConfigError, did_you_mean

    known = registries()
    if kind not in known:
        raise ConfigError(
            f"nothing to list under {kind!r}{did_you_mean(kind, [*known, *OTHERS, *RECIPE_VERBS])}"
        )
    return {name: entry.summary for name, entry in known[kind].entries().items()}


def singular(kind: str) -> str:
    """Return a kind as registries call it, given in the singular or the plural; recipes have none.

    >>> singular("backbones"), singular("backbone"), singular("recipe"), singular("studies")
    ('backbone', 'backbone', 'recipes', 'study')
    """
    if kind == "studies":
        return "study"
    for other in OTHERS:
        if kind.removesuffix("s") == other.removesuffix("s"):
            return other
    return kind.removesuffix("s") if kind.removesuffix("s") in registries() else kind


@dataclass(frozen=True, kw_only=True)
class Listed(VerbResult):
    """Components and recipes.

    Attributes
    ----------
    kinds
        What each name stands for, by kind and name.
    """

    kinds: dict[str, dict[str, str]]


@click.command()
@click.argument("kind", required=False, shell_complete=complete_kind)
@verb
def command(kind: str | None) -> Listed:
    """List components of a KIND (backbone or backbones, objective, task, ...), or all of them.

    KIND may be recipes, or a verb that has recipes: hepfm list study.
    """
    kinds = [singular(kind)] if kind else [*registries(), *OTHERS]
    rows_of_kind = {name: _rows(name) for name in kinds}
    width = max((len(name) for rows in rows_of_kind.values() for name in rows), default=0)
    lines = []
    for listed, rows in rows_of_kind.items():
        lines += [f"{listed}:", *(f"  {name:<{width}}  {summary}" for name, summary in rows.items()), ""]
    first, rows = next(iter(rows_of_kind.items()))
    if first == "dataset":
        return Listed(
            kinds=rows_of_kind,
            lines=lines[:-1],
            next=f"hepfm data get {next(iter(rows))} -o FOLDER",
        )
    shown_by_name = first in ("model", "recipes", *RECIPE_VERBS)
    example = next(iter(rows), None) if shown_by_name else " ".join([first, *list(rows)[:1]])
    return Listed(kinds=rows_of_kind, lines=lines[:-1], next=f"hepfm show {example}" if rows else None)
