"""Read OmniLearned's checkpoints (2510.24066, public package 0.2.0), without executing pickles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from hepfm.backbones.pet import Pet
from hepfm.core.config import Component
from hepfm.core.errors import ModelError
from hepfm.core.files import sha256
from hepfm.core.jets import jet_schema
from hepfm.data import context_set, feature_set
from hepfm.heads.class_attention import ClassAttention
from hepfm.models.build import build_network
from hepfm.models.convert.omnilearned_weights import OmniLearnedWeights, map_omnilearned, scaled_context
from hepfm.models.convert.plain import load_plain
from hepfm.models.directory import Model
from hepfm.objectives.network import Network, Output

_LABEL = "jet_label"
_SETS = {4: "pet", 10: "petpid", 14: "petfull"}
_CONTEXT = "jet"
_CENTRE, _SCALE, _UNIT = (6.4, 0.0, 4.5, 0.0), (0.5, 0.5, 0.5, 0.01), (1.0, 1.0, 1.0, 0.01)
"""Constants by which the clip of standardised numbers stays out of reach; OmniLearned takes ln pt, eta and
ln mass as they are and a hundredth of the number of constituents."""
_MAX_CONSTITUENTS = 150


def convert_omnilearned(path: str | Path, *, output: str | Path, classes: Sequence[str] = ()) -> Model:
    """Write an OmniLearned checkpoint as a model directory, and return the model.

    Converted are the body, the classifier head, and the layers of the jet's global features, which are taken
    to be those of the context set ``jet``: the checkpoint does not name them. The generator head and the
    embedding of time are left out, and so are optimiser and averaged weights.

    Parameters
    ----------
    path
        The checkpoint, ``best_model_TAG.pt``.
    output
        The model directory to write.
    classes
        Names of the classes in the order of the checkpoint's outputs; ``class_0``, ``class_1``, ... when left
        out.
    """
    file = Path(path)
    weights = map_omnilearned(*read_omnilearned(file))
    names = tuple(classes) or tuple(f"class_{number}" for number in range(weights.num_classes))
    if len(names) != weights.num_classes:
        raise ModelError(
            f"{path} has {weights.num_classes} classes, but {len(names)} names were given "
            f"({', '.join(names)}); name them in the order of its outputs"
        )
    model = _model(weights, names)
    model.provenance = {"converted_from": {"package": "omnilearned", "sha256": sha256(file)}}
    model.save(output)
    return model


def read_omnilearned(path: Path) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor] | None]:
    """Return the state dicts of body and classifier head (None without one) of a checkpoint file."""
    checkpoint = load_plain(path)
    body: Any = checkpoint.get("body") if isinstance(checkpoint, dict) else None
    if not _is_state(body):
        held = ", ".join(map(str, list(checkpoint)[:5])) if isinstance(checkpoint, dict) else "no dict"
        raise ModelError(
            f"{path}: expected a checkpoint of OmniLearned, a dict with the weights 'body' and maybe "
            f"'classifier_head'; it holds {held}"
        )
    classifier: Any = checkpoint.get("classifier_head")
    return body, classifier if _is_state(classifier) else None


def _is_state(value: Any) -> TypeGuard[Mapping[str, Tensor]]:
    return isinstance(value, dict) and all(isinstance(part, Tensor) for part in value.values())


def _model(weights: OmniLearnedWeights, classes: tuple[str, ...]) -> Model:
    num_features = len(weights.feature_names)
    if num_features not in _SETS:
        raise ModelError(
            "this OmniLearned network has impact parameters but no particle types; read are both"
        )
    features = feature_set(_SETS[num_features])
    schema = jet_schema(classes, identity=num_features >= 10, tracks=num_features >= 14, substructure=False)
    component = Component("pet", Pet, weights.config)
    backbone, head = weights.build()
    outputs = []
    if weights.head_config is not None:
        outputs.append(
            Output(Component("class_attention", ClassAttention, weights.head_config), schema[_LABEL])
        )
    context = context_set(_CONTEXT) if weights.context else None
    network = build_network(component, features, context=context, outputs=outputs)
    network.backbone.load_state_dict(backbone.state_dict())
    if head is not None:
        network.heads[_LABEL].load_state_dict(head.state_dict())
    if context:
        _set_context(network, weights)
    return Model(
        network=network,
        backbone=component,
        features=features,
        schema=schema,
        context=context,
        max_constituents=_MAX_CONSTITUENTS,
    )


def _set_context(network: Network, weights: OmniLearnedWeights) -> None:
    given = weights.context["0.weight"].shape[1]
    if given != len(_CENTRE):
        raise ModelError(
            f"this OmniLearned network is told {given} global features of a jet; read are those with "
            f"{len(_CENTRE)}: ln pt, eta, ln mass and a hundredth of the number of constituents"
        )
    conditioning = network.conditioning
    assert conditioning is not None
    assert conditioning.standardize is not None
    assert conditioning.context is not None
    centre_C, scale_C, unit_C = (torch.tensor(values) for values in (_CENTRE, _SCALE, _UNIT))
    conditioning.standardize.load_state_dict({"centre_F": centre_C, "scale_F": scale_C})
    conditioning.context.load_state_dict(scaled_context(weights.context, scale_C, centre_C, unit_C))
