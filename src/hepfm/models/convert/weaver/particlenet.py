"""Weights of weaver-core's ParticleNet (1902.08570)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from hepfm.backbones.particlenet import ParticleNet, ParticleNetConfig
from hepfm.core.config import Component
from hepfm.core.errors import ModelError
from hepfm.data.feature_names import AXES
from hepfm.models.convert.weaver.state import (
    State,
    WeaverWeights,
    agree,
    classify_config,
    count,
    plain,
    take_head,
)

DEFAULTS: Mapping[str, Any] = {
    "use_counts": True,
    "for_segmentation": False,
    "trim": True,
    "fc_params": (),
}
"""Options of weaver-core 0.5.3's constructor, with its defaults, that a state dict does not show. Where
``fc_params`` is not given, rates of dropout are 0: predictions do not depend on them."""

SHOWN = ("use_fusion", "use_fts_bn", "input_dims")
"""Options that it shows; given ones must agree."""

NEEDED = {
    "conv_params": "of each block the number of neighbours and the sizes, 16 and 64, 128 or 256 in the "
    "published networks"
}
"""Options that it does not show, and in which published networks differ."""

_ONLY = ("use_counts", "for_segmentation")
"""Options of which only the default is read."""

_RENAMES = (
    (r"bn_fts\.", "norm."),
    (r"edge_convs\.(\d+)\.convs\.", r"blocks.\1.linears."),
    (r"edge_convs\.(\d+)\.bns\.", r"blocks.\1.norms."),
    (r"edge_convs\.(\d+)\.sc\.", r"blocks.\1.shortcut."),
    (r"edge_convs\.(\d+)\.sc_bn\.", r"blocks.\1.shortcut_norm."),
    (r"fusion_block\.0\.", "fusion.linear."),
    (r"fusion_block\.1\.", "fusion.norm."),
)
_FIRST = "edge_convs.0.convs.0.weight"


def map_weights(state: State, options: Mapping[str, Any], *, points: Sequence[str] = AXES) -> WeaverWeights:
    """Map weaver-core's names and shapes to ours.

    Parameters
    ----------
    state
        State dict, with or without what it was wrapped in (``mod.``, ``module.``).
    options
        Options of weaver's constructor: ``conv_params``, and others that differ from `DEFAULTS`.
    points
        Names of the features that are the coordinates of the first block.

    Raises
    ------
    ModelError
        When it is no such network, of a kind that is not read, or options contradict the weights.
    """
    named, options = plain(state), {**DEFAULTS, **options}
    if _FIRST not in named:
        raise ModelError(
            f"not a ParticleNet of weaver-core: it lacks {_FIRST}; it has {', '.join(sorted(named)[:5])}, ..."
        )
    for name in _ONLY:
        if options[name] != DEFAULTS[name]:
            raise ModelError(
                f"a ParticleNet with {name}={options[name]!r} is not read, only {DEFAULTS[name]!r}"
            )
    head = take_head(named)
    blocks = tuple(_block(named, k) for k in range(count(named, "edge_convs")))
    neighbours = _neighbours(options["conv_params"], blocks)
    fusion = named.get("fusion_block.0.weight")
    num_features = named[_FIRST].shape[1] // 2
    seen = {"use_fusion": fusion is not None, "use_fts_bn": "bn_fts.weight" in named}
    agree(options, seen | {"input_dims": num_features})
    same = len(set(neighbours)) == 1
    config = ParticleNetConfig(
        blocks=blocks,
        num_neighbours=neighbours[0] if same else neighbours,
        fusion=None if fusion is None else len(fusion),
        input_norm=seen["use_fts_bn"],
        points=tuple(points),
    )
    return WeaverWeights(
        component=Component("particlenet", ParticleNet, config),
        classify=classify_config(head, options["fc_params"] or ()),
        num_features=num_features,
        num_outputs=len(head["linear.bias"]),
        backbone=dict(_rename(name, value) for name, value in named.items()),
        head=head,
    )


def _block(state: State, number: int) -> tuple[int, ...]:
    prefix = f"edge_convs.{number}.convs"
    return tuple(len(state[f"{prefix}.{k}.weight"]) for k in range(count(state, re.escape(prefix))))


def _neighbours(conv_params: Any, blocks: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    try:
        given = [(int(many), tuple(int(size) for size in sizes)) for many, sizes in conv_params]
    except (TypeError, ValueError):
        raise ModelError(
            f"conv_params={conv_params!r} is not what weaver-core takes; of each block give the number of "
            "neighbours and the sizes, e.g. [(16, (64, 64, 64)), (16, (128, 128, 128))]"
        ) from None
    if tuple(sizes for _, sizes in given) != blocks:
        raise ModelError(
            f"conv_params says blocks of {[sizes for _, sizes in given]}, the checkpoint has {list(blocks)}; "
            "give the network file, or the options, of this checkpoint"
        )
    return tuple(many for many, _ in given)


def _rename(name: str, value: Tensor) -> tuple[str, Tensor]:
    for pattern, replacement in _RENAMES:
        name = re.sub(rf"^{pattern}", replacement, name)
    # The public implementation calls its linear layers one-by-one convolutions.
    return name, value.flatten(1) if value.ndim > 2 else value
