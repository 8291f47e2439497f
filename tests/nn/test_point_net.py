"""The network of groups: packed and in pieces, it gives what one group after the other gives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.nn import point_net
from hepfm.nn.point_net import PointNet


def plain(net: PointNet, h_MD: Tensor, place_M2: Tensor, centre_2: Tensor) -> Tensor:
    """Return the vector of one group of M members, as the page of Point-MAE says it."""
    x_MD = F.gelu(net.own(h_MD) + net.place(place_M2 - centre_2))
    whole_D = net.whole(x_MD.amax(0))
    return net.out(F.gelu(net.member(x_MD) + whole_D).amax(0))


def test_packed_groups_have_the_vectors_and_gradients_of_one_group_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(point_net, "_ROWS", 2)
    draw = torch.Generator().manual_seed(0)
    net = PointNet(8)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, generator=draw)
    rows, width, groups = 5, 6, 3
    h_BND = torch.randn(rows, width, 8, generator=draw, requires_grad=True)
    place_BN2 = torch.randn(rows, width, 2, generator=draw)
    centre_BG2 = torch.randn(rows, groups, 2, generator=draw)
    # Overlapping groups of rows out of order; row 2 has none, and group 2 of row 4 is empty.
    belongs_BGN = torch.rand(rows, groups, width, generator=draw) < 0.5
    belongs_BGN[2], belongs_BGN[4, 2] = False, False
    belongs_BGN[..., 0] |= ~belongs_BGN.any(-1)
    belongs_BGN[2], belongs_BGN[4, 2] = False, False
    row_T, constituent_T, group_T = belongs_BGN.transpose(1, 2).nonzero().unbind(1)
    found_BGD = net(h_BND, place_BN2, row_T * width + constituent_T, row_T * groups + group_T, centre_BG2)
    expected_BGD = torch.zeros_like(found_BGD) + net.out.bias
    for b, g in belongs_BGN.any(-1).nonzero().tolist():
        which = belongs_BGN[b, g]
        expected_BGD[b, g] = plain(net, h_BND[b, which], place_BN2[b, which], centre_BG2[b, g])
    torch.testing.assert_close(found_BGD, expected_BGD, rtol=1e-4, atol=1e-4)
    towards_BGD = torch.randn(found_BGD.shape, generator=draw)
    sources = [h_BND, *net.parameters()]
    grads = [torch.autograd.grad((y * towards_BGD).sum(), sources) for y in (found_BGD, expected_BGD)]
    for found, expected in zip(*grads, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
