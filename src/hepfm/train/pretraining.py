"""The work of pre-training: a checked recipe with its data, which trains and writes a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepfm.backbones.base import Backbone
from hepfm.core.config import Component
from hepfm.core.errors import IncompatibleError
from hepfm.core.files import write_json
from hepfm.core.log import logger
from hepfm.data import context_set, feature_set
from hepfm.data.content import Content
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureSet
from hepfm.data.row_source import Rows
from hepfm.data.store import Store
from hepfm.data.weights import weight_field
from hepfm.data.whole_rows import check_whole
from hepfm.models.directory import Model
from hepfm.models.tokenizer import adopt_tokenizer, tokenizer_fingerprint
from hepfm.networks.build import build_network, check_embedding, seeded_init
from hepfm.networks.network import Network
from hepfm.networks.sharing import share_weights
from hepfm.networks.specs import TokenizerSpec
from hepfm.objectives.compatibility import check_compatible, check_members
from hepfm.objectives.requirements import Requirements
from hepfm.train import prepare
from hepfm.train.budget import training_rows
from hepfm.train.distributed import World, join_world
from hepfm.train.label_classes import tell_single
from hepfm.train.learner import Learner, make_learner
from hepfm.train.loop import Job, Trainer
from hepfm.train.recipe import PretrainRecipe
from hepfm.train.row_baseline import LabelledRows, fit_baselines
from hepfm.train.run import RunDirectory, RunResult
from hepfm.train.watch import Watch
from hepfm.train.weights import check_weights


@dataclass(frozen=True)
class Pretraining:
    """A checked recipe with its data opened; nothing of the network is built yet."""

    recipe: PretrainRecipe
    requirements: Requirements
    store: Store
    features: FeatureSet
    context: ContextSet | None
    rows: Rows
    tokenizer: Model | None = None
    """The model whose tokenizer is used."""

    @classmethod
    def check(cls, recipe: PretrainRecipe) -> Pretraining:
        """Open the data and refuse what does not fit."""
        data = recipe.data
        store = Store.open(data.store)
        features = feature_set(data.features)
        needed = check_compatible(recipe.objective, recipe.backbone, store.schema, recipe.grouping)
        check_members(needed, data.members, objective=recipe.objective.name)
        if recipe.embedding.cls.embeds:
            check_embedding(
                recipe.backbone, recipe.embedding, recipe.tokenizer.inputs if recipe.tokenizer else "features"
            )
        context = context_set(data.context) if data.context else None
        weights = weight_field(data.weights, store.schema)
        Content(
            features, needed.fields, weights, data.max_constituents, context, targets=needed.targets
        ).check(store.schema)
        if data.validation:
            store.split(data.validation)
        whole = data.members is not None
        rows = training_rows(store, data.train, count=data.rows, seed=recipe.seed_of("subset"), whole=whole)
        check_weights(
            store, rows, data.weights, signed=needed.signed_weights, objective=recipe.objective.name
        )
        tell_single(store.schema, needed.labels if needed.generator is None else tuple(needed.heads))
        check_whole(store, features, rows, max_constituents=data.max_constituents)
        tokenizer = load_tokenizer(recipe.tokenizer.model, features) if recipe.tokenizer else None
        return cls(recipe, needed, store, features, context, rows, tokenizer)

    def config(self) -> dict[str, Any]:
        """Return the resolved config, which `resume` reads."""
        values = self.recipe.model_dump(mode="json")
        data = {**values["data"], "store": str(self.store.path.resolve())}
        config = {"verb": "pretrain", **values, "data": data, "store_fingerprint": self.store.fingerprint}
        if self.tokenizer is not None:
            path = str(Path(values["tokenizer"]["model"]).resolve())
            config["tokenizer"] = {**values["tokenizer"], "model": path}
            config["tokenizer_fingerprint"] = tokenizer_fingerprint(self.tokenizer.network)
        return config

    def job(self, world: World, giver: Backbone | None = None) -> Job[Learner]:
        """Build the network, the objective and the loaders.

        `giver` is the backbone whose weights the network is to share, None for weights of its own.
        """
        recipe = self.recipe
        learner = self._learner(giver)
        loaders = prepare.Loaders(
            store=self.store,
            features=self.features,
            max_constituents=recipe.data.max_constituents,
            weights=recipe.data.weights,
            fields=self.requirements.fields,
            targets=self.requirements.targets,
            config=recipe.train,
            seed=recipe.seed_of("order"),
            world=world,
            context=self.context,
            random_parts=learner.random_parts,
            subjets=learner.subjets,
            members=recipe.data.members,
        )
        validation = recipe.data.validation
        return Job(
            learner=learner,
            train=loaders.train(self.rows),
            validation=loaders.validation(self.store.split(validation)) if validation else None,
            config=recipe.train,
            seed=recipe.seed_of("order"),
            early_stopping=recipe.early_stopping,
            fitting=loaders.fitting(self.rows, constants="measure" if self.tokenizer is None else "keep"),
            watch=self._watch(loaders),
        )

    def _watch(self, loaders: prepare.Loaders) -> Watch | None:
        """Return what is watched of the embedding, in training without labels whose aim it is."""
        needs, validation = self.requirements, self.recipe.data.validation
        if (
            needs.fields
            or needs.targets
            or needs.generator is not None
            or not needs.trains_backbone
            or not validation
        ):
            return None
        schema = self.store.schema
        label = schema.label if schema.label_classes else None
        return loaders.watch(self.rows, self.store.split(validation), label=label)

    def _learner(self, giver: Backbone | None) -> Learner:
        with seeded_init(self.recipe.seed_of("init"), "init"):
            network = new_network(self.recipe, self._tokenizer_spec())
            if giver is not None:
                share_weights(giver, network.backbone)
            if self.tokenizer is not None:
                adopt_tokenizer(network, self.tokenizer.network)
            return make_learner(self.recipe.objective, network, self.store.schema)

    def _tokenizer_spec(self) -> TokenizerSpec | None:
        if self.tokenizer is None or self.recipe.tokenizer is None:
            return None
        return TokenizerSpec(tokenizer_of(self.tokenizer), self.recipe.tokenizer.inputs)

    def run(self, start: Callable[[], RunDirectory]) -> RunResult:
        """Train to the end, from the last checkpoint if the run has one, and write the model.

        `start` makes or opens the run directory; it is called when everything is built and checked.
        """
        world = join_world(self.recipe.train.device)
        job = self.job(world)
        run = start()
        if world.first:
            parameters = sum(parameter.numel() for parameter in job.learner.network.parameters())
            logger.info(
                "backbone %s, %s parameters in all", self.recipe.backbone.described(), f"{parameters:,}"
            )
        with run.attempt(first=world.first):
            return self._train(job, run, world)

    def _train(self, job: Job[Learner], run: RunDirectory, world: World) -> RunResult:
        trainer = Trainer(job, run, world)
        trainer.fit()
        if world.first:
            length = trainer.length(rows=self.number_of_rows)
            write_json(run.length, length.to_dict())
            self.save(job.learner.network, prepare.Finished.of(run, trainer.final_step, length))
        world.wait()
        return RunResult(run.path, run.model, trainer.collapse)

    @property
    def number_of_rows(self) -> int:
        """Rows that are trained on."""
        return len(self.store.index(self.rows))

    def save(self, network: Network, finished: prepare.Finished) -> None:
        """Write the model directory of a trained network."""
        model = Model(
            network=network,
            backbone=self.recipe.backbone,
            features=self.features,
            schema=self.store.schema,
            max_constituents=self.recipe.data.max_constituents,
            context=self.context,
        )
        prepare.save_model(
            model,
            store=self.store,
            rows=self.rows,
            finished=finished,
            facts={"verb": "pretrain", "objective": self.recipe.objective.name},
            baselines=self._baselines(model),
        )

    def _baselines(self, model: Model) -> dict[str, Any]:
        recipe = self.recipe
        labelled = LabelledRows(
            self.store,
            self.rows,
            self.rows,
            model.max_constituents,
            weight_field(recipe.data.weights, self.store.schema),
            recipe.seed_of("subset"),
        )
        return fit_baselines(labelled, self.requirements.head_rows, tuple(model.outputs))


def new_network(recipe: PretrainRecipe, tokenizer: TokenizerSpec | None) -> Network:
    """Return the network of a recipe as it is before its objective fits it out.

    Parameters
    ----------
    recipe
        The recipe.
    tokenizer
        What reads the constituents, and what the backbone is given of them; None for a network without one.
    """
    data = recipe.data
    return build_network(
        recipe.backbone,
        feature_set(data.features),
        context=context_set(data.context) if data.context else None,
        feature_dropout=data.feature_dropout,
        embedding=recipe.embedding,
        grouping=recipe.grouping,
        tokenizer=tokenizer,
    )


def tokenizer_of(model: Model) -> Component:
    """Return the component of the tokenizer of a model that has one."""
    assert model.network.tokenizer_spec is not None
    return model.network.tokenizer_spec.tokenizer


def load_tokenizer(path: str, features: FeatureSet) -> Model:
    """Load a model with a tokenizer; raise `IncompatibleError` when it has none, or reads other features."""
    model = Model.load(path)
    if model.network.tokenizer is None:
        raise IncompatibleError(f"{path} has no tokenizer; train one with `hepfm tokenize`")
    if model.features.name != features.name:
        raise IncompatibleError(
            f"the tokenizer of {path} reads feature set {model.features.name!r}, not {features.name!r}; set "
            f"data.features={model.features.name}"
        )
    return model
