"""EveNet's names and shapes in this package's terms (2601.17126, evenet-core 0.3.0)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hepfm.backbones.evenet import EveNet, EveNetConfig
from hepfm.core.errors import ModelError
from hepfm.heads.event_token import EventToken, EventTokenConfig
from hepfm.models.convert.omnilearned_weights import rename

State = Mapping[str, Tensor]

PARTS = ("PET", "ObjectEncoder", "GlobalEmbedding", "Classification")
"""Parts of the package's network that are converted; the last may be missing."""

_GATED = (
    (r"\.normalization\.normalization\.", ".norm."),
    (r"\.linear_1\.0\.", ".expand."),
    (r"\.linear_2\.0\.", ".contract."),
    (r"\.gru\.", ".gate."),
    (r"\.residual\.", ".skip."),
)
_PET = (
    (r"^feature_embedding\.", "embedding."),
    (r"^local_embedding\.local_embed_layer\.(\d+)\.mlp\.0\.", r"local.\1.first."),
    (r"^local_embedding\.local_embed_layer\.(\d+)\.mlp\.2\.", r"local.\1.second."),
    (r"^transformer_blocks\.", "blocks."),
    (r"\.norm1\.", ".attention_norm."),
    (r"\.norm2\.", ".feedforward_norm."),
    (r"\.attn\.in_proj_", ".attention.in_proj."),
    (r"\.attn\.out_proj\.", ".attention.out_proj."),
    (r"\.mlp\.0\.", ".feedforward.expand."),
    (r"\.mlp\.3\.", ".feedforward.contract."),
)
_ENCODER = (
    *_GATED,
    (r"^combined_embedding\.final_embedding\.", "combine."),
    (r"^embedding\.", "layers."),
    (r"^encoder\.layers\.", "blocks."),
    (r"^encoder\.norm\.", "norm."),
    (r"^encoder\.mlp\.0\.", "feedforward.expand."),
    (r"^encoder\.mlp\.3\.", "feedforward.contract."),
    (r"\.attention_norm\.", ".norm."),
    (r"\.attention_gate\.", ".gate."),
    (r"\.feed_forward\.", ".feedforward."),
    (r"\.attention\.in_proj_", ".attention.in_proj."),
)
_HEAD = (
    *_GATED,
    (r"^class_transformer\.norm1\.", "key_norm."),
    (r"^class_transformer\.norm2\.", "gathered_norm."),
    (r"^class_transformer\.norm3\.", "norm."),
    (r"^class_transformer\.attn\.out_proj\.", "out_proj."),
    (r"^class_transformer\.mlp\.0\.", "feedforward.expand."),
    (r"^class_transformer\.mlp\.3\.", "feedforward.contract."),
    (r"^networks\.[^.]+\.hidden_layers\.", "layers."),
    (r"^networks\.[^.]+\.output_layer\.", "linear."),
)
_LEFT_OUT = (r"^time_embed", r"^combined_embedding\.final_embedding\.gru\.")
"""Of noised objects, which converted networks do not read; and a gate that evenet-core never uses."""

_HEADS_OF_WIDTH = {256: (16, 8), 512: (32, 16)}
"""Attention heads of blocks and of the encoder in the published sizes; shapes do not tell them."""

_EPSILON = 1e-5
"""Of torch's batch normalisation."""


@dataclass(frozen=True)
class EveNetWeights:
    """A checkpoint in this package's terms.

    Attributes
    ----------
    config
        Options of the backbone.
    num_classes
        Outputs of the head; 0 without one.
    backbone, context, head
        State dicts of `EveNet`, of its embedding of globals behind its first layer, and of `EventToken`.
    """

    config: EveNetConfig
    num_classes: int
    backbone: State
    context: State
    head: State

    @property
    def head_config(self) -> EventTokenConfig:
        """Options of the head."""
        num_layers = len(_numbers(self.head, "layers"))
        return EventTokenConfig(num_heads=self.config.encoder_heads, num_layers=num_layers)

    def load(self, backbone: EveNet, context: torch.nn.Sequential, head: EventToken | None) -> None:
        """Put the weights into modules; every name and shape is checked."""
        affine = {name: value for name, value in context.state_dict().items() if name.startswith("0.")}
        pairs = [(backbone, self.backbone), (context, {**affine, **self.context})]
        try:
            for module, state in [*pairs, *([(head, self.head)] if head is not None else [])]:
                module.load_state_dict(dict(state), strict=True)
        except RuntimeError as error:
            raise ModelError(f"these weights are not of evenet-core 0.3.0: {error}") from None


def map_evenet(
    state: Mapping[str, State], feature_names: tuple[str, ...], *, heads: tuple[int, int] | None = None
) -> EveNetWeights:
    """Map evenet-core's names and shapes to ours, and read the configuration off the shapes.

    Parameters
    ----------
    state
        State dicts by the name of the part, see `PARTS`.
    feature_names
        Names of the inputs of an object.
    heads
        Attention heads of blocks and of the encoder; those of the published sizes when left out.
    """
    missing = [name for name in PARTS[:3] if not state.get(name)]
    if missing:
        raise ModelError(f"not a network of evenet-core: it has no {', '.join(missing)}")
    pet, encoder = _kept(state["PET"]), _kept(state["ObjectEncoder"])
    width, inputs = _shape(pet, "feature_embedding.2.weight")[0], _shape(pet, "feature_embedding.0.weight")[1]
    if inputs != len(feature_names):
        raise ModelError(
            f"this EveNet reads {inputs} features of an object; read are those with the released "
            f"{len(feature_names)}: {', '.join(feature_names)}"
        )
    if heads is None and width not in _HEADS_OF_WIDTH:
        raise ModelError(
            f"shapes do not tell the numbers of attention heads, and width {width} is not of a published "
            f"size ({', '.join(map(str, _HEADS_OF_WIDTH))}); give options num_heads=N and encoder_heads=N"
        )
    num_heads, encoder_heads = heads or _HEADS_OF_WIDTH[width]
    kind = "combined_embedding.first_position_embedding.position_embedding"
    config = EveNetConfig(
        width=width,
        depth=len(_numbers(pet, "transformer_blocks")),
        local_depth=len(_numbers(pet, "local_embedding.local_embed_layer")),
        encoder_depth=len(_numbers(encoder, "encoder.layers")),
        encoder_layers=len(_numbers(encoder, "embedding")),
        type_width=_shape(encoder, kind)[-1],
        num_heads=num_heads,
        encoder_heads=encoder_heads,
        standardised_neighbours=True,
        normal_scores=("phi",),
    )
    head = _head(state.get("Classification") or {})
    return EveNetWeights(
        config=config,
        num_classes=len(head["linear.bias"]) if head else 0,
        backbone={**_pet(pet), **{f"encoder.{name}": value for name, value in _encoder(encoder).items()}},
        context=_globals(state["GlobalEmbedding"]),
        head=head,
    )


def _pet(state: State) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if ".layer_scale" not in name:
            found[rename(name, _PET)] = value
    for number in _numbers(state, "transformer_blocks"):
        scales = [state[f"transformer_blocks.{number}.layer_scale{k}.gamma"] for k in (1, 2)]
        found[f"blocks.{number}.scale_2D"] = torch.stack(scales)
    return found


def _encoder(state: State) -> dict[str, Tensor]:
    kinds = [
        f"combined_embedding.{which}_position_embedding.position_embedding" for which in ("first", "second")
    ]
    rest = {name: value for name, value in state.items() if name not in (*kinds, "particle_vector")}
    return {
        **_gates({rename(f".{name}"[1:], _ENCODER): value for name, value in rest.items()}),
        "kinds_2K": torch.stack([state[name].flatten() for name in kinds]),
        "event_D": state["particle_vector"].flatten(),
    }


def _globals(state: State) -> dict[str, Tensor]:
    """Return the gated layers, which stand behind an affine one of ours."""
    found = {}
    for name, value in state.items():
        match = re.match(r"^embedding_stack\.embedding_layers\.(\d+)(\..*)$", name)
        if match is None:
            raise ModelError(f"an embedding of globals that evenet-core 0.3.0 does not have: {name!r}")
        found[f"{int(match[1]) + 1}{rename(match[2], _GATED)}"] = value
    return _gates(found)


def _head(state: State) -> dict[str, Tensor]:
    """Return the head with its batch normalisation folded into the last layer, as it is in evaluation."""
    if not state:
        return {}
    names = {name.split(".")[1] for name in state if name.startswith("networks.")}
    if len(names) != 1:
        raise ModelError(f"this EveNet has {len(names)} classification heads; converted is one")
    norm = f"networks.{names.pop()}.output_norm."
    attention = "class_transformer.attn.in_proj_"
    rest = {name: value for name, value in state.items() if not name.startswith((norm, attention))}
    found = _gates({rename(name, _HEAD): value for name, value in rest.items()})
    for kind in ("weight", "bias"):
        query, *others = state[f"{attention}{kind}"].chunk(3)
        found |= {f"query.{kind}": query, f"key_value.{kind}": torch.cat(others)}
    mean, variance, weight, bias = (
        state[f"{norm}{name}"] for name in ("running_mean", "running_var", "weight", "bias")
    )
    factor = weight / (variance + _EPSILON).sqrt()
    found["linear.bias"] = found["linear.bias"] + found["linear.weight"] @ (bias - mean * factor)
    found["linear.weight"] = found["linear.weight"] * factor
    return found


def _gates(state: State) -> dict[str, Tensor]:
    """Return the state with the matrices of each gate as those of `hepfm.nn.gated.Gate`."""
    found = {name: value for name, value in state.items() if ".gate." not in name}
    for gate in sorted({name.rpartition(".gate.")[0] for name in state if ".gate." in name}):
        part = f"{gate}.gate."
        for kind in ("weight", "bias"):
            found[f"{part}update.{kind}"] = torch.cat([state[f"{part}linear_W_{k}.{kind}"] for k in "rzg"])
        found[f"{part}kept.weight"] = torch.cat([state[f"{part}linear_U_{k}.weight"] for k in "rz"])
        found[f"{part}reset.weight"] = state[f"{part}linear_U_g.weight"]
        found[f"{part}bias_D"] = state[f"{part}gate_bias"]
    return found


def _kept(state: State) -> State:
    return {
        name: value for name, value in state.items() if not any(re.match(rule, name) for rule in _LEFT_OUT)
    }


def _shape(state: State, name: str) -> tuple[int, ...]:
    if name not in state:
        raise ModelError(f"not a network of evenet-core 0.3.0: it lacks {name!r}")
    return tuple(state[name].shape)


def _numbers(state: Iterable[str], prefix: str) -> list[int]:
    pattern = re.compile(rf"^{re.escape(prefix)}\.(\d+)\.")
    return sorted({int(match[1]) for name in state if (match := pattern.match(name))})


def phi_is_uniform(mean: float, std: float) -> bool:
    """Tell whether constants of phi are those of a uniform azimuth, as its normal score assumes."""
    return abs(mean) < 0.2 and abs(std / (math.pi / math.sqrt(3)) - 1) < 0.1
