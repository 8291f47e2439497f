"""Read weaver-core's Particle Transformer checkpoints (2202.03772), without executing pickles."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from hepfm.backbones.particle_transformer import ParticleTransformer, ParticleTransformerConfig
from hepfm.core.config import Component
from hepfm.core.errors import ModelError
from hepfm.core.files import sha256
from hepfm.data import feature_set
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.heads.classify import Classify, ClassifyConfig
from hepfm.models.convert.plain import load_plain
from hepfm.models.directory import Model
from hepfm.networks.build import build_network
from hepfm.networks.specs import HeadSpec

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
_NEEDED = (
    "cls_token",
    "embed.input_bn.weight",
    "blocks.0.fc1.weight",
    "blocks.0.c_attn",
    "fc.0.weight",
    "fc.0.bias",
)
_LABEL = "jet_label"
_FEATURE_SETS = ("kin", "kinpid", "full")
"""Those of the published models."""
_IGNORED = re.compile(r"num_batches_tracked$|^trimmer\.")


@dataclass(frozen=True)
class WeaverWeights:
    """A checkpoint in this package's terms.

    Attributes
    ----------
    config
        Options of the backbone, read off the shapes.
    num_features, num_classes
        Sizes of input and output.
    backbone, head
        State dicts of `ParticleTransformer` and `Classify`.
    """

    config: ParticleTransformerConfig
    num_features: int
    num_classes: int
    backbone: Mapping[str, Tensor]
    head: Mapping[str, Tensor]

    def build(self) -> tuple[ParticleTransformer, Classify]:
        """Return backbone and head with the weights; every name and shape is checked."""
        names = [f"feature_{index}" for index in range(self.num_features)]
        backbone = ParticleTransformer(self.config, feature_names=names)
        head = Classify(ClassifyConfig(), width=self.config.width, num_outputs=self.num_classes)
        for module, state in ((backbone, self.backbone), (head, self.head)):
            try:
                module.load_state_dict(dict(state), strict=True)
            except RuntimeError as error:
                raise ModelError(
                    f"these weights are not of the published Particle Transformer: {error}"
                ) from None
        return backbone, head


def convert_weaver(
    path: str | Path, *, output: str | Path, classes: Sequence[str] = JETCLASS_CLASSES
) -> Model:
    """Write a weaver-core checkpoint as a model directory, and return the model.

    Standardisation comes from the feature set with the checkpoint's number of features: ``kin`` 7,
    ``kinpid`` 13, ``full`` 17, whose constants are those of the public JetClass configurations.

    Parameters
    ----------
    path
        The state dict, e.g. ``ParT_full.pt``.
    output
        The model directory to write.
    classes
        Names of the classes in the order of the checkpoint's outputs.
    """
    weights = map_weights(read_checkpoint(Path(path)))
    names = tuple(classes)
    if len(names) != weights.num_classes:
        raise ModelError(
            f"{path} has {weights.num_classes} classes, but {len(names)} names were given "
            f"({', '.join(names)}); name them in the order of its outputs"
        )
    model = _model(weights, names)
    model.provenance = {"converted_from": {"package": "weaver-core", "sha256": sha256(Path(path))}}
    model.save(output)
    return model


def _model(weights: WeaverWeights, classes: tuple[str, ...]) -> Model:
    sets = {len(features): features for features in map(feature_set, _FEATURE_SETS)}
    if weights.num_features not in sets:
        known = ", ".join(f"{features.name} has {count}" for count, features in sorted(sets.items()))
        raise ModelError(f"no feature set has the checkpoint's {weights.num_features} features; {known}")
    features = sets[weights.num_features]
    schema = jet_schema(
        classes,
        identity=weights.num_features >= 13,
        tracks=weights.num_features >= 17,
        substructure=False,
    )
    component = Component("particle_transformer", ParticleTransformer, weights.config)
    output = HeadSpec(Component("classify", Classify, ClassifyConfig()), schema[_LABEL])
    network = build_network(component, features, heads=[output])
    backbone, head = weights.build()
    network.backbone.load_state_dict(backbone.state_dict())
    network.heads[_LABEL].load_state_dict(head.state_dict())
    return Model(network=network, backbone=component, features=features, schema=schema)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint file; a file that would need code to be run is refused."""
    state = load_plain(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(
            f"{path}: expected a state dict of names and tensors, as weaver's *_state.pt files are, "
            f"got {_describe(state)}"
        )
    return state


def map_weights(state: Mapping[str, Tensor]) -> WeaverWeights:
    """Map weaver-core's names and shapes to ours, and read the configuration off the shapes.

    The state dict does not say whether the pair embedding ends in an activation; it is taken to, as in the
    paper's own configuration (``use_pre_activation_pair=False``).

    Parameters
    ----------
    state
        State dict, with or without a leading ``mod.`` or ``module.`` in the names.
    """
    plain = {re.sub(r"^(module\.|mod\.)+", "", name): value for name, value in state.items()}
    plain = {name: value for name, value in plain.items() if not _IGNORED.search(name)}
    _refuse_other_networks(plain)
    head = {name.replace("fc.0.", "linear."): plain.pop(name) for name in ("fc.0.weight", "fc.0.bias")}
    config = _config(plain)
    return WeaverWeights(
        config=config,
        num_features=plain["embed.input_bn.weight"].shape[0],
        num_classes=head["linear.bias"].shape[0],
        backbone=dict(_rename(name, value) for name, value in plain.items()),
        head=head,
    )


def _refuse_other_networks(plain: Mapping[str, Tensor]) -> None:
    needed = (
        "cls_token",
        "embed.input_bn.weight",
        "blocks.0.fc1.weight",
        "blocks.0.c_attn",
        "fc.0.weight",
        "fc.0.bias",
    )
    missing = [name for name in needed if name not in plain]
    if "blocks.0.fc1_g.weight" in plain:
        raise ModelError(
            "this is weaver-core's ParticleTransformer version 2 or 3; only version 1, the paper's, is read"
        )
    if missing:
        raise ModelError(
            f"not a Particle Transformer of weaver-core: it lacks {', '.join(missing)}; "
            f"it has {', '.join(sorted(plain)[:5])}, ..."
        )


def _config(plain: Mapping[str, Tensor]) -> ParticleTransformerConfig:
    embed = _layer_widths(plain, "embed.embed")
    pair = _layer_widths(plain, "pair_embed.embed")
    width = plain["cls_token"].shape[-1]
    return ParticleTransformerConfig(
        width=width,
        depth=_count(plain, "blocks"),
        class_depth=_count(plain, "cls_blocks"),
        num_heads=plain["blocks.0.c_attn"].shape[0],
        feedforward_ratio=plain["blocks.0.fc1.weight"].shape[0] // width,
        embed_widths=embed[:-1],
        pair_widths=pair[:-1],
    )


def _layer_widths(plain: Mapping[str, Tensor], prefix: str) -> tuple[int, ...]:
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.weight")
    sizes = {int(match[1]): plain[name].shape for name in plain if (match := pattern.fullmatch(name))}
    return tuple(shape[0] for _, shape in sorted(sizes.items()) if len(shape) > 1)


def _count(plain: Mapping[str, Tensor], prefix: str) -> int:
    numbers = {int(match[1]) for name in plain if (match := re.match(rf"{prefix}\.(\d+)\.", name))}
    return len(numbers)


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


def _describe(state: Any) -> str:
    if not isinstance(state, dict):
        return f"a {type(state).__name__}"
    return "a dict with " + ", ".join(
        f"{name}: {type(value).__name__}" for name, value in list(state.items())[:3]
    )
