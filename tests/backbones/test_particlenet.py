"""ParticleNet: published sizes, and an edge block as the paper writes it, over few neighbours too."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from builders import built, mask_of

from hepfm.backbones import BACKBONES
from hepfm.core.errors import ConfigError, IncompatibleError
from hepfm.heads import HEADS
from hepfm.nn.edge_block import EdgeBlock
from hepfm.nn.packing import Packing

NAMES = ("deta", "dphi", *(f"f{k}" for k in range(15)))


@pytest.mark.parametrize(
    ("inputs", "hidden", "classes", "number"),
    [(17, 256, 10, 370_156), (7, 256, 10, 368_216), (13, 256, 10, 369_380)],
)
def test_the_published_networks_have_their_numbers_of_parameters(
    inputs: int, hidden: int, classes: int, number: int
) -> None:
    backbone = built(BACKBONES, {"name": "particlenet", "size": "s"}, feature_names=NAMES[:inputs])
    head = built(HEADS, {"name": "classify", "hidden": [hidden]}, width=256, num_outputs=classes)
    assert sum(weight.numel() for part in (backbone, head) for weight in part.parameters()) == number


@pytest.mark.parametrize("same", [True, False])
def test_a_block_is_the_mean_over_the_nearest_with_zeros_for_those_that_lack(same: bool) -> None:
    torch.manual_seed(1)
    block = EdgeBlock(6 if same else 3, [5, 6], num_neighbours=4).double().eval()
    counts = [7, 3, 1]
    mask = mask_of(counts)
    x = torch.randn(3, 7, 6 if same else 3, dtype=torch.float64) * mask[..., None]
    points = torch.randn(3, 7, 2, dtype=torch.float64)
    found = block(x, points, Packing.of(mask))
    assert not found[~mask].any()
    for row, count in enumerate(counts):
        for i in range(count):
            distance = (points[row, :count] - points[row, i]).square().sum(-1)
            near = [j for j in distance.argsort().tolist() if j != i][:4]
            edges = [torch.cat((x[row, i], x[row, j] - x[row, i])) for j in near]
            edges += [torch.cat((x[row, i], -x[row, i]))] * (4 - len(near))
            h = torch.stack(edges)
            for layer, norm in zip(block.linears, block.norms, strict=True):
                h = F.relu(norm(layer(h), torch.ones(len(h), dtype=torch.bool)))
            own = x[row, i]
            if block.shortcut is not None:
                own = block.shortcut_norm(block.shortcut(own)[None], torch.ones(1, dtype=torch.bool))[0]
            torch.testing.assert_close(found[row, i], F.relu(own + h.mean(0)))


def test_neighbours_of_the_first_block_are_those_of_the_physical_points() -> None:
    spec = {"name": "particlenet", "size": "xs", "points": ["f0", "f1"], "num_neighbours": 2}
    backbone = built(BACKBONES, spec, feature_names=NAMES).eval()
    mask = mask_of([9])
    x, physical = torch.randn(2, 1, 9, len(NAMES))
    first = backbone(x, mask, physical_BNF=physical).pooled_BD
    moved = physical.clone()
    moved[..., :2] += torch.randn(1, 9, 2)  # deta and dphi, which are not the points here
    assert torch.equal(backbone(x, mask, physical_BNF=moved).pooled_BD, first)
    moved[..., 2:4] += torch.randn(1, 9, 2)
    assert not torch.equal(backbone(x, mask, physical_BNF=moved).pooled_BD, first)


def test_what_cannot_be_built() -> None:
    with pytest.raises(IncompatibleError, match="but the features lack dphi"):
        built(BACKBONES, "particlenet", feature_names=("deta", "x"))
    with pytest.raises(IncompatibleError, match="a width of 8, less than the 17 features"):
        built(BACKBONES, {"name": "particlenet", "blocks": [[8]]}, feature_names=NAMES)
    with pytest.raises(ConfigError, match="num_neighbours has 2 numbers for 3 blocks"):
        built(BACKBONES, {"name": "particlenet", "num_neighbours": [3, 4]}, feature_names=NAMES)
    with pytest.raises(ConfigError, match="blocks"):
        built(BACKBONES, {"name": "particlenet", "blocks": []}, feature_names=NAMES)
