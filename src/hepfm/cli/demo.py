"""``hepfm demo``: the whole way on simulated jets."""

from __future__ import annotations

from typing import Any

import click

from hepfm.cli.common import verb


@click.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("-o", "--output", default="demo", show_default=True, help="Directory for everything.")
@click.option("--processes", default=2, show_default=True, help="Processes, one thread each.")
@verb
def command(overrides: tuple[str, ...], output: str, processes: int) -> dict[str, Any]:
    """Simulate, pre-train, fine-tune from few labels with and without pre-training, report.

    A second call goes on where the first was stopped. Settings follow as budgets=[100,1000] or seeds=3.
    """
    from hepfm.core.interrupts import advising
    from hepfm.study.demo import demo

    with advising("what was complete is kept; the same command goes on"):
        report = demo(output, overrides=overrides, processes=processes)
    return {"report": str(report), "lines": [f"report: {report}"]}
