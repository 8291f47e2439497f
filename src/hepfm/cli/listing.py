"""``hepfm list``: components by kind, and built-in recipes."""

from __future__ import annotations

from typing import Any

import click

from hepfm.cli.common import verb
from hepfm.core.registry import Registry

RECIPE_VERBS = ("simulate", "pretrain", "finetune", "study")


def registries() -> dict[str, Registry]:
    """Return every registry by its kind."""
    from hepfm.backbones import BACKBONES
    from hepfm.data import CONTEXT_SETS, EXPORTERS, FEATURE_SETS, READERS
    from hepfm.generators import GENERATORS
    from hepfm.heads import HEADS
    from hepfm.models.convert import CONVERTERS
    from hepfm.objectives import OBJECTIVES
    from hepfm.objectives.masked_targets import MASKED_TARGETS
    from hepfm.simulate import DETECTORS
    from hepfm.tasks import TASKS
    from hepfm.tokenizers import TOKENIZERS
    from hepfm.train.optimizers import OPTIMIZERS
    from hepfm.train.schedules import SCHEDULES
    from hepfm.train.strategies import STRATEGIES
    from hepfm.train.trackers import TRACKERS

    found = (
        BACKBONES,
        TOKENIZERS,
        HEADS,
        OBJECTIVES,
        MASKED_TARGETS,
        GENERATORS,
        TASKS,
        FEATURE_SETS,
        CONTEXT_SETS,
        READERS,
        EXPORTERS,
        CONVERTERS,
        DETECTORS,
        OPTIMIZERS,
        SCHEDULES,
        STRATEGIES,
        TRACKERS,
    )
    return {registry.kind: registry for registry in found}


def _rows(kind: str) -> dict[str, str]:
    if kind == "recipes":
        from hepfm.core.config import builtin_recipes, read_yaml

        return {
            f"{verb_name} {name}": str(read_yaml(path).get("description", ""))
            for verb_name in RECIPE_VERBS
            for name, path in builtin_recipes(verb_name).items()
        }
    from hepfm.core.errors import ConfigError, did_you_mean

    known = registries()
    if kind not in known:
        raise ConfigError(f"nothing to list under {kind!r}{did_you_mean(kind, [*known, 'recipes'])}")
    return {name: entry.summary for name, entry in known[kind].entries().items()}


@click.command()
@click.argument("kind", required=False)
@verb
def command(kind: str | None) -> dict[str, Any]:
    """List components of a KIND (backbone, objective, task, ... or recipes), or the kinds themselves."""
    kinds = [kind] if kind else [*registries(), "recipes"]
    found = {one: _rows(one) for one in kinds}
    width = max((len(name) for rows in found.values() for name in rows), default=0)
    lines = []
    for one, rows in found.items():
        lines += [f"{one}:", *(f"  {name:<{width}}  {summary}" for name, summary in rows.items()), ""]
    return {"kinds": found, "lines": lines[:-1], "next": "hepfm show [KIND] NAME"}
