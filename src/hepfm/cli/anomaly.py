"""``hepfm anomaly``: see `hepfm.analyses.anomaly`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepfm.cli.analysis import analysis_verb

if TYPE_CHECKING:
    from hepfm.analyses.anomaly import AnomalySearch

HELP = """
    Search for a resonance without labels, as RECIPE says, and write a page.

    A finished run is never repeated: the same call goes on with an analysis that was stopped. Exit code: 0
    when all runs are done, 1 when some failed, 2 for a mistake in what was asked.
"""


def _load() -> type[AnomalySearch]:
    from hepfm.analyses.anomaly import AnomalySearch

    return AnomalySearch


command = analysis_verb("anomaly", HELP, _load)
