"""``hepfm reweight``: see `hepfm.analyses.reweight`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepfm.cli.analysis import analysis_verb

if TYPE_CHECKING:
    from hepfm.analyses.reweight import ReweightAnalysis

HELP = """
    Weight one sample of RECIPE to resemble another, and write a page and a file of weights.

    A finished run is never repeated: the same call goes on with an analysis that was stopped. Exit code: 0
    when all runs are done, 1 when some failed, 2 for a mistake in what was asked.
"""


def _load() -> type[ReweightAnalysis]:
    from hepfm.analyses.reweight import ReweightAnalysis

    return ReweightAnalysis


command = analysis_verb("reweight", HELP, _load)
