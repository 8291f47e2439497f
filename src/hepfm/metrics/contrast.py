"""Contrasts: which arms are set against which others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hepfm.core.errors import ConfigError
from hepfm.metrics.paired import PairedTrainings, Values, paired_trainings
from hepfm.metrics.trainings import Scale


@dataclass(frozen=True)
class Contrast:
    """The mean of some arms less the mean of others.

    Attributes
    ----------
    name
        How tables call it.
    plus, minus
        Names of arms.
    """

    name: str
    plus: tuple[str, ...]
    minus: tuple[str, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms, those that count positive first."""
        return (*self.plus, *self.minus)

    def measure(self, values: Mapping[str, Values], *, scale: Scale = "difference") -> PairedTrainings:
        """Return the contrast for each replicate, from one value per arm and replicate."""
        return paired_trainings(
            [values[arm] for arm in self.plus], [values[arm] for arm in self.minus], scale=scale
        )


def read_contrast(text: str) -> Contrast:
    """Read a contrast as it is written in a study file: names and signs with blanks between them.

    Raises
    ------
    ConfigError
        When signs and names do not alternate, an arm is named twice, or one side is empty.

    Examples
    --------
    >>> read_contrast("C+M - C")
    Contrast(name='C+M - C', plus=('C+M',), minus=('C',))
    >>> read_contrast("C+M + scratch - C - M").plus
    ('C+M', 'scratch')
    """
    words = text.split()
    signs, arms = ["+", *words[1::2]], words[::2]
    plus = tuple(arm for sign, arm in zip(signs, arms, strict=False) if sign == "+")
    minus = tuple(arm for sign, arm in zip(signs, arms, strict=False) if sign == "-")
    right = len(words) % 2 == 1 and set(signs) <= {"+", "-"} and not {"+", "-"} & set(arms)
    if not right or not minus or len({*plus, *minus}) != len(arms):
        raise ConfigError(
            f"{text!r} is no contrast: name different arms with ' + ' or ' - ' between them and at least one "
            "after a minus, as in 'C+M - C'"
        )
    return Contrast(" ".join(words), plus, minus)
