"""``hepfm finetune``: adapt a model to labelled rows."""

from __future__ import annotations

import click

from hepfm.cli.advice import after_training, in_earnest
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_overrides, complete_recipe
from hepfm.cli.result import TrainedModel, TrainingCost


@click.command()
@click.argument("model", type=click.Path())
@click.argument("recipe", shell_complete=complete_recipe("finetune"))
@click.argument(
    "overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=complete_overrides("finetune")
)
@click.option("-o", "--output", type=click.Path(), help="Run directory; runs/RECIPE by default.")
@click.option("--dry-run", is_flag=True, help="Build, do one step, print the cost; write nothing.")
@click.option("--smoke", is_flag=True, help="Shrink the run to seconds.")
@verb
def command(
    model: str, recipe: str, overrides: tuple[str, ...], output: str | None, dry_run: bool, smoke: bool
) -> TrainedModel | TrainingCost:
    """Adapt MODEL to labelled rows by RECIPE, a built-in one (`hepfm list recipes`) or a YAML file."""
    from pathlib import Path

    from hepfm.train import finetune

    if dry_run:
        cost = finetune.dry_run(model, recipe, overrides=overrides, smoke=smoke)
        following = in_earnest(("finetune", model, recipe), overrides, output=output, smoke=smoke)
        return TrainingCost(**cost.to_dict(), lines=cost.lines(), next=following)
    target = output or str(Path("runs") / Path(recipe).stem)
    result = finetune.finetune(model, recipe, output=target, overrides=overrides, smoke=smoke)
    return TrainedModel(
        run=str(result.path),
        model=str(result.model_path),
        lines=[f"model: {result.model_path}"],
        next=after_training(result.path),
    )
