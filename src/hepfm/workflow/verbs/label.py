"""A store of events with labels made of their generator particles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.stores import StoreInfo
from hepfm.workflow.verbs.base import Verb, store_path


class Label(Verb):
    """Make the store with the labels."""

    @staticmethod
    def describe(source: StoreInfo, labels: str | Path | Mapping[str, Any], *, name: str = "") -> StoreInfo:
        """Return what is known of the store before it is made.

        Parameters
        ----------
        source
            The store that it is made of.
        labels
            The label set; see `hepfm.data.label.label`.
        name
            For people.

        Raises
        ------
        HepfmError
            For a label set or a store that cannot be used.
        """
        from hepfm.data.event_labels import read_label_set

        label_set = read_label_set(labels)
        values = {"labels": {**label_set.model_dump(mode="json"), "description": ""}}
        read = source.source
        maker = Run("label", {**values, **read.values}, read.parents, read.paths, name)
        return replace(
            source,
            schema=label_set.labelled(source.schema),
            path=None,
            fingerprint="",
            maker=maker,
            name=name,
            counts=dict(source.counts),
        )

    def check(self, graph: RunGraph, run: Run) -> None:
        """Find nothing: labels are checked when their store is described."""

    def amount(self, graph: RunGraph, run: Run) -> float:
        """Return the number of rows."""
        return float(sum(graph.store(run).splits.values()))

    def small(self, run: Run, *, rows: int) -> Run:
        """Return the same run: of fewer rows, if the store that is labelled has fewer."""
        return run

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Label; what a stopped attempt left is replaced."""
        from hepfm.data.label import label
        from hepfm.data.store import Store

        path = label(
            store_path(workspace, run),
            workspace.run(run.name).store,
            labels=run.values["labels"],
            overwrite=True,
        )
        return {"rows": len(Store.open(path))}
