"""Section ``scaling`` of a study: which losses of pre-training are fitted to scale, and which predicted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

import pydantic

from hepfm.core.config import Config
from hepfm.core.errors import did_you_mean
from hepfm.metrics.bootstrap import MINIMUM_RESAMPLES
from hepfm.metrics.mean_interval import LEVEL
from hepfm.metrics.power_law import DISTINCT, HUBER
from hepfm.metrics.scaling_law import SCALING_RESAMPLES
from hepfm.workflow.store_entries import Count


class HeldOutCell(Config):
    """A size and a number of pre-training rows that are predicted before they are trained.

    Attributes
    ----------
    size
        Of ``pretrain.sizes`` or ``scaling.sizes``.
    rows
        Pre-training rows.
    """

    size: str
    rows: Count


class ScalingGrid(Config):
    """Section ``scaling``: a law of the loss of pre-training against parameters and rows.

    Attributes
    ----------
    arms
        Arms that are fitted, each by itself: losses of objectives cannot be compared. All with pre-training
        when null.
    sizes
        Further sizes, as those of ``pretrain``, of predicted cells alone.
    predict
        Cells by name that are left out of every fit and predicted by it.
    improving
        What is done with trainings that had not reached a plateau: their loss is too high. ``leave_out`` of
        fits, or ``keep``.
    level
        Probability of intervals, that of the prediction too.
    huber
        Residual of ln L beyond which it counts linearly.
    resamples
        Of the bootstrap that intervals are made by.
    """

    arms: tuple[str, ...] | None = None
    sizes: dict[str, dict[str, Any]] = pydantic.Field(default_factory=dict)
    predict: dict[str, HeldOutCell] = pydantic.Field(default_factory=dict)
    improving: Literal["leave_out", "keep"] = "leave_out"
    level: Annotated[float, pydantic.Field(gt=0.0, lt=1.0)] = LEVEL
    huber: Annotated[float, pydantic.Field(gt=0.0)] = HUBER
    resamples: Annotated[int, pydantic.Field(ge=MINIMUM_RESAMPLES)] = SCALING_RESAMPLES

    @property
    def held_out(self) -> dict[tuple[str, int | None], str]:
        """Names of predicted cells by size and rows."""
        return {(one.size, one.rows): name for name, one in self.predict.items()}

    def fitted(self, sizes: Collection[str], rows: Sequence[int | None]) -> list[tuple[str, int | None]]:
        """Return sizes and rows of the grid that are fitted."""
        return [(size, count) for size in sizes for count in rows if (size, count) not in self.held_out]

    def problems(
        self, arms: Collection[str], sizes: Mapping[str, Any], rows: Sequence[int | None]
    ) -> list[str]:
        """Return what is wrong with it in a study of these arms with pre-training, sizes and rows."""
        return [
            *self._arm_problems(arms),
            *self._size_problems(sizes),
            *self._cell_problems(sizes, rows),
        ]

    def _arm_problems(self, arms: Collection[str]) -> list[str]:
        if self.arms == () or not arms:
            return ["scaling has no arm; name one with pre-training, or leave scaling.arms out for all"]
        return [
            f"scaling.arms names no arm with pre-training ({arm!r}{did_you_mean(arm, arms)})"
            for arm in self.arms or ()
            if arm not in arms
        ]

    def _size_problems(self, sizes: Mapping[str, Any]) -> list[str]:
        used = {one.size for one in self.predict.values()}
        known = [*sizes, *self.sizes]
        return [
            *(f"scaling.sizes.{size} is a size of pretrain already" for size in self.sizes if size in sizes),
            *(
                f"scaling.sizes.{size} is of no use: no cell of scaling.predict has it"
                for size in self.sizes
                if size not in used
            ),
            *(
                f"scaling.predict.{name}.size names no size ({one.size!r}{did_you_mean(one.size, known)})"
                for name, one in self.predict.items()
                if one.size not in known
            ),
        ]

    def _cell_problems(self, sizes: Mapping[str, Any], rows: Sequence[int | None]) -> list[str]:
        if len(self.held_out) < len(self.predict):
            return ["scaling.predict names a cell twice"]
        left = self.fitted(sizes, rows)
        found = [
            f"scaling needs at least {DISTINCT} {what} outside scaling.predict, there are {len(values)}: a "
            "power law with an offset goes through any two points"
            for what, values in (
                ("pretrain.sizes", {size for size, _ in left}),
                ("pretrain.rows", {count for _, count in left}),
            )
            if len(values) < DISTINCT
        ]
        if not found and len(left) <= 5:
            found = [f"scaling has {len(left)} cells for a law of 5 parameters; predict fewer of them"]
        return found
