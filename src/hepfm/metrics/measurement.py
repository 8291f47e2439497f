"""A measured number: value, uncertainty, sample size and the definition it follows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """What every metric returns.

    Attributes
    ----------
    value
        The number; None when it is undefined (e.g. a rejection without surviving background).
    low, high
        Ends of the interval; None where an end does not exist.
    n
        Number of rows that the number rests on.
    definition
        Identifier of the exact definition, e.g. ``"auc.macro_ovo.v1"``.
    interval
        How the interval was made, e.g. ``"bootstrap 68% (200)"`` or ``"clopper-pearson 68%"``; its first word
        says what it is, see `hepfm.metrics.intervals.kind_of_interval`.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    definition: str
    interval: str

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)
