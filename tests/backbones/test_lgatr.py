"""L-GATr and L-GATr-slim: parity with their authors' package, Lorentz symmetry, sizes, what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from builders import built
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.backbones.base import Features
from hepfm.backbones.equivariant import EquivariantBackbone
from hepfm.core.errors import ConfigError, IncompatibleError, MissingExtraError
from hepfm.data.feature_names import DISPLACEMENT, IDENTITY
from hepfm.models.convert.lgatr import weights_of_version_1_4
from hepfm.nn.attention import key_bias
from hepfm.nn.equivariant import PackedAttention
from hepfm.nn.frames import at_least_mass, boost, inverse, row_frame, transform
from hepfm.nn.packing import Packing
from hepfm.testing.backbones import FEATURE_NAMES, random_rows

KINDS = ("lgatr", "lgatr_slim")
CHANNELS = {"lgatr": "multivectors", "lgatr_slim": "vector_channels"}
FULL = (*FEATURE_NAMES[:5], *IDENTITY, *DISPLACEMENT, *FEATURE_NAMES[5:])
EXACT: dict[str, Any] = {"scalars": "none", "beam": "none", "time": False}
"""Options by which nothing but the momenta is given to the network."""


def build(kind: str, *, names: tuple[str, ...] = FEATURE_NAMES, **options: Any) -> EquivariantBackbone:
    # Momenta of the tests are of some GeV.
    spec = {"name": kind, "size": "xs", "momentum_scale": 1.0, **options}
    backbone: EquivariantBackbone = built(BACKBONES, spec, feature_names=names)
    return backbone.double().eval()


def state_of(golden: Any, kind: str) -> dict[str, Tensor]:
    """Return the weights of version 1.4."""
    start = f"{kind}/state/"
    return {key.removeprefix(start): torch.from_numpy(golden[key]) for key in golden if key.startswith(start)}


def small(kind: str) -> EquivariantBackbone:
    """Return a network with the sizes of the fixture."""
    size = {"width": 8, "depth": 2, "num_heads": 2, "num_vectors": 2, "qkv_bias": True, CHANNELS[kind]: 4}
    backbone: EquivariantBackbone = built(BACKBONES, {"name": kind, **size}, feature_names=FEATURE_NAMES)
    return backbone.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_version_1_4_give_its_outputs(kind: str) -> None:
    with np.load(Path(__file__).with_name("lgatr_1_4.npz")) as golden:
        backbone = small(kind)
        backbone.net.load_state_dict(weights_of_version_1_4(state_of(golden, kind)))
        mask, vectors, scalars = (torch.from_numpy(golden[name]) for name in ("mask", "vectors", "scalars"))
        expected = [torch.from_numpy(golden[key])[mask] for key in golden if key.startswith(f"{kind}/output")]
    if kind == "lgatr":
        expected = [expected[0][:, :2, 1:5], expected[0][..., 0]]
    packing = Packing.of(mask)
    attend = PackedAttention(packing, key_bias(mask, scalars.dtype))

    @torch.no_grad()
    def differences() -> list[float]:
        state = (packing.pack(backbone._read(vectors)), packing.pack(scalars))
        outputs = backbone._run(state, attend)
        return [
            float((out[: mask.sum()] - old).abs().max()) for out, old in zip(outputs, expected, strict=True)
        ]

    # Version 2.0 approximates the GELU by a tanh, up to 5e-4 in each of its values.
    assert 1e-5 < max(differences()) < 1e-2
    for module in backbone.net.modules():
        if hasattr(module, "nonlinearity_v"):
            module.nonlinearity = module.nonlinearity_v = F.gelu
        elif hasattr(module, "nonlinearity"):  # of multivectors it was approximated before
            module.nonlinearity = lambda x: F.gelu(x, approximate="tanh" if x.shape[-1] == 1 else "none")
    assert max(differences()) < 3e-6


def test_version_1_4_had_other_gates() -> None:
    """Negative control: without the doubled factor the outputs are far off."""
    with np.load(Path(__file__).with_name("lgatr_1_4.npz")) as golden:
        state = state_of(golden, "lgatr_slim")
    doubled = weights_of_version_1_4(state)
    changed = [name for name in doubled if not torch.equal(doubled[name], state[name])]
    assert changed == [f"blocks.{block}.mlp.layers.0.linear.weight_v" for block in range(2)]
    torch.testing.assert_close(doubled[changed[0]][16:32], 2 * state[changed[0]][16:32])
    with pytest.raises(RuntimeError, match=r"linear_s\.bias"):
        build("lgatr_slim", width=8, depth=2, num_heads=2).net.load_state_dict(doubled)


@pytest.mark.parametrize("gain", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_free_pass_is_the_package_s_own(kind: str, gain: bool) -> None:
    """The package's network with the same weights, padded and masked: the same numbers and gradients."""
    import lgatr

    backbone = build(kind, norm_gain=gain, num_vectors=3, mass_regulator=0.0, frame="rest")
    x, mask, p4 = random_rows([7, 1, 4])
    features = backbone(x, mask, p4)
    frame = row_frame(p4, "rest")
    momenta = transform(frame, p4)
    references = lgatr.get_spurions("lightlike")[:, 1:5].double()
    vectors = torch.cat((torch.zeros(3, 1, 4), references.expand(3, -1, -1), momenta), dim=1)
    scalars = torch.cat((backbone.row_token.expand(3, -1, -1), torch.zeros(3, 3, backbone.width)), dim=1)
    scalars = torch.cat((scalars, backbone.embed(x, mask)), dim=1)
    seen = F.pad(mask, (4, 0), value=True)[:, None, None]
    if kind == "lgatr":
        mv, _ = backbone.net(lgatr.embed_vector(vectors)[:, :, None], scalars, attn_mask=seen)
        v, s = mv[:, :, :3, 1:5], mv[..., 0]
    else:
        v, s = backbone.net(vectors[:, :, None], scalars, attn_mask=seen)
    v = transform(inverse(frame), v)[:, 4:]
    torch.testing.assert_close(features.pooled_BD, s[:, 0])
    torch.testing.assert_close(features.tokens_BND[mask], s[:, 4:][mask])
    assert features.vectors_BNV4 is not None
    torch.testing.assert_close(features.vectors_BNV4[mask], v[mask])
    weights = [weight for weight in backbone.net.parameters() if weight.requires_grad]
    ours, theirs = (
        torch.autograd.grad(part.square().sum(), weights, allow_unused=True)
        for part in (features.tokens_BND[mask], s[:, 4:][mask])
    )
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their)


def boosted(p4: Tensor, *velocity: float) -> Tensor:
    """Return momenta seen from another frame."""
    matrix = boost(torch.tensor([velocity], dtype=p4.dtype)).expand(len(p4), -1, -1)
    return transform(matrix, p4)


def turned(p4: Tensor) -> Tensor:
    """Return momenta after a rotation in three dimensions."""
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2)).double())[0]
    rotation = rotation * torch.linalg.det(rotation)
    return torch.cat((p4[..., :1], p4[..., 1:] @ rotation.T), dim=-1)


def change(before: Features, after: Features) -> float:
    """Return the largest change of the invariant outputs."""
    assert before.pooled_BD is not None
    assert after.pooled_BD is not None
    pairs = ((after.tokens_BND, before.tokens_BND), (after.pooled_BD, before.pooled_BD))
    return max((new - old).detach().abs().max().item() for new, old in pairs)


@pytest.mark.parametrize("frame", ["longitudinal", "rest"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_lorentz_transformation_leaves_scalars_and_transforms_vectors(kind: str, frame: str) -> None:
    backbone = build(kind, **EXACT, frame=frame, num_vectors=2)
    x, mask, p4 = random_rows([8, 5, 1, 0])
    before = backbone(x, mask, p4)
    for move in (turned, lambda p: boosted(p, 0.3, -0.6, 0.4), lambda p: turned(boosted(p, 0.0, 0.0, 1.5))):
        after = backbone(x, mask, move(p4))
        assert change(before, after) < 1e-8
        assert before.vectors_BNV4 is not None
        assert after.vectors_BNV4 is not None
        torch.testing.assert_close(after.vectors_BNV4, move(before.vectors_BNV4.flatten(1, 2)).view_as(
            after.vectors_BNV4
        ), atol=1e-7, rtol=1e-7)  # fmt: skip
        assert after.vectors_BNV4[mask].abs().min() > 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_invariant_scalars_keep_the_symmetry_and_all_features_break_it(kind: str) -> None:
    x, mask, p4 = random_rows([8, 5])
    full = torch.cat((x, x, x), dim=-1)[..., : len(FULL)]
    move = turned(boosted(p4, 0.2, 0.5, 0.1))
    no_references = {"beam": "none", "time": False}
    backbone = build(kind, names=FULL, scalars="invariant", **no_references)
    assert backbone.columns == list(range(5, 15))
    before = backbone(full, mask, p4)
    assert change(before, backbone(full, mask, move)) < 1e-8
    assert change(before, backbone(full + 1, mask, move)) > 1e-3
    kinematic = full.clone()
    kinematic[..., 15:] += 1
    assert change(before, backbone(kinematic, mask, p4)) == 0
    # Features of the row's axes are others in another frame; here a shift stands for that.
    backbone = build(kind, names=FULL, **no_references)
    assert change(backbone(full, mask, p4), backbone(kinematic, mask, move)) > 1e-3


@pytest.mark.parametrize(
    ("kind", "beam", "time"),
    [(kind, "lightlike", time) for kind in KINDS for time in (False, True)]
    + [("lgatr", "xyplane", False), ("lgatr_slim", "none", True)],
)
@pytest.mark.parametrize("frame", ["longitudinal", "rest"])
def test_with_references_only_the_symmetry_about_the_beam_is_left(
    kind: str, beam: str, time: bool, frame: str
) -> None:
    backbone = build(kind, scalars="none", beam=beam, time=time, frame=frame, num_vectors=2)
    x, mask, p4 = random_rows([8, 5])
    before = backbone(x, mask, p4)
    along = boosted(p4, 0.0, 0.0, 2.0)
    angle = torch.tensor(0.7).double()
    px, py = along[..., 1].clone(), along[..., 2].clone()
    along[..., 1], along[..., 2] = px * angle.cos() - py * angle.sin(), px * angle.sin() + py * angle.cos()
    assert change(before, backbone(x, mask, along)) < 1e-8
    if (frame, beam) == ("rest", "none"):
        return  # a row at rest and a direction of time know no direction in space
    assert change(before, backbone(x, mask, turned(p4))) > 1e-5
    if frame == "longitudinal":
        assert change(before, backbone(x, mask, boosted(p4, 0.5, 0.0, 0.0))) > 1e-5


def test_a_row_at_rest_and_a_direction_of_time_know_no_direction_in_space() -> None:
    backbone = build("lgatr_slim", scalars="none", beam="none", frame="rest")
    x, mask, p4 = random_rows([8, 5])
    before = backbone(x, mask, p4)
    assert change(before, backbone(x, mask, turned(boosted(p4, 0.4, 0.1, 0.0)))) < 1e-8
    changed = p4.clone()
    changed[:, 0] *= 1.5
    assert change(before, backbone(x, mask, changed)) > 1e-4


@pytest.mark.parametrize("frame", ["longitudinal", "rest"])
def test_frame_of_a_row(frame: Any) -> None:
    _, mask, p4 = random_rows([8, 5, 0])
    matrix = row_frame(p4, frame)
    metric = torch.diag(torch.tensor([1.0, -1, -1, -1], dtype=torch.float64)).expand(3, -1, -1)
    torch.testing.assert_close(matrix.transpose(1, 2) @ metric @ matrix, metric)
    torch.testing.assert_close(inverse(matrix) @ matrix, torch.eye(4).double().expand(3, -1, -1))
    total = transform(matrix, p4).sum(1)
    assert total[:, 3].abs().max() < 1e-10
    torch.testing.assert_close(matrix[2], torch.eye(4).double())
    assert bool((total[:2, 1:].abs().max() < 1e-9).item()) is (frame == "rest")
    assert not mask[2].any()


def test_least_mass() -> None:
    p4 = torch.tensor([[5.0, 3, 0, 4], [2.0, 3, 0, 4], [-7.0, 0, 0, 1], [13.0, 3, 0, 4]]).double()
    energy = at_least_mass(p4, 0.5)[:, 0]
    torch.testing.assert_close(energy.square(), torch.tensor([25.25, 25.25, 1.25, 169]).double())
    assert torch.equal(at_least_mass(p4, 0.0)[:, 0], torch.tensor([5.0, 5, 1, 13]).double())


@pytest.mark.parametrize("frame", ["longitudinal", "rest"])
@pytest.mark.parametrize("kind", KINDS)
def test_unphysical_momenta_give_finite_features_and_gradients(kind: str, frame: str) -> None:
    """Massless constituents alone in their row, energies below the momentum, zeros, a row with no mass."""
    backbone = build(kind, frame=frame, num_vectors=2).float()
    rows = [
        [[500.0, 300.0, 0.0, 400.0], [0.0] * 4],
        [[10.0, 300.0, 0.0, 400.0], [20.0, 0.0, 100.0, 0.0]],
        [[0.0, 0.0, 0.0, 0.0], [0.0] * 4],
        [[1e5, 0.0, 1.0, 1e5], [1e-9, 0.0, 1e-9, 0.0]],
        [[7.0, 0.0, 0.0, -7.0], [0.0] * 4],
    ]
    p4 = torch.tensor(rows)
    mask = torch.tensor([[True, False], [True, True], [True, False], [True, True], [True, False]])
    features = backbone(torch.randn(5, 2, len(FEATURE_NAMES)), mask, p4)
    assert features.vectors_BNV4 is not None
    assert features.pooled_BD is not None
    for value in (features.tokens_BND, features.pooled_BD, features.vectors_BNV4):
        assert value.isfinite().all()
        assert value.dtype == torch.float32
    (features.tokens_BND.square().sum() + features.pooled_BD.sum()).backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in backbone.parameters())


@pytest.mark.parametrize(
    ("kind", "size", "count"),
    [
        ("lgatr", "s", 1_083_936),
        ("lgatr_slim", "s", 2_047_232),
        ("lgatr_slim", "m", 8_161_792),
        ("lgatr_slim", "1k", 2_836),
        ("lgatr_slim", "10k", 18_344),
        ("lgatr_slim", "100k", 133_456),
    ],
)
def test_sizes(kind: str, size: str, count: int) -> None:
    names = [f"f{place}" for place in range(17)]
    backbone = built(BACKBONES, {"name": kind, "size": size}, feature_names=names)
    assert sum(weight.numel() for weight in backbone.parameters()) == count


def test_published_taggers_have_their_published_numbers_of_weights() -> None:
    """With the options of the published runs, whose networks read 17 features and the row's token."""
    import lgatr

    config = BACKBONES.load("lgatr").Config()
    full = lgatr.LGATr(
        num_blocks=config.depth, in_mv_channels=1, out_mv_channels=10, hidden_mv_channels=config.multivectors,
        in_s_channels=17, out_s_channels=0, hidden_s_channels=config.width,
        attention={"num_heads": config.num_heads, "attn_ratio": config.attention_ratio, "head_scale": True},
        mlp={"mlp_ratio": config.feedforward_ratio}, norm_elementwise_affine=config.norm_gain,
    )  # fmt: skip
    assert sum(weight.numel() for weight in full.parameters()) == 1_077_396
    ours = built(BACKBONES, {"name": "lgatr", "size": "s"}, feature_names=FULL)
    for theirs, block in zip(full.blocks, ours.net.blocks, strict=True):
        assert {key: value.shape for key, value in theirs.state_dict().items()} == {
            key: value.shape for key, value in block.state_dict().items()
        }


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_refused(kind: str) -> None:
    x, mask, _ = random_rows([4, 2])
    with pytest.raises(IncompatibleError, match=f"the {kind} backbone reads four-momenta, but the batch has"):
        build(kind)(x, mask)
    with pytest.raises(ConfigError, match="frame"):
        build(kind, frame="laboratory")
    with pytest.raises(ConfigError, match="momentum_scale"):
        build(kind, momentum_scale=0.0)
    with pytest.raises(ConfigError, match="mass_regulator"):
        build(kind, mass_regulator=-1.0)


def test_what_only_one_of_them_has() -> None:
    with pytest.raises(ConfigError, match="beam"):
        build("lgatr_slim", beam="xyplane")
    with pytest.raises(ConfigError, match="num_vectors 17 is more than width 16"):
        build("lgatr", num_vectors=17)


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_package(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lgatr", None)
    with pytest.raises(MissingExtraError, match=r"lgatr is not installed; .*hepfm\[lgatr\]"):
        build(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_changes_nothing(kind: str) -> None:
    x, mask, p4 = (value.float() if value.is_floating_point() else value for value in random_rows([9, 4]))
    backbone = build(kind).float()
    plain = backbone(x, mask, p4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert change(plain, backbone(x, mask, p4)) == 0


def test_zeros_left_out_of_products_change_nothing() -> None:
    x, mask, p4 = random_rows([6, 3])
    plain = build("lgatr", sparse_product=False)(x, mask, p4)
    assert 0 < change(plain, build("lgatr")(x, mask, p4)) < 1e-12


def test_the_package_is_imported_where_only_sizes_are_asked_for() -> None:
    """A dry run builds on the meta device, in a process that has not imported the package before."""
    code = (
        "import torch; from hepfm.backbones.equivariant import lgatr_package\n"
        "with torch.device('meta'): print(lgatr_package().__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "lgatr", done.stderr
