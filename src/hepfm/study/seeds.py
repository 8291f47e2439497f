"""The seeds of a study: of pre-training, and by name those of the replicates of fine-tuning."""

from __future__ import annotations

from typing import Any

import pydantic

from hepfm.core.config import Config


class StudySeeds(Config):
    """Seeds of the replicates of fine-tuning, separately named.

    Attributes
    ----------
    replicates
        Numbers of the trainings at every point of the grid.
    init, order, subset
        Seeds of new weights, of the order of rows (with noise, masks and dropout), and of the draw of the
        label budget: one for each replicate, or none for the replicate's own number.
    pretrain
        Seeds of pre-training. Replicate i starts from the model of seed i, going round.
    """

    replicates: tuple[int, ...] = (1, 2, 3, 4, 5)
    init: tuple[int, ...] | None = None
    order: tuple[int, ...] | None = None
    subset: tuple[int, ...] | None = None
    pretrain: tuple[int, ...] = (1,)

    @pydantic.model_validator(mode="after")
    def _check(self) -> StudySeeds:
        for name in ("replicates", "pretrain"):
            numbers = getattr(self, name)
            if not numbers or len(set(numbers)) != len(numbers) or min(numbers) < 0:
                raise ValueError(f"seeds.{name} must be different whole numbers from 0 on, got {numbers}")
        for name in ("init", "order", "subset"):
            numbers = getattr(self, name)
            if numbers is not None and len(numbers) != len(self.replicates):
                raise ValueError(
                    f"seeds.{name} has {len(numbers)} seeds for {len(self.replicates)} replicates"
                )
        return self

    def of(self, position: int) -> dict[str, Any]:
        """Return the keys ``seed`` and ``seeds`` of the recipe of a replicate, by its position."""
        number = self.replicates[position]
        named = {name: getattr(self, name) for name in ("init", "order", "subset")}
        seeds = {name: number if given is None else given[position] for name, given in named.items()}
        return {"seed": number, "seeds": seeds}

    def pretrain_of(self, position: int) -> int:
        """Return the seed of the pre-training that a replicate starts from."""
        return self.pretrain[position % len(self.pretrain)]
