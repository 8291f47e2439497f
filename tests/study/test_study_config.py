"""Study files: everything wrong is said at once, with the nearest right word."""

from __future__ import annotations

import pytest
from study_values import small_study

from hepfm.core.errors import ConfigError
from hepfm.study.config import read_study


def test_numbers_of_rows_may_have_letters() -> None:
    values = small_study("a", "b")
    values["downstream"]["top_tagging"]["budgets"] = ["1k", "1.2M", 10]
    assert read_study(values).downstream["top_tagging"].budgets == (1000, 1_200_000, 10)


def test_all_mistakes_are_reported_at_once() -> None:
    values = small_study("a", "b", serach={}, seeds={"replicates": [1, 1]})
    values["pretrain"]["size"] = ["xs"]
    with pytest.raises(ConfigError) as error:
        read_study(values)
    message = str(error.value)
    assert "unknown key 'serach'; did you mean 'search'" in message
    assert "unknown key 'pretrain.size'; did you mean 'sizes'" in message
    assert "seeds.replicates must be different whole numbers" in message


def test_only_scratch_has_no_pretraining() -> None:
    with pytest.raises(ConfigError, match="arm 'nothing': the arm without pre-training, and only it"):
        read_study(small_study("a", "b", arms={"nothing": None}))
    with pytest.raises(ConfigError, match="arm 'scratch'"):
        read_study(small_study("a", "b", arms={"scratch": "supervised"}))


def test_stores_are_named_and_lists_are_not_empty() -> None:
    values = small_study("a", "b", arms={})
    values["downstream"]["top_tagging"]["store"] = "tops"
    values["downstream"]["top_tagging"]["budgets"] = [5, 5]
    with pytest.raises(ConfigError) as error:
        read_study(values)
    for text in ("names no store of the study ('tops')", "arms is empty", "budgets names something twice"):
        assert text in str(error.value)


def test_named_seeds_are_one_for_each_replicate() -> None:
    with pytest.raises(ConfigError, match=r"seeds\.init has 1 seeds for 2 replicates"):
        read_study(small_study("a", "b", seeds={"replicates": [1, 2], "init": [7]}))
    seeds = read_study(small_study("a", "b", seeds={"replicates": [1, 2], "subset": [7, 8]})).seeds
    assert seeds.of(1) == {"seed": 2, "seeds": {"init": 2, "order": 2, "subset": 8}}


def test_settings_are_laid_over_the_file() -> None:
    config = read_study(small_study("a", "b"), ["seeds.replicates=[4]", "pretrain.store=top"])
    assert config.seeds.replicates == (4,)
    assert config.pretrain.store == "top"


def test_a_tasks_rates_need_a_search() -> None:
    values = small_study("a", "b")
    values["downstream"]["top_tagging"]["learning_rates"] = [1e-3, 3e-3]
    with pytest.raises(ConfigError, match=r"downstream\.top_tagging\.learning_rates are for a search"):
        read_study(values)
    values["search"] = {"learning_rates": [1e-4, 1e-2]}
    assert read_study(values).rates_of("top_tagging") == (1e-3, 3e-3)
    values["downstream"]["top_tagging"]["learning_rates"] = [1e-3]
    with pytest.raises(ConfigError, match=r"downstream\.top_tagging\.learning_rates"):
        read_study(values)


def test_an_arm_is_an_objective_with_or_without_options() -> None:
    values = small_study("a", "b")
    values["arms"]["pairs"] = {"objective": "lejepa", "options": {"data": {"members": 2}}}
    values["arms"]["alone"] = {"name": "lejepa", "keep": [0.5, 0.9]}
    arms = read_study(values).arms
    assert arms["scratch"] is None
    pairs, alone, classification = arms["pairs"], arms["alone"], arms["classification"]
    assert pairs is not None
    assert alone is not None
    assert classification is not None
    assert (pairs.objective, pairs.options) == ("lejepa", {"data": {"members": 2}})
    assert (alone.objective, alone.options) == ({"name": "lejepa", "keep": [0.5, 0.9]}, {})
    assert classification.objective == "supervised"
    values["arms"]["pairs"]["option"] = {}
    with pytest.raises(ConfigError, match=r"arms\.pairs.*option"):
        read_study(values)


def test_stores_that_are_named_must_be_there() -> None:
    values = small_study("a", "b")
    values["downstream"]["top_tagging"]["test"] = "elsewhere"
    with pytest.raises(ConfigError, match=r"downstream\.top_tagging\.test names no store of the study"):
        read_study(values)
    values = small_study("a", "b")
    values["stores"]["weak"] = {"mix": "tops", "signal": "Tbqq", "background": "QCD", "count": 5}
    with pytest.raises(ConfigError, match=r"stores\.weak\.mix names no store of the study \('tops'\)"):
        read_study(values)


def test_a_mistake_in_a_store_is_said_of_its_own_kind() -> None:
    values = small_study("a", "b")
    values["stores"]["weak"] = {"mix": "top", "signal": "Tbqq", "background": "QCD"}
    with pytest.raises(ConfigError, match=r"count.* is missing") as error:
        read_study(values)
    assert "simulate" not in str(error.value)
