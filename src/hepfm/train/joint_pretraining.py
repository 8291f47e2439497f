"""The work of joint pre-training: the checked recipes of all domains, trained by one loop on one backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hepfm.core.errors import DataError, HepfmError, IncompatibleError
from hepfm.core.files import atomic_path, write_json
from hepfm.core.log import logger
from hepfm.data.joint_loader import JointEvalLoader, JointTrainLoader
from hepfm.data.loader import EvalLoader, TrainLoader
from hepfm.networks.sharing import check_sharing
from hepfm.train import prepare
from hepfm.train.distributed import World, join_world
from hepfm.train.fitting import Fitting
from hepfm.train.joint_learner import JointLearner
from hepfm.train.joint_parts import JointFitting, JointWatch
from hepfm.train.joint_recipe import JointRecipe
from hepfm.train.learner import Learner
from hepfm.train.loop import Job, Trainer
from hepfm.train.pretraining import Pretraining
from hepfm.train.run import Length, RunDirectory, RunResult
from hepfm.train.watch import Watch

T = TypeVar("T")


@dataclass(frozen=True)
class JointPretraining:
    """A checked recipe with the data of its domains opened; nothing of the networks is built yet."""

    recipe: JointRecipe
    domains: Mapping[str, Pretraining]
    """What would train each domain alone."""

    @classmethod
    def check(cls, recipe: JointRecipe) -> JointPretraining:
        """Open the data and refuse what does not fit; one error names all domains that cannot be trained."""
        check_sharing(recipe.backbone)
        domains: dict[str, Pretraining] = {}
        problems: list[HepfmError] = []
        for name in recipe.domains:
            try:
                with named(name):
                    domains[name] = _checked(recipe, name)
            except HepfmError as error:
                problems.append(error)
        if problems:
            raise type(problems[0])("\n".join(map(str, problems)))
        return cls(recipe, domains)

    def config(self) -> dict[str, Any]:
        """Return the resolved config, which `resume` reads."""
        values = self.recipe.model_dump(mode="json")
        alone = {name: work.config() for name, work in self.domains.items()}
        domains = {
            name: {**values["domains"][name], **{key: one[key] for key in ("data", "tokenizer")}}
            for name, one in alone.items()
        }
        prints = {
            key: {name: one[key] for name, one in alone.items() if key in one}
            for key in ("store_fingerprint", "tokenizer_fingerprint")
        }
        return {"verb": "pretrain", **values, "domains": domains, **prints}

    def job(self, world: World) -> Job[JointLearner]:
        """Build the networks on one backbone, the objectives and the loaders."""
        jobs: dict[str, Job[Learner]] = {}
        for name, work in self.domains.items():
            giver = next(iter(jobs.values())).learner.network.backbone if jobs else None
            with named(name):
                jobs[name] = work.job(world, giver)
        return Job(
            learner=JointLearner({name: job.learner for name, job in jobs.items()}, self.recipe.weights),
            train=JointTrainLoader(_parts(TrainLoader, {name: job.train for name, job in jobs.items()})),
            validation=self._validation(jobs),
            config=self.recipe.train,
            seed=self.recipe.seed_of("order"),
            early_stopping=self.recipe.early_stopping,
            fitting=JointFitting(_parts(Fitting, {name: job.fitting for name, job in jobs.items()})),
            watch=JointWatch(_parts(Watch, {name: job.watch for name, job in jobs.items() if job.watch})),
        )

    def _validation(self, jobs: Mapping[str, Job[Learner]]) -> JointEvalLoader | None:
        """Return the loader of all domains; refuse one that has no row to validate on while others have."""
        loaders = {name: job.validation for name, job in jobs.items() if job.validation is not None}
        if not loaders:
            return None
        for name in jobs.keys() - loaders.keys():
            raise DataError(
                f"domain {name!r}: split {self.recipe.domains[name].data.validation!r} has no rows, and the "
                "loss of validation is the sum over all domains; fill it, or set data.validation=null for all"
            )
        return JointEvalLoader(_parts(EvalLoader, loaders))

    def run(self, start: Callable[[], RunDirectory]) -> RunResult:
        """Train to the end, from the last checkpoint if the run has one, and write the models.

        `start` makes or opens the run directory; it is called when everything is built and checked.
        """
        world = join_world(self.recipe.train.device)
        job = self.job(world)
        run = start()
        if world.first:
            parameters = sum(parameter.numel() for parameter in job.learner.network.parameters())
            backbone, domains = self.recipe.backbone.described(), ", ".join(self.domains)
            logger.info("one backbone %s for %s, %s parameters in all", backbone, domains, f"{parameters:,}")
        with run.attempt(first=world.first):
            trainer = Trainer(job, run, world)
            trainer.fit()
            if world.first:
                self._save(job.learner, run, trainer)
            world.wait()
        models = {name: run.models / name for name in self.domains}
        return RunResult(run.path, run.models, trainer.collapse, models)

    def _save(self, learner: JointLearner, run: RunDirectory, trainer: Trainer) -> None:
        """Write the models of all domains; they appear together."""
        rows = {name: work.number_of_rows for name, work in self.domains.items()}
        write_json(run.length, self._length(trainer, sum(rows.values())).to_dict())
        metrics = prepare.validation_metrics(run, trainer.final_step)
        with atomic_path(run.models) as temporary:
            temporary.mkdir()
            for name, work in self.domains.items():
                finished = prepare.Finished(
                    temporary / name,
                    {**work.config(), "fingerprint": run.config()["fingerprint"]},
                    _of_domain(metrics, name),
                    trainer.final_step,
                    trainer.length(rows=rows[name]),
                    {"domain": name, "trained_jointly": self._described(rows)},
                )
                work.save(learner.domains[name].network, finished)

    def _length(self, trainer: Trainer, rows: int) -> Length:
        """Return how long the training was, the rows of all domains together."""
        length = trainer.length(rows=rows)
        return replace(length, batch_size=len(self.domains) * length.batch_size)

    def _described(self, rows: Mapping[str, int]) -> str:
        """Return the domains with their weights and numbers of rows, for the card."""
        return ", ".join(
            f"{name} (weight {weight:g}, {rows[name]:,} rows)" for name, weight in self.recipe.weights.items()
        )


@contextmanager
def named(domain: str) -> Iterator[None]:
    """Put the name of a domain before what is wrong with it."""
    try:
        yield
    except HepfmError as error:
        raise type(error)(f"domain {domain!r}: {error}") from error


def _checked(recipe: JointRecipe, name: str) -> Pretraining:
    work = Pretraining.check(recipe.recipe_of(name))
    if not work.requirements.trains_backbone:
        raise IncompatibleError(
            f"objective {work.recipe.objective.name!r} trains no backbone, so that there is nothing to "
            "share; choose another, or train it by a recipe of its own"
        )
    return work


def _parts(kind: type[T], parts: Mapping[str, object]) -> dict[str, T]:
    """Return a part of the job of each domain, which is that of an ordinary training."""
    found = {name: part for name, part in parts.items() if isinstance(part, kind)}
    assert len(found) == len(parts)
    return found


def _of_domain(metrics: Mapping[str, float], name: str) -> dict[str, float]:
    """Return the numbers of a domain's validation by the names that they have in a training of it alone."""
    prefix = f"validation_{name}."
    return {
        f"validation_{key.removeprefix(prefix)}": value
        for key, value in metrics.items()
        if key.startswith(prefix)
    }
