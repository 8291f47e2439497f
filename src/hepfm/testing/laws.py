"""A contract as laws: functions of a case that raise where it does not hold."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import TypeVar

CaseT = TypeVar("CaseT")


def hold(laws: Sequence[Callable[[CaseT], None]], case: CaseT, *, what: str) -> None:
    """Try every law on a case; raise one `AssertionError` that lists all laws that do not hold."""
    broken: dict[str, Exception] = {}
    for law in laws:
        try:
            law(case)
        except Exception as error:
            broken[f"{law.__name__}: {law.__doc__}"] = error
    if broken:
        lines = [f"  {law}\n    {_words(error)}" for law, error in broken.items()]
        number = f"{len(broken)} of {len(laws)} laws"
        raise AssertionError("\n".join([f"{what} breaks {number}:", *lines])) from next(iter(broken.values()))


def _words(error: Exception) -> str:
    """Return the message of an error, and the line of code that raised it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = str(error).strip().replace("\n", "\n    ")
    return f"{type(error).__name__}: {text}\n    at {place.filename}:{place.lineno}"
