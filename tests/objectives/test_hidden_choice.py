"""Which constituents are hidden: laws of every choice, and what is particular to each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from builders import draws
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import IncompatibleError
from hepfm.data import feature_set
from hepfm.data.clustering import Clustering
from hepfm.data.schemas.jets import jet_schema
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.compatibility import check_compatible
from hepfm.objectives.hidden_choice import HIDDEN_CHOICE

FEATURES = feature_set("pet")
BACKBONE = resolve_component(BACKBONES, {"name": "transformer", "width": 8, "depth": 1}, where="test")
NETWORK = build_network(BACKBONE, FEATURES)


def hidden(name: str, batch: Batch, *, fraction: float = 0.4, seed: str = "test", **options: Any) -> Tensor:
    component = resolve_component(HIDDEN_CHOICE, {"name": name, **options}, where="test")
    count_B = batch.mask_BN.sum(1)
    number_B = torch.minimum((fraction * count_B).round().long(), (count_B - 1).clamp(min=0))
    fraction_B = torch.full((len(batch),), fraction)
    found: Tensor = component.cls(component.config).hidden(
        batch, fraction_B, number_B, NETWORK, draws(), seed
    )
    return found


def jets(rows: int = 40) -> Batch:
    batch = random_batch(FEATURES, rows=rows, clusterings=[Clustering("anti_kt", 0.1)])
    lengths = torch.arange(rows) % (batch.mask_BN.shape[1] + 1)
    real = torch.arange(batch.mask_BN.shape[1]) < torch.minimum(lengths, batch.mask_BN.sum(1))[:, None]
    return Batch(
        batch.features_BNF * real[..., None],
        real,
        batch.rows_B,
        batch.p4_BN4 * real[..., None] if batch.p4_BN4 is not None else None,
        subjets=renumbered(batch.subjets, real),
    )


def renumbered(subjets: Any, real_BN: Tensor) -> dict[str, Tensor]:
    """Return subjets of shortened rows, numbered without gaps."""
    made = {}
    for name, number_BN in subjets.items():
        new = torch.full_like(number_BN, -1)
        for row, real in enumerate(real_BN):
            new[row, real] = torch.unique(number_BN[row, real], return_inverse=True)[1]
        made[name] = new
    return made


JETS = [name for name in HIDDEN_CHOICE if not name.startswith("levels")]
"""Choices that go by what jets have; `test_masked_momenta` tries the others."""


@pytest.mark.parametrize("name", JETS)
@pytest.mark.parametrize("fraction", [0.1, 0.4, 0.99])
def test_padding_is_not_hidden_and_every_row_keeps_a_constituent(name: str, fraction: float) -> None:
    batch = jets()
    hidden_BN = hidden(name, batch, fraction=fraction)
    assert not (hidden_BN & ~batch.mask_BN).any()
    assert (hidden_BN.sum(1)[batch.mask_BN.any(1)] < batch.mask_BN.sum(1)[batch.mask_BN.any(1)]).all()
    assert hidden_BN.any()
    assert hidden_BN.dtype == torch.bool


@pytest.mark.parametrize("name", JETS)
def test_a_row_hides_the_same_whatever_stands_beside_it(name: str) -> None:
    batch = jets()
    whole = hidden(name, batch)
    rows = torch.tensor([31, 7, 18])
    width = int(batch.mask_BN[rows].sum(1).max())
    part = Batch(
        batch.features_BNF[rows, :width],
        batch.mask_BN[rows, :width],
        batch.rows_B[rows],
        batch.p4_BN4[rows, :width] if batch.p4_BN4 is not None else None,
        subjets={key: value[rows, :width] for key, value in batch.subjets.items()},
    )
    assert torch.equal(hidden(name, part), whole[rows, :width])
    assert not torch.equal(hidden(name, batch, seed="other"), whole)


@pytest.mark.parametrize("name", ["random", "neighbours"])
def test_the_number_is_exact(name: str) -> None:
    batch = jets()
    count_B = batch.mask_BN.sum(1)
    wanted_B = torch.minimum((0.4 * count_B).round().long(), (count_B - 1).clamp(min=0))
    assert torch.equal(hidden(name, batch).sum(1), wanted_B)


def test_the_hidden_pt_is_as_near_to_the_fraction_as_a_prefix_of_the_order_can_be() -> None:
    batch = jets()
    assert batch.p4_BN4 is not None
    pt_BN = batch.p4_BN4[..., 1:3].norm(dim=-1) * batch.mask_BN
    many = batch.mask_BN.sum(1) > 15
    found_B = (pt_BN * hidden("pt_fraction", batch, fraction=0.3)).sum(1) / pt_BN.sum(1)
    # The last constituent decides: the sum misses the fraction by half of the hardest one at most.
    hardest_B = (pt_BN / pt_BN.sum(1, keepdim=True)).amax(1)
    assert ((found_B - 0.3).abs() <= hardest_B / 2 + 1e-6)[many].all()


def test_neighbours_and_radius_hide_a_disc() -> None:
    batch = jets()
    axes = batch.features_BNF[..., :2]
    for name, options in (("neighbours", {}), ("radius", {"radius": 0.4})):
        hidden_BN = hidden(name, batch, **options)
        for row in hidden_BN.any(1).nonzero()[:, 0].tolist():
            inside, outside = axes[row, hidden_BN[row]], axes[row, batch.mask_BN[row] & ~hidden_BN[row]]
            to_inside = torch.cdist(inside, inside).amax(1)
            to_outside = torch.cdist(inside, outside).amin(1)
            assert (to_inside <= to_outside + 1e-6).any(), "one is nearer to all hidden than to any shown"


def test_subjets_are_hidden_whole() -> None:
    batch = jets()
    (number_BN,) = batch.subjets.values()
    hidden_BN = hidden("subjets", batch, fraction=0.3)
    for row in range(len(batch)):
        real = batch.mask_BN[row]
        gone = set(number_BN[row, hidden_BN[row]].tolist())
        assert not gone & set(number_BN[row, real & ~hidden_BN[row]].tolist())
        subjets = len(set(number_BN[row, real].tolist()))
        assert len(gone) == min(max(1, round(0.3 * subjets)), max(subjets - 1, 0))


def test_masked_modelling_asks_for_the_subjets_and_refuses_features_without_directions() -> None:
    spec = resolve_component(OBJECTIVES, {"name": "masked", "choose": "subjets"}, where="test")
    assert check_compatible(spec, BACKBONE, jet_schema()).clusterings == (Clustering("anti_kt", 0.1),)
    spec = resolve_component(OBJECTIVES, {"name": "masked", "choose": "radius"}, where="test")
    with pytest.raises(IncompatibleError, match="set choose=random"):
        spec.cls.check(spec.config, build_network(BACKBONE, feature_set("calo")))
