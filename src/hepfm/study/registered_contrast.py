"""A question of a study file about its arms, asked before the first run."""

from __future__ import annotations

from typing import Annotated

import pydantic

from hepfm.core.config import Config
from hepfm.workflow.store_entries import Count


class RegisteredContrast(Config):
    """A question that is asked before the first run.

    Attributes
    ----------
    contrast
        Arms with signs between them, e.g. ``"C+M - C"``: the mean of those that count positive less the mean
        of the others.
    family
        Contrasts of one family are corrected together.
    task
        Name of the downstream entry.
    metric
        Name of the metric; the primary one of the task when null.
    budgets
        Numbers of labels; all of the task when null.
    equivalence
        Margin inside which arms count as equal: above 0 for differences, above 1 for metrics compared by
        ratio.
    """

    contrast: str
    family: str
    task: str
    metric: str | None = None
    budgets: tuple[Count | None, ...] | None = None
    equivalence: Annotated[float, pydantic.Field(gt=0.0)] | None = None
