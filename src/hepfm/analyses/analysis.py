"""What analyses share: a plan of runs, worked through and reported in a directory that can be gone on
with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import pydantic

from hepfm.core.config import Config, load_recipe, merge, parse_override, validate
from hepfm.core.errors import ConfigError, HepfmError
from hepfm.core.files import write_json
from hepfm.core.log import logger
from hepfm.core.writable import scratch_folder
from hepfm.methods.samples import SampleConfig
from hepfm.simulate.workers import processors
from hepfm.workflow import estimate as workflow
from hepfm.workflow.cost import WorkflowCost
from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.open_stores import open_stores
from hepfm.workflow.pool import make_pool
from hepfm.workflow.progress import counts, showing
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import State, work_through
from hepfm.workflow.store_entries import StoreEntry
from hepfm.workflow.stores import StoreInfo
from hepfm.workflow.verbs import VERBS
from hepfm.workflow.verbs.samples import SampleInfo


class AnalysisConfig(Config):
    """What every analysis begins with.

    Attributes
    ----------
    description
        One line.
    stores
        Name -> path of a store, or what it is made of, as in a study.
    seed
        Seed of everything.
    """

    description: str = ""
    stores: dict[str, StoreEntry]
    seed: int = 0

    @property
    def samples(self) -> dict[str, SampleConfig]:
        """All samples by what they are."""
        raise NotImplementedError

    @pydantic.model_validator(mode="after")
    def _check_stores(self) -> Self:
        for role, sample in self.samples.items():
            if sample.store not in self.stores:
                known = ", ".join(self.stores)
                raise ValueError(f"{role}: no store {sample.store!r} in section stores; it has: {known}")
        return self


AnyConfig = TypeVar("AnyConfig", bound=AnalysisConfig)


@dataclass(frozen=True)
class AnalysisResult:
    """An analysis that was worked through.

    Attributes
    ----------
    path
        Its directory.
    report
        The page; None while there is too little for one.
    files
        Further files that it gives, by what they are.
    states
        How each run ended.
    numbers
        The numbers of the page's main table, JSON-ready.
    """

    path: Path
    report: Path | None
    files: Mapping[str, Path]
    states: Mapping[str, State]
    numbers: Mapping[str, Any]

    @property
    def exit_code(self) -> int:
        """0 when all runs are done, 1 when some are not."""
        return 0 if all(state == "done" for state in self.states.values()) else 1

    def lines(self) -> list[str]:
        """Return how it ended, for people."""
        shown = ", ".join(f"{count} {state}" for state, count in counts(self.states).items())
        files = [f"{what}: {path}" for what, path in self.files.items()]
        report = f"report: {self.report}" if self.report else "no result to report"
        return [f"runs: {shown}", *files, report]


class Analysis(ABC, Generic[AnyConfig]):
    """A kind of analysis.

    Parameters
    ----------
    config
        Its checked recipe.
    """

    kind: ClassVar[str]
    """Name of its recipes and of its verb."""
    Config: ClassVar[type[AnalysisConfig]]

    def __init__(self, config: AnyConfig) -> None:
        self.config = config

    @cached_property
    def stores(self) -> dict[str, StoreInfo]:
        """What is known of its stores."""
        return open_stores(self.config.stores)

    @abstractmethod
    def runs(self) -> Mapping[Any, Run]:
        """Return its runs by what they are for."""

    def plan(self) -> RunGraph:
        """Return the graph of its runs and of those that make their stores."""
        graph = RunGraph(self.stores.values())
        for run in self.runs().values():
            graph.add(run)
        return graph

    def chosen(self, samples: Mapping[str, SampleConfig]) -> dict[str, SampleInfo]:
        """Return samples with what is known of their stores."""
        return {role: SampleInfo(one, self.stores[one.store]) for role, one in samples.items()}

    @abstractmethod
    def report(
        self, workspace: Workspace, states: Mapping[str, State]
    ) -> tuple[Path | None, Mapping[str, Path], Mapping[str, Any]]:
        """Write the page and the files of what is there; return them and the main numbers.

        The first is None while there is too little to report.
        """

    @classmethod
    def read(cls, recipe: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Analysis[Any]:
        """Return the analysis of a built-in recipe, a file or its values."""
        if isinstance(recipe, Mapping):
            where, values = cls.kind, reduce(merge, map(parse_override, overrides), dict(recipe))
        else:
            where, values = str(recipe), load_recipe(recipe, cls.kind, overrides)
        return cls(validate(cls.Config, values, where=where))  # type: ignore[arg-type]


def analyse(
    analysis: Analysis[Any],
    *,
    output: str | Path,
    processes: int | None = None,
    cluster: str | None = None,
    report_only: bool = False,
) -> AnalysisResult:
    """Do every run of an analysis that is not done yet, and report; see `hepfm.study.study.study`."""
    graph = checked(analysis)
    workspace = Workspace(Path(output))
    if report_only:
        states: Mapping[str, State] = {name: workspace.status(name) for name in graph.runs}
    else:
        with workspace.locked():
            write_json(workspace.path / f"{analysis.kind}.json", analysis.config.model_dump(mode="json"))
            done = sum(workspace.status(name) == "done" for name in graph.runs)
            logger.info("%d runs, %d done already", len(graph.runs), done)
            pool = make_pool(graph.runs.values(), workspace, processes or processors(), cluster)
            with showing(graph.runs, workspace, analysis.config.description) as shown:
                states = work_through(graph.runs, workspace, pool, shown)
    report, files, numbers = analysis.report(workspace, states)
    return AnalysisResult(workspace.path, report, files, states, numbers)


def unfinished(runs: Mapping[str, Run], workspace: Workspace, states: Mapping[str, State]) -> list[str]:
    """Return a line for each run that is not done, with the reason where there is one.

    Parameters
    ----------
    runs
        By what a page calls them.
    workspace
        Where they lie.
    states
        How each ended.
    """
    lines = []
    for name, run in runs.items():
        if states[run.name] != "done":
            failure = workspace.run(run.name).failure()
            lines.append(f"{name}: {states[run.name]}{': ' + failure['message'] if failure else ''}")
    return lines


def checked(analysis: Analysis[Any]) -> RunGraph:
    """Return the runs; one `ConfigError` names all that cannot work."""
    graph = analysis.plan()
    problems: dict[str, None] = {}
    for run in graph.runs.values():
        try:
            VERBS.load(run.verb)().check(graph, run)
        except HepfmError as error:
            problems[str(error)] = None
    if problems:
        raise ConfigError("\n".join(problems))
    return graph


def estimate(analysis: Analysis[Any], *, output: str | Path, processes: int | None = None) -> WorkflowCost:
    """Return what an analysis would cost, from finished runs in `output`, else from small ones; nothing is
    written."""
    graph = checked(analysis)
    kinds = {name: run.note for name, run in graph.runs.items()}
    with scratch_folder() as scratch:
        estimates = workflow.estimate(graph, Workspace(Path(output)), kinds, Workspace(scratch))
    return WorkflowCost(estimates, processes or processors())
