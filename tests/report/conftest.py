"""A comparison of made-up results."""

from __future__ import annotations

from pathlib import Path

import pytest

from hepfm.data.store import Store
from hepfm.report.compare import Comparison, compare


@pytest.fixture(scope="session")
def study_results(make_result) -> list[Path]:
    """Two arms, three budgets, three seeds on the top task, and one budget of the ten-class task."""
    found = []
    for seed in range(3):
        for budget, tuned, scratch in ((100, 1.9, 0.6), (300, 2.1, 1.1), (1000, 2.2, 1.9)):
            found.append(make_result(tuned + 0.02 * seed, init="pretrained", budget=budget, seed=seed))
            found.append(make_result(scratch + 0.05 * seed, init="scratch", budget=budget, seed=seed))
        found.append(make_result(2.0 + 0.03 * seed, task="jetclass", init="scratch", budget=1000, seed=seed))
    return found


@pytest.fixture(scope="session")
def report(
    study_results: list[Path], top_store: Store, jet_store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Comparison:
    """The comparison of `study_results` with both stores shown; do not write into it."""
    output = tmp_path_factory.mktemp("report") / "report"
    return compare(study_results, output=output, stores=[top_store.path, jet_store.path])
