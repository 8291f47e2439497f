"""``hepfm simulate``: jets and events from Pythia 8 and a detector; parametrised showers; one store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hepfm.cli.advice import command_line
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_overrides, complete_recipe
from hepfm.cli.result import VerbResult

if TYPE_CHECKING:
    from hepfm.simulate.run import SimulationResult


@dataclass(frozen=True, kw_only=True)
class Simulated(VerbResult):
    """A simulated store.

    Attributes
    ----------
    path
        Directory of the store.
    kind
        Kind of simulation, which is also what the rows are called: jets, events, showers.
    rows
        Rows of each split.
    events
        Events generated; null where each row is an event of its own.
    pythia_share
        Share of the processor time that was spent inside Pythia; null when the store was there already.
    seconds
        Seconds of processor time in all; null when the store was there already.
    """

    path: str
    kind: str
    rows: dict[str, int]
    events: int | None
    pythia_share: float | None
    seconds: float | None


def _speed(result: SimulationResult) -> list[str]:
    """Return a line on the time that the events took; none where there are none, or were there already."""
    if result.events is None or not result.seconds or result.pythia_share is None:
        return []
    rate = result.events / result.seconds
    share = f"{100 * result.pythia_share:.0f} % of it in Pythia"
    return [f"{result.seconds:.0f} s of processor time, {share}; {rate:.0f} events a second and core"]


@click.command()
@click.argument("recipe", shell_complete=complete_recipe("simulate"))
@click.argument(
    "overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=complete_overrides("simulate")
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Directory of the store."
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed, in place of the recipe's.")
@click.option(
    "--processes", type=click.IntRange(min=1), help="Parallel processes.  [default: all processors]"
)
@verb
def command(
    recipe: str, overrides: tuple[str, ...], output: Path, seed: int | None, processes: int | None
) -> Simulated:
    """Generate jets, events or showers after RECIPE, a YAML file or a built-in name, and write a store.

    A stopped call goes on when it is given again. Examples of KEY=VALUE: jets.train=1000 (per class),
    mpi=false (several times faster, without underlying event), only=[QCD,Tbqq], detector=cms; of events:
    events.train=1000 (per process), selection.leptons_min=2; of showers: showers.train=1000, energy.max=100.
    """
    from hepfm.simulate.run import simulate

    result = simulate(recipe, output=output, overrides=overrides, processes=processes, seed=seed)
    rows = ", ".join(f"{count} {split}" for split, count in result.rows.items())
    origin = "" if result.events is None else f" from {result.events} events"
    return Simulated(
        path=str(result.path),
        kind=result.kind,
        rows=result.rows,
        events=result.events,
        pythia_share=result.pythia_share,
        seconds=result.seconds,
        lines=[f"{result.path}: {rows} {result.kind}{origin}", *_speed(result)],
        next=command_line("data", "info", result.path),
    )
