"""Objects of test events as members of decays: the truth, what a model says, and what needs no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hepfm.core.errors import ConfigError, ModelError
from hepfm.core.ragged import Ragged, lists
from hepfm.data.event_features import is_reconstructed, is_type
from hepfm.data.store import Store
from hepfm.metrics.predictions import IntArray
from hepfm.metrics.segments import NONE, ObjectSets
from hepfm.models.segments import EventSegments
from hepfm.physics.topology import Topology
from hepfm.tasks.assignment_baselines import chi2_roles
from hepfm.tasks.assignment_objects import ROLE, RoleRows
from hepfm.tasks.ttbar_events import Bools

FIELDS = (ROLE, "object_type", "object_level")
Segments = Mapping[str, Sequence[Sequence[str]]]
"""By the name of a tag, the segments that have it, each a list of roles."""


@dataclass(frozen=True)
class SegmentRows:
    """Reconstructed objects of R events, without the missing momentum, which comes from no decay.

    Attributes
    ----------
    declared
        Tag, from 1, and numbers of the roles of each segment that is looked for.
    truth
        Which of them there are: each that has an object of every of its roles.
    role
        True role of each object.
    counted
        Which of all objects of the store's lists count.
    whole
        The store's lists of all objects.
    """

    declared: tuple[tuple[int, tuple[int, ...]], ...]
    truth: ObjectSets
    role: Ragged
    counted: Bools
    whole: Ragged

    @classmethod
    def read(cls, store: Store, rows: IntArray, segments: Segments) -> SegmentRows:
        """Read the objects of some rows."""
        classes = list(store.schema[ROLE].classes)
        declared = tuple(
            (tag, tuple(classes.index(role) for role in roles))
            for tag, several in enumerate(segments.values(), start=1)
            for roles in several
        )
        columns = store.read(FIELDS, rows)
        whole = lists(columns, ROLE)
        counted = is_reconstructed(columns) & ~is_type(columns, ("met",))
        role = whole.keep(counted)
        return cls(declared, _of_roles(declared, role), role, counted, whole)

    def of_model(self, said: EventSegments, tags: Sequence[str], *, what: str) -> ObjectSets:
        """Return what a model says, with tags in the order of the task."""
        if set(said.tags[1:]) != set(tags):
            raise ModelError(
                f"{what} has the tags {', '.join(said.tags[1:])} and the task {', '.join(tags)}; name the "
                "segments that the model was trained with: --segments '{TAG: [[ROLE, ...], ...]}'"
            )
        query, tag = said.partition()
        if len(query) != len(self.whole) or (query.lengths > self.whole.lengths).any():
            raise ModelError(f"{what} gives segments of more objects than the events have")
        values = np.full(len(self.whole.values), NONE, np.int64)
        place = np.arange(len(query.values)) - np.repeat(query.offsets[:-1], query.lengths)
        values[self.whole.offsets[query.row_index()] + place] = query.values
        number = np.array([0, *(tags.index(name) + 1 for name in said.tags[1:])])
        return ObjectSets(self.whole.with_values(values).keep(self.counted), number[tag])

    def commonest(self) -> tuple[int, ObjectSets]:
        """Return the commonest class of objects, and all objects of an event in one set of it."""
        row, number = self.truth.segment.row_index(), self.truth.segment.values
        classes = np.where(number == NONE, 0, self.truth.tag[row, np.maximum(number, 0)])
        commonest = int(np.bincount(classes).argmax()) if len(classes) else 0
        inside = np.full(len(number), 0 if commonest else NONE, np.int64)
        tag = np.full((len(self.truth.tag), 1), commonest)
        return commonest, ObjectSets(self.truth.segment.with_values(inside), tag)

    def by_masses(self, store: Store, rows: IntArray, resolution: float) -> ObjectSets | None:
        """Return the assignment of the smallest chi-squared of masses; None for decays without known masses.

        How many objects a role has, e.g. two of ``t_q``, is that of most true segments.
        """
        topology = self._topology(store.schema[ROLE].classes)
        if topology is None:
            return None
        objects = RoleRows.read(store, rows, topology)
        roles = chi2_roles(objects, resolution=resolution)
        if roles is None:
            return None
        columns = store.read(FIELDS, rows)
        met = is_type(columns, ("met",))[is_reconstructed(columns)]
        return _of_roles(self.declared, roles.keep(~met), complete=False)

    def _topology(self, classes: Sequence[str]) -> Topology | None:
        daughters: dict[str, list[str]] = {}
        alike: dict[str, list[str]] = {}
        for number, (tag, roles) in enumerate(self.declared):
            names = [classes[role].rsplit("_", 1) for role in roles]
            parents = {parent for parent, _ in names}
            if len(parents) > 1 or parents & set(daughters):
                return None
            (parent,) = parents
            counts = [self._number_of(number, role) for role in roles]
            daughters[parent] = [kind for (_, kind), n in zip(names, counts, strict=True) for _ in range(n)]
            alike.setdefault(f"{tag} {daughters[parent]}", []).append(parent)
        try:
            return Topology.of(daughters, [group for group in alike.values() if len(group) > 1])
        except ConfigError:
            return None

    def _number_of(self, segment: int, role: int) -> int:
        """Return how many objects of a role most true segments have."""
        there = self.truth.tag[:, segment] > 0
        row = self.role.row_index()[self.role.values == role]
        counts = np.bincount(row, minlength=len(there))[there]
        return int(np.bincount(counts).argmax()) if len(counts) else 1


def _of_roles(
    declared: Sequence[tuple[int, tuple[int, ...]]], role: Ragged, *, complete: bool = True
) -> ObjectSets:
    """Return the segments by the roles of objects; those that lack a role are none if `complete` is asked."""
    row, rows = role.row_index(), len(role)
    segment = np.full(len(role.values), NONE, np.int64)
    tag = np.zeros((rows, len(declared)), np.int64)
    for number, (name, roles) in enumerate(declared):
        has = [np.bincount(row[role.values == one], minlength=rows) > 0 for one in roles]
        there = np.logical_and.reduce(has) if complete else np.logical_or.reduce(has)
        tag[there, number] = name
        segment[np.isin(role.values, roles) & there[row]] = number
    return ObjectSets(role.with_values(segment), tag)
