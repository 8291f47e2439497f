"""``hepfm finetune``: adapt a model to labelled rows of another store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.errors import IncompatibleError
from hepfm.core.files import sha256, write_json
from hepfm.core.log import logger
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureSet
from hepfm.data.store import Store
from hepfm.data.targets import predicted_field
from hepfm.data.weights import weight_field
from hepfm.data.whole_rows import check_whole
from hepfm.models.directory import Model
from hepfm.models.folder import WEIGHTS, model_directory
from hepfm.models.partial import LoadTable, load_partially
from hepfm.models.tokenizer import adopt_tokenizer
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.network import Network
from hepfm.networks.specs import Inputs, TokenizerSpec
from hepfm.objectives.compatibility import check_compatible, check_members, check_views
from hepfm.objectives.requirements import Requirements
from hepfm.train import prepare
from hepfm.train.budget import Index, budget_rows
from hepfm.train.distributed import World, join_world
from hepfm.train.dry_run import Cost, estimate_cost
from hepfm.train.fitting import Constants
from hepfm.train.learner import Learner, make_learner
from hepfm.train.loop import Job, Trainer
from hepfm.train.recipe import FinetuneRecipe, read_finetune_recipe
from hepfm.train.replicas import check_shard
from hepfm.train.row_baseline import LabelledRows, fit_baselines
from hepfm.train.run import RunDirectory, RunResult
from hepfm.train.strategies import Strategy
from hepfm.train.validation_rows import check_validation_part
from hepfm.train.weights import check_weights


@dataclass(frozen=True)
class Finetuning:
    """A checked recipe with model and data opened, and the rows chosen.

    Attributes
    ----------
    recipe
        The checked recipe.
    requirements
        What its objective needs.
    source
        The model directory that is adapted.
    model
        The model in it.
    store
        The data.
    features
        The model's feature set, as these data can give it.
    context
        What the adapted network is conditioned on of whole rows.
    train_rows, validation_rows
        The two parts of the label budget.
    """

    recipe: FinetuneRecipe
    requirements: Requirements
    source: Path
    model: Model
    store: Store
    features: FeatureSet
    context: ContextSet | None
    train_rows: Index
    validation_rows: Index

    @classmethod
    def check(cls, model_path: str | Path, recipe: FinetuneRecipe) -> Finetuning:
        """Open model and data and refuse what does not fit."""
        source = model_directory(model_path)
        model = Model.load(source).without(recipe.data.withhold)
        store = Store.open(recipe.data.store)
        needed = check_compatible(recipe.objective, model.backbone, store.schema, model.network.grouping_spec)
        check_members(needed, None, objective=recipe.objective.name)
        check_views(needed, model.features, objective=recipe.objective.name)
        context = _context(model, recipe, generates=needed.generator is not None)
        features = model.features_of(store, with_context=context is not None)
        _check_inputs(model, recipe.inputs)
        if recipe.keeps_head:
            _check_heads(model, store, tuple(needed.heads))
        rows = budget_rows(
            store, recipe.data, targets=needed.labels, seed=recipe.seed_of("subset"), only=needed.rows
        )
        for part in rows:
            check_whole(store, features, part, max_constituents=model.max_constituents)
        signed = recipe.mode.cls.signed_weights
        name = recipe.objective.name if signed else f"{recipe.objective.name} (mode {recipe.mode.name})"
        signed = needed.signed_weights and signed
        check_weights(store, rows[0], recipe.data.weights, signed=signed, objective=name)
        if recipe.early_stopping:
            total = len(rows[0]) + len(rows[1])
            check_validation_part(total, len(rows[1]), fraction=recipe.data.validation_fraction)
        return cls(recipe, needed, source, model, store, features, context, *rows)

    def config(self) -> dict[str, Any]:
        """Return the resolved config, which `resume` reads."""
        values = self.recipe.model_dump(mode="json")
        return {
            "verb": "finetune",
            **values,
            "data": {**values["data"], "store": str(self.store.path.resolve())},
            "store_fingerprint": self.store.fingerprint,
            "model": str(self.source.resolve()),
            "model_sha256": sha256(self.source / WEIGHTS),
        }

    def learner(self) -> tuple[Learner, LoadTable]:
        """Build a new network with its objective; it gets the model's weights if the recipe says so."""
        recipe = self.recipe
        with seeded_init(recipe.seed_of("init"), "init"):
            network = build_network(
                self.model.backbone,
                self.features,
                context=self.context,
                feature_dropout=self.model.network.feature_dropout.rate,
                heads=self.model.outputs.values() if recipe.keeps_head else (),
                embedding=self.model.network.embedding_spec,
                grouping=self.model.network.grouping_spec,
                tokenizer=self._tokenizer_spec(),
            )
            learner = make_learner(recipe.objective, network, self.store.schema)
        if self._keeps_tokenizer():
            adopt_tokenizer(network, self.model.network)
        if recipe.init == "scratch":
            return learner, LoadTable({}, _sizes(network), _sizes(self.model.network))
        return learner, load_partially(network, self.model.network.state_dict(), heads=recipe.head)

    def _tokenizer_spec(self) -> TokenizerSpec | None:
        spec = self.model.network.tokenizer_spec
        return replace(spec, inputs=self.recipe.inputs or spec.inputs) if spec else None

    def _keeps_tokenizer(self) -> bool:
        """Tell whether the model's tokenizer and standardisation are taken as they are, from scratch too."""
        return self.model.network.tokenizer_spec is not None and self.requirements.tokenizer is None

    def _constants(self, network: Network) -> Constants:
        """Return what is done with the constants of the standardisation; see `FinetuneRecipe.standardize`."""
        asked = self.recipe.standardize
        if self._keeps_tokenizer():
            return "keep"
        if self.recipe.init == "scratch":
            return "measure"
        new = (
            network.generator_spec is not None and network.generator_spec != self.model.network.generator_spec
        )
        return "replace" if asked == "data" or (asked == "auto" and new) else "keep"

    def strategy(self, network: Network) -> Strategy:
        """Prepare the network for the recipe's mode."""
        strategy: Strategy = self.recipe.mode.cls(self.recipe.mode.config)
        with seeded_init(self.recipe.seed_of("init"), "init.mode"):
            strategy.prepare(network)
        return strategy

    def job(
        self, learner: Learner, strategy: Strategy, world: World, *, new: frozenset[str] | None = None
    ) -> Job[Learner]:
        """Build the loaders; only rows of the label budget are read. For `new` see `Job`."""
        recipe = self.recipe
        loaders = prepare.Loaders(
            store=self.store,
            features=self.features,
            max_constituents=self.model.max_constituents,
            weights=recipe.data.weights,
            fields=self.requirements.fields,
            targets=self.requirements.targets,
            config=recipe.train,
            seed=recipe.seed_of("order"),
            world=world,
            context=self.context,
            random_parts=learner.random_parts,
            subjets=learner.subjets,
        )
        return Job(
            learner=learner,
            train=loaders.train(self.train_rows),
            validation=loaders.validation(self.validation_rows),
            config=recipe.train,
            seed=recipe.seed_of("order"),
            fixed=strategy.fixed(learner.network),
            early_stopping=recipe.early_stopping,
            fitting=loaders.fitting(self.train_rows, constants=self._constants(learner.network)),
            new=new,
        )

    def run(self, start: Callable[[], RunDirectory]) -> RunResult:
        """Train to the end, from the last checkpoint if the run has one, and write the model.

        `start` makes or opens the run directory; it is called when everything is built and checked.
        """
        world = join_world(self.recipe.train.device)
        learner, table = self.learner()
        strategy = self.strategy(learner.network)
        job = self.job(learner, strategy, world, new=table.names)
        run = start()
        with run.attempt(first=world.first):
            if world.first:
                write_json(run.path / "loading.json", table.to_dict())
                logger.info("weights:\n%s", "\n".join(table.lines()))
            return self._train(job, strategy, run, world)

    def _train(self, job: Job[Learner], strategy: Strategy, run: RunDirectory, world: World) -> RunResult:
        learner = job.learner
        trainer = Trainer(job, run, world)
        strategy.train(trainer)
        strategy.finish(learner.network)
        if world.first:
            length = trainer.length(
                rows=len(self.train_rows),
                labels=len(self.train_rows) + len(self.validation_rows),
                by_steps=strategy.by_steps,
            )
            write_json(run.length, length.to_dict())
            self._save(learner.network, prepare.Finished.of(run, trainer.final_step, length))
        world.wait()
        return RunResult(run.path, run.model)

    def _save(self, network: Network, finished: prepare.Finished) -> None:
        model = Model(
            network=network,
            backbone=self.model.backbone,
            features=self.model.features,
            schema=self.store.schema,
            max_constituents=self.model.max_constituents,
            context=self.context,
            absent=tuple(sorted(self.features.absent)),
        )
        recipe = self.recipe
        facts = {
            "verb": "finetune",
            "init": recipe.init,
            "mode": recipe.mode.name,
            "from_model": self.model.provenance.get("training", {}).get("fingerprint"),
        }
        prepare.save_model(
            model,
            store=self.store,
            rows=np.sort(self.train_rows),
            finished=finished,
            facts=facts,
            baselines=self._baselines(network),
        )

    def _baselines(self, network: Network) -> dict[str, Any]:
        data = self.recipe.data
        labelled = LabelledRows(
            self.store,
            np.sort(np.concatenate([self.train_rows, self.validation_rows])),
            self.store.split(data.train),
            self.model.max_constituents,
            weight_field(data.weights, self.store.schema),
            self.recipe.seed_of("subset"),
        )
        return fit_baselines(labelled, self.requirements.head_rows, tuple(network.head_specs))


def _context(model: Model, recipe: FinetuneRecipe, *, generates: bool) -> ContextSet | None:
    """Return what the adapted network is conditioned on of whole rows; see `FinetuneDataConfig.context`."""
    asked = recipe.data.context
    return model.context if asked == "keep" or (asked == "auto" and generates) else None


def _check_heads(model: Model, store: Store, targets: tuple[str, ...]) -> None:
    for name in targets:
        have = model.outputs[name].field.classes if name in model.outputs else None
        needed = predicted_field(store.schema, name).classes
        if have != needed:
            raise IncompatibleError(
                f"head=keep needs the model to predict {name!r} with classes {needed}; "
                f"it has {have}; use head=new"
            )


def _check_inputs(model: Model, inputs: Inputs | None) -> None:
    if inputs is None:
        return
    spec = model.network.tokenizer_spec
    if spec is None:
        raise IncompatibleError(f"inputs={inputs}: this model has no tokenizer; leave it out")
    if (inputs == "codes") != (spec.inputs == "codes"):
        raise IncompatibleError(
            f"the model's backbone was trained on {spec.inputs} and cannot be given {inputs}; only 'decoded' "
            "and 'features' can be exchanged"
        )


def _sizes(network: Network) -> dict[str, int]:
    parts = {"backbone": network.backbone, "heads": network.heads}
    return {name: sum(weight.numel() for weight in part.parameters()) for name, part in parts.items()}


def check_finetune(
    model: str | Path, recipe: prepare.Recipe, *, overrides: Sequence[str] = (), smoke: bool = False
) -> tuple[Finetuning, dict[str, Any]]:
    """Read and check a recipe; return the checked work and the recipe's values."""
    values = prepare.read_recipe(recipe, "finetune", [*overrides, *(prepare.SMOKE if smoke else ())])
    checked = read_finetune_recipe(values, where=prepare.recipe_name(recipe))
    check_shard(checked.train.shard)
    return Finetuning.check(model, checked), values


def finetune(
    model: str | Path,
    recipe: prepare.Recipe,
    *,
    output: str | Path,
    overrides: Sequence[str] = (),
    smoke: bool = False,
) -> RunResult:
    """Adapt a model to labelled rows and write a run directory with the new model directory in it.

    Parameters
    ----------
    model
        The model directory; with ``init: scratch`` only its architecture is used.
    recipe
        Name of a built-in recipe, path of a YAML file, or its values.
    output
        The run directory to make.
    overrides
        ``key=value`` settings laid over the recipe.
    smoke
        Shrink the run to seconds.

    Raises
    ------
    ConfigError
        With every mistake of the recipe.
    IncompatibleError
        When model, objective and data do not fit.
    TrainingError
        When the loss is not finite, or files cannot be written; the last checkpoint is named.
    """
    work, values = check_finetune(model, recipe, overrides=overrides, smoke=smoke)
    return work.run(lambda: prepare.start_run(Path(output), recipe=values, config=work.config()))


def dry_run(
    model: str | Path, recipe: prepare.Recipe, *, overrides: Sequence[str] = (), smoke: bool = False
) -> Cost:
    """Build everything, do one step, and return what the run would cost; nothing is written."""
    work, _ = check_finetune(model, recipe, overrides=overrides, smoke=smoke)
    world = join_world(work.recipe.train.device)
    learner, table = work.learner()
    job = work.job(learner, work.strategy(learner.network), world, new=table.names)
    return estimate_cost(job, world)
