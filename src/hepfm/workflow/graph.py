"""A graph of runs and the stores that they read: what a verb looks at to check a run before anything runs."""

from __future__ import annotations

from collections.abc import Iterable

from hepfm.workflow.run import Run
from hepfm.workflow.stores import StoreInfo


class RunGraph:
    """Runs by name, parents first, each once.

    Parameters
    ----------
    stores
        The stores that runs may read.
    """

    def __init__(self, stores: Iterable[StoreInfo]) -> None:
        self.runs: dict[str, Run] = {}
        self._stores = {_place(info): info for info in stores}

    def add(self, run: Run) -> str:
        """Add a run, whose parents are there already, and return its name."""
        for name in run.needed:
            maker = self._stores[name].maker if name in self._stores else None
            if maker is not None:
                self.add(maker)
        self.runs.setdefault(run.name, run)
        return run.name

    def parents(self, run: Run, role: str) -> list[Run]:
        """Return the parents of a run in a role; none where it has no such role."""
        return [self.runs[name] for name in run.parents.get(role, ())]

    def store(self, run: Run, role: str = "store") -> StoreInfo:
        """Return what is known of the store that a run reads in a role, or makes."""
        if run.name in self._stores:
            return self._stores[run.name]
        (place,) = run.parents.get(role, (run.paths.get(role, ""),))
        return self._stores[place]


def _place(info: StoreInfo) -> str:
    return str(info.path) if info.maker is None else info.maker.name
