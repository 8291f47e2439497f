"""Mixture of two samples for weak supervision, from the rows of a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.stores import StoreInfo
from hepfm.workflow.verbs.base import Verb, store_path


class Mix(Verb):
    """Make the store with the two samples."""

    @staticmethod
    def describe(source: StoreInfo, options: Mapping[str, Any], *, name: str = "") -> StoreInfo:
        """Return what is known of the store before it is made.

        Parameters
        ----------
        source
            The store that it is made of.
        options
            Keywords of `hepfm.data.mixtures.mix`: signal, background, count, seed.
        name
            For people.

        Raises
        ------
        DataError
            When the store has no such classes, or too few rows of them.
        """
        from hepfm.data.mixtures import SAMPLE, mixed_schema, sample_sizes

        schema, label = mixed_schema(source.schema), str(source.schema.label)
        signal, background, count = (options[key] for key in ("signal", "background", "count"))
        truth = {split: source.class_counts(split, label) for split in source.splits}
        samples = sample_sizes(truth, signal=signal, background=background, count=count)
        sizes = {split: sum(sample.values()) for split, sample in samples.items()}
        counts = {(split, SAMPLE): sample for split, sample in samples.items()}
        for split, rows in sizes.items():
            rest = truth[split][background]
            counts[split, label] = {**dict.fromkeys(truth[split], 0), background: rest, signal: rows - rest}
        read = source.source
        maker = Run("mix", {**options, **read.values}, read.parents, read.paths, name)
        return StoreInfo(schema, sizes, maker=maker, name=name, counts=counts)

    def check(self, graph: RunGraph, run: Run) -> None:
        """Find nothing: a mixture is checked when its store is described."""

    def amount(self, graph: RunGraph, run: Run) -> float:
        """Return the number of rows."""
        return float(sum(graph.store(run).splits.values()))

    def small(self, run: Run, *, rows: int) -> Run:
        """Return a mixture of few rows with as much signal as background in the mixed sample."""
        return Run(
            run.verb, {**run.values, "count": min(run.values["count"], rows // 2)}, run.parents, run.paths
        )

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Mix; what a stopped attempt left is replaced."""
        from hepfm.data.mixtures import mix
        from hepfm.data.store import Store

        options = {key: run.values[key] for key in ("signal", "background", "count", "seed")}
        path = mix(store_path(workspace, run), workspace.run(run.name).store, overwrite=True, **options)
        return {"rows": len(Store.open(path))}
