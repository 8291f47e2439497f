"""Weights of weaver-core's Particle Transformer (2202.03772)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hepfm.backbones.particle_transformer import ParticleTransformer, ParticleTransformerConfig
from hepfm.core.config import Component
from hepfm.core.errors import ModelError
from hepfm.models.convert.weaver.state import (
    State,
    WeaverWeights,
    agree,
    classify_config,
    count,
    layer_sizes,
    plain,
    take_head,
)
from hepfm.nn.pairs import NUM_PAIR_FEATURES

DEFAULTS: Mapping[str, Any] = {
    "version": 1,
    "activation": "gelu",
    "pair_input_type": "pp",
    "pair_extra_dim": 0,
    "remove_self_pair": False,
    "block_ids_with_attn_mask": None,
    "include_global_token": False,
    "for_segmentation": False,
    "use_conv_embed": False,
    "trim": True,
    "block_params": None,
    "cls_block_params": None,
    "fc_params": (),
}
"""Options of weaver-core 0.5.3's constructor, with its defaults, that a state dict does not show."""

SHOWN = ("num_heads", "num_layers", "num_cls_layers", "embed_dims", "pair_embed_dims", "pair_input_dim")
"""Options that it shows; given ones must agree."""

NEEDED = {
    "use_pre_activation_pair": "true in Sophon's network file, false in that of the Particle Transformer's "
    "authors"
}
"""Options that it does not show, and in which published networks differ."""

_ONLY = (
    *("activation", "pair_input_type", "pair_extra_dim", "remove_self_pair", "block_ids_with_attn_mask"),
    *("include_global_token", "for_segmentation", "use_conv_embed", "version"),
)
"""Options of which only the default is read."""

_RATES = ("dropout", "attn_dropout", "activation_dropout")
_NEEDED_TENSORS = ("cls_token", "embed.input_bn.weight", "blocks.0.fc1.weight", "blocks.0.c_attn")
_RENAMES = (
    (r"cls_token", r"class_token"),
    (r"embed\.input_bn\.(\w+)", r"embedding.norm.\1"),
    (r"pair_embed\.embed\.0\.(\w+)", r"pairs.norm.\1"),
    (r"cls_blocks\.", r"class_blocks."),
    (r"\.pre_attn_norm\.", r".attention_norm."),
    (r"\.post_attn_norm\.", r".attention_post_norm."),
    (r"\.attn\.in_proj[._](\w+)", r".attention.in_proj.\1"),
    (r"\.attn\.out_proj\.", r".attention.out_proj."),
    (r"\.pre_fc_norm\.", r".feedforward_norm."),
    (r"\.fc1\.", r".feedforward.expand."),
    (r"\.post_fc_norm\.", r".feedforward.norm."),
    (r"\.fc2\.", r".feedforward.contract."),
    (r"\.c_attn", r".head_scale"),
    (r"\.w_resid", r".residual_scale"),
)


def map_weights(state: State, options: Mapping[str, Any]) -> WeaverWeights:
    """Map weaver-core's names and shapes to ours.

    Parameters
    ----------
    state
        State dict, with or without what it was wrapped in (``mod.``, ``module.``).
    options
        Options of weaver's constructor: those of `NEEDED` where the network has pair features, and others
        that differ from `DEFAULTS`.

    Raises
    ------
    ModelError
        When it is no such network, of a kind that is not read, or options contradict the weights.
    """
    named, options = plain(state), {**DEFAULTS, **options}
    _refuse_other_networks(named)
    for name in _ONLY:
        if options[name] != DEFAULTS[name]:
            raise ModelError(
                f"a Particle Transformer with {name}={options[name]!r} is not read, only {DEFAULTS[name]!r}"
            )
    head = take_head(named)
    embed = layer_sizes(named, "embed.embed")
    pair = layer_sizes(named, "pair_embed.embed")
    width = named["cls_token"].shape[-1]
    heads = len(named["blocks.0.c_attn"])
    depth, class_depth = count(named, "blocks"), count(named, "cls_blocks")
    sizes = {"num_heads": heads, "num_layers": depth, "num_cls_layers": class_depth, "embed_dims": embed}
    pair_sizes = {"pair_embed_dims": pair[:-1], "pair_input_dim": NUM_PAIR_FEATURES} if pair else {}
    agree(options, {**sizes, **pair_sizes})
    config = ParticleTransformerConfig(
        width=width,
        depth=depth,
        class_depth=class_depth,
        num_heads=heads,
        feedforward_ratio=len(named["blocks.0.fc1.weight"]) // width,
        embed_widths=embed[:-1],
        pair_widths=pair[:-1],
        pair_activation=not (pair and options["use_pre_activation_pair"]),
        dropout=_dropout(options["block_params"]),
    )
    return WeaverWeights(
        component=Component("particle_transformer", ParticleTransformer, config),
        classify=classify_config(head, options["fc_params"] or ()),
        num_features=len(named["embed.input_bn.weight"]),
        num_outputs=len(head["linear.bias"]),
        backbone=dict(_rename(name, value) for name, value in named.items()),
        head=head,
    )


def has_pairs(state: State) -> bool:
    """Tell whether the network reads four-momenta."""
    return any(name.startswith("pair_embed.") for name in plain(state))


def _refuse_other_networks(state: State) -> None:
    missing = [name for name in _NEEDED_TENSORS if name not in state]
    if "blocks.0.fc1_g.weight" in state:
        raise ModelError(
            "this is weaver-core's ParticleTransformer version 2 or 3; only version 1, the paper's, is read"
        )
    if missing:
        raise ModelError(
            f"not a Particle Transformer of weaver-core that is read here: it lacks {', '.join(missing)}; "
            f"it has {', '.join(sorted(state)[:5])}, ..."
        )
    pairs = state.get("pair_embed.embed.0.weight")
    if any(name.startswith("pair_embed.fts_embed.") for name in state) or (
        has_pairs(state) and (pairs is None or len(pairs) != NUM_PAIR_FEATURES)
    ):
        raise ModelError(
            f"only pair features of four-momenta are read, {NUM_PAIR_FEATURES} of them (pair_input_dim, "
            "pair_extra_dim)"
        )


def _dropout(block_params: Mapping[str, Any] | None) -> float:
    given = block_params or {}
    rates = {float(given.get(name, 0.1)) for name in _RATES}
    if len(rates) > 1:
        raise ModelError(
            f"block_params: different rates of {', '.join(_RATES)} are not read; predictions do not depend "
            "on them, so give equal ones, e.g. --option block_params=none"
        )
    return rates.pop()


def _rename(name: str, value: Tensor) -> tuple[str, Tensor]:
    if match := re.fullmatch(r"embed\.embed\.(\d+)\.(\w+)", name):
        layer, part = divmod(int(match[1]), 3)
        return f"embedding.layers.{layer}.{part}.{match[2]}", value
    match = re.fullmatch(r"pair_embed\.embed\.(\d+)\.(\w+)", name)
    if match and match[1] != "0":
        layer, part = divmod(int(match[1]) - 1, 3)
        kind = ("linear", "norm")[part]
        # The public implementation calls its linear layers one-by-one convolutions.
        return f"pairs.layers.{layer}.{kind}.{match[2]}", value.squeeze(-1) if kind == "linear" else value
    for pattern, replacement in _RENAMES:
        name = re.sub(rf"^{pattern}" if not pattern.startswith(r"\.") else pattern, replacement, name)
    return name, value
