"""``hepfm pretrain``: train a model from a recipe."""

from __future__ import annotations

import click

from hepfm.cli.advice import in_earnest
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_overrides, complete_recipe
from hepfm.cli.result import TrainedModel, TrainingCost
from hepfm.cli.trained import trained


@click.command()
@click.argument("recipe", shell_complete=complete_recipe("pretrain"))
@click.argument(
    "overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=complete_overrides("pretrain")
)
@click.option("-o", "--output", type=click.Path(), help="Run directory; runs/RECIPE by default.")
@click.option("--dry-run", is_flag=True, help="Build, do one step, print the cost; write nothing.")
@click.option("--smoke", is_flag=True, help="Shrink the run to seconds.")
@verb
def command(
    recipe: str, overrides: tuple[str, ...], output: str | None, dry_run: bool, smoke: bool
) -> TrainedModel | TrainingCost:
    """Train a model from RECIPE, a built-in one (`hepfm list recipes`) or a YAML file.

    A recipe with `domains` trains one backbone on several kinds of data together: a model for each.

    Several processes: torchrun --nproc-per-node N -m hepfm pretrain RECIPE
    """
    from pathlib import Path

    from hepfm.train import pretrain

    if dry_run:
        cost = pretrain.dry_run(recipe, overrides=overrides, smoke=smoke)
        following = in_earnest(("pretrain", recipe), overrides, output=output, smoke=smoke)
        return TrainingCost(**cost.to_dict(), lines=cost.lines(), next=following)
    target = output or str(Path("runs") / Path(recipe).stem)
    return trained(pretrain.pretrain(recipe, output=target, overrides=overrides, smoke=smoke))
