"""Arms of a study: what is pre-trained, or on what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pydantic

from hepfm.core.config import Config

Values = dict[str, Any]

ArmDomains = Literal["own", "all"] | tuple[str, ...]
"""Domains of an arm: that of each task alone, all together, or those named together."""


class Arm(Config):
    """One way of pre-training.

    Attributes
    ----------
    objective
        As in a recipe of pre-training; null in a study with domains, each of which has its own.
    domains
        In a study with domains: ``own`` trains on that of each task alone, ``all`` on all of them together,
        a list of names on these together.
    options
        Keys laid over the recipe for this arm alone; the report shows them. They are for what the objective
        cannot do without, such as ``data.members`` where rows of a group are compared.
    """

    objective: str | Values | None = None
    domains: ArmDomains | None = None
    options: Values = pydantic.Field(default_factory=dict)


def read_arm(value: Any) -> Any:
    """Return the values of an arm that may be given by its objective alone."""
    told = isinstance(value, Mapping) and not {"objective", "domains"} & value.keys()
    alone = isinstance(value, str) or told
    return {"objective": value} if alone else value
