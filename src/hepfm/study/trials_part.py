"""Parts of a study's report: what is missing, and the rules that the study was made by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from hepfm.report.blocks import Block, Bullets, Part, Text
from hepfm.report.table import Column, ReportTable, text
from hepfm.study.config import StudyConfig
from hepfm.study.grid_columns import grid_columns
from hepfm.study.outcome import Missing

MISSING_COLUMNS: tuple[Column[Missing], ...] = (
    *grid_columns(lambda missing: missing.trial.cell),
    text("why", "why", lambda missing: missing.why),
    Column("replicate", "replicate", lambda missing: missing.trial.replicate),
    Column("run", "run", lambda missing: missing.run),
)


def missing_part(missing: Sequence[Missing], failed: Mapping[str, str]) -> Part:
    """Build the part that lists trials without a result, and runs that failed with their diagnosis."""
    blocks: list[Block] = []
    if missing:
        caption = (
            "Trials without a result. They are left out of every mean, so compare the numbers of trainings."
        )
        blocks.append(ReportTable(MISSING_COLUMNS, tuple(missing), caption, "missing"))
    if failed:
        runs = tuple(f"{run}: {why}" for run, why in failed.items())
        blocks += [Text("Runs that failed:"), Bullets(runs)]
    nothing = Text("Nothing: every trial of the study has a result.")
    return Part("missing", "Missing", tuple(blocks or [nothing]), heading="Failed and missing runs")


def rules_part(config: StudyConfig) -> Part:
    """Build the part that says by which rules the study was made."""
    seeds = config.seeds
    lines = (
        f"Replicates of fine-tuning: {len(seeds.replicates)}; of pre-training: {len(seeds.pretrain)}.",
        (
            "All arms share recipe, optimiser, steps, validation cadence and early stopping; they differ in "
            f"{_differs(config)}{_own_options(config) or ' alone'}."
        ),
        *(
            f"{name}: trained on the store {one.store!r}, measured on test rows of {one.test!r}."
            for name, one in config.downstream.items()
            if one.test
        ),
        *(
            f"{name} starts from the model {arm.model}: no cost here contains its pre-training, and scratch "
            "has the network of the recipe, not necessarily this model's."
            for name, arm in config.arms.items()
            if arm is not None and arm.model is not None
        ),
        "Validation, early stopping and the choice of the learning rate use labels of the budget only.",
        _search_line(config),
    )
    return Part("rules", "Rules", (Bullets(lines),), heading="Rules of this study")


def _differs(config: StudyConfig) -> str:
    """Say what arms differ in: an objective, or the domains that they pre-train on."""
    if not config.domains:
        return "the objective of pre-training"
    arms = {name: arm.domains for name, arm in config.arms.items() if arm is not None}
    told = [
        f"{name}: {domains if isinstance(domains, str) else ', '.join(domains or ())}"
        for name, domains in arms.items()
    ]
    return (
        f"the domains that they pre-train on ({'; '.join(told)}; own is that of the task), each with its "
        "objective; a step has as many rows of a domain, whether it is trained on alone or with others,"
    )


def _own_options(config: StudyConfig) -> str:
    """Say which arms have options of their own; nothing where none has."""
    own = [f"{name}: {json.dumps(arm.options)}" for name, arm in config.arms.items() if arm and arm.options]
    return f", and in options of their own ({'; '.join(own)})" if own else ""


def _search_line(config: StudyConfig) -> str:
    if config.search is None:
        return "No search: every arm, scratch too, is fine-tuned with the recipe's learning rate."
    rates = {task: ", ".join(f"{rate:g}" for rate in config.rates_of(task)) for task in config.downstream}
    if len(set(rates.values())) == 1:
        shown = next(iter(rates.values()))
    else:
        shown = "; ".join(f"{each} ({task})" for task, each in rates.items())
    who = {
        "run": "Every replicate chooses for itself.",
        "cell": "The first replicate chooses for the others of its arm, size, task and budget.",
    }[config.search.per]
    return (
        f"Learning rates {shown} are tried for every arm, scratch too; the lowest validation loss decides. "
        f"{who} The cost of the search is listed apart."
    )
