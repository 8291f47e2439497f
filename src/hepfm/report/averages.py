"""Over what a table averages: trainings, pre-trainings, draws of labels, initialisations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hepfm.report.sections import Group, Origin

PARTS: tuple[tuple[str, str, Callable[[Origin], object]], ...] = (
    ("pre-training", "pre-trainings", lambda origin: origin.pretraining),
    ("draw of labels", "draws of labels", lambda origin: origin.labels),
    ("initialisation", "initialisations", lambda origin: origin.init),
)


def average_text(groups: Sequence[Group], what: str = "Each row is a mean") -> str:
    """Return over what every row is a mean, and where one pre-training stands behind an interval.

    Groups may differ; then the smallest and the largest number are named.
    """
    counts = [_range("training", "trainings", [len(group.results) for group in groups])]
    for one, many, read in PARTS:
        numbers = [_different(group, read) for group in groups]
        if any(numbers):
            counts.append(_range(one, many, [number for number in numbers if number]))
    return f"{what} over {', '.join(counts)}.{_single(groups)}"


def _range(one: str, many: str, numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    if low == high:
        return f"{low} {one if low == 1 else many}"
    return f"{low} to {high} {many}"


def _different(group: Group, read: Callable[[Origin], object]) -> int:
    return len({read(result.origin) for result in group.results} - {None})


def _single(groups: Sequence[Group]) -> str:
    """Return the arms whose interval holds one pre-training only."""
    arms = dict.fromkeys(
        group.arm
        for group in groups
        if len(group.results) > 1 and _different(group, lambda origin: origin.pretraining) == 1
    )
    if not arms:
        return ""
    return (
        f" One pre-training stands behind all fine-tunings of {', '.join(arms)}: the intervals do not hold "
        f"how another pre-training would have come out."
    )
