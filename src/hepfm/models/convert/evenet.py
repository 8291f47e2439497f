"""Read EveNet's checkpoints (2601.17126, evenet-core 0.3.0), without executing pickles."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hepfm.backbones.evenet import EveNet
from hepfm.core.config import Component
from hepfm.core.errors import ModelError
from hepfm.core.files import sha256
from hepfm.data import context_set, feature_set
from hepfm.data.schemas.events import event_schema
from hepfm.heads.event_token import EventToken
from hepfm.models.convert.evenet_weights import PARTS, EveNetWeights, map_evenet, phi_is_uniform
from hepfm.models.convert.plain import load_plain
from hepfm.models.directory import Model
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec

_LABEL, _SET = "event_label", "evenet"
_OBJECTS, _GLOBALS = "sequential_normalizer", "global_normalizer"
_MAX_OBJECTS = 18
_PREFIX = re.compile(r"^(?:model\.|module\.|_orig_mod\.)+")
_NOTE = (
    "left out are the embedding of time and the heads of generation, assignment, segmentation and "
    "regression; neighbours of events of fewer than four objects are their real ones, where evenet-core "
    "takes padding for objects"
)


def convert_evenet(
    path: str | Path, *, output: str | Path, classes: Sequence[str] = (), options: Sequence[str] = ()
) -> Model:
    """Write a checkpoint of EveNet as a model directory, and return the model.

    Converted are the body (PET and object encoder), the embedding of globals with all constants of the
    inputs, and the classification head, if there is one. What is left out is said in the provenance.

    Parameters
    ----------
    path
        The checkpoint: a state dict of evenet-core's network, alone or as ``state_dict`` of a training.
    output
        The model directory to write.
    classes
        Names of the classes in the order of the outputs; ``class_0``, ``class_1``, ... when left out.
    options
        ``num_heads=N`` and ``encoder_heads=N`` for a network that is of no published size.
    """
    file = Path(path)
    state = read_evenet(file)
    weights = map_evenet(state, feature_set(_SET).names, heads=_heads(options))
    names = tuple(classes) or tuple(f"class_{k}" for k in range(weights.num_classes))
    if len(names) != weights.num_classes:
        raise ModelError(
            f"{path} has {weights.num_classes} classes, but {len(names)} names were given "
            f"({', '.join(names)}); name them in the order of its outputs"
        )
    model = _model(weights, names, state)
    model.provenance = {"converted_from": {"package": "evenet-core", "sha256": sha256(file), "note": _NOTE}}
    model.save(output)
    return model


def read_evenet(path: Path) -> dict[str, dict[str, Tensor]]:
    """Return the state dicts of a checkpoint file by the part of the network."""
    checkpoint = load_plain(path)
    state: Any = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path}: expected a state dict of evenet-core's network, or a dict with one")
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        part, _, rest = _PREFIX.sub("", str(name)).partition(".")
        parts.setdefault(part, {})[rest] = value
    missing = [name for name in (*PARTS[:3], _OBJECTS, _GLOBALS) if name not in parts]
    if missing:
        raise ModelError(
            f"{path}: no network of evenet-core: it lacks {', '.join(missing)}; it has "
            f"{', '.join(sorted(parts)[:8]) or 'nothing'}"
        )
    return parts


def _heads(options: Sequence[str]) -> tuple[int, int] | None:
    if not options:
        return None
    given = dict(option.partition("=")[::2] for option in options)
    if set(given) != {"num_heads", "encoder_heads"} or not all(value.isdigit() for value in given.values()):
        raise ModelError(
            f"options of an EveNet are num_heads=N and encoder_heads=N, both; given: {', '.join(options)}"
        )
    return int(given["num_heads"]), int(given["encoder_heads"])


def _model(
    weights: EveNetWeights, classes: tuple[str, ...], state: Mapping[str, Mapping[str, Tensor]]
) -> Model:
    features, context = feature_set(_SET), context_set(_SET)
    schema = event_schema(classes)
    backbone = Component("evenet", EveNet, weights.config)
    heads = []
    if classes:
        heads.append(HeadSpec(Component("event_token", EventToken, weights.head_config), schema[_LABEL]))
    with seeded_init(0, "convert.evenet"):
        network = build_network(backbone, features, context=context, heads=heads)
    conditioning = network.conditioning
    assert conditioning is not None
    assert conditioning.context is not None
    assert conditioning.standardize is not None
    head = network.heads[_LABEL] if classes else None
    weights.load(network.backbone, conditioning.context, head)  # type: ignore[arg-type]
    _set_constants(network.standardize, state[_OBJECTS], features.names)
    _set_constants(conditioning.standardize, state[_GLOBALS], context.names)
    _check_phi(network)
    return Model(
        network=network,
        backbone=backbone,
        features=features,
        schema=schema,
        context=context,
        max_constituents=_MAX_OBJECTS,
    )


def _set_constants(layer: torch.nn.Module, state: Mapping[str, Tensor], names: Sequence[str]) -> None:
    mean, std = state["mean"].flatten().float(), state["std"].flatten().float()
    if len(mean) != len(names):
        raise ModelError(
            f"this EveNet has constants of {len(mean)} inputs; read are the released {len(names)}: "
            f"{', '.join(names)}"
        )
    layer.load_state_dict({"centre_F": mean, "scale_F": 1 / std})


def _check_phi(network: Network) -> None:
    place = network.feature_names.index("phi")
    mean = float(network.standardize.centre_F[place])
    std = 1 / float(network.standardize.scale_F[place])
    if not phi_is_uniform(mean, std):
        raise ModelError(
            f"the fourth input of this EveNet has mean {mean:.3g} and standard deviation {std:.3g}, which "
            "are not those of a uniform phi, 0 and 1.81: its inputs are not the released ones"
        )
