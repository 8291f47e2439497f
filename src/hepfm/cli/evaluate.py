"""``hepfm evaluate``: measure a model on a task's test rows, or generated rows against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from hepfm.cli.advice import command_line
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_component
from hepfm.cli.options import device_option, read_options, set_option, withhold_option
from hepfm.cli.result import VerbResult
from hepfm.cli.task_options import task_options, task_spec

if TYPE_CHECKING:
    from hepfm.tasks.result import ResultFile


@dataclass(frozen=True, kw_only=True)
class Evaluated(VerbResult):
    """A measurement of a model.

    Attributes
    ----------
    output
        The result directory.
    result
        What its results.json holds: every metric with value, interval and definition, baselines beside it.
    """

    output: str
    result: ResultFile


@click.command()
@click.argument("model", type=click.Path())
@click.option(
    "--on",
    "task",
    required=True,
    shell_complete=complete_component("task"),
    help="Task, see `hepfm list task`.",
)
@click.option("--store", required=True, type=click.Path(), help="Store whose test split is measured on.")
@click.option(
    "-o", "--output", type=click.Path(), help="Result directory; MODEL-TASK beside the model by default."
)
@click.option("--arm", default="", help="What a comparison calls this way of training.")
@withhold_option
@device_option
@click.option(
    "--weights",
    default="auto",
    show_default=True,
    help="Field of the event weights, or null for equal ones; auto takes the store's.",
)
@task_options
@set_option("the generation, where MODEL generates: top_p=0.9, cells=dataset_2")
@verb
def command(
    model: str,
    task: str,
    store: str,
    output: str | None,
    arm: str,
    withhold: list[str],
    device: str,
    weights: str,
    options: tuple[str, ...],
) -> Evaluated:
    """Measure MODEL on a task, with uncertainties; the scores are kept beside the numbers.

    Every line has what trivial answers score on the same rows: a regression on the numbers of the whole
    row, and always the commonest class; for generated rows, real ones against real ones, and noise.

    The tasks classification and regression measure any field of any store, e.g. --on classification --field
    jet_label --signal Tbqq --background QCD,Hbb, or --on regression --field jet_softdrop_mass.

    For a task of generation MODEL may be a store of generated rows.
    """
    from pathlib import Path

    from hepfm.models.folder import model_directory, place_of
    from hepfm.tasks.evaluate import evaluate, summary_lines

    named = place_of(model)
    asked = named.absolute() if named.name in ("", "..") else named
    folder = Path(output) if output else asked.with_name(f"{asked.name}-{task}")
    evaluation = evaluate(
        model_directory(model),
        task_spec(task),
        store,
        output=folder,
        arm=arm,
        withhold=withhold,
        device=device,
        weights=None if weights == "null" else weights,
        options=read_options(options),
    )
    return Evaluated(
        output=str(folder),
        result=evaluation.result,
        lines=summary_lines(evaluation),
        next=command_line("compare", folder, "-o", "report"),
    )
