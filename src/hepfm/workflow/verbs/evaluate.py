"""Measurement of the best of the parents' models, or of generated rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hepfm.core.errors import ConfigError
from hepfm.data.weights import AUTO
from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.selection import choose
from hepfm.workflow.stores import StoreInfo
from hepfm.workflow.verbs.base import Verb, parents_of, store_path
from hepfm.workflow.verbs.finetune import Finetune

if TYPE_CHECKING:
    from hepfm.tasks.base import Task


class Evaluate(Verb):
    """Measure on a task's test rows."""

    @staticmethod
    def plan(
        task: Any,
        store: StoreInfo,
        *,
        models: Sequence[str] = (),
        generated: str | None = None,
        weights: str | None = AUTO,
        note: str = "",
    ) -> Run:
        """Return the run that measures the best of some models, or a store of generated rows.

        Parameters
        ----------
        task
            Name of a task, or a mapping with ``name`` and options.
        store
            The store with the test rows.
        models, generated
            Names of the runs with the models; name of the run that generated.
        weights
            Field of the event weights of test rows, ``"auto"`` for the schema's own, None for none.
        note
            For people.
        """
        from hepfm.tasks.base import load_task

        source = store.source
        values: Values = {"task": task, "version": load_task(task).version, **source.values}
        if weights != AUTO:
            values["weights"] = weights
        measured = {"generated": (generated,)} if generated else {"model": tuple(models)}
        return Run("evaluate", values, {**source.parents, **measured}, source.paths, note)

    def check(self, graph: RunGraph, run: Run) -> None:
        """Refuse a task that does not fit the store, or asks for what the model does not learn."""
        store, task = graph.store(run), bound_task(graph, run)
        rows = store.check_split(task.split)
        generations = graph.parents(run, "generated")
        if task.needs.generator != bool(generations):
            fix = "generated rows: give" if task.needs.generator else "scores of test rows: remove"
            raise ConfigError(f"the task measures {fix} the section 'generate'")
        if generations and task.needs.conditioned and generations[0].values["n"] > rows:
            store.check_rows(task.split, generations[0].values["n"], "generate.n")
        models = graph.parents(generations[0] if generations else run, "model")
        _check_learned(graph, task, models[0])
        if len(models) > 1:  # the best of them is chosen by its validation loss
            Finetune().check_validation(graph, models[0])

    def amount(self, graph: RunGraph, run: Run) -> float:
        """Return the number of rows that are scored, or were generated."""
        for generation in graph.parents(run, "generated"):
            return float(generation.values["n"])
        return float(graph.store(run).splits.get(bound_task(graph, run).split, 0))

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Measure; the facts name the run whose model was measured."""
        from hepfm.tasks.evaluate import evaluate

        if "generated" in run.parents:
            (generated,) = parents_of(workspace, run, "generated")
            subject, model = generated.store, (generated.facts() or {})["model"]
        else:
            chosen = choose(parents_of(workspace, run, "model"))
            subject, model = chosen.model, chosen.path.name
        weights = run.values.get("weights", AUTO)
        output, store = workspace.run(run.name).result, store_path(workspace, run)
        evaluate(subject, run.values["task"], store, weights=weights, output=output)
        return {"model": model}


def bound_task(graph: RunGraph, run: Run) -> Task:
    """Return the task of an evaluation, with what its options leave to the data filled in."""
    from hepfm.tasks.base import load_task

    store = graph.store(run)
    return load_task(run.values["task"]).bind(store.schema, where=f"the store {store.name!r}")


def _check_learned(graph: RunGraph, task: Task, model: Run) -> None:
    """Raise `ConfigError` when a model does not learn the field that the task measures."""
    learned = tuple(Finetune().requirements(graph, model).heads)
    if task.needs.field is not None and task.needs.field not in learned:
        raise ConfigError(
            f"the recipe learns {', '.join(learned) or 'no field'} and the task {task.name!r} measures "
            f"{task.needs.field}; set the objective to {task.objective()}"
        )
