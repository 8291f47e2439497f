"""Is one way of training better than another? Asked of the test rows and of the trainings, then corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hepfm.metrics.contrast import Contrast
from hepfm.metrics.holm import holm
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.paired import PairedTrainings, excludes, neutral
from hepfm.report.preference import lower_is_better
from hepfm.tasks.result import MetricInfo

ALPHA = 0.05
"""Error that a family of comparisons may have."""


@dataclass(frozen=True)
class Difference:
    """Arms against other arms at one budget by one metric, with both intervals.

    Attributes
    ----------
    contrast
        Which arms.
    budget
        Number of labels; None for all.
    metric
        What is compared, and whether as a difference or as a ratio.
    trainings
        The contrast for each replicate; None where the arms have no replicate in common.
    test
        With the 95 % interval over test rows, for these very trainings; None where no row has a score of its
        own.
    guard
        Why no verdict can be given, whatever the intervals say; empty when one can.
    margin
        Size below which a difference counts as none; None when nobody named one beforehand.
    adjusted_p, adjusted_equivalence
        Holm's p-values of no difference, and of one as large as the margin, in the family of `corrected`.
    family, where
        What it is corrected together with, and the panel of a study that it belongs to; empty in tables that
        are one family of their own.
    """

    contrast: Contrast
    budget: int | None
    metric: MetricInfo
    trainings: PairedTrainings | None
    test: Measurement | None
    guard: str = ""
    margin: float | None = None
    adjusted_p: float | None = None
    adjusted_equivalence: float | None = None
    family: str = ""
    where: str = ""

    @property
    def p(self) -> float | None:
        """Raw p-value of no difference, over trainings."""
        return None if self.trainings is None else self.trainings.p

    @property
    def equivalence_p(self) -> float | None:
        """Raw p-value of a difference as large as the margin; None without margin."""
        if self.trainings is None or self.margin is None:
            return None
        return self.trainings.equivalence_p(self.margin)

    @property
    def over_trainings(self) -> Measurement:
        """Mean and 95 % interval over pairs of trainings."""
        if self.trainings is None:
            definition = f"paired.{self.metric.scale}.v1"
            return Measurement(None, None, None, 0, definition, "none: no training in common")
        return self.trainings.measurement

    @property
    def verdict(self) -> str:
        """``"better"``, ``"worse"``, ``"equivalent within ..."``, else what keeps it open."""
        if self.guard:
            return f"no verdict: {self.guard}"
        if self.trainings is None:
            return "not resolved: no training in common"
        if self.trainings.reason:
            return f"not resolved: {self.trainings.reason}"
        if self._equivalent:
            return f"equivalent within {self.margin:g}"
        by_trainings = self.adjusted_p is not None and self.adjusted_p < ALPHA
        by_test = self.test is None or excludes(self.test, neutral(self.metric.scale))
        if by_trainings and by_test:
            return "better" if self._better else "worse"
        if by_trainings:
            return "not resolved by the test rows"
        return "not resolved by the trainings" if by_test else "not resolved"

    @property
    def _better(self) -> bool:
        value = self.over_trainings.value
        above = value is not None and value > neutral(self.metric.scale)
        return above != lower_is_better(self.metric)

    @property
    def _equivalent(self) -> bool:
        if self.margin is None or self.adjusted_equivalence is None:
            return False
        low, high = (-self.margin, self.margin)
        if self.metric.scale == "ratio":
            low, high = 1 / self.margin, self.margin
        inside = self.test is None or (
            self.test.low is not None
            and self.test.high is not None
            and low < self.test.low
            and self.test.high < high
        )
        return inside and self.adjusted_equivalence < ALPHA


def corrected(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """Return the differences with Holm's p-values over each family, families together in their order.

    The two questions, whether there is a difference and whether it is as large as the margin, are corrected
    apart: of any one comparison at most one of the two null hypotheses is true.
    """
    families = dict.fromkeys(difference.family for difference in differences)
    return tuple(
        adjusted
        for family in families
        for adjusted in _corrected([one for one in differences if one.family == family])
    )


def _corrected(family: Sequence[Difference]) -> list[Difference]:
    p = holm([difference.p for difference in family])
    asked = [index for index, difference in enumerate(family) if difference.margin is not None]
    same = dict(zip(asked, holm([family[index].equivalence_p for index in asked]), strict=True))
    return [
        replace(difference, adjusted_p=p[index], adjusted_equivalence=same.get(index))
        for index, difference in enumerate(family)
    ]
