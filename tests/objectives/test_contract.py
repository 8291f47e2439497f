"""The contract of objectives, over every registered pair that fits jets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from objective_pairs import PAIRS, SPECS, case

from hepfm.objectives import OBJECTIVES
from hepfm.testing.objectives import LAWS, ObjectiveCase


def test_every_registered_objective_is_tried() -> None:
    assert {SPECS[name]["name"] for name, _ in PAIRS} == set(OBJECTIVES)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_contract(pair: tuple[str, str], law: Callable[[ObjectiveCase], None]) -> None:
    law(case(*pair))
