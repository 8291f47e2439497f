"""``hepfm unfold``: see `hepfm.analyses.unfold`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepfm.cli.analysis import analysis_verb

if TYPE_CHECKING:
    from hepfm.analyses.unfold import UnfoldAnalysis

HELP = """
    Unfold the data of RECIPE with a simulation by OmniFold, and write a page and a file of weights.

    Built-in recipes: `hepfm list recipes`. `test=closure` and `test=stress` unfold one half of the simulation
    with the other in place of the data.

    A finished run is never repeated: the same call goes on with an analysis that was stopped. Exit code: 0
    when all runs are done, 1 when some failed, 2 for a mistake in what was asked.
"""


def _load() -> type[UnfoldAnalysis]:
    from hepfm.analyses.unfold import UnfoldAnalysis

    return UnfoldAnalysis


command = analysis_verb("unfold", HELP, _load)
