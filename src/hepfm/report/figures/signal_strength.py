"""A metric of weak supervision against the signal that the training samples held, down to none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from hepfm.metrics.mean_interval import FEWEST
from hepfm.report.averages import average_text
from hepfm.report.figures.style import MUTED, Figure, Pen, canvas_with_legend, legend_below, to_svg, two_lines
from hepfm.report.summary import Reference, Summary
from hepfm.report.table import Numbers, make_table
from hepfm.tasks.result import MetricInfo

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DASHES = ((0, (1, 1.5)), (0, (4, 2, 1, 2)), (0, (6, 3)))


@dataclass(frozen=True)
class Strength:
    """Signal and background of the sample that holds the signal, in the training split.

    Attributes
    ----------
    signal, background
        Rows.
    """

    signal: int
    background: int

    @property
    def significance(self) -> float:
        """S/√B before any cut."""
        return self.signal / self.background**0.5

    @property
    def text(self) -> str:
        """The same for people."""
        if not self.signal:
            return "none (control)"
        return f"{self.signal:,} (S/B {100 * self.signal / self.background:.2g} %)"


@dataclass(frozen=True)
class StrengthPoint:
    """What an arm, or a trivial answer, reaches with so much signal."""

    name: str
    strength: Strength
    measured: Summary | Reference


def strength_figure(
    arms: Sequence[StrengthPoint],
    references: Sequence[StrengthPoint],
    metric: MetricInfo,
    pens: Mapping[str, Pen],
    *,
    name: str,
) -> Figure:
    """Draw the arms over the signal, evenly spaced: the control without signal stands beside the rest.

    Lines join means over trainings, bands are the 68 % intervals of the means, dots the trainings.
    """
    strengths = sorted({point.strength for point in arms}, key=lambda one: one.signal)
    by_arm, by_line = _by_name(arms), _by_name(references)
    figure, axes = canvas_with_legend(len(by_arm) + len(by_line))
    for index, (arm, points) in enumerate(by_arm.items()):
        shift = 0.05 * (index - (len(by_arm) - 1) / 2)
        _draw_arm(axes, points, [strengths.index(one.strength) + shift for one in points], pens[arm])
    for dashes, (title, points) in zip(cycle(DASHES), by_line.items(), strict=False):
        known = [one for one in points if one.measured.mean.value is not None]
        places = [strengths.index(one.strength) for one in known]
        values = np.array([one.measured.mean.value for one in known], float)
        axes.plot(places, values, color=MUTED, linewidth=1.0, linestyle=dashes, label=title)
    _dress(axes, strengths, metric)
    alt = f"{metric.title} against the rows of signal in training for {', '.join(by_arm)}."
    caption = _caption(arms, list(by_line), metric)
    return Figure(name, to_svg(figure, name, title=alt), alt, caption, _table([*arms, *references]))


def _by_name(points: Sequence[StrengthPoint]) -> dict[str, list[StrengthPoint]]:
    """Return the points of each name by rising signal."""
    found: dict[str, list[StrengthPoint]] = {}
    for point in sorted(points, key=lambda one: one.strength.signal):
        found.setdefault(point.name, []).append(point)
    return {name: found[name] for name in dict.fromkeys(point.name for point in points)}


def _draw_arm(axes: Axes, points: Sequence[StrengthPoint], places: Sequence[float], pen: Pen) -> None:
    low, middle, high = (
        np.array([getattr(one.measured.mean, end) for one in points], float)
        for end in ("low", "value", "high")
    )
    axes.fill_between(places, low, high, color=pen.colour, alpha=0.18, linewidth=0)
    style = {"color": pen.colour, "marker": pen.marker, "linestyle": pen.dash}
    axes.plot(places, middle, label=points[0].name, markersize=5, linewidth=1.6, **style)
    for place, one in zip(places, points, strict=True):
        values = one.measured.values if isinstance(one.measured, Summary) else ()
        dots = [value for value in values if value is not None]
        axes.plot([place] * len(dots), dots, ".", color=pen.colour, markersize=3, alpha=0.55, zorder=1)


def _dress(axes: Axes, strengths: Sequence[Strength], metric: MetricInfo) -> None:
    axes.minorticks_off()
    axes.set_xticks(range(len(strengths)), [_tick(one) for one in strengths])
    axes.set_xlim(-0.4, len(strengths) - 0.6)
    axes.set_xlabel("signal rows in training (S/√B)", labelpad=1)
    axes.set_ylabel(two_lines(metric.title))
    legend_below(axes, drop=0.26)


def _tick(strength: Strength) -> str:
    if not strength.signal:
        return "0\n(control)"
    return f"{strength.signal:,}\n({strength.significance:.2g})"


def _caption(arms: Sequence[StrengthPoint], lines: Sequence[str], metric: MetricInfo) -> str:
    groups = [point.measured.group for point in arms if isinstance(point.measured, Summary)]
    grey = f" Grey lines: {', '.join(lines)}." if lines else ""
    background = max(point.strength.background for point in arms)
    return (
        f"{metric.title} ({metric.definition}) on true classes, against the rows of signal among "
        f"{background:,} of background in the mixed training sample. {average_text(groups, 'Line: mean')} "
        f"Band: 68% interval of the mean over trainings, from {FEWEST} trainings on; it does not hold the "
        f"statistical uncertainty of the test rows, which all share. Dots: every training.{grey} Markers are "
        "shifted sideways to be distinguishable."
    )


def _table(points: Sequence[StrengthPoint]) -> Numbers:
    """Return what is drawn."""
    header = ("arm", "signal", "background", "trainings", "mean", "mean_low", "mean_high", "std")
    means = [(one.name, one.strength, one.measured.mean) for one in points]
    rows = [
        (name, strength.signal, strength.background, mean.count, mean.value, mean.low, mean.high, mean.std)
        for name, strength, mean in means
    ]
    return make_table(header, rows)
