"""The term of masked particles in self-distillation (iBOT): which are hidden, what each counts, its loss."""

from __future__ import annotations

from typing import Annotated

import pydantic
import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component, ComponentOf, Config
from hepfm.core.draws import RowDraws
from hepfm.objectives.base import View, row_weights
from hepfm.objectives.hidden_choice import HIDDEN_CHOICE
from hepfm.objectives.sinkhorn import sinkhorn
from hepfm.objectives.together import StepRows

_Fraction = Annotated[float, pydantic.Field(ge=0, lt=1)]


class MaskedParticlesConfig(Config):
    """Options of the term of masked particles (iBOT, 2111.07832).

    Attributes
    ----------
    weight
        Of the term.
    choose
        Component spec of which constituents are hidden: a row of `hepfm.objectives.hidden_choice`.
    fraction
        Smallest and largest fraction that is hidden, drawn evenly for each row and view; at least one
        constituent is hidden, and one is left.
    own_projection
        Whether constituents have a projection of their own, with prototypes of their own, or the rows'.
    """

    weight: pydantic.PositiveFloat = 1.0
    choose: Annotated[Component, ComponentOf(HIDDEN_CHOICE, default="random")] = pydantic.Field(
        "random", validate_default=True
    )
    fraction: tuple[_Fraction, _Fraction] = (0.3, 0.3)
    own_projection: bool = False

    @pydantic.model_validator(mode="after")
    def _check(self) -> MaskedParticlesConfig:
        if self.fraction[0] > self.fraction[1]:
            raise ValueError("fraction: the smaller one comes first")
        return self

    def draw(self, batch: Batch, draws: RowDraws, name: str) -> tuple[Tensor, Tensor]:
        """Return which fraction of each row's constituents is to be hidden in a view, and how many, (B,)."""
        low, high = self.fraction
        fraction_B = low + (high - low) * draws.uniform(f"{name}.fraction")
        count_B = batch.mask_BN.sum(1)
        # Floor, as RINO; rows of one constituent keep it.
        number_B = (fraction_B * count_B).floor().long().clamp(min=1)
        return fraction_B, torch.minimum(number_B, (count_B - 1).clamp(min=0))


def particle_weights(view: View) -> Tensor:
    """Return the weight of each hidden constituent, (T,): those of a row share its weight."""
    assert view.placeholder is not None
    hidden_BN = view.placeholder.hidden_BN
    share_B = row_weights(view.batch) / hidden_BN.sum(1).clamp(min=1)
    return share_B[:, None].expand_as(hidden_BN)[hidden_BN]


def balanced(rows: StepRows) -> Tensor:
    """Return the mean loss of hidden constituents; vectors are the logits of teacher and student."""
    teacher_TK, student_TK = rows.vectors_VE.chunk(2, dim=1)
    if not len(rows):
        return student_TK.sum() * 0.0
    target_TK = sinkhorn(teacher_TK.detach(), rows.weights_V)
    loss_T = -(target_TK * student_TK.log_softmax(-1)).sum(-1)
    return (loss_T * rows.weights_V).sum() / rows.weights_V.sum()
