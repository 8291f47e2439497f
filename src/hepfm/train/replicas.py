"""Every process holds all weights; gradients are averaged over processes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hepfm.core.errors import ConfigError
from hepfm.train.distributed import World, processes
from hepfm.train.ema import Ema
from hepfm.train.trainable import Trainable


class LearnerReplicas:
    """A learner on one process, or the same on each of several (DDP).

    The contract of how weights lie on processes, which `hepfm.train.shards.Shards` fulfils too. The loop
    trains `learner`; optimizer, average and clipping work on the pieces of its weights that this process
    holds. Checkpoints hold whole weights, so that neither the number of processes nor the way shows in them.

    Parameters
    ----------
    learner
        What is trained, as it was built; the final weights are put into it.
    world
        This process among all.
    """

    def __init__(self, learner: Trainable, world: World) -> None:
        self.learner = learner.to(world.device)
        self.averaged: nn.Module = self.learner.network
        """What an `Ema` is made of."""
        self.model = world.wrap(self.learner)
        """What is called for the loss of a part of a step."""

    def piece(self, parameter: nn.Parameter) -> nn.Parameter:
        """Return what this process holds of a parameter of the learner as it was built."""
        return parameter

    def at_work(self, module: nn.Module) -> nn.Module:
        """Return the module that is trained in the place of one of the learner as it was built."""
        return module

    def part_of_step(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Return the context of the gradient of a part of a step; `last` says whether none follows."""
        if isinstance(self.model, DistributedDataParallel) and not last:
            return self.model.no_sync()
        return contextlib.nullcontext()

    def reduce(self) -> None:
        """Finish the gradients of a step."""

    def clip(self, pieces: Sequence[nn.Parameter], largest: float | None) -> float:
        """Scale the gradients down to a largest norm over all weights; return the norm that they had."""
        return float(nn.utils.clip_grad_norm_(pieces, largest or math.inf))

    def whole(self, piece: Tensor, value: Tensor) -> Tensor:
        """Return a value of a piece, e.g. its momentum, for the whole parameter; all must call it."""
        return value

    def part(self, piece: Tensor, value: Tensor) -> Tensor:
        """Return the part that belongs to a piece of a value for the whole parameter."""
        return value

    def gather(self) -> dict[str, Tensor]:
        """Return the state of the whole learner; all processes must call it."""
        return self.learner.state_dict()

    def scatter(self) -> None:
        """Take the weights of the learner as it was built."""

    def average(self, ema: Ema) -> dict[str, Tensor]:
        """Return the state of an average of all weights; all processes must call it."""
        return ema.state_dict()

    def set_average(self, ema: Ema, state: Mapping[str, Tensor]) -> None:
        """Set an average to what `average` returned."""
        ema.load_state_dict(dict(state))


def spread(learner: Trainable, world: World, *, shard: bool) -> LearnerReplicas:
    """Return a learner as it lies on the processes; with `shard` split, where there are several.

    Raises
    ------
    IncompatibleError
        When the backbone cannot be split.
    """
    if not shard or world.size == 1:
        return LearnerReplicas(learner, world)
    # Imported only here: torch's part of it takes a second.
    from hepfm.train.shards import Shards

    return Shards(learner, world)


def check_shard(shard: bool) -> None:
    """Refuse to start a training whose weights are to be split over processes in the only process.

    A run that was started with several may go on with one, whole.
    """
    if shard and processes() == 1:
        raise ConfigError(
            "train.shard=true splits the backbone over several processes, and this is the only one; start "
            "with `torchrun --nproc-per-node N -m hepfm ...`, or set train.shard=false"
        )
