"""Refuse an objective, backbone and data set that do not fit together, before anything is built."""

from __future__ import annotations

import pydantic

from hepfm.backbones import BACKBONES
from hepfm.backbones.base import Backbone
from hepfm.core.config import Component
from hepfm.core.errors import HepfmError, IncompatibleError, MissingExtraError
from hepfm.core.registry import Registry
from hepfm.core.schema import Schema
from hepfm.data.event_features import OBJECT_MOMENTA
from hepfm.data.features import KINEMATIC_COLUMNS, FeatureSet
from hepfm.groupings import GROUPINGS
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.requirements import CLEAN, Requirements


def requirements_of(objective: Component, schema: Schema) -> Requirements:
    """Return what an objective needs; raise `IncompatibleError` where data lack it or it needs others."""
    requirements: Requirements = objective.cls.requirements(objective.config, schema)
    if requirements.reads is not None:
        raise IncompatibleError(
            f"objective {objective.name!r} reads the view {requirements.reads!r}, which another term has to "
            "make, and cannot train alone; use {name: weighted_sum, terms: [...]} with it beside "
            "flow_matching (view: noised) or masked (view: masked)"
        )
    return requirements


def check_compatible(
    objective: Component, backbone: Component, schema: Schema, grouping: Component | None = None
) -> Requirements:
    """Return what the objective needs; raise `IncompatibleError`, which names what fits, unless all fit.

    Parameters
    ----------
    objective, backbone
        The components asked for.
    schema
        The schema of the training data.
    grouping
        What makes the backbone's tokens; None for constituents.
    """
    requirements = requirements_of(objective, schema)
    if grouping is not None and grouping.cls.groups:
        _check_grouping(objective, requirements, grouping, schema)
    problems = _problems(requirements, backbone.cls, schema)
    if problems:
        backbones = _fitting_backbones(requirements, schema)
        objectives = _fitting_objectives(backbone.cls, schema)
        raise IncompatibleError(
            f"objective {objective.name!r} with backbone {backbone.name!r} does not fit: "
            f"{'; '.join(problems)}. Backbones that fit objective {objective.name!r} and these data: "
            f"{backbones}; objectives that fit backbone {backbone.name!r}: {objectives}"
        )
    return requirements


def check_members(requirements: Requirements, members: int | None, *, objective: str) -> None:
    """Refuse training in which rows of a group come one by one, where the objective compares them.

    Parameters
    ----------
    requirements
        What the objective needs.
    members
        Rows of a group that the loader brings together, the setting ``data.members``; None for none.
    objective
        Its name, for the message.
    """
    if requirements.members > (members or 1):
        raise IncompatibleError(
            f"objective {objective!r} compares members of groups, and rows come one by one; set data.members="
            f"{requirements.members} in a recipe of pre-training (fine-tuning has no such setting)"
        )


def check_views(requirements: Requirements, features: FeatureSet, *, objective: str) -> None:
    """Refuse views of part of a row, where features of the whole row cannot be made anew for them.

    Parameters
    ----------
    requirements
        What the objective needs.
    features
        The feature set of the network.
    objective
        Its name, for the message.
    """
    if not features.remade and requirements.views != {CLEAN}:
        raise IncompatibleError(
            f"objective {objective!r} shows or changes part of a row, and the feature set {features.name!r} "
            "of this converted model has features of the whole row that would tell the rest; use one "
            "that shows rows as they are, e.g. supervised"
        )


def _check_grouping(
    objective: Component, requirements: Requirements, grouping: Component, schema: Schema
) -> None:
    clustered = bool(grouping.cls.clusterings(grouping.config))
    if clustered and not has_momenta(schema):
        raise IncompatibleError(
            f"grouping {grouping.name!r} needs four-momenta, from the fields {', '.join(KINEMATIC_COLUMNS)}"
        )
    if ("read" if clustered else "shown") not in requirements.groups:
        fitting = [
            name
            for name, cls in _installed(GROUPINGS).items()
            if not cls.groups  # type: ignore[attr-defined]
            or ("read" if cls.clusterings(cls.Config()) else "shown") in requirements.groups  # type: ignore[attr-defined]
        ]
        raise IncompatibleError(
            f"objective {objective.name!r} cannot train a network with grouping {grouping.name!r}; "
            f"groupings that fit it: {', '.join(fitting)}"
        )


def _problems(requirements: Requirements, backbone: type[Backbone], schema: Schema) -> list[str]:
    problems = [
        f"the objective needs a backbone that supports {what!r}, and this one does not"
        for what in sorted(requirements.backbone - backbone.supports)
    ]
    if not requirements.trains_backbone and backbone.encodes:
        problems.append("the objective trains no backbone: set backbone=none")
    if requirements.trains_backbone and not backbone.encodes:
        problems.append("the backbone has no weights: it is for a tokenizer that is trained alone")
    if "p4" in requirements.inputs | backbone.needs and not has_momenta(schema):
        needing = "objective" if "p4" in requirements.inputs else "backbone"
        problems.append(f"the {needing} needs four-momenta, from the fields {', '.join(KINEMATIC_COLUMNS)}")
    return problems


def has_momenta(schema: Schema) -> bool:
    """Tell whether data have four-momenta of constituents, or of the objects of events."""
    return any(all(name in schema for name in fields) for fields in (KINEMATIC_COLUMNS, OBJECT_MOMENTA))


def _fitting_backbones(requirements: Requirements, schema: Schema) -> str:
    names = [
        name
        for name, backbone in _installed(BACKBONES).items()
        if not _problems(requirements, backbone, schema)
    ]
    return ", ".join(names) or "none"


def _fitting_objectives(backbone: type[Backbone], schema: Schema) -> str:
    names = []
    for name, objective in _installed(OBJECTIVES).items():
        try:  # by default options; one that needs options, or fields that the data lack, is not proposed
            requirements = requirements_of(Component(name, objective, objective.Config()), schema)  # type: ignore[attr-defined]
        except (pydantic.ValidationError, HepfmError):
            continue
        if not _problems(requirements, backbone, schema):
            names.append(name)
    return ", ".join(names) or "none"


def _installed(registry: Registry) -> dict[str, type]:
    classes = {}
    for name in registry:
        try:
            classes[name] = registry.load(name)
        except MissingExtraError:
            continue
    return classes
