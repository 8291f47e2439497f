"""Refuse a study that cannot work before anything runs, with all its mistakes at once."""

from __future__ import annotations

from collections.abc import Iterator

from hepfm.core.errors import ConfigError, HepfmError
from hepfm.study.plan import Plan
from hepfm.workflow.verbs import VERBS
from hepfm.workflow.verbs.evaluate import bound_task


def check_study(plan: Plan) -> None:
    """Raise one `ConfigError` with everything about a study that cannot work.

    Every recipe is looked at, every run by its own verb, and the metrics and margins of contrasts.
    """
    problems = dict.fromkeys([*plan.problems, *_run_problems(plan), *_contrast_problems(plan)])
    if problems:
        raise ConfigError("\n".join(problems))


def _run_problems(plan: Plan) -> Iterator[str]:
    for name, run in plan.runs.items():
        try:
            VERBS.load(run.verb)().check(plan.graph, run)
        except HepfmError as error:
            yield f"{plan.kinds.get(name, run.note)}: {error}"


def _contrast_problems(plan: Plan) -> Iterator[str]:
    """Yield what is wrong with the metrics and margins of contrasts."""
    from hepfm.metrics.paired import neutral

    evaluations = {trial.cell.task: plan.runs[trial.evaluate] for trial in plan.trials}
    for name, contrast in plan.config.contrasts.items():
        if contrast.task not in evaluations:
            continue  # a recipe of it is wrong, which is said of the recipe
        try:
            task = bound_task(plan.graph, evaluations[contrast.task])
        except HepfmError:
            continue  # said of the task itself
        try:
            metric = task.metric(contrast.metric or task.primary)
        except ConfigError as error:
            yield f"contrasts.{name}.metric: {error}"
            continue
        if contrast.equivalence is not None and contrast.equivalence <= neutral(metric.scale):
            yield (
                f"contrasts.{name}.equivalence: {metric.title} is compared by ratio, give a margin above 1 "
                f"(got {contrast.equivalence:g})"
            )
