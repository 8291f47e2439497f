"""What verbs of analyses share: samples of several stores, by their roles, and estimators of density
ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hepfm.core.config import Component, resolve_component
from hepfm.data.store import Store
from hepfm.methods.ratio import RATIO_ESTIMATORS
from hepfm.methods.ratio.on_observables import ObservablesConfig
from hepfm.methods.samples import SampleConfig, WeightedSample
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run, Values
from hepfm.workflow.stores import StoreInfo
from hepfm.workflow.verbs.base import Needs, store_path

if TYPE_CHECKING:
    from hepfm.methods.ratio.base import RatioEstimator
    from hepfm.workflow.estimate import Bench, Timing


@dataclass(frozen=True)
class SampleInfo:
    """A sample of an analysis before any run: which rows of which store."""

    config: SampleConfig
    store: StoreInfo


def plan_with_samples(
    verb: str,
    samples: Mapping[str, SampleInfo],
    options: Values,
    *,
    note: str,
    models: Mapping[str, str] = MappingProxyType({}),
) -> Run:
    """Return a run that reads a store for each role of its samples; `models` are those of `name_models`."""
    stores: dict[str, str] = {}
    parents: dict[str, tuple[str, ...]] = {}
    paths = dict(models)
    for role, sample in samples.items():
        source = sample.store.source
        stores[role] = source.values.get("store", "")
        if "store" in source.parents:
            parents[role] = source.parents["store"]
        else:
            paths[role] = source.paths["store"]
    return Run(verb, {"options": options, "stores": stores}, parents, paths, note)


def open_samples(workspace: Workspace, run: Run, chosen: Mapping[str, Values]) -> dict[str, WeightedSample]:
    """Return the samples of a run by their roles; `chosen` are the values of their `SampleConfig`."""
    return {
        role: WeightedSample.of(
            Store.open(store_path(workspace, run, role)), SampleConfig(store=role, **values)
        )
        for role, values in chosen.items()
    }


def name_models(specs: Sequence[Values]) -> tuple[list[Values], dict[str, str]]:
    """Return specs of estimators that name models by what is in them, and where each of these models lies.

    So another model at the same place makes another run, and a model that was moved makes the same.
    """
    from hepfm.workflow.existing_models import model_name

    named, paths = [dict(spec) for spec in specs], {}
    for spec in named:
        for option in RATIO_ESTIMATORS.load(spec["name"]).models:
            if spec.get(option) is not None:
                name, path = model_name(spec[option])
                spec[option], paths[name] = name, path
    return named, paths


def make_estimator(spec: Values, observables: tuple[str, ...], run: Run) -> RatioEstimator[Any]:
    """Return an estimator of a run; one that looks at no observables of its own looks at those of the
    analysis."""
    models = RATIO_ESTIMATORS.load(spec["name"]).models
    placed = {option: run.paths[spec[option]] for option in models if spec.get(option) is not None}
    component: Component = resolve_component(RATIO_ESTIMATORS, {**spec, **placed}, where="estimator")
    config = component.config
    if isinstance(config, ObservablesConfig) and not config.observables:
        config = config.model_copy(update={"observables": observables})
    estimator: RatioEstimator[Any] = component.cls(config)
    return estimator


def needs_of(specs: Sequence[Values]) -> Needs:
    """Return what runs with these estimators occupy: one core, and a GPU where one asks for it."""
    return Needs(gpus=int(any(spec.get("train", {}).get("device") == "cuda" for spec in specs)))


def timed(bench: Bench, run: Run) -> Timing:
    """Time a run in small; its facts have the number of rows that were trained on as ``steps``."""
    from hepfm.workflow.estimate import Timing

    facts = bench.scratch.run(bench.ready(run.name)).facts() or {}
    seconds = float(facts["seconds"]) / max(int(facts["steps"]), 1)
    return Timing(seconds, memory=int(facts["peak_memory_bytes"]))
