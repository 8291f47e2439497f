"""Kinematics and number of constituents of a jet given its class, drawn before its constituents."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.core.draws import RowDraws
from hepfm.generators.draw import draw_index
from hepfm.generators.solvers import midpoint, solve
from hepfm.nn.standardize import Standardize

WAVES = 16
"""Cosines that make up the logits of the number of constituents."""

STEPS = 64
"""Steps of the flow of the kinematics, whose network is small."""

_SMALLEST = 1e-6
"""Smallest spread that is scaled to one."""


@dataclass(frozen=True)
class SamplerLoss:
    """Losses of each row, (B,): of its number of constituents, and of its kinematics (None without any)."""

    multiplicity_B: Tensor
    jet_B: Tensor | None


class JetSampler(nn.Module):
    """p(kinematics | class), a flow, and p(number of constituents | class, kinematics), a softmax.

    The logits of 1, 2, ... constituents are a sum of sixteen cosines of the number, with coefficients from a
    small network, so that the estimate for a rare number is supported by its neighbours. The largest number
    seen has a logit of its own besides, because rows that were cut to a maximum accumulate there.

    Parameters
    ----------
    num_classes
        K. Label K stands for a hidden class.
    num_context
        C, number of context features of a row; 0 for none.
    counted
        Whether the last of them is its number of constituents.
    max_constituents
        Largest number of constituents.
    width
        Size of the hidden layers.
    """

    largest_number: Tensor
    """Largest number of constituents that was seen by `fit`."""
    fitted: Tensor
    """Whether `fit` has been called; before that nothing has been learned from data."""

    def __init__(
        self,
        *,
        num_classes: int,
        num_context: int,
        counted: bool = True,
        max_constituents: int,
        width: int = 128,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.counted = counted
        self.num_jet = max(num_context - counted, 0)
        self.max_constituents = max_constituents
        self.standardize = Standardize([0.0] * self.num_jet, [1.0] * self.num_jet, limit=math.inf)
        self.register_buffer("largest_number", torch.tensor(max_constituents))
        self.register_buffer("fitted", torch.tensor(False))
        known = 1 + num_classes + self.num_jet
        self.multiplicity = _network(known, width, WAVES + 1)
        self.flow = _network(known + 1, width, self.num_jet) if self.num_jet else None

    @torch.no_grad()
    def fit(self, jets: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Measure the largest number of constituents and the spread of the kinematics.

        Parameters
        ----------
        jets
            Number of constituents (B,) and context features (B, C) of some thousand rows, in parts.
        """
        counts, contexts = zip(*((count_B, context_BC) for count_B, context_BC in jets), strict=True)
        self.fitted.fill_(True)
        self.largest_number.fill_(int(torch.cat(counts).max().clamp(1, self.max_constituents)))
        if self.num_jet:
            jet_RJ = torch.cat(
                [context[:, : self.num_jet] for context in contexts if context is not None]
            ).double()
            self.standardize.centre_F.copy_(jet_RJ.mean(0))
            self.standardize.scale_F.copy_(1 / jet_RJ.std(0, correction=0).clamp(min=_SMALLEST))

    def loss(
        self, label_B: Tensor, count_B: Tensor, context_BC: Tensor | None, draws: RowDraws
    ) -> SamplerLoss:
        """Return the losses of rows of these classes; one without constituents has no loss of its number."""
        jet_BJ = self._standardized(context_BC)
        logits_BN = self._logits(label_B, jet_BJ)
        target_B = torch.minimum(count_B.clamp(min=1), self.largest_number) - 1
        multiplicity_B = F.cross_entropy(logits_BN, target_B, reduction="none") * (count_B > 0)
        if self.flow is None or jet_BJ is None:
            return SamplerLoss(multiplicity_B, None)
        time_B = draws.uniform("jet.time")
        noise_BJ = draws.normal("jet.noise", self.num_jet)
        noised_BJ = jet_BJ + time_B[:, None] * (noise_BJ - jet_BJ)
        error_BJ = self.velocity(noised_BJ, time_B, label_B) - (noise_BJ - jet_BJ)
        return SamplerLoss(multiplicity_B, error_BJ.square().sum(-1))

    @torch.no_grad()
    def sample(self, label_B: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Return numbers of constituents, (B,), and context features in physical units, (B, C) or None."""
        jet_BJ = None
        if self.flow is not None:
            shape = (len(label_B), self.num_jet)
            noise_BJ = torch.randn(shape, generator=generator, device=label_B.device)
            jet_BJ = solve(
                midpoint,
                lambda x, time: self.velocity(x, x.new_full((len(x),), time), label_B),
                noise_BJ,
                STEPS,
            )
        uniform_B = torch.rand(len(label_B), generator=generator, device=label_B.device)
        return self.finish(label_B, jet_BJ, uniform_B)

    def finish(
        self, label_B: Tensor, jet_BJ: Tensor | None, uniform_B: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return what `sample` does, of standardised kinematics and uniform numbers in [0, 1)."""
        count_B = self._draw(label_B, jet_BJ, uniform_B)
        if jet_BJ is None:
            return count_B, None
        real_B = torch.ones_like(label_B, dtype=torch.bool)
        physical_BJ = self.standardize.inverse(jet_BJ, real_B)
        if not self.counted:
            return count_B, physical_BJ
        return count_B, torch.cat([physical_BJ, count_B[:, None].to(physical_BJ.dtype)], dim=-1)

    @torch.no_grad()
    def count(self, label_B: Tensor, context_BC: Tensor, uniform_B: Tensor) -> Tensor:
        """Return numbers of constituents of rows with this context, (B,), by uniform numbers in [0, 1)."""
        return self._draw(label_B, self._standardized(context_BC), uniform_B)

    def _draw(self, label_B: Tensor, jet_BJ: Tensor | None, uniform_B: Tensor) -> Tensor:
        return 1 + draw_index(self._logits(label_B, jet_BJ).softmax(-1), uniform_B)

    def _logits(self, label_B: Tensor, jet_BJ: Tensor | None) -> Tensor:
        parts_BW = self.multiplicity(self._known(label_B, jet_BJ)).float()
        number_N = torch.arange(1, self.max_constituents + 1, device=label_B.device)
        wave_W = torch.arange(1, WAVES + 1, device=label_B.device)
        waves_WN = (math.pi * wave_W[:, None] * (number_N - 0.5) / self.largest_number).cos()
        with torch.autocast(parts_BW.device.type, enabled=False):
            logits_BN = parts_BW[:, :WAVES] @ waves_WN
        logits_BN = logits_BN + parts_BW[:, WAVES:] * (number_N == self.largest_number)
        return logits_BN.masked_fill(number_N > self.largest_number, -math.inf)

    def velocity(self, jet_BJ: Tensor, time_B: Tensor, label_B: Tensor) -> Tensor:
        """Return the velocity of standardised kinematics, float32 (B, J)."""
        assert self.flow is not None
        velocity_BJ: Tensor = self.flow(torch.cat([time_B[:, None], self._known(label_B, jet_BJ)], dim=-1))
        return velocity_BJ.float()

    def _known(self, label_B: Tensor, jet_BJ: Tensor | None) -> Tensor:
        class_BK = F.one_hot(label_B, self.num_classes + 1)[:, : self.num_classes].float()
        one_B1 = class_BK.new_ones(label_B.shape[0], 1)
        return torch.cat([one_B1, class_BK, *([] if jet_BJ is None else [jet_BJ])], dim=-1)

    def _standardized(self, context_BC: Tensor | None) -> Tensor | None:
        if not self.num_jet:
            return None
        if context_BC is None:
            raise ValueError("this generator learns the row's kinematics, and the batch has no context")
        jet_BJ: Tensor = self.standardize(
            context_BC[:, : self.num_jet], torch.ones_like(context_BC[:, 0], dtype=torch.bool)
        )
        return jet_BJ


def _network(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.GELU(),
        nn.Linear(width, width),
        nn.GELU(),
        nn.Linear(width, width),
        nn.GELU(),
        nn.Linear(width, outputs),
    )
