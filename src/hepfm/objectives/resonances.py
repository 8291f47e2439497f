"""Objects as daughters of resonances: what may be chosen, and what the truth is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Field
from hepfm.physics.topology import MEASURED_AS, Branch


@dataclass(frozen=True)
class Targets:
    """The truth of a branch.

    Attributes
    ----------
    complete_BR
        Whether the daughters of each of its resonances are all there, once.
    index_BR
        Flat index of the true choice among all, in one order of interchangeable daughters; 0 for incomplete
        ones.
    """

    complete_BR: Tensor
    index_BR: Tensor


def daughter_types(field: Field) -> dict[str, tuple[int, ...]]:
    """Return the classes of object types as which each kind of daughter is measured."""
    missing = sorted({name for names in MEASURED_AS.values() for name in names} - set(field.classes))
    if missing:
        raise IncompatibleError(
            f"{field.name!r} has the classes {', '.join(field.classes)}; types of objects have "
            f"{', '.join(missing)} too"
        )
    return {name: tuple(field.classes.index(kind) for kind in kinds) for name, kinds in MEASURED_AS.items()}


def candidates(name: str, types_BN: Tensor, mask_BN: Tensor, types: Mapping[str, tuple[int, ...]]) -> Tensor:
    """Return which objects may be a daughter of this name, (B, N)."""
    return mask_BN & torch.isin(types_BN, types_BN.new_tensor(types[name]))


def allowed(
    branch: Branch, types_BN: Tensor, mask_BN: Tensor, types: Mapping[str, tuple[int, ...]]
) -> Tensor:
    """Return which choices use real objects of the right types, each once; boolean (B, N, ..., N)."""
    degree, length = len(branch.daughters), mask_BN.shape[1]
    may = torch.ones((1,) * (degree + 1), dtype=torch.bool, device=mask_BN.device)
    for axis, name in enumerate(branch.daughters):
        may_BN = candidates(name, types_BN, mask_BN, types)
        may = may & may_BN.view(-1, *(length if k == axis else 1 for k in range(degree)))
    place_N = torch.arange(length, device=mask_BN.device)
    for first in range(degree):
        for second in range(first + 1, degree):
            shapes = [[length if k == axis else 1 for k in range(degree)] for axis in (first, second)]
            may = may & (place_N.view(shapes[0]) != place_N.view(shapes[1]))
    return may


def targets_of(
    branch: Branch,
    roles: Mapping[str, Mapping[str, int]],
    role_BN: Tensor,
    types_BN: Tensor,
    mask_BN: Tensor,
    types: Mapping[str, tuple[int, ...]],
) -> Targets:
    """Return the truth of a branch by the roles of objects.

    A resonance is complete where exactly as many objects of the right type have each role as it has
    daughters of this kind.
    """
    length = mask_BN.shape[1]
    complete, index = [], []
    for resonance in branch.resonances:
        whole_B = torch.ones(len(mask_BN), dtype=torch.bool, device=mask_BN.device)
        flat_B = torch.zeros(len(mask_BN), dtype=torch.int64, device=mask_BN.device)
        for name, number in branch.kinds.items():
            has_BN = candidates(name, types_BN, mask_BN, types) & (role_BN == roles[resonance][name])
            whole_B = whole_B & (has_BN.sum(1) == number)
            places_BN = has_BN.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
            for k in range(number):
                place_B = places_BN[:, min(k, length - 1)]
                flat_B = flat_B * length + place_B
        complete.append(whole_B)
        index.append(torch.where(whole_B, flat_B, 0))
    return Targets(torch.stack(complete, dim=1), torch.stack(index, dim=1))
