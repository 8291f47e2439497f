"""The comparison of systems is that of the registry and of the committed results."""

import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "docs" / "scripts"
sys.path.insert(0, str(SCRIPTS))

import comparison_page  # noqa: E402
from comparison_page import MARKS, Result, results, systems, verdict  # noqa: E402

from hepfm.cli.listing import registries  # noqa: E402
from hepfm.core.config import builtin_recipes  # noqa: E402

OURS = {"demo", "joint_cpu"}
"""Recipes that are of no system."""


def test_the_page_is_that_of_the_results():
    written = comparison_page.PAGE.read_text(encoding="utf-8")
    assert written == comparison_page.page(), "python docs/scripts/comparison_page.py"


def test_every_recipe_of_pretraining_is_of_one_system():
    named = [name for system in systems().values() for name in system.recipes]
    assert sorted(named) == sorted(set(builtin_recipes("pretrain")) - OURS)


def test_evidence_is_that_of_arms_of_the_studies():
    study = builtin_recipes("study")["selfsupervised_cpu"].read_text(encoding="utf-8")
    for system in systems().values():
        for evidence in system.evidence:
            known = evidence.arm in results(evidence.study)
            assert known or f"\n  {evidence.arm}:" in study, f"{system.name}: {evidence}"


def test_absent_systems_are_absent():
    known = {kind: set(registry) for kind, registry in registries().items()}
    known["pretrain"] = set(builtin_recipes("pretrain"))
    for system in systems().values():
        assert not (system.absent and system.recipes), system.name
        for kind, names in system.absent.items():
            assert not known[kind] & set(names), f"{system.name} is there: say so in systems.yaml"


def test_verdicts():
    def one(task, mark, mean, baseline=0.5):
        return Result(task, "100", mark, mean, 0.8, baseline)

    better, worse = MARKS["better"], MARKS["worse"]
    assert verdict([one("top", better, 0.9), one("probe", worse, 0.7)]) == "**yes**: top, 100 labels"
    assert verdict([one("top", "", 0.9), one("jets", worse, 0.7)]) == "**not**: worse in jets, 100 labels"
    assert verdict([one("top", "", 0.9), one("probe", better, 0.9, 0.95)]) == (
        "only frozen: probe, 100 labels (below four numbers of the jet); tuned not resolved"
    )
    assert verdict([one("top", "", 0.7)]) == "**not**: mean below scratch in all 1 columns, none resolved"
    assert verdict([one("top", "", 0.9), one("jets", "", 0.7)]) == (
        "not resolved (mean above scratch in 1 of 2 columns)"
    )
