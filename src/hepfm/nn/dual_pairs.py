"""Multivectors in pairs of dual components, and what package ``lgatr`` says of these.

An equivariant linear map mixes a component of a multivector with its dual only, in the same way for all pairs
of the same two grades. Here pairs are read off the package's basis of such maps, and components get signs by
which all pairs of the same grades are mapped alike: by one matrix of 2 by 2 for each basis element.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from hepfm.core.errors import IncompatibleError
from hepfm.nn.kernels.invariant_norm import Invariants

Parts = tuple[Tensor, ...]
"""Multivectors as three tensors, (1, T, 2 C), (4, T, 2 C) and (3, T, 2 C).

They are the pair of scalar and pseudoscalar, pairs of a vector's and a trivector's component, and pairs of
bivectors' components. Of each pair the C channels of the first component come before those of the second.
"""

PAIRS = (1, 4, 3)
"""Pairs of each part."""


class Algebra(nn.Module):
    """What is taken from the package: pairs of dual components, their maps, metric and products.

    Parameters
    ----------
    package
        Package ``lgatr``.
    primitives
        The package's options; those of the group without parity are needed.

    Raises
    ------
    IncompatibleError
        If the package's linear maps are not those of pairs of dual components.
    """

    order_16: Tensor
    """Component of the package at each of our places: those of the first pair, of the second, ..."""
    places_16: Tensor
    """Our place of each component of the package."""
    signs_16: Tensor
    """Factors of the package's components."""
    maps_L3II: Tensor
    """What each basis element makes of the pairs of each of the three parts."""

    def __init__(self, package: ModuleType, primitives: Any) -> None:
        super().__init__()
        self.primitives, self.product = primitives, package.primitives.geometric_product
        with torch.device("cpu"):  # networks are also built without numbers, of which these are needed
            units_1616 = torch.eye(16)
            metric_16 = package.primitives.inner_product(units_1616, units_1616)[:, 0]
            product = package.primitives.geometric_product(units_1616[:, None], units_1616, config=primitives)
            basis_L1616 = _basis(package, primitives)
            order_16 = _duals(basis_L1616)
            maps_L3II, signs_16 = _maps(basis_L1616[:, order_16][:, :, order_16])
            places_16 = order_16.argsort()
            signs_16 = signs_16[places_16]
            metric_82 = metric_16[order_16].view(8, 2)
            if not torch.equal(metric_82[:, 0], -metric_82[:, 1]):
                raise _unknown("dual components have the same sign in the inner product")
        self.metric = tuple(tuple(part.tolist()) for part in metric_82[:, 0].split(PAIRS))
        device = torch.get_default_device()
        constants = {
            "order_16": order_16,
            "places_16": places_16,
            "signs_16": signs_16,
            "maps_L3II": maps_L3II,
        }
        for name, value in constants.items():
            self.register_buffer(name, value.to(device), persistent=False)
        product = product * signs_16[:, None, None] * signs_16[:, None] * signs_16
        product = product[order_16][:, order_16][:, :, order_16]
        self.terms = [(i, j, k, float(product[j, k, i])) for j, k, i in product.nonzero().tolist()]

    def invariants(self, norm: Any, channels: int) -> Invariants:
        """Return what a layer ``EquiLayerNorm`` averages over, of C multivectors."""
        return Invariants(self.metric, (False, False, True), True, channels, norm.epsilon, True, False)

    def cut(self, mv_TC16: Tensor) -> Parts:
        """Return the parts of multivectors as the package has them."""
        return self.arrange(mv_TC16 * self.signs_16)

    def arrange(self, x_TC16: Tensor) -> Parts:
        """Return numbers that belong to the package's components in parts, without signs."""
        x_TC82 = torch.unflatten(x_TC16[..., self.order_16], -1, (8, 2))
        return torch.split(x_TC82.permute(2, 0, 3, 1).flatten(2), list(PAIRS))

    def join(self, mv: Parts) -> Tensor:
        """Return multivectors as the package has them, (T, C, 16); the way back of `cut`."""
        mv_TC82 = torch.unflatten(torch.cat(mv), 2, (2, -1)).permute(1, 3, 0, 2)
        return mv_TC82.flatten(2)[..., self.places_16] * self.signs_16


def _basis(package: ModuleType, primitives: Any) -> Tensor:
    """Return the linear maps of multivectors, by what the package makes of unit ones, (L, 16, 16)."""
    units_1616 = torch.eye(16)
    weights_L11L = torch.eye(primitives.num_pin_linear_basis_elements)[:, None, None]
    images = [
        package.primitives.equi_linear(units_1616[:, None], weights, config=primitives)[:, 0].T
        for weights in weights_L11L
    ]
    return torch.stack(images)


def _duals(basis_L1616: Tensor) -> Tensor:
    """Return the components in pairs of those that the maps mix."""
    mixed_1616 = basis_L1616.abs().sum(0).fill_diagonal_(0) > 0
    if not torch.equal(mixed_1616.sum(1), torch.ones(16, dtype=torch.int64)):
        raise _unknown("they do not mix each component with one other")
    dual_16 = mixed_1616.int().argmax(1)
    first_8 = (torch.arange(16) < dual_16).nonzero()[:, 0]
    return torch.stack((first_8, dual_16[first_8]), dim=1).flatten()


def _maps(basis_L1616: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maps of pairs of the three parts, and signs of components by which a part's are alike."""
    blocks_8L22 = torch.stack([basis_L1616[:, p : p + 2, p : p + 2] for p in range(0, 16, 2)])
    starts = (0, PAIRS[0], PAIRS[0] + PAIRS[1])
    same_8 = blocks_8L22[torch.tensor(starts).repeat_interleave(torch.tensor(PAIRS))]
    ones_8 = torch.ones(8)
    other_822 = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    is_other_8 = (blocks_8L22 * other_822 - same_8).flatten(1).abs().amax(1) == 0
    signs_82 = torch.stack((ones_8, torch.where(is_other_8, -ones_8, ones_8)), dim=1)
    blocks_8L22 = blocks_8L22 * (signs_82[:, :, None] * signs_82[:, None])[:, None]
    if not torch.equal(blocks_8L22, same_8):
        raise _unknown("pairs of the same grades are not mapped alike")
    return blocks_8L22[list(starts)].transpose(0, 1), signs_82.flatten()


def _unknown(why: str) -> IncompatibleError:
    return IncompatibleError(
        f"the linear maps of this package lgatr are not known to the lgatr backbone: {why}; use version 2.0 "
        "and its option subgroup=True"
    )
