"""Every process holds a part of the backbone's weights (FSDP2), for networks that do not fit into one.

Each block of a backbone is split (`torch.distributed.fsdp.fully_shard`): its weights are gathered when it is
at work, forward and backward, and its gradients are averaged to where the pieces are. Whatever else there is,
embedding, heads, generator, objective, is a few per cent of a large network and whole on every process: an
objective may use it wherever it likes.

Optimizer, average and clipping see plain tensors, the pieces, which share their memory with torch's.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, Shard

from hepfm.backbones.base import Backbone
from hepfm.core.errors import IncompatibleError
from hepfm.nn.batchnorm import BatchNorm
from hepfm.train.distributed import World
from hepfm.train.ema import PREFIX, Ema
from hepfm.train.replicas import LearnerReplicas
from hepfm.train.trainable import Trainable

_CALLS = ("packed", "weighted_mean")
"""Methods besides ``forward`` by which backbones call blocks that have them."""


@dataclass(frozen=True)
class Split:
    """A weight that is split: as it was built, as torch holds it, and the piece of this process, which shares
    the memory of the latter."""

    built: nn.Parameter
    weight: nn.Parameter
    piece: nn.Parameter


class Shards(LearnerReplicas):
    """A learner whose backbone's blocks are split over processes; see `hepfm.train.replicas.LearnerReplicas`.

    The learner as it was built stays whole, in the memory of the CPU.

    Raises
    ------
    IncompatibleError
        When the backbone has no blocks.
    """

    def __init__(self, learner: Trainable, world: World) -> None:
        self.built, self.world = learner, world
        self.mesh = init_device_mesh(world.device.type, (world.size,))
        self.learner = copy.deepcopy(learner)
        for block in _blocks(self.learner):
            fully_shard(block, mesh=self.mesh)
            for name in _CALLS:
                if hasattr(block, name):
                    register_fsdp_forward_method(block, name)
        self._shared = [weight for weight in self.learner.parameters() if not isinstance(weight, DTensor)]
        for weight in self._shared:
            weight.data = weight.data.to(world.device)
        fully_shard(self.learner, mesh=self.mesh, ignored_params=set(self._shared))
        # Views are made with weights too, those of teachers among them.
        register_fsdp_forward_method(self.learner, "views")
        self.model = self.learner
        pairs = list(zip(learner.parameters(), self.learner.parameters(), strict=True))
        self._pieces = {id(built): _piece(weight) for built, weight in pairs}
        self._split = {
            id(self.piece(built)): Split(built, weight, self.piece(built))
            for built, weight in pairs
            if isinstance(weight, DTensor)
        }
        self.averaged = _Pieces(map(self.piece, learner.network.parameters()), self.learner.network.buffers())

    def piece(self, parameter: nn.Parameter) -> nn.Parameter:
        """Return what this process holds of a parameter of the learner as it was built."""
        return self._pieces[id(parameter)]

    def at_work(self, module: nn.Module) -> nn.Module:
        """Return the module that is trained in the place of one of the learner as it was built."""
        name = next(name for name, built in self.built.named_modules() if built is module)
        return self.learner.get_submodule(name)

    def part_of_step(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Return no context: the gradients of every part are sent to their pieces, to save memory."""
        return contextlib.nullcontext()

    @torch.no_grad()
    def reduce(self) -> None:
        """Average the gradients of what is whole, hand those of the pieces over, agree on running means."""
        self._average_shared()
        for split in self._split.values():
            if isinstance(split.weight.grad, DTensor):
                split.piece.grad, split.weight.grad = split.weight.grad.to_local(), None
        for module in self.learner.modules():
            if isinstance(module, BatchNorm):
                for buffer in module.buffers():
                    dist.broadcast(buffer, 0)

    def _average_shared(self) -> None:
        """Average in one exchange; what has no gradient in any process gets none."""
        trained = [weight for weight in self._shared if weight.requires_grad]
        if not trained:
            return
        there = trained[0].new_tensor([float(weight.grad is not None) for weight in trained])
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in trained]
        flat = self.world.sum(torch.cat([there, *(gradient.reshape(-1) for gradient in gradients)]))
        there, *means = torch.split(flat, [len(trained), *(weight.numel() for weight in trained)])
        for weight, mean, count in zip(trained, means, there.tolist(), strict=True):
            weight.grad = mean.view_as(weight) / self.world.size if count else None

    def clip(self, pieces: Sequence[nn.Parameter], largest: float | None) -> float:
        """Scale the gradients down to a largest norm over all weights; return the norm that they had."""
        gradients = [(id(piece) in self._split, piece.grad) for piece in pieces if piece.grad is not None]
        split, shared = (
            nn.utils.get_total_norm([gradient for is_split, gradient in gradients if is_split is which])
            .to(self.world.device)
            .square()
            for which in (True, False)
        )
        norm = (self.world.sum(split) + shared).sqrt()
        if largest is not None:
            nn.utils.clip_grads_with_norm_(pieces, largest, norm)
        return float(norm)

    def whole(self, piece: Tensor, value: Tensor) -> Tensor:
        """Return a value of a piece, e.g. its momentum, for the whole parameter; all must call it."""
        split = self._split.get(id(piece))
        if split is None or value.shape != piece.shape:
            return value
        built = split.built
        spread = DTensor.from_local(
            value.detach(), self.mesh, [Shard(0)], shape=built.shape, stride=built.stride(), run_check=False
        )
        return spread.full_tensor().cpu()

    def part(self, piece: Tensor, value: Tensor) -> Tensor:
        """Return the part that belongs to a piece of a value for the whole parameter."""
        split = self._split.get(id(piece))
        if split is None or value.shape != split.built.shape:
            return value
        parts = value.chunk(self.world.size)
        return parts[self.world.rank] if self.world.rank < len(parts) else value[:0]

    @torch.no_grad()
    def gather(self) -> dict[str, Tensor]:
        """Return the state of the whole learner, which the one that was built has then; all must call it."""
        for built in self.built.parameters():
            piece = self.piece(built)
            built.copy_(self.whole(piece, piece))
        for built_buffer, buffer in zip(self.built.buffers(), self.learner.buffers(), strict=True):
            built_buffer.copy_(buffer)
        return self.built.state_dict()

    @torch.no_grad()
    def scatter(self) -> None:
        """Take the weights of the learner as it was built."""
        for built in self.built.parameters():
            piece = self.piece(built)
            piece.copy_(self.part(piece, built))
        for built_buffer, buffer in zip(self.built.buffers(), self.learner.buffers(), strict=True):
            buffer.copy_(built_buffer)

    def average(self, ema: Ema) -> dict[str, Tensor]:
        """Return the state of an average of all weights; all processes must call it."""
        network, mean = self.built.network, ema.average.module
        weights = {
            name: self.whole(self.piece(built), value)
            for (name, built), value in zip(network.named_parameters(), mean.parameters(), strict=True)
        }
        buffers = dict(zip(dict(network.named_buffers()), mean.buffers(), strict=True))
        kept = {name: {**weights, **buffers}[name] for name in network.state_dict()}
        state = {f"{PREFIX}{name}": value for name, value in kept.items()}
        return {"n_averaged": ema.average.n_averaged, **state}

    @torch.no_grad()
    def set_average(self, ema: Ema, state: Mapping[str, Tensor]) -> None:
        """Set an average to what `average` returned."""
        network, mean = self.built.network, ema.average.module
        ema.average.n_averaged.copy_(state["n_averaged"])
        for (name, built), value in zip(network.named_parameters(), mean.parameters(), strict=True):
            value.copy_(self.part(self.piece(built), state[PREFIX + name]))
        for (name, _), value in zip(network.named_buffers(), mean.buffers(), strict=True):
            if PREFIX + name in state:
                value.copy_(state[PREFIX + name])


class _Pieces(nn.Module):
    """Pieces of weights, and buffers, in the order of the module that they are of."""

    def __init__(self, pieces: Iterable[nn.Parameter], buffers: Iterable[Tensor]) -> None:
        super().__init__()
        self.pieces = nn.ParameterList(pieces)
        for number, buffer in enumerate(buffers):
            self.register_buffer(f"buffer_{number}", buffer)


def _piece(weight: nn.Parameter) -> nn.Parameter:
    """Return what this process holds of a weight, in the same memory."""
    if not isinstance(weight, DTensor):
        return weight
    return nn.Parameter(weight.to_local().detach(), requires_grad=weight.requires_grad)


def _blocks(learner: Trainable) -> Iterator[nn.Module]:
    """Yield the blocks of each backbone and of a teacher's copy of it: entries of lists called blocks."""
    for name, module in learner.named_modules():
        if isinstance(module, Backbone):
            lists = [
                part
                for path, part in module.named_modules()
                if isinstance(part, nn.ModuleList) and path.endswith("blocks")
            ]
            if not lists:
                raise IncompatibleError(
                    f"train.shard splits the blocks of a backbone over processes, and {name} "
                    f"({type(module).__name__}) has none; set train.shard=false"
                )
            for blocks in lists:
                yield from blocks
