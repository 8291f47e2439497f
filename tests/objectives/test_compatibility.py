"""Impossible pairs are refused before anything is built, and the error names those that fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hepfm.backbones import BACKBONES
from hepfm.core.config import Component, resolve_component
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Field, Level, Schema
from hepfm.data.schemas.jets import jet_schema
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.compatibility import check_compatible, has_momenta
from hepfm.objectives.requirements import Requirements
from hepfm.objectives.supervised import Supervised, SupervisedConfig

LABELLED = jet_schema(("QCD", "Tbqq"))


class NextConstituent(Supervised):
    """An objective that needs a causal backbone."""

    @classmethod
    def requirements(cls, config: SupervisedConfig, schema: Schema) -> Requirements:
        return replace(super().requirements(config, schema), backbone=frozenset({"causal"}))


def component(name: str) -> Component:
    return resolve_component(BACKBONES, name, where="test")


def test_every_registered_pair_that_fits_is_let_through() -> None:
    objective = resolve_component(OBJECTIVES, "supervised", where="test")
    for name in BACKBONES:
        if name != "none":
            check_compatible(objective, component(name), LABELLED)


def test_no_backbone_is_for_tokenizers_and_tokenizers_for_no_backbone() -> None:
    supervised, tokenize = (
        resolve_component(OBJECTIVES, name, where="test") for name in ("supervised", "tokenize")
    )
    check_compatible(tokenize, component("none"), LABELLED)
    with pytest.raises(IncompatibleError, match="for a tokenizer that is trained alone"):
        check_compatible(supervised, component("none"), LABELLED)
    with pytest.raises(IncompatibleError, match="set backbone=none"):
        check_compatible(tokenize, component("transformer"), LABELLED)


def test_a_backbone_without_the_needed_ability_is_refused_with_what_fits() -> None:
    objective = Component("next_constituent", NextConstituent, SupervisedConfig())
    check_compatible(objective, component("transformer"), LABELLED)
    with pytest.raises(IncompatibleError) as error:
        check_compatible(objective, component("particle_transformer"), LABELLED)
    assert "supports 'causal'" in str(error.value)
    assert "'next_constituent' and these data: transformer, post_norm_transformer;" in str(error.value)
    assert "fit backbone 'particle_transformer': supervised" in str(error.value)


def test_pair_features_need_momenta() -> None:
    fields = (Field("label", Level.OBJECT), Field("hit_e", Level.HIT))
    schema = Schema(fields, Level.OBJECT, "label")
    objective = resolve_component(OBJECTIVES, "supervised", where="test")
    with pytest.raises(
        IncompatibleError, match=r"four-momenta.*these data: transformer, ranked_transformer, pet"
    ):
        check_compatible(objective, component("particle_transformer"), schema)


def test_unlabelled_data_are_refused() -> None:
    objective = resolve_component(OBJECTIVES, "supervised", where="test")
    with pytest.raises(IncompatibleError, match="needs labels"):
        check_compatible(objective, component("transformer"), jet_schema())


def test_jets_have_momenta() -> None:
    assert has_momenta(LABELLED)
