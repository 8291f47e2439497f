"""Exponential moving average of the network's weights, used for validation and for the final model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

PREFIX = "module."
"""Before the names of weights and buffers in the state of an average."""


class Ema:
    """An average of the trainable parameters of `network`.

    The decay of update n is ``min(decay, (1 + n) / (10 + n))``, so that short runs do not average over their
    random start. Buffers are the network's own.

    Parameters
    ----------
    network
        The network that is trained.
    decay
        Decay per optimizer step, e.g. 0.999.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = network
        self.decay = decay
        self.average: Any = AveragedModel(network, multi_avg_fn=self._blend)
        self.average.requires_grad_(False)

    def update(self) -> None:
        """Move the average towards the present weights."""
        self.average.update_parameters(self.network)

    def _blend(self, average: Any, present: Any, number: Tensor | int) -> None:
        count = float(number)
        decay = min(self.decay, (1.0 + count) / (10.0 + count))
        torch._foreach_lerp_(list(average), list(present), 1.0 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the network have the averaged weights within the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        # In place: pieces of a weight share their memory with what is trained.
        for ours, theirs in zip(self.average.module.parameters(), self.network.parameters(), strict=True):
            kept = ours.clone()
            ours.copy_(theirs)
            theirs.copy_(kept)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the average's tensors by name."""
        state: dict[str, Tensor] = self.average.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set the average's tensors."""
        self.average.load_state_dict(state)


def averaged_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights and buffers in the state of an average, by their names in the network."""
    return {key.removeprefix(PREFIX): tensor for key, tensor in state.items() if key.startswith(PREFIX)}
