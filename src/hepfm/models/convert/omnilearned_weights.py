"""OmniLearned's names and shapes in this package's terms (2510.24066, public package 0.2.0)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hepfm.backbones.pet import Pet, PetConfig
from hepfm.core.errors import ModelError
from hepfm.data.feature_names import DISPLACEMENT, IDENTITY, KINEMATICS
from hepfm.heads.class_attention import ClassAttention, ClassAttentionConfig

State = Mapping[str, Tensor]

_BODY = (
    (r"^token$", "registers"),
    (r"^embed\.norm\.", "input_norm."),
    (r"^embed\.mlp\.", "embedding."),
    (r"^interaction\.mlp\.", "pairs."),
    (r"^local_physics\.mlp\.", "local.embedding."),
    (r"^local_physics\.in_blocks\.", "local.blocks."),
    (r"^in_blocks\.", "blocks."),
    (r"^add_embed\.0\.", "displacement."),
)
_BLOCK = (
    (r"\.norm1\.", ".attention.norm."),
    (r"\.norm2\.", ".feedforward_norm."),
    (r"\.attn\.in_proj_weight$", ".attention.in_proj.weight"),
    (r"\.attn\.out_proj\.", ".attention.out_proj."),
)
_HEAD = (
    (r"^in_blocks\.", "blocks."),
    (r"^fc\.", "feedforward."),
    (r"^out\.", "linear."),
    (r"^(blocks\.\d+)\.norm\.", r"\1.feedforward_norm."),
    (r"\.attn\.in_proj_weight$", ".in_proj.weight"),
    (r"\.attn\.out_proj\.", ".out_proj."),
)
_LAYERS = ((r"\.mlp\.", ".feedforward."), (r"(^|\.)fc1\.", r"\1expand."), (r"(^|\.)fc2\.", r"\1contract."))
BLOCK_NAMES = (*_BLOCK, *_LAYERS)
"""Names within a `hepfm.nn.pet_blocks.PetBlock`."""

TYPE_NUMBERS = {"h+": 8, "h-": 0, "h0": 7, "photon": 6, "e+": 2, "e-": 4, "mu+": 1, "mu-": 5}
"""OmniLearned's number of each type of `hepfm.nn.pet_identity.TYPES`: the position of its PDG number among
-211, -13, -11, 0, 11, 13, 22, 130, 211, as its README computes it for padded arrays."""

_HEADS_OF_WIDTH = {32: 4, 128: 8, 512: 16, 1024: 32}
"""Heads of the published sizes, for checkpoints without pair bias, whose shapes do not tell."""


@dataclass(frozen=True)
class OmniLearnedWeights:
    """A checkpoint in this package's terms.

    Attributes
    ----------
    config, head_config
        Options of the backbone and of the head, read off the shapes; no head if the latter is None.
    feature_names
        Columns that the backbone reads.
    num_classes
        Outputs of the head.
    backbone, head
        State dicts of `Pet` and `ClassAttention`.
    context, time
        State dicts of the conditioning's two networks, empty without them.
    """

    config: PetConfig
    head_config: ClassAttentionConfig | None
    feature_names: tuple[str, ...]
    num_classes: int
    backbone: State
    head: State
    context: State
    time: State

    def build(self) -> tuple[Pet, ClassAttention | None]:
        """Return backbone and head with the weights; every name and shape is checked."""
        backbone = Pet(self.config, feature_names=self.feature_names)
        head = None
        if self.head_config is not None:
            head = ClassAttention(self.head_config, width=self.config.width, num_outputs=self.num_classes)
        for module, state in ((backbone, self.backbone), (head, self.head)):
            try:
                if module is not None:
                    module.load_state_dict(dict(state), strict=True)
            except RuntimeError as error:
                raise ModelError(f"these weights are not of OmniLearned 0.2.0: {error}") from None
        return backbone, head


def map_omnilearned(body: State, classifier: State | None = None) -> OmniLearnedWeights:
    """Map OmniLearned's names and shapes to ours, and read the configuration off the shapes.

    Parameters
    ----------
    body, classifier
        State dicts of its body and of its classifier head, if there is one.
    """
    _refuse_others(body)
    config = _config(body)
    classifier = classifier or {}
    return OmniLearnedWeights(
        config=config,
        head_config=_head_config(classifier, config) if classifier else None,
        feature_names=_feature_names(body),
        num_classes=len(classifier["out.bias"]) if classifier else 0,
        backbone=_backbone(body),
        head={rename(name, (*_HEAD, *_LAYERS)): value for name, value in classifier.items()},
        context=_sequence(body, "cond_embed.0.", ("fc1", "", "norm", "fc2")),
        time=_time(body),
    )


def _refuse_others(body: State) -> None:
    needed = ("token", "embed.mlp.fc1.weight", "local_physics.mlp.fc1.weight", "in_blocks.0.mlp.fc1.weight")
    missing = [name for name in needed if name not in body]
    if missing:
        raise ModelError(
            f"not the body of OmniLearned's PET2: it lacks {', '.join(missing)}; "
            f"it has {', '.join(sorted(body)[:5])}, ..."
        )
    inputs = body["embed.mlp.fc1.weight"].shape[1]
    if inputs != len(KINEMATICS):
        raise ModelError(
            f"this OmniLearned network has {inputs} kinematic inputs; read are those with the published "
            f"{len(KINEMATICS)}: {', '.join(KINEMATICS)}"
        )
    if any("skip_linear" in name for name in body):
        raise ModelError("this OmniLearned network has skip connections, which the backbone pet has not")


def _config(body: State) -> PetConfig:
    width = body["token"].shape[-1]
    bias = body.get("interaction.mlp.fc2.bias")
    if bias is None and width not in _HEADS_OF_WIDTH:
        raise ModelError(
            f"without pair bias the shapes do not tell the number of heads, and width {width} is not of a "
            f"published size ({', '.join(map(str, _HEADS_OF_WIDTH))})"
        )
    edges = body["local_physics.mlp.fc1.weight"].shape[1]
    return PetConfig(
        width=width,
        depth=_count(body, "in_blocks"),
        local_depth=_count(body, "local_physics.in_blocks"),
        num_heads=_HEADS_OF_WIDTH[width] if bias is None else len(bias),
        feedforward_ratio=body["embed.mlp.fc1.weight"].shape[0] // width,
        num_registers=body["token"].shape[1],
        interaction=bias is not None,
        local_interaction=edges > len(KINEMATICS),
    )


def _head_config(classifier: State, config: PetConfig) -> ClassAttentionConfig:
    return ClassAttentionConfig(
        num_blocks=_count(classifier, "in_blocks"),
        num_heads=config.num_heads,
        num_registers=config.num_registers,
        feedforward_ratio=config.feedforward_ratio,
    )


def _feature_names(body: State) -> tuple[str, ...]:
    names: tuple[str, ...] = KINEMATICS
    if "pid_embed.0.weight" in body:
        names = (*names, *IDENTITY)
    extra = body.get("add_embed.0.fc1.weight")
    if extra is not None and extra.shape[1] != len(DISPLACEMENT):
        raise ModelError(
            f"this OmniLearned network has {extra.shape[1]} additional inputs; read are those with the "
            f"published {len(DISPLACEMENT)}: {', '.join(DISPLACEMENT)}"
        )
    return names if extra is None else (*names, *DISPLACEMENT)


def _backbone(body: State) -> dict[str, Tensor]:
    apart = ("cond_embed.", "time_embed.", "MPFourier.", "pid_embed.")
    state = {
        rename(name, (*_BODY, *BLOCK_NAMES)): value
        for name, value in body.items()
        if not name.startswith(apart)
    }
    table = body.get("pid_embed.0.weight")
    if table is not None:
        if len(table) <= max(TYPE_NUMBERS.values()):
            raise ModelError(f"this OmniLearned network knows {len(table)} particle types; published are 9")
        state["identity.table"] = table[list(TYPE_NUMBERS.values())]
    return state


def _time(body: State) -> dict[str, Tensor]:
    state = _sequence(body, "time_embed.", ("", "fc1", "", "norm", "fc2"))
    if state:
        state |= {"0.frequencies_D": body["MPFourier.freqs"], "0.phases_D": body["MPFourier.phases"]}
    return state


def _sequence(body: State, prefix: str, layers: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the state of layers as that of a `torch.nn.Sequential` with them in the given order."""
    named = {name.removeprefix(prefix): value for name, value in body.items() if name.startswith(prefix)}
    return {re.sub(r"^\w+", lambda part: str(layers.index(part[0])), name): named[name] for name in named}


def rename(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    """Return the name after all rules, pairs of a pattern and what comes in its place."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _count(state: State, prefix: str) -> int:
    return len({match[1] for name in state if (match := re.match(rf"{re.escape(prefix)}\.(\d+)\.", name))})


@torch.no_grad()
def scaled_context(context: State, scale_C: Tensor, centre_C: Tensor, unit_C: Tensor) -> dict[str, Tensor]:
    """Return the context's network for inputs ``(x - centre) * scale`` in place of ``x * unit``."""
    weight = context["0.weight"] * unit_C
    return {
        **context,
        "0.weight": weight / scale_C,
        "0.bias": context["0.bias"] + weight @ centre_C,
    }
