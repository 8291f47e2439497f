"""Model directory: weights, config, card, provenance and fixture; no pickle, nothing loaded loosely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

import hepfm
from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import Component, fingerprint, resolve_component
from hepfm.core.errors import IncompatibleError, ModelError
from hepfm.core.files import (
    atomic_path,
    read_json,
    read_json_object,
    refuse_other_folder,
    sha256,
    write_json,
    write_text,
)
from hepfm.core.guards import member, reading
from hepfm.core.provenance import without_places
from hepfm.core.ragged import Array
from hepfm.core.registry import Registry
from hepfm.core.schema import Schema
from hepfm.data import context_set
from hepfm.data.clustering import subjets_of
from hepfm.data.content import Content
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureSet
from hepfm.data.in_memory import rows_of
from hepfm.data.row_source import RowSource
from hepfm.data.targets import predicted_field
from hepfm.data.written_features import read_features, spec_of
from hepfm.embeddings import EMBEDDINGS
from hepfm.generators import GENERATORS
from hepfm.groupings import GROUPINGS
from hepfm.heads import HEADS
from hepfm.models.card import render_card
from hepfm.models.constants import constants_of
from hepfm.models.fixture import load_fixture, random_batch, save_fixture
from hepfm.models.folder import (
    CARD,
    CONFIG,
    FIXTURE,
    PROVENANCE,
    WEIGHTS,
    check_files,
    model_directory,
)
from hepfm.models.tokenizer import check_tokenizer, codes_values, read_codes
from hepfm.models.weights import load_strictly, load_tensors, rounded_to_half, save_tensors
from hepfm.networks.build import build_network
from hepfm.networks.network import Network
from hepfm.networks.specs import GeneratorSpec, HeadSpec

FORMAT_VERSION = 4
"""Version of the layout; a directory with a higher one is refused."""


@dataclass(repr=False)
class Model:
    """A network with all that is needed to use it on a store.

    Attributes
    ----------
    network
        The network, in evaluation mode after `load`.
    backbone
        Its backbone's component.
    features
        Its feature set.
    schema
        Schema of the data it was trained on.
    max_constituents
        Rows with more keep the leading ones.
    context
        What the network is conditioned on of the whole row; None for nothing.
    absent
        Groups of features that its data did not have, and that it therefore reads as zero.
    provenance
        JSON-ready facts of the training: recipe, data, seeds, versions, licence.
    metrics
        JSON-ready numbers of the training, for the card.
    fixture
        Inputs of the fixture; random ones when None.
    """

    network: Network
    backbone: Component
    features: FeatureSet
    schema: Schema
    max_constituents: int = 128
    context: ContextSet | None = None
    absent: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    fixture: Batch | None = None

    def __repr__(self) -> str:
        count = sum(parameter.numel() for parameter in self.network.parameters())
        says = ", ".join(
            f"{name} ({', '.join(output.field.classes) or output.field.unit})"
            for name, output in self.outputs.items()
        )
        return (
            f"Model({self.backbone.name}, {count:,} parameters, reads {self.features.name!r} of at most "
            f"{self.max_constituents} constituents, predicts {says or 'nothing'})"
        )

    @property
    def outputs(self) -> dict[str, HeadSpec]:
        """What the heads predict, by name."""
        return self.network.head_specs

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Class names of each head that classifies."""
        return {
            name: output.field.classes
            for name, output in self.outputs.items()
            if output.field.classes and output.head.cls.level != "assignment"
        }

    @property
    def known_features(self) -> FeatureSet:
        """The feature set without the groups that its data did not have: rows are made of these."""
        return self.features.without(self.absent)

    def without(self, groups: Sequence[str]) -> Model:
        """Return the same model, which reads some groups of features as zero whatever the data have.

        Raises
        ------
        ConfigError
            When its feature set has no such group.
        """
        self.features.without(groups)
        return replace(self, absent=tuple(dict.fromkeys((*self.absent, *groups))))

    def save(self, path: str | Path, *, half: bool = False) -> None:
        """Write the model directory, whole or not at all.

        Parameters
        ----------
        path
            Where to.
        half
            Whether parameters are rounded to float16, in this model too, and take half the room. They are
            read as float32 again; buffers, such as the constants of a standardisation, are kept as they are.

        Raises
        ------
        ModelError
            When a parameter is beyond the range of float16.
        """
        refuse_other_folder(path, mark=WEIGHTS, what="model directory")
        self.provenance = without_places(self.provenance)
        network = self.network.cpu().eval()
        tensors = {**network.state_dict(), **(rounded_to_half(network) if half else {})}
        with atomic_path(Path(path)) as folder:
            folder.mkdir()
            save_tensors(folder / WEIGHTS, tensors)
            fixture = self.fixture or random_batch(
                self.features, context=self.context, clusterings=network.clusterings
            )
            save_fixture(folder / FIXTURE, network, fixture)
            write_json(folder / PROVENANCE, dict(self.provenance))
            config = self._config(folder)
            write_json(folder / CONFIG, {**config, "fingerprint": fingerprint(config)})
            write_text(folder / CARD, render_card(self, checksum=sha256(folder / WEIGHTS)))

    def _config(self, folder: Path) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "hepfm_version": hepfm.__version__,
            "backbone": self.backbone.spec(),
            "features": spec_of(self.features),
            "feature_names": list(self.features.names),
            "standardisation": constants_of(self.network),
            "max_constituents": self.max_constituents,
            "context": self.context.name if self.context else None,
            "absent_features": list(self.absent),
            "feature_dropout": self.network.feature_dropout.rate,
            "generator": _source_values(self.network.generator_spec),
            "tokenizer": codes_values(self.network),
            "embedding": self.network.embedding_spec.spec() if self.network.embedding_spec else None,
            "grouping": self.network.grouping_spec.spec() if self.network.grouping_spec else None,
            "heads": {name: output.head.spec() for name, output in self.outputs.items()},
            "classes": {name: list(classes) for name, classes in self.classes.items()},
            "schema": self.schema.to_dict(),
            "metrics": dict(self.metrics),
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "sha256": {name: sha256(folder / name) for name in (WEIGHTS, FIXTURE, PROVENANCE)},
        }

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Read a model directory, or that of a run; raise `ModelError` when it is not as it was saved.

        That is when a file is missing, altered, too many, a link to elsewhere, or of a newer format.
        """
        folder = model_directory(path)
        with reading(folder, ModelError, what="a model"):
            return cls._load(folder)

    @classmethod
    def _load(cls, folder: Path) -> Model:
        config = read_config(folder)
        check_files(folder, config)
        features = read_features(config["features"], where=f"{folder / CONFIG}: features")
        if list(features.names) != config["feature_names"]:
            raise ModelError(
                f"{folder} reads features {config['feature_names']}; {features.name!r} here is another set"
            )
        schema = Schema.from_dict(config["schema"])
        backbone = resolve_component(BACKBONES, config["backbone"], where=f"{folder / CONFIG}: backbone")
        outputs = [
            HeadSpec(
                resolve_component(HEADS, spec, where=f"{folder / CONFIG}: heads.{name}"),
                predicted_field(schema, name),
            )
            for name, spec in config["heads"].items()
        ]
        context = context_set(config["context"]) if config.get("context") else None
        with torch.random.fork_rng(devices=[]):
            network = build_network(
                backbone,
                features.without(config.get("absent_features", ())),
                context=context,
                feature_dropout=config.get("feature_dropout", 0.0),
                heads=outputs,
                generator=_source(config.get("generator"), schema, where=str(folder / CONFIG)),
                tokenizer=read_codes(config.get("tokenizer"), where=str(folder / CONFIG)),
                embedding=_component(EMBEDDINGS, config, "embedding", folder),
                grouping=_component(GROUPINGS, config, "grouping", folder),
            )
        load_strictly(network, load_tensors(folder / WEIGHTS), where=folder / WEIGHTS)
        check_tokenizer(network, config.get("tokenizer"), where=str(folder))
        return cls(
            network=network.eval(),
            backbone=backbone,
            features=features,
            schema=schema,
            max_constituents=config["max_constituents"],
            context=context,
            absent=tuple(config.get("absent_features", ())),
            provenance=read_json(folder / PROVENANCE, ModelError),
            metrics=config["metrics"],
            fixture=load_fixture(folder / FIXTURE)[0],
        )

    def predict(
        self, events: Any, *, device: str | None = None, batch_size: int | None = None
    ) -> dict[str, Any]:
        """Return what each head says of jets, in their order.

        The network stays on its device: call it for one chunk of events after the other.

        Parameters
        ----------
        events
            A store, or what `hepfm.data.in_memory.rows_of` takes: a dict, an awkward array, a data frame ...
        device
            Where the network runs; by default where it is.
        batch_size
            Rows of a batch; what suits the device when None.

        Returns
        -------
        dict
            Arrays by the name of the predicted field; see `hepfm.models.scores.score`.

        Raises
        ------
        IncompatibleError
            When fields are missing that the model reads.
        """
        from hepfm.models.scores import score  # it needs this class

        rows = rows_of(events, self.schema)
        return score(self, rows, batch_size=batch_size, device=device or self._device)

    def embed(self, events: Any, *, device: str | None = None, batch_size: int | None = None) -> Array:
        """Return the summary vector of each jet, float32 (R, D); otherwise as `predict`."""
        from hepfm.models.scores import embed  # it needs this class

        rows = rows_of(events, self.schema)
        return embed(self, rows, batch_size=batch_size, device=device or self._device)

    @property
    def _device(self) -> str:
        return str(next(self.network.parameters()).device)

    def content(self, source: RowSource) -> Content:
        """Return what batches for this model hold of a source, its context included; no labels or weights.

        Raises
        ------
        IncompatibleError
            When the source lacks fields; see `features_of`.
        """
        features = self.features_of(source)
        return Content(
            features,
            max_constituents=self.max_constituents,
            context=self.context,
            subjets=subjets_of(self.network.clusterings),
        )

    def features_of(self, source: RowSource, *, with_context: bool = True) -> FeatureSet:
        """Return the feature set as a source can give it, which must have the fields of the context too.

        Groups that the source lacks are read as zero if training dropped groups of features, or never had
        these; otherwise `IncompatibleError` is raised.
        """
        return self.features_for(source.schema, where=source.name, with_context=with_context)

    def features_for(self, schema: Schema, *, where: str, with_context: bool = True) -> FeatureSet:
        """Return the feature set as data of a schema can give it; see `features_of`."""
        features = self.known_features
        lacking = tuple(name for name in features.droppable if features.missing_group(name, schema))
        if lacking and self.network.feature_dropout.rate > 0.0:
            features = self.features.without(tuple(dict.fromkeys((*self.absent, *lacking))))
        missing = features.missing(schema)
        if missing:
            raise IncompatibleError(
                f"the model reads feature set {self.features.name!r} and {where} lacks its fields "
                f"{', '.join(missing)}; {_without_fields(features, schema)}"
            )
        context = self.context if with_context else None
        missing = context.missing(schema) if context else []
        if context and missing:
            raise IncompatibleError(
                f"the model is conditioned on {context.name!r} and {where} lacks "
                f"{', '.join(missing)}; pre-train with data.context=null"
            )
        return features


def _without_fields(features: FeatureSet, schema: Schema) -> str:
    """Return what can be done where a source lacks fields that a model reads."""
    lacking = [name for name in features.groups if features.missing_group(name, schema)]
    if lacking and not set(lacking) & set(features.droppable):
        names = ",".join(lacking)
        return f"read without them by data.withhold=[{names}] in fine-tuning, or --withhold {names}"
    return (
        "pre-train with a feature set that these data have, e.g. `hepfm pretrain RECIPE data.features=kin`, "
        "or with data.feature_dropout above 0"
    )


def _component(registry: Registry, config: Mapping[str, Any], key: str, folder: Path) -> Component | None:
    """Return a component of a model's config; None where it has none."""
    spec = config.get(key)
    return None if spec is None else resolve_component(registry, spec, where=f"{folder / CONFIG}: {key}")


def _source_values(source: GeneratorSpec | None) -> dict[str, Any] | None:
    if source is None:
        return None
    label = source.label.name if source.label else None
    return {**source.generator.spec(), "label": label, "max_constituents": source.max_constituents}


def _source(values: Mapping[str, Any] | None, schema: Schema, *, where: str) -> GeneratorSpec | None:
    if values is None:
        return None
    spec = {key: value for key, value in values.items() if key not in ("label", "max_constituents")}
    component = resolve_component(GENERATORS, spec, where=f"{where}: generator")
    label = schema[values["label"]] if values["label"] else None
    return GeneratorSpec(component, label, values["max_constituents"])


def read_config(folder: Path) -> dict[str, Any]:
    """Return the config of a model directory; raise `ModelError` when it is none, or of a newer format."""
    if not (folder / CONFIG).exists():
        raise ModelError(f"{folder} is not a model directory: it has no {CONFIG}")
    config = read_json_object(member(folder, CONFIG, ModelError), ModelError)
    version = config.get("format_version")
    if type(version) is not int or version < 1:  # true is an int too
        raise ModelError(f"{folder / CONFIG} has no format_version; it is not the config of a model")
    if version > FORMAT_VERSION:
        raise ModelError(
            f"{folder} has format version {version}, written by hepfm {config.get('hepfm_version')}; "
            f"this hepfm {hepfm.__version__} reads up to {FORMAT_VERSION}: upgrade hepfm"
        )
    if config.pop("fingerprint", None) != fingerprint(config):
        raise ModelError(f"{folder / CONFIG} was altered: its fingerprint does not fit; get a fresh copy")
    return config
