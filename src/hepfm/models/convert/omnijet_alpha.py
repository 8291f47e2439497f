"""Read OmniJet-alpha's checkpoints (2403.05618): its VQ-VAE, and its backbone with the next-token head."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hepfm.backbones.none import NoBackbone, NoneConfig
from hepfm.backbones.post_norm_transformer import PostNormTransformer, PostNormTransformerConfig
from hepfm.core.config import Component
from hepfm.core.errors import ModelError
from hepfm.core.files import sha256
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.generators.autoregressive import Autoregressive, AutoregressiveConfig
from hepfm.models.convert.plain import load_plain
from hepfm.models.directory import Model
from hepfm.models.tokenizer import adopt_tokenizer
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.network import Network
from hepfm.networks.specs import GeneratorSpec, TokenizerSpec
from hepfm.tokenizers.vqvae import VqVae, VqVaeConfig
from hepfm.tokenizers.vqvae_mlp import VqVaeMlp, VqVaeMlpConfig

State = Mapping[str, Tensor]

_ORDER = (1, 2, 0)
"""Where our features (deta, dphi, ln pT) stand among OmniJet-alpha's (pT, deta, dphi)."""

_HEADS = 8
_AFFINE_LR = 2.0
"""Of the published configurations; weights do not tell them."""

_MAX_CONSTITUENTS = 128

_HALVES = (
    (r"input_projection\.", "encoder.enter."),
    (r"encoder_normformer\.blocks\.", "encoder.blocks."),
    (r"latent_projection_in\.", "encoder.leave."),
    (r"latent_projection_out\.", "decoder.enter."),
    (r"decoder_normformer\.blocks\.", "decoder.blocks."),
    (r"output_projection\.", "decoder.leave."),
    (r"(en|de)coder\.project_in\.", r"\1coder.enter."),
    (r"(en|de)coder\.project_out\.", r"\1coder.leave."),
    (r"vqlayer\.codebook\.weight", "quantizer.codes_CK"),
    (r"vqlayer\.affine_transform\.scale", "quantizer.scale_K"),
    (r"vqlayer\.affine_transform\.bias", "quantizer.offset_K"),
)
_NORMFORMER = (
    (r"\.norm1\.", ".attention_norm."),
    (r"\.norm2\.", ".attention_post_norm."),
    (r"\.attn\.in_proj_", ".attention.in_proj."),
    (r"\.attn\.out_proj\.", ".attention.out_proj."),
    (r"\.mlp\.0\.", ".feedforward_norm."),
    (r"\.mlp\.1\.", ".expand."),
    (r"\.mlp\.4\.", ".contract."),
)
_MLP = re.compile(r"(encoder|decoder)\.(\d+)\.(weight|bias)")
_GPT = (
    (r"^GPT_blocks\.", "blocks."),
    (r"\.mha_block\.proj\.", ".attention.out_proj."),
    (r"\.layernorm_1\.", ".attention_norm."),
    (r"\.layernorm_2\.", ".feedforward_norm."),
    (r"\.ff_block\.net\.0\.", ".expand."),
    (r"\.ff_block\.net\.2\.", ".contract."),
)
_PARTS = ("query", "key", "value")


def convert_omnijet_alpha(
    path: str | Path, *, output: str | Path, tokenizer: str | Path | None = None
) -> Model:
    """Write a checkpoint of OmniJet-alpha as a model directory, and return the model.

    A VQ-VAE (any of the public ``VQVAENormFormer``, ``VQVAETransformer``, ``VQVAEMLP``, of three features)
    becomes a tokenizer. A backbone with its next-token head becomes a model that generates; it needs the
    converted tokenizer. Numbers of attention heads (8) and the scale of the codes' shared factor (2) are
    those of the published configurations, since weights do not tell them.

    Parameters
    ----------
    path
        The state dict saved by itself, or in a dict under ``"state_dict"``. Lightning's own checkpoints hold
        Python objects, which are never run here: save their ``"state_dict"`` first.
    output
        The model directory to write.
    tokenizer
        Model directory of the converted VQ-VAE, for a backbone.

    Raises
    ------
    ModelError
        When the file is none of these, or the tokenizer is missing or of another size.
    """
    state = _read(Path(path))
    if "vqlayer.codebook.weight" in state:
        model = _tokenizer(state)
    elif "embedding_table.weight" in state:
        model = _backbone(state, tokenizer)
    else:
        raise ModelError(
            f"{path} is neither a VQ-VAE (vqlayer.codebook.weight) nor a backbone (embedding_table.weight) "
            f"of OmniJet-alpha; it has {', '.join(sorted(state)[:5])}, ..."
        )
    facts = {"package": "omnijet_alpha", "sha256": sha256(Path(path))}
    model.provenance = {"converted_from": {**facts, "note": f"{_HEADS} attention heads, as published"}}
    model.save(output)
    return model


def _read(path: Path) -> State:
    state = load_plain(path)
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path}: expected a state dict of names and tensors, or a dict with 'state_dict'")
    plain = {re.sub(r"^(model|module)\.", "", name): value for name, value in state.items()}
    return {name: value for name, value in plain.items() if not name.endswith("tril")}


def _load(network: Network, part: str, state: State) -> None:
    try:
        getattr(network, part).load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        raise ModelError(f"these weights are not of OmniJet-alpha's public code: {error}") from None


def _schema() -> Any:
    return jet_schema(("unknown",), identity=False, tracks=False, substructure=False)


# -- the tokenizer


def _tokenizer(state: State) -> Model:
    values = {
        name: value
        for name, value in (_tokenizer_name(name, value) for name, value in state.items())
        if not name.startswith("vqlayer.")
    }
    tokenizer = _tokenizer_component(values)
    config = tokenizer.config
    assert isinstance(config, VqVaeConfig | VqVaeMlpConfig)
    for name in ("encoder.enter.weight", "encoder.layers.0.weight"):
        if name in values:
            _check_features(values[name].shape[1])
            values[name] = values[name][:, _ORDER]
    mlp = isinstance(config, VqVaeMlpConfig)
    last = f"decoder.layers.{2 * config.depth}" if mlp else "decoder.leave"
    for kind in ("weight", "bias"):
        values[f"{last}.{kind}"] = values[f"{last}.{kind}"][list(_ORDER)]
    values |= {
        "quantizer.unused_C": torch.zeros(config.codes, dtype=torch.int64),
        "fitted": torch.tensor(True),
    }
    features, nothing = feature_set("massless"), Component("none", NoBackbone, NoneConfig())
    with seeded_init(0, "convert.omnijet_alpha"):
        network = build_network(nothing, features, tokenizer=TokenizerSpec(tokenizer))
    _load(network, "tokenizer", values)
    return Model(
        network=network,
        backbone=nothing,
        features=features,
        schema=_schema(),
        max_constituents=_MAX_CONSTITUENTS,
    )


def _tokenizer_name(name: str, value: Tensor) -> tuple[str, Tensor]:
    if match := _MLP.fullmatch(name):
        return f"{match[1]}.layers.{match[2]}.{match[3]}", value
    for pattern, ours in _HALVES:
        name = re.sub(f"^{pattern}", ours, name)
    for pattern, ours in _NORMFORMER:
        name = re.sub(pattern, ours, name)
    shared = name in ("quantizer.scale_K", "quantizer.offset_K")
    return name, value[0] if shared else value


def _tokenizer_component(values: State) -> Component:
    codes, dim = values["quantizer.codes_CK"].shape
    affine = _AFFINE_LR if "quantizer.scale_K" in values else 0.0
    rest: dict[str, Any] = {"codes": codes, "dim": dim, "affine_lr": affine}
    if "encoder.enter.weight" in values:
        depth = _count(values, r"encoder\.blocks\.(\d+)\.")
        width = len(values["encoder.enter.weight"])
        return Component("vqvae", VqVae, VqVaeConfig(width=width, depth=depth, num_heads=_HEADS, **rest))
    depth = _count(values, r"encoder\.layers\.(\d+)\.") - 1
    if depth < 1:
        raise ModelError("this VQ-VAE has no hidden layers, or is not of OmniJet-alpha's public code")
    width = len(values["encoder.layers.0.weight"])
    return Component("vqvae_mlp", VqVaeMlp, VqVaeMlpConfig(width=width, depth=depth, **rest))


def _check_features(number: int) -> None:
    if number != len(_ORDER):
        raise ModelError(
            f"this VQ-VAE reads {number} features; read are those of pT, deta and dphi, as published"
        )


def _count(values: State, pattern: str) -> int:
    return len({match[1] for name in values if (match := re.match(pattern, name))})


# -- the backbone


def _backbone(state: State, tokenizer: str | Path | None) -> Model:
    if tokenizer is None:
        raise ModelError(
            "this is a backbone, which reads codes: convert its VQ-VAE first, and name that model directory "
            "with --tokenizer"
        )
    source = Model.load(tokenizer)
    table, head = state["embedding_table.weight"], _head(state)
    codes = len(table) - 2
    have = source.network.tokenizer.num_codes if source.network.tokenizer else 0
    if source.network.tokenizer_spec is None or have != codes or len(head["weight"]) != len(table):
        raise ModelError(
            f"this backbone reads {codes} codes, the tokenizer of {tokenizer} makes {have or 'none'}"
        )
    config = _backbone_config(state)
    component = Component("post_norm_transformer", PostNormTransformer, config)
    generator = Component("autoregressive", Autoregressive, AutoregressiveConfig())
    with seeded_init(0, "convert.omnijet_alpha"):
        network = build_network(
            component,
            source.features,
            tokenizer=TokenizerSpec(source.network.tokenizer_spec.tokenizer, "codes"),
            generator=GeneratorSpec(generator, None, _MAX_CONSTITUENTS),
        )
    adopt_tokenizer(network, source.network)
    names = {"registers": torch.zeros(1, 0, config.width), "embedding.weight": table[1 : codes + 1]}
    _load(network, "backbone", names | _blocks(state))
    # Ids there: 0 start and padding, then the codes, then the stop. Ours: the codes, then the stop.
    ids = {"linear.weight": head["weight"][1:], "linear.bias": head["bias"][1:]}
    _load(network, "generator", {"start.weight": table[:1], **ids})
    return Model(
        network=network,
        backbone=component,
        features=source.features,
        schema=_schema(),
        max_constituents=_MAX_CONSTITUENTS,
    )


def _head(state: State) -> State:
    layer = {kind: state.get(f"head.fc1.{kind}") for kind in ("weight", "bias")}
    if layer["weight"] is None or layer["bias"] is None or layer["weight"].ndim != 2:
        raise ModelError("this backbone has no next-token head (head.fc1); classifiers are not read")
    return {kind: value for kind, value in layer.items() if value is not None}


def _backbone_config(state: State) -> PostNormTransformerConfig:
    width = state["embedding_table.weight"].shape[1]
    hidden = state.get("GPT_blocks.0.ff_block.net.0.weight")
    if hidden is None:
        raise ModelError("this backbone has no GPT_blocks, or is not of OmniJet-alpha's public code")
    return PostNormTransformerConfig(
        width=width,
        depth=_count(state, r"GPT_blocks\.(\d+)\."),
        num_heads=_HEADS,
        feedforward_ratio=len(hidden) // width,
    )


def _blocks(state: State) -> dict[str, Tensor]:
    blocks = {}
    for name, value in state.items():
        if not name.startswith("GPT_blocks.") or re.search(r"mha_block\.(query|key|value)\.", name):
            continue
        for pattern, ours in _GPT:
            name = re.sub(pattern, ours, name)
        blocks[name] = value
    for number in range(_count(state, r"GPT_blocks\.(\d+)\.")):
        parts = [state[f"GPT_blocks.{number}.mha_block.{part}.weight"] for part in _PARTS]
        blocks[f"blocks.{number}.attention.in_proj.weight"] = torch.cat(parts)
    return blocks
