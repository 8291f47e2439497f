"""Read OmniLearned's checkpoints (2510.24066, public package 0.2.0), without executing pickles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from hepfm.backbones.pet import Pet
from hepfm.core.config import Component
from hepfm.core.errors import ModelError
from hepfm.core.files import sha256
from hepfm.core.schema import Schema
from hepfm.data import context_set, feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.generators.flow import Flow
from hepfm.heads.class_attention import ClassAttention
from hepfm.models.convert.omnilearned_generator import (
    NOISE_CENTRE,
    NOISE_SPREAD,
    OmniLearnedGenerator,
    map_generator,
    why_left_out,
)
from hepfm.models.convert.omnilearned_weights import OmniLearnedWeights, map_omnilearned, scaled_context
from hepfm.models.convert.plain import load_plain
from hepfm.models.directory import Model
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.network import Network
from hepfm.networks.specs import GeneratorSpec, HeadSpec

_LABEL = "jet_label"
_SETS = {4: "pet", 10: "petpid", 14: "petfull"}
_CONTEXT = "jet"
_CENTRE, _SCALE, _UNIT = (6.4, 0.0, 4.5, 0.0), (0.5, 0.5, 0.5, 0.01), (1.0, 1.0, 1.0, 0.01)
"""Constants by which the clip of standardised numbers stays out of reach; OmniLearned takes ln pt, eta and
ln mass as they are and a hundredth of the number of constituents."""
_MAX_CONSTITUENTS = 150


_UNTRAINED = (
    "the generator's sampler of kinematics and numbers of constituents is untrained, for the package has "
    "none: generate with --like STORE; a class that is not told has the mean of the classes' vectors"
)


@dataclass(frozen=True)
class OmniLearnedCheckpoint:
    """State dicts of a checkpoint: body, classifier head and generator head, the latter None if absent."""

    body: Mapping[str, Tensor]
    classifier: Mapping[str, Tensor] | None
    generator: Mapping[str, Tensor] | None


def convert_omnilearned(path: str | Path, *, output: str | Path, classes: Sequence[str] = ()) -> Model:
    """Write an OmniLearned checkpoint as a model directory, and return the model.

    Converted are the body, the classifier head, and the layers of the jet's global features, which are taken
    to be those of the context set ``jet``: the checkpoint does not name them. The generator head and the
    embedding of time are converted where the four kinematic columns are all that the network reads;
    otherwise they are left out. What must be known of the generator is in the provenance, as ``note``.
    Optimiser and averaged weights are left out.

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
    checkpoint = read_omnilearned(file)
    weights = map_omnilearned(checkpoint.body, checkpoint.classifier)
    head = checkpoint.generator
    reason = why_left_out(checkpoint.body, head) if head is not None else None
    generator = map_generator(head, weights.config) if head is not None and reason is None else None
    names = _class_names(classes, _num_classes(weights, generator), path=path)
    model = _model(weights, names, generator)
    facts = {"package": "omnilearned", "sha256": sha256(file)}
    if head is not None:
        facts["note"] = _UNTRAINED if reason is None else f"the generator head was left out: {reason}"
    model.provenance = {"converted_from": facts}
    model.save(output)
    return model


def _num_classes(weights: OmniLearnedWeights, generator: OmniLearnedGenerator | None) -> int:
    """Return the number of classes, which both heads share."""
    told = generator.num_classes if generator else 0
    if told and weights.num_classes and told != weights.num_classes:
        raise ModelError(
            f"the classifier head of this checkpoint has {weights.num_classes} classes and its generator "
            f"head {told}; expected the same"
        )
    return weights.num_classes or told


def _class_names(classes: Sequence[str], number: int, *, path: str | Path) -> tuple[str, ...]:
    names = tuple(classes) or tuple(f"class_{k}" for k in range(number))
    if len(names) != number:
        raise ModelError(
            f"{path} has {number} classes, but {len(names)} names were given "
            f"({', '.join(names)}); name them in the order of its outputs"
        )
    return names


def read_omnilearned(path: Path) -> OmniLearnedCheckpoint:
    """Return the state dicts of a checkpoint file."""
    checkpoint = load_plain(path)
    body: Any = checkpoint.get("body") if isinstance(checkpoint, dict) else None
    if not _is_state(body):
        held = ", ".join(map(str, list(checkpoint)[:5])) if isinstance(checkpoint, dict) else "no dict"
        raise ModelError(
            f"{path}: expected a checkpoint of OmniLearned, a dict with the weights 'body' and maybe "
            f"'classifier_head' and 'generator_head'; it holds {held}"
        )
    heads = (checkpoint.get(name) for name in ("classifier_head", "generator_head"))
    return OmniLearnedCheckpoint(body, *(head if _is_state(head) else None for head in heads))


def _is_state(value: Any) -> TypeGuard[Mapping[str, Tensor]]:
    return isinstance(value, dict) and all(isinstance(part, Tensor) for part in value.values())


def _model(
    weights: OmniLearnedWeights, classes: tuple[str, ...], generator: OmniLearnedGenerator | None
) -> Model:
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
            HeadSpec(Component("class_attention", ClassAttention, weights.head_config), schema[_LABEL])
        )
    context = context_set(_CONTEXT) if weights.context else None
    source = _source(generator, schema) if generator else None
    with seeded_init(0, "convert.omnilearned"):
        network = build_network(component, features, context=context, heads=outputs, generator=source)
    network.backbone.load_state_dict(backbone.state_dict())
    if head is not None:
        network.heads[_LABEL].load_state_dict(head.state_dict())
    if context:
        _set_context(network, weights)
    if generator is not None:
        _set_generator(network, weights, generator)
    return Model(
        network=network,
        backbone=component,
        features=features,
        schema=schema,
        context=context,
        max_constituents=_MAX_CONSTITUENTS,
    )


def _source(generator: OmniLearnedGenerator, schema: Schema) -> GeneratorSpec:
    label = schema[_LABEL] if generator.num_classes else None
    return GeneratorSpec(Component("flow", Flow, generator.config), label, _MAX_CONSTITUENTS)


def _set_generator(network: Network, weights: OmniLearnedWeights, generator: OmniLearnedGenerator) -> None:
    """Set generator, time and standardisation; the body reads physical features, so the last is free."""
    conditioning = network.conditioning
    assert isinstance(network.generator, Flow)
    assert conditioning is not None
    assert conditioning.time is not None
    generator.load(network.generator)
    try:
        conditioning.time.load_state_dict(dict(weights.time))
    except RuntimeError as error:
        raise ModelError(f"this embedding of time is not of OmniLearned 0.2.0: {error}") from None
    centre_F, spread_F = torch.tensor(NOISE_CENTRE), torch.tensor(NOISE_SPREAD)
    network.standardize.load_state_dict({"centre_F": centre_F, "scale_F": 1 / spread_F})


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
