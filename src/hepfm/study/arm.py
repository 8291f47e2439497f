"""Arms of a study: what is pre-trained, or on what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pydantic

from hepfm.core.config import Config

Values = dict[str, Any]

ArmDomains = Literal["own", "all"] | tuple[str, ...]
"""Domains of an arm: that of each task alone, all together, or those named together."""


class Arm(Config):
    """One way of pre-training, or a model that is there already.

    Attributes
    ----------
    objective
        As in a recipe of pre-training; null in a study with domains, each of which has its own.
    domains
        In a study with domains: ``own`` trains on that of each task alone, ``all`` on all of them together,
        a list of names on these together.
    model
        A model to start from in place of a pre-training: its directory, a run, ``hepfm:NAME``,
        ``hf://owner/name``.
    options
        Keys laid over the recipe for this arm alone; the report shows them. They are for what the objective
        cannot do without, such as ``data.members`` where rows of a group are compared.
    """

    objective: str | Values | None = None
    domains: ArmDomains | None = None
    model: str | None = None
    options: Values = pydantic.Field(default_factory=dict)


def read_arm(value: Any) -> Any:
    """Return the values of an arm that may be given by its objective alone."""
    told = isinstance(value, Mapping) and not {"objective", "domains", "model"} & value.keys()
    alone = isinstance(value, str) or told
    return {"objective": value} if alone else value


def adopted_problems(
    arms: Mapping[str, Arm | None], *, sizes: int, rows: int, domains: bool
) -> Iterator[str]:
    """Yield what is wrong with arms that start from models that are there.

    Parameters
    ----------
    arms
        The arms of a study.
    sizes, rows
        Numbers of sizes, and of numbers of pre-training rows, of its grid.
    domains
        Whether it has domains.
    """
    for name, arm in arms.items():
        if arm is None or arm.model is None:
            continue
        if arm.objective is not None or arm.domains is not None or arm.options:
            yield f"arms.{name}: a model is not trained here; give nothing beside it"
        if sizes > 1 or rows > 1:
            yield (
                f"arms.{name}: a model has one size and one pre-training; leave one entry in pretrain.sizes "
                "and pretrain.rows"
            )
        if domains:
            yield f"arms.{name}: a model is for studies without domains"
