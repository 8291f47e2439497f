"""Refuse an objective, backbone and data set that do not fit together, before anything is built."""

from __future__ import annotations

from hepfm.backbones import BACKBONES
from hepfm.core.config import Component
from hepfm.core.errors import IncompatibleError, MissingExtraError
from hepfm.core.registry import Registry
from hepfm.core.schema import Schema
from hepfm.objectives import OBJECTIVES

_OF_DATA = ("labels", "p4")

MOMENTUM_FIELDS = ("part_pt", "part_eta", "part_phi", "part_energy")
"""Fields of constituents from which four-momenta are made."""


def check_compatible(objective: Component, backbone: Component, schema: Schema) -> None:
    """Raise `IncompatibleError` unless the three fit; the message names the pairs that do.

    Parameters
    ----------
    objective, backbone
        The components asked for.
    schema
        The schema of the training data.
    """
    lacking = _lacking(objective.cls, backbone.cls, schema)
    if lacking:
        raise IncompatibleError(
            f"objective {objective.name!r} with backbone {backbone.name!r} does not fit: "
            f"{'; '.join(lacking)}. "
            f"Pairs that fit these data: {_fitting(schema)}"
        )
    objective.cls.targets(objective.config, schema)


def _lacking(objective: type, backbone: type, schema: Schema) -> list[str]:
    given = data_offers(schema)
    needs = frozenset(objective.needs)  # type: ignore[attr-defined]
    supports = frozenset(backbone.supports)  # type: ignore[attr-defined]
    lacking = [_why(need) for need in sorted(needs - supports - given)]
    if "nothing" in supports and "nothing" not in needs:
        lacking.append("the backbone has no weights: it is for a tokenizer that is trained alone")
    if "pairwise" in supports and "p4" not in given:
        lacking.append(f"the backbone needs four-momenta, from the fields {', '.join(MOMENTUM_FIELDS)}")
    return lacking


def _why(need: str) -> str:
    if need == "nothing":
        return "the objective trains no backbone: set backbone=none"
    return (
        f"the objective needs {need!r}, which {'these data do' if need in _OF_DATA else 'it does'} not have"
    )


def data_offers(schema: Schema) -> frozenset[str]:
    """Return what a data set offers, of ``{"labels", "p4"}``.

    A field of the rows that is not the schema's label can be learned too, so any such field counts as labels.
    """
    offers = set()
    if any(field.level is schema.row for field in schema):
        offers.add("labels")
    if all(name in schema for name in MOMENTUM_FIELDS):
        offers.add("p4")
    return frozenset(offers)


def _fitting(schema: Schema) -> str:
    pairs = [
        f"{objective} + {backbone}"
        for objective, objective_class in _installed(OBJECTIVES).items()
        for backbone, backbone_class in _installed(BACKBONES).items()
        if not _lacking(objective_class, backbone_class, schema)
    ]
    return ", ".join(pairs) or "none"


def _installed(registry: Registry) -> dict[str, type]:
    found = {}
    for name in registry:
        try:
            found[name] = registry.load(name)
        except MissingExtraError:
            continue
    return found
