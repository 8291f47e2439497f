"""Edge convolutions: RS3L's size, and the sum over edges as the paper writes it."""

from __future__ import annotations

import pytest
import torch
from builders import built, mask_of

from hepfm.backbones import BACKBONES
from hepfm.backbones.edge_conv import DynamicEdgeConv
from hepfm.nn.packing import Packing
from hepfm.objectives.projector import ProjectorConfig, build_projector

RS3L_FEATURES = (
    *("pt", "pt_rel", "eta", "phi", "energy", "energy_rel", "charge", "d0", "dz", "delta_r"),
    *("is_photon", "is_muon", "is_electron", "is_charged_hadron", "is_neutral_hadron"),
)
RS3L_PROJECTOR = ProjectorConfig(hidden=(64, 32, 32), outputs=8, activation="elu", norm=False)


def test_the_parameters_are_those_of_the_published_checkpoint() -> None:
    backbone = built(BACKBONES, {"name": "edge_conv", "size": "s"}, feature_names=RS3L_FEATURES)
    projector = build_projector(RS3L_PROJECTOR, backbone.width)
    sizes = [sum(weight.numel() for weight in part.parameters()) for part in (backbone, projector)]
    assert sizes == [117_248, 11_656]
    assert sum(sizes) == 128_904


@pytest.mark.parametrize("neighbours", [4, 24])
def test_a_convolution_is_the_largest_message_of_the_nearest_constituents(neighbours: int) -> None:
    draw = torch.Generator().manual_seed(1)
    mask = mask_of([9, 1, 0, 6])
    x_BND = torch.randn(4, 9, 6, generator=draw, dtype=torch.float64) * mask[..., None]
    torch.manual_seed(0)
    convolution = DynamicEdgeConv(6, num_neighbours=neighbours).double()
    found = convolution(x_BND, Packing.of(mask))
    for row, length in enumerate(mask.sum(1).tolist()):
        x = x_BND[row, :length]
        for i in range(length):
            nearest = (x - x[i]).norm(dim=1).argsort()[:neighbours]  # its own distance is 0
            edges = torch.cat((x[i].expand(len(nearest), -1), x[nearest] - x[i]), dim=1)
            expected = torch.nn.functional.elu(convolution.linear(edges)).amax(0)
            torch.testing.assert_close(found[row, i], expected)
    assert not found[~mask].any()


def test_the_summary_is_the_sum_over_constituents() -> None:
    backbone = built(BACKBONES, {"name": "edge_conv", "size": "xs"}, feature_names=RS3L_FEATURES)
    mask = mask_of([12, 0, 3])
    features = backbone(torch.randn(3, 12, 15), mask)
    torch.testing.assert_close(features.pooled_BD, features.tokens_BND.sum(1))
    assert not features.pooled_BD[1].any()
