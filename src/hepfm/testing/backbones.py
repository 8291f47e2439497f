"""The laws of a backbone; see `hepfm.backbones.base.Backbone`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.backbones.base import Backbone, Features
from hepfm.core.config import resolve_component
from hepfm.testing.laws import hold

FEATURE_NAMES = ("log_pt", "log_energy", "log_pt_rel", "log_energy_rel", "delta_r", "deta", "dphi")
"""Columns of the inputs: those of the feature set ``kin``."""

Inputs = tuple[Tensor, Tensor, Tensor]
"""Features (B, N, F), mask (B, N) and four-momenta (B, N, 4)."""


@dataclass(frozen=True)
class BackboneCase:
    """A backbone of the registry with options; its smallest size where it has sizes and none is asked for.

    Attributes
    ----------
    name
        Its name in the registry.
    options
        Options of its config.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cls(self) -> type[Backbone]:
        """The class."""
        backbone: type[Backbone] = BACKBONES.load(self.name)
        return backbone

    def build(
        self, *, dropout: float = 0.0, features: tuple[str, ...] = FEATURE_NAMES, **options: Any
    ) -> Backbone:
        """Return the backbone with weights of a fixed seed, in double precision."""
        has_dropout = "dropout" in self.cls.Config.model_fields
        size = {"size": next(iter(self.cls.sizes))} if self.cls.sizes else {}
        spec = {"name": self.name, **size, **self.options, **options}
        component = resolve_component(
            BACKBONES, {**spec, **({"dropout": dropout} if has_dropout else {})}, where="check_backbone"
        )
        torch.manual_seed(1)
        backbone: Backbone = component.cls(component.config, feature_names=features)
        return backbone.double()


def random_rows(counts: list[int], *, seed: int = 0) -> Inputs:
    """Return rows of these numbers of constituents with nothing in common but their mask."""
    draw = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(*counts, 1, 1))[None] < torch.tensor(counts)[:, None]

    def normal() -> Tensor:
        return torch.randn(mask.shape, generator=draw, dtype=torch.float64)

    pt, eta, phi = normal().exp(), 0.5 * normal(), 0.5 * normal()
    p4 = torch.stack((pt * eta.cosh() + 0.1, pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()), dim=-1)
    x = torch.randn(*mask.shape, len(FEATURE_NAMES), generator=draw, dtype=torch.float64)
    return x * mask[..., None], mask, p4 * mask[..., None]


def padded(inputs: Inputs, extra: int) -> Inputs:
    """Return rows with `extra` padded places that hold numbers, which nothing may read."""
    x, mask, p4 = inputs
    return (
        torch.nn.functional.pad(x, (0, 0, 0, extra), value=3.0),
        torch.nn.functional.pad(mask, (0, extra)),
        torch.nn.functional.pad(p4, (0, 0, 0, extra), value=3.0),
    )


def needs_and_supports_are_known(case: BackboneCase) -> None:
    """What it needs and supports is among what there is."""
    needs, supports = case.cls.needs, case.cls.supports
    assert needs <= {"p4"}, f"needs {set(needs)}: only 'p4' can be given"
    known = {"prefix", "causal", "codes", "placeholder", "order", "embedding"}
    assert supports <= known, f"supports {set(supports)}: known are {sorted(known)}"


def shapes_follow_the_width(case: BackboneCase) -> None:
    """`embed` and `encode` give (B, N, D), D being `width`; the summary is (B, D); padding is zero."""
    backbone = case.build().eval()
    x, mask, p4 = padded(random_rows([6, 0, 3]), 2)
    embedded = backbone.embed(x, mask)
    features = backbone.encode(embedded, mask, p4, physical_BNF=x)
    for tokens in (embedded, features.tokens_BND):
        assert tokens.shape == (3, 8, backbone.width), f"{tuple(tokens.shape)}, not (3, 8, {backbone.width})"
    assert not features.tokens_BND[~mask].any(), "features of padding are not zero"
    if features.pooled_BD is not None:
        shape = tuple(features.pooled_BD.shape)
        assert shape == (3, backbone.width), f"the summary has {shape}, not (3, {backbone.width})"
    same(backbone(x, mask, p4), features, tolerance=0.0)


def padding_changes_nothing(case: BackboneCase) -> None:
    """Features of real constituents, and buffers, do not depend on the padding or on what stands in it."""
    for counts in ([3], [0], [9, 0, 1, 5], [4, 4]):
        for extra in (1, 6):
            for training in (False, True):
                plain, wide = (case.build().train(training) for _ in range(2))
                inputs = random_rows(counts)
                same(cut(wide(*padded(inputs, extra)), inputs[1].shape[1]), plain(*inputs))
                for (name, value), other in zip(plain.named_buffers(), wide.buffers(), strict=True):
                    torch.testing.assert_close(other, value, atol=1e-9, rtol=1e-9, msg=f"buffer {name}")


def order_of_constituents_does_not_matter(case: BackboneCase) -> None:
    """Features follow their constituents when these change places, and the summary stays; not with
    ``"order"``."""
    if "order" in case.cls.supports:
        return
    for followed, other in reordered(case):
        same(other, followed)


def order_is_known_where_supported(case: BackboneCase) -> None:
    """With ``"order"`` the features of constituents that change places are others."""
    if "order" not in case.cls.supports:
        return
    for followed, other in reordered(case):
        change = (other.tokens_BND - followed.tokens_BND).abs().amax(-1)
        assert change.min() > 1e-6, f"another order changes the constituents by {change.tolist()}"


def reordered(case: BackboneCase) -> Iterator[tuple[Features, Features]]:
    """Yield the features of rows, put into another order, and those of the rows in this order."""
    backbone = case.build().eval()
    for seed in range(3):
        x, mask, p4 = random_rows([8, 8], seed=seed)
        order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
        features = backbone(x, mask, p4)
        followed = Features(features.tokens_BND[:, order], features.pooled_BD)
        yield followed, backbone(x[:, order], mask, p4[:, order])


def features_depend_on_the_whole_row_and_only_on_it(case: BackboneCase) -> None:
    """A change of one constituent reaches the features of all others of its row, and of no other row."""
    backbone = case.build().eval()
    x, mask, p4 = random_rows([6, 6])
    before = backbone(x, mask, p4).tokens_BND
    changed = x.clone()
    changed[0, 5, 0] += 1.0
    after = backbone(changed, mask, p4).tokens_BND
    reached = (after[0] - before[0]).abs().amax(-1)
    assert reached.min() > 1e-6, f"a change of constituent 5 changes those of its row by {reached.tolist()}"
    torch.testing.assert_close(after[1], before[1], atol=1e-12, rtol=0)


def empty_and_tiny_rows_are_finite(case: BackboneCase) -> None:
    """Rows of no or one constituent give finite features, gradients and buffers."""
    for counts in ([0], [0, 0], [1], [0, 1, 30]):
        for training in (False, True):
            backbone = case.build(dropout=0.1).train(training)
            features = backbone(*random_rows(counts))
            assert features.tokens_BND.isfinite().all(), f"features of rows of {counts} constituents"
            total = features.tokens_BND.square().sum()
            if features.pooled_BD is not None:
                assert features.pooled_BD.isfinite().all(), f"summary of rows of {counts} constituents"
                total = total + features.pooled_BD.square().sum()
            total.backward()
            for name, weight in backbone.named_parameters():
                assert weight.grad is None or weight.grad.isfinite().all(), f"gradient of {name}, {counts}"
            for name, buffer in backbone.named_buffers():
                assert buffer.isfinite().all(), f"buffer {name}, rows of {counts} constituents"


def every_parameter_gets_a_gradient(case: BackboneCase) -> None:
    """Features, or the summary, depend on every trainable parameter."""
    backbone = case.build().train()
    features = backbone(*random_rows([9, 5, 7, 3]))
    total = features.tokens_BND[..., ::2].square().sum()
    if features.pooled_BD is not None:
        total = total + features.pooled_BD[:, ::3].sum()
    total.backward()
    silent = [
        name
        for name, weight in backbone.named_parameters()
        if weight.requires_grad and (weight.grad is None or not weight.grad.any())
    ]
    assert not silent, f"no gradient: {', '.join(silent)}"


def a_seed_determines_the_features(case: BackboneCase) -> None:
    """The same seed gives the same features in training, and no draw is made in evaluation."""
    backbone = case.build(dropout=0.3).train()
    inputs = random_rows([9, 5])
    first, second = (seeded(backbone, inputs, seed=1) for _ in range(2))
    same(first, second, tolerance=0.0)
    backbone.eval()
    same(seeded(backbone, inputs, seed=1), seeded(backbone, inputs, seed=2), tolerance=0.0)


def layers_hold_every_parameter_once(case: BackboneCase) -> None:
    """`layers` groups the parameters, each in one group, for learning rates by layer."""
    backbone = case.build()
    grouped = sorted(id(weight) for group in backbone.layers() for weight in group)
    assert grouped == sorted(id(weight) for weight in backbone.parameters()), "not every parameter once"


def bfloat16_is_float32_to_its_precision(case: BackboneCase) -> None:
    """A training step under autocast gives the same features and gradient, to the precision of bfloat16."""
    for counts in ([5], [0, 3], [1, 2, 3, 4, 5, 6, 7, 8] * 5, [33, 40, 20]):
        for dropout in (0.0, 0.1):
            backbone = case.build(dropout=dropout).float().train()
            tokens, slope = training_step(backbone, counts, autocast=False)
            half_tokens, half_slope = training_step(backbone, counts, autocast=True)
            largest = float(tokens.abs().max())
            torch.testing.assert_close(half_tokens, tokens, atol=0.05 * largest, rtol=0)
            # Bfloat16 has eight bits, and some activations change sides at a ReLU.
            off = float((half_slope - slope).norm() / slope.norm())
            assert off < 0.15, f"the gradient is off by {off:.2f} of its size, rows of {counts} constituents"


def azimuth_and_boost_along_the_beam_do_not_matter(case: BackboneCase) -> None:
    """Four-momenta are read in any frame that differs by an azimuth and a boost along the beam."""
    if not case.cls.needs:
        return
    backbone = case.build().eval()
    x, mask, p4 = random_rows([8, 5])
    same(backbone(x, mask, turned_and_boosted(p4)), backbone(x, mask, p4), tolerance=1e-7)


def nothing_is_known_of_a_replaced_constituent(case: BackboneCase) -> None:
    """Behind a placeholder, ``"placeholder"``, features and momenta of a constituent are not read."""
    if "placeholder" not in case.cls.supports:
        return
    backbone = case.build().eval()
    x, mask, p4 = random_rows([6, 4])
    hidden = (mask & (torch.arange(6) == 2))[..., None]
    placeholder = torch.randn(backbone.width, dtype=torch.float64)

    def encoded(features: Tensor, momenta: Tensor) -> Features:
        h = torch.where(hidden, placeholder, backbone.embed(features, mask))
        return backbone.encode(h, mask, momenta, physical_BNF=features)

    same(encoded(x, p4), encoded(x + 0.7 * hidden, p4 + 0.7 * hidden), tolerance=0.0)


def every_constituent_sees_the_prefix(case: BackboneCase) -> None:
    """A prefix, ``"prefix"``, reaches the features of all constituents and adds none."""
    if "prefix" not in case.cls.supports:
        return
    backbone = case.build().eval()
    x, mask, p4 = random_rows([6, 6])
    prefix = torch.randn(2, 3, backbone.width, dtype=torch.float64)
    first, second = (
        backbone(x, mask, p4, prefix_BKD=tokens).tokens_BND for tokens in (prefix, prefix.flip(0))
    )
    assert first.shape == (2, 6, backbone.width), f"features have the shape {tuple(first.shape)}"
    reached = (first - second).abs().amax(-1)
    assert reached.min() > 1e-6, f"another prefix changes the constituents by {reached.tolist()}"


def causal_features_do_not_see_what_follows(case: BackboneCase) -> None:
    """With ``causal=True``, where ``"causal"`` is supported, a constituent sees those before it alone."""
    if "causal" not in case.cls.supports:
        return
    backbone = case.build().eval()
    x, mask, p4 = random_rows([8, 8])
    changed = x.clone()
    changed[:, 5] += 1.0
    first, second = (backbone(rows, mask, p4, causal=True).tokens_BND for rows in (x, changed))
    difference = (first - second).abs().amax((0, 2))
    assert difference[:5].max() == 0, f"constituent 5 changes those before it: {difference.tolist()}"
    assert difference[5:].min() > 1e-6, f"constituent 5 does not reach what follows: {difference.tolist()}"


def another_embedding_takes_the_place_of_its_own(case: BackboneCase) -> None:
    """With ``"embedding"`` a module of any input size makes the vectors of single constituents."""
    if "embedding" not in case.cls.supports:
        return
    backbone = case.build().eval()
    x, mask, p4 = random_rows([6, 4])
    torch.manual_seed(2)
    embedding = torch.nn.Linear(2 * x.shape[-1], backbone.width).double()
    backbone.replace_embedding(_Ignoring(embedding))
    backbone.double()
    wide = torch.cat((x, x.square()), dim=-1)
    before = backbone(wide, mask, p4, physical_BNF=x)
    before.tokens_BND.square().sum().backward()
    grouped = sorted(id(weight) for group in backbone.layers() for weight in group)
    assert grouped == sorted(id(weight) for weight in backbone.parameters()), "not every parameter once"
    silent = [name for name, weight in embedding.named_parameters() if not _has_gradient(weight)]
    assert not silent, f"no gradient: {', '.join(silent)}"
    changed = wide.clone()
    changed[..., -1] += 1.0
    after = backbone(changed, mask, p4, physical_BNF=x)
    change = (after.tokens_BND - before.tokens_BND)[mask].abs().amax(-1)
    assert change.min() > 1e-6, f"another input changes the constituents by {change.tolist()}"


def what_is_shared_is_the_same_for_all_features(case: BackboneCase) -> None:
    """With `own_parts` all other weights have the same shapes for any features, `embed` uses none of them,
    and none is a running statistic."""
    if case.cls.own_parts is None:
        return
    backbone = case.build(dropout=0.1).train()
    other = case.build(dropout=0.1, features=(*FEATURE_NAMES, "another")).state_dict()
    absent = [name for name in case.cls.own_parts if not hasattr(backbone, name)]
    assert not absent, f"own_parts names what there is not: {', '.join(absent)}"
    shared = {
        name: value.clone()
        for name, value in backbone.state_dict().items()
        if name.split(".")[0] not in case.cls.own_parts
    }
    assert shared, "every weight is its own: nothing is shared"
    unlike = [name for name, value in shared.items() if name not in other or other[name].shape != value.shape]
    assert not unlike, f"of another shape with one more feature: {', '.join(unlike)}"
    x, mask, p4 = random_rows([9, 5, 7])
    backbone.embed(x, mask).square().sum().backward()  # type: ignore[no-untyped-call]
    used = [name for name, weight in backbone.named_parameters() if name in shared and _has_gradient(weight)]
    assert not used, f"embed uses {', '.join(used)}"
    backbone(x, mask, p4)
    after = backbone.state_dict()
    moved = [name for name, value in shared.items() if not value.equal(after[name])]
    assert not moved, f"a pass in training changes {', '.join(moved)}"


class _Ignoring(torch.nn.Module):
    """A module that may be given a mask and does not look at it."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        out: Tensor = self.module(x)
        return out


def _has_gradient(weight: Tensor) -> bool:
    return weight.grad is not None and bool(weight.grad.any())


LAWS = (
    needs_and_supports_are_known,
    shapes_follow_the_width,
    padding_changes_nothing,
    order_of_constituents_does_not_matter,
    order_is_known_where_supported,
    features_depend_on_the_whole_row_and_only_on_it,
    empty_and_tiny_rows_are_finite,
    every_parameter_gets_a_gradient,
    a_seed_determines_the_features,
    layers_hold_every_parameter_once,
    bfloat16_is_float32_to_its_precision,
    azimuth_and_boost_along_the_beam_do_not_matter,
    nothing_is_known_of_a_replaced_constituent,
    every_constituent_sees_the_prefix,
    causal_features_do_not_see_what_follows,
    another_embedding_takes_the_place_of_its_own,
    what_is_shared_is_the_same_for_all_features,
)


def check_backbone(name: str, **options: Any) -> None:
    """Hold a backbone to its contract.

    Parameters
    ----------
    name
        Its name in the registry.
    **options
        Options of its config, e.g. ``width=32``; its smallest size where it has sizes and none is given.

    Raises
    ------
    AssertionError
        With every law that does not hold.
    """
    hold(LAWS, BackboneCase(name, options), what=f"the backbone {name!r}")


def same(features: Features, expected: Features, *, tolerance: float = 1e-9) -> None:
    """Raise unless two passes gave the same features and summary."""
    torch.testing.assert_close(features.tokens_BND, expected.tokens_BND, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(features.pooled_BD, expected.pooled_BD, atol=tolerance, rtol=tolerance)


def cut(features: Features, length: int) -> Features:
    """Return the features of the first constituents; raise unless those behind them are zero."""
    assert not features.tokens_BND[:, length:].any(), "features of padding are not zero"
    return Features(features.tokens_BND[:, :length], features.pooled_BD)


def seeded(backbone: Backbone, inputs: Inputs, *, seed: int) -> Features:
    """Return the features of a pass whose random draws have a seed."""
    torch.manual_seed(seed)
    features: Features = backbone(*inputs)
    return features


def turned_and_boosted(p4: Tensor) -> Tensor:
    """Return four-momenta at another azimuth, seen from a frame that moves along the beam."""
    energy, px, py, pz = p4.unbind(-1)
    angle, rapidity = torch.tensor(1.1).double(), torch.tensor(0.8).double()
    return torch.stack(
        (
            energy * rapidity.cosh() + pz * rapidity.sinh(),
            px * angle.cos() - py * angle.sin(),
            px * angle.sin() + py * angle.cos(),
            pz * rapidity.cosh() + energy * rapidity.sinh(),
        ),
        dim=-1,
    )


def training_step(backbone: Backbone, counts: list[int], *, autocast: bool) -> tuple[Tensor, Tensor]:
    """Return the features of rows in single precision, and the gradient of a random direction of them."""
    x, mask, p4 = random_rows(counts)
    backbone.zero_grad()
    torch.manual_seed(3)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        features = backbone(x.float(), mask, p4.float())
    tokens = features.tokens_BND.float()
    outputs = [tokens.flatten(), *([] if features.pooled_BD is None else [features.pooled_BD.flatten()])]
    output = torch.cat([values.float() for values in outputs])
    direction = torch.randn(len(output), generator=torch.Generator().manual_seed(4))
    (direction * output).sum().backward()  # type: ignore[no-untyped-call]
    slopes = [weight.grad.flatten() for weight in backbone.parameters() if weight.grad is not None]
    return tokens.detach(), torch.cat(slopes)
