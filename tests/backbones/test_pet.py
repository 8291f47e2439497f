"""What is particular to the Point Edge Transformer."""

from __future__ import annotations

import pytest
import torch
from builders import built, generator, mask_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.backbones.pet import DISPLACEMENT, IDENTITY, KINEMATICS, Pet, PetConfig
from hepfm.core.errors import IncompatibleError
from hepfm.heads.class_attention import ClassAttention, ClassAttentionConfig
from hepfm.nn.massless_pairs import massless_pair_features
from hepfm.nn.neighbours import nearest_neighbours
from hepfm.nn.packing import Packing
from hepfm.nn.pet_identity import TYPES, ParticleTypes

ALL = (*KINEMATICS, *IDENTITY, *DISPLACEMENT)


def build(names: tuple[str, ...] = KINEMATICS, size: str = "xs", **options: object) -> Pet:
    backbone: Pet = built(BACKBONES, {"name": "pet", "size": size, **options}, seed=0, feature_names=names)
    return backbone


def jets(counts: list[int], *, seed: int = 0, columns: int = 4) -> tuple[Tensor, Tensor]:
    mask = mask_of(counts)
    x = 0.3 * torch.randn(*mask.shape, columns, generator=generator(seed), dtype=torch.float64)
    return x * mask[..., None], mask


@pytest.mark.parametrize(
    ("size", "heads", "parameters"),
    [("xs", 4, 130_914), ("s", 8, 2_708_149), ("m", 16, 51_487_305), ("l", 32, 373_681_299)],
)
def test_parameters_are_those_of_the_package(size: str, heads: int, parameters: int) -> None:
    """Counts of omnilearned 0.2.0: classifier of two classes, pair bias, four kinematic inputs."""
    blocks = PetConfig(**Pet.sizes[size]).local_depth
    with torch.device("meta"):
        backbone = build(size=size, local_interaction=False)
        config = ClassAttentionConfig(num_blocks=blocks, num_heads=heads)
        head = ClassAttention(config, width=backbone.width, num_outputs=2)
    modules = torch.nn.ModuleList((backbone, head))
    assert sum(parameter.numel() for parameter in modules.parameters()) == parameters


@given(counts=st.lists(st.integers(1, 14), min_size=1, max_size=4), num=st.integers(1, 12))
@settings(deadline=None, max_examples=30)
def test_neighbours_are_the_nearest_real_ones(counts: list[int], num: int) -> None:
    x, mask = jets(counts)
    found = nearest_neighbours(x[..., :2], Packing.of(mask), num)
    length = mask.shape[1]
    for place, slot in enumerate(mask.flatten().nonzero()[:, 0].tolist()):
        row, own = divmod(slot, length)
        distance = (x[row, : counts[row], :2] - x[row, own, :2]).norm(dim=-1)
        expected = [other for other in distance.argsort().tolist() if other != own][:num]
        slots, real = found.slot_TK[place], found.mask_TK[place]
        assert set(slots[real].tolist()) == {row * length + other for other in expected}
        assert int(real.sum()) == min(num, counts[row] - 1)


@pytest.mark.parametrize("count", [1, 2, 10, 11])
def test_few_constituents_do_not_depend_on_longer_rows(count: int) -> None:
    backbone = build().double().eval()
    x, mask = jets([count, 25])
    alone = backbone(x[:1, :count], mask[:1, :count])
    beside = backbone(x, mask)
    torch.testing.assert_close(beside.tokens_BND[:1, :count], alone.tokens_BND, atol=1e-12, rtol=0)
    torch.testing.assert_close(beside.registers_BKD[:1], alone.registers_BKD, atol=1e-12, rtol=0)


def test_coincident_constituents_and_input_gradients() -> None:
    backbone = build(ALL).double()
    x, mask = jets([1, 2, 8, 20], columns=len(ALL))
    x[3, 10:20] = x[3, :10]
    x.requires_grad_()
    features = backbone(x, mask)
    assert features.tokens_BND.isfinite().all()
    torch.testing.assert_close(features.tokens_BND[3, 10:20], features.tokens_BND[3, :10])
    features.tokens_BND.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert (x.grad[mask] != 0).any(dim=0).all()
    assert not x.grad[~mask].any()


def test_gradient_of_inputs_is_the_difference_quotient() -> None:
    backbone = build(ALL, num_neighbours=3).double()
    x, mask = jets([6, 3], columns=len(ALL))
    direction = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    direction = direction * mask[..., None]

    def value(step: float) -> Tensor:
        features = backbone(x + step * direction, mask)
        return features.tokens_BND.square().sum() + features.pooled_BD.sum()

    step = torch.zeros((), dtype=x.dtype, requires_grad=True)
    (slope,) = torch.autograd.grad(value(step), step)  # type: ignore[arg-type]
    quotient = (value(1e-6) - value(-1e-6)) / 2e-6
    torch.testing.assert_close(slope, quotient, rtol=1e-6, atol=1e-8)


def test_pair_features_of_a_constituent_with_itself_are_zero() -> None:
    columns = torch.tensor([[0.1, 0.1], [0.2, 0.2], [3.0, 3.0]], dtype=torch.float64)
    assert not massless_pair_features(columns, columns).any()


def test_pair_features_are_those_of_massless_momenta() -> None:
    first, second = torch.randn(2, 3, 50, dtype=torch.float64)

    def momentum(columns: Tensor) -> Tensor:
        eta, phi, pt = columns[0], columns[1], columns[2].exp()
        return torch.stack((pt * eta.cosh(), pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()))

    energy, *parts = momentum(first) + momentum(second)
    mass2 = energy.square() - sum(part.square() for part in parts)
    distance = (first[:2] - second[:2]).norm(dim=0)
    kt = torch.minimum(first[2], second[2]).exp() * distance
    expected = torch.stack((mass2.log(), distance.log(), kt.log()), dim=-1)
    torch.testing.assert_close(massless_pair_features(first, second), expected, rtol=1e-9, atol=1e-9)


def test_types_are_rows_of_a_table() -> None:
    types = ParticleTypes(3)
    columns = torch.tensor(
        [
            [1, 1, 0, 0, 0, 0],
            [-1, 1, 0, 0, 0, 0],
            [0, 0, 1, 0, 0, 0],
            [0, 0, 0, 1, 0, 0],
            [1, 0, 0, 0, 1, 0],
            [-1, 0, 0, 0, 1, 0],
            [1, 0, 0, 0, 0, 1],
            [-1, 0, 0, 0, 0, 1],
        ],
        dtype=torch.float32,
    )
    assert len(columns) == len(TYPES)
    torch.testing.assert_close(types(columns), types.table)
    assert not types(torch.zeros(1, 6)).any()


def test_absent_columns_have_no_parameters() -> None:
    names = {name.partition(".")[0] for name in build().state_dict()}
    assert not names & {"identity", "displacement"}
    assert {"identity", "displacement"} <= {name.partition(".")[0] for name in build(ALL).state_dict()}


def test_columns_are_read_by_name_and_in_physical_units() -> None:
    backbone = build().double().eval()
    x, mask = jets([5, 12])
    order = [2, 0, 3, 1]
    shuffled = build(tuple(KINEMATICS[index] for index in order)).double().eval()
    found = shuffled(torch.zeros_like(x), mask, physical_BNF=x[..., order])
    torch.testing.assert_close(found.tokens_BND, backbone(x, mask).tokens_BND)


def test_condition_is_seen_and_returned_behind_the_class_tokens() -> None:
    backbone = build().double().eval()
    x, mask = jets([5, 12])
    condition = torch.randn(2, 2, backbone.width, dtype=x.dtype)
    plain, told = backbone(x, mask), backbone(x, mask, prefix_BKD=condition)
    assert told.tokens_BND.shape == plain.tokens_BND.shape
    assert (told.tokens_BND - plain.tokens_BND).abs().max() > 1e-6
    assert told.registers_BKD is not None
    assert told.registers_BKD.shape[1] == 6
    torch.testing.assert_close(told.pooled_BD, told.registers_BKD[:, :4].mean(1))


def test_missing_columns() -> None:
    with pytest.raises(IncompatibleError, match=r"lack log_pt, log_energy .*feature set pet"):
        build(("deta", "dphi"))
    with pytest.raises(IncompatibleError, match="lack is_muon"):
        build((*KINEMATICS, *IDENTITY[:-1]))
