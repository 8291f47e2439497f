"""A checkpoint of weaver-core with its preprocessing file as a model directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hepfm.core.config import Component
from hepfm.core.errors import ConfigError, ModelError
from hepfm.core.files import sha256
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.features import FeatureSet
from hepfm.data.schemas.jetclass2 import JETCLASS2_CLASSES
from hepfm.data.schemas.jets import (
    IDENTITY_CONSTITUENT_FIELDS,
    SUBSTRUCTURE_FIELDS,
    TRACK_CONSTITUENT_FIELDS,
    jet_schema,
)
from hepfm.heads.base import Head
from hepfm.heads.classify import Classify
from hepfm.heads.regress import Regress, RegressConfig
from hepfm.models.convert.weaver import particle_transformer, particlenet
from hepfm.models.convert.weaver.data_config import DataConfig
from hepfm.models.convert.weaver.inputs import Inputs, read_inputs
from hepfm.models.convert.weaver.network_options import read_network, read_options
from hepfm.models.convert.weaver.state import State, WeaverWeights, read_checkpoint
from hepfm.models.directory import Model
from hepfm.networks.build import build_network
from hepfm.networks.specs import HeadSpec

_LABEL = "jet_label"


@dataclass(frozen=True)
class _Source:
    """What a conversion is made of.

    Attributes
    ----------
    checkpoint, network
        The files; no network file where options are given.
    given
        Options of the network that were given, or stand in its file.
    assumed
        Those that neither the checkpoint nor these tell.
    """

    checkpoint: Path
    network: Path | None
    given: Mapping[str, Any]
    assumed: Mapping[str, Any]


def convert_weaver(
    path: str | Path,
    *,
    output: str | Path,
    data: str | Path | None = None,
    network: str | Path | None = None,
    options: Sequence[str] = (),
    branches: Sequence[str] = (),
    classes: Sequence[str] | None = None,
) -> Model:
    """Write a checkpoint of weaver-core as a model directory, and return the model.

    Read are version 1 of the Particle Transformer and ParticleNet, classifiers and regressions of jets.
    Nothing in the three files is executed.

    Parameters
    ----------
    path
        The state dict, ``*_state.pt`` or a published one.
    output
        The model directory to write.
    data
        The preprocessing file with which it was trained. The constants of every variable are those in it.
    network
        The network file with which it was trained, for options that a state dict does not show.
    options
        Such options, ``name=value``, as weaver's ``--network-option``; they go before those of the file.
    branches
        What branches of the preprocessing file are that JetClass does not have, or has otherwise,
        ``name=expression`` with fields of a store.
    classes
        Names of the classes in the order of the outputs; the labels of the file when None.

    Raises
    ------
    ConfigError
        When a file or option is missing or cannot be read, or a variable cannot be expressed here.
    ModelError
        When the checkpoint is none of these networks, or does not fit the files.
    """
    state = read_checkpoint(Path(path))
    if data is None:
        raise ConfigError(
            "a checkpoint of weaver does not say what it reads: give --data CONFIG.yaml, the preprocessing "
            "file with which it was trained"
        )
    config = DataConfig.read(data)
    kind = particlenet if any(name.startswith("edge_convs.") for name in state) else particle_transformer
    needs_momenta = kind is particle_transformer and particle_transformer.has_pairs(state)
    source = _options(kind, Path(path), network, options, needed=kind is particlenet or needs_momenta)
    known = {**source.assumed, **source.given}
    num_features = kind.map_weights(state, known).num_features
    _check_features(Path(path), num_features, config)
    inputs = read_inputs(config, _branches(branches), momenta=needs_momenta, points=kind is particlenet)
    weights = _map(state, known, inputs)
    model = _model(weights, inputs, config, tuple(classes) if classes else None)
    model.provenance = {
        "converted_from": _facts(source, config),
        "preprocessing": _preprocessing(inputs),
    }
    model.save(output)
    return model


def _map(state: State, options: Mapping[str, Any], inputs: Inputs) -> WeaverWeights:
    if inputs.points is None:
        return particle_transformer.map_weights(state, options)
    return particlenet.map_weights(state, options, points=inputs.points)


# -- what was given


def _options(
    kind: Any, checkpoint: Path, network: str | Path | None, texts: Sequence[str], *, needed: bool
) -> _Source:
    known = (*kind.DEFAULTS, *kind.SHOWN, *kind.NEEDED)
    given = {
        **({} if network is None else read_network(network, known)),
        **read_options(texts, known),
    }
    for name, why in kind.NEEDED.items() if needed else ():
        if name not in given:
            raise ConfigError(
                f"{checkpoint} does not show {name} ({why}); give --network FILE.py, the network file with "
                f"which weaver was run, or --option {name}=..."
            )
    assumed = {name: value for name, value in kind.DEFAULTS.items() if name not in given}
    return _Source(checkpoint, None if network is None else Path(network), given, assumed)


def _branches(texts: Sequence[str]) -> dict[str, str]:
    branches = {}
    for text in texts:
        name, equals, expression = (part.strip() for part in text.partition("="))
        if not equals or not name or not expression:
            raise ConfigError(
                f"cannot read the branch {text!r}; write name=expression with fields of a store, e.g. "
                "pfcand_px=part_pt * cos(part_phi)"
            )
        branches[name] = expression
    return branches


def _check_features(path: Path, number: int, config: DataConfig) -> None:
    names = [variable.name for variable in config.input("_features")]
    if len(names) != number:
        raise ModelError(
            f"{path} reads {number} features, {config.path} has {len(names)} ({', '.join(names)}); give the "
            "preprocessing file with which it was trained"
        )


# -- the model


def _model(
    weights: WeaverWeights, inputs: Inputs, config: DataConfig, classes: tuple[str, ...] | None
) -> Model:
    features = inputs.features
    fields = _fields(weights.num_outputs, config, classes)
    schema = _schema(features, fields)
    network = build_network(weights.component, features, heads=[_head(weights, field) for field in fields])
    for number, field in enumerate(fields):
        head = network.heads[field.name]
        assert isinstance(head, Head)
        rows = slice(None) if len(fields) == 1 else slice(number, number + 1)
        weights.load(network.backbone, head, rows)
    return Model(
        network=network,
        backbone=weights.component,
        features=features,
        schema=schema,
        max_constituents=config.length,
    )


def _fields(number: int, config: DataConfig, given: tuple[str, ...] | None) -> list[Field]:
    """Return what the outputs are: classes of one field, or values of one field each."""
    targets = config.targets
    regression = given is None and config.classes is None and number == len(targets)
    if regression:
        return [
            Field(name, Level.OBJECT, description=f"as in {config.path.name}: {text}")
            for name, text in targets.items()
        ]
    if config.classes is None and len(targets) > 1:
        raise ModelError(
            f"{config.path}: labels: {', '.join(targets)}, and the checkpoint has {number} outputs; outputs "
            "of classes and values together are not read"
        )
    names = given or _names(config, number)
    if len(names) != number:
        whose = "names were given" if given else f"labels are in {config.path}"
        raise ModelError(
            f"the checkpoint has {number} outputs, but {len(names)} {whose} ({', '.join(names[:12])}"
            f"{', ...' if len(names) > 12 else ''}); name the classes in the order of the outputs"
        )
    return [Field(_LABEL, Level.OBJECT, Kind.CATEGORICAL, dtype="int16", classes=names)]


def _names(config: DataConfig, number: int) -> tuple[str, ...]:
    """Return names of classes: the labels without "label_"; those of JetClass-II where this is its label."""
    if config.classes is not None:
        return tuple(name.removeprefix("label_") or name for name in config.classes)
    of_jetclass2 = set(config.targets.values()) == {"jet_label"} and number == len(JETCLASS2_CLASSES)
    return JETCLASS2_CLASSES if of_jetclass2 else tuple(f"label_{k}" for k in range(number))


def _head(weights: WeaverWeights, field: Field) -> HeadSpec:
    if field.classes:
        return HeadSpec(Component("classify", Classify, weights.classify), field)
    config = RegressConfig(hidden=weights.classify.hidden, dropout=weights.classify.dropout)
    return HeadSpec(Component("regress", Regress, config), field)


def _schema(features: FeatureSet, fields: Sequence[Field]) -> Schema:
    def needs(group: Sequence[Field]) -> bool:
        return any(field.name in features.columns for field in group)

    first = fields[0]
    extra = () if first.classes else tuple(field for field in fields if field.name != _LABEL)
    return jet_schema(
        first.classes,
        identity=needs(IDENTITY_CONSTITUENT_FIELDS),
        tracks=needs(TRACK_CONSTITUENT_FIELDS),
        substructure=needs(SUBSTRUCTURE_FIELDS),
        extra=extra,
    )


# -- what the card says


def _facts(source: _Source, config: DataConfig) -> dict[str, Any]:
    network = source.network
    return {
        "package": "weaver-core",
        "sha256": sha256(source.checkpoint),
        "preprocessing_file": config.path.name,
        "preprocessing_sha256": config.sha256,
        **({"network_file": network.name, "network_sha256": sha256(network)} if network else {}),
        "options": _line(source.given),
        "assumed_options": _line(source.assumed),
        "trained_on": config.selection or "all rows",
    }


def _line(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items()) or "none"


def _preprocessing(inputs: Inputs) -> list[dict[str, Any]]:
    """Return what the file says of each variable, JSON-ready, with the feature that it is here."""
    return [{"feature": name, **asdict(variable)} for name, variable in inputs.sources.items()]
