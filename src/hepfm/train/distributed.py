"""One process or several under ``torchrun``: rank, device and sums over processes."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hepfm.models.device import pick_device as pick_device
from hepfm.objectives.loss import Loss, Term
from hepfm.objectives.together import Together


@dataclass(frozen=True)
class World:
    """This process among all of a run.

    Attributes
    ----------
    rank, size
        Number of this process and how many there are.
    device
        Where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return the module that averages gradients over processes; `module` itself where there are none."""
        if self.size == 1 or not any(parameter.requires_grad for parameter in module.parameters()):
            return module
        ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=ids)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Tell whether a flag is set in any process."""
        return bool(self.sum(torch.tensor(float(flag), device=self.device))) if self.size > 1 else flag

    def most(self, number: int) -> int:
        """Return the largest of the numbers of all processes."""
        if self.size == 1:
            return number
        largest = torch.tensor(number, device=self.device)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def loss(self, loss: Loss) -> Loss:
        """Return the sum of the detached losses of all processes."""
        if self.size == 1:
            return loss
        together = {
            name: term.over_processes(self.size)
            for name, term in loss.terms.items()
            if isinstance(term, Together)
        }
        return Loss({**loss.terms, **self._summed(loss), **together})

    def _summed(self, loss: Loss) -> dict[str, Term]:
        """Return the terms that are sums, all in one exchange."""
        terms = {name: term for name, term in loss.terms.items() if isinstance(term, Term)}
        parts = [part for term in terms.values() for part in (term.total.reshape(-1), term.count.reshape(-1))]
        if not parts:
            return {}
        sums = iter(torch.split(self.sum(torch.cat(parts)), [len(part) for part in parts]))
        return {
            name: replace(
                term, total=next(sums).view(term.total.shape), count=next(sums).view(term.count.shape)
            )
            for name, term in terms.items()
        }

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()


def first_process() -> bool:
    """Tell whether this is the first process of those that ``torchrun`` started, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


def processes() -> int:
    """Return how many processes ``torchrun`` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join_world(device: str) -> World:
    """Join the processes that ``torchrun`` started, or be the only one.

    The process group is made once and lives until Python ends: a second one would meet the addresses of the
    first in ``torchrun``'s store.

    Parameters
    ----------
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    """
    size = processes()
    rank = int(os.environ.get("RANK", "0"))
    where = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if size > 1:
        if where.type == "cuda":
            torch.cuda.set_device(where)
        if not dist.is_initialized():
            # A module of torch with the group of the moment as default argument: imported later it keeps it.
            importlib.import_module("torch.distributed.nn.functional")
            dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
            atexit.register(_leave)
    return World(rank, size, where)


def _leave() -> None:
    """Leave the process group while Python still runs, and be the last to hold it.

    Its threads end with it and need Python's lock for that: after Python's end they abort the process, and
    when a wrapped module is the last to hold the group, both wait for each other for ever.
    """
    gc.collect()
    group = dist.group.WORLD
    if dist.is_initialized():
        dist.destroy_process_group()
    del group
