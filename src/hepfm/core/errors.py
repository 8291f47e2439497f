"""Errors that a user can cause and correct: short messages, no traceback, exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HepfmError(Exception):
    """A mistake in a command, a recipe or a file; the message says what, where and the fix."""

    exit_code = 2


class ConfigError(HepfmError):
    """A recipe or option that cannot be used."""


class DataError(HepfmError):
    """A store or data file that is missing, damaged, or not what was expected."""


class ModelError(HepfmError):
    """A model directory that is missing, damaged, newer than this code, or of another shape."""


class IncompatibleError(HepfmError):
    """Components that do not fit together; raised before anything is built."""


class MissingExtraError(HepfmError):
    """An optional library that is not installed."""


class TrainingError(HepfmError):
    """A training run that cannot continue (diverged, no room on the disk, ...)."""


class DivergedError(TrainingError):
    """A training whose loss is no longer finite; it would diverge again."""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest choice, or the list of choices.

    >>> did_you_mean("adamv", ["adamw", "lion"])
    "; did you mean 'adamw'?"
    >>> did_you_mean("xyz", ["adamw", "lion"])
    '; choose from: adamw, lion'
    """
    names = sorted(choices)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; choose from: {', '.join(names)}"


def missing_extra(library: str, extra: str) -> MissingExtraError:
    """Build the error for an absent optional library, naming the extra that brings it."""
    return MissingExtraError(f"{library} is not installed; install it with: pip install 'hepfm[{extra}]'")
