"""A store, options and a tiny model for every registered task, for the contract tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from event_rows import event_columns

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.core.ragged import Ragged
from hepfm.core.schema import Field, Kind, Level
from hepfm.data import context_set, feature_set
from hepfm.data.schemas.events import event_schema
from hepfm.data.schemas.jets import JETCLASS_CLASSES, NO_VERTEX, ORIGIN_CLASSES, jet_schema
from hepfm.data.schemas.taus import DECAY_MODES, TAU_FIELDS
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.models.directory import Model
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.simulate.resimulation import Resimulation
from hepfm.tasks import TASKS
from hepfm.tasks.base import Task, load_task
from hepfm.testing.tasks import TINY
from hepfm.train.learner import make_learner

OPTIONS: dict[str, dict[str, Any]] = {
    "classification": {"field": "jet_label", "signal": "Tbqq", "background": ["QCD", "Hbb"]},
    "weak_supervision": {"field": "jet_label", "signal": "Tbqq", "background": "QCD"},
    "anomaly": {"field": "jet_label", "signal": "Tbqq", "background": "QCD"},
    "domain_shift": {"variation": "jet_variation", "against": "fsr_up"},
    "assignment": {"resonances": {"t": ["b", "l"], "tbar": ["b", "l"]}},
    "regression": {"field": "jet_softdrop_mass"},
    "significance": {
        "field": "jet_label",
        "signal": "Tbqq",
        "background": ["QCD", "Hbb"],
        "cross_sections": {"Tbqq": 1.0, "QCD": 500.0, "Hbb": 2.0},
        "least_background": 2,
    },
    # Jets of the last class, and no others, have a tau of 1 GeV in these stores.
    "mass_scan": {
        "field": "jet_label",
        "signal": "Tbl",
        "background": ["QCD", "Hbb"],
        "masses": [1.0],
        "parameter": "tau_visible_pt",
    },
    "robustness": {"field": "jet_label", "signal": "Tbqq", "background": ["QCD", "Hbb"]},
}
"""Options of tasks that have any; the others are taken as they are."""

ROWS = 360


def task_of(name: str) -> Task:
    """Return a registered task with the options of its case."""
    return load_task({"name": name, **OPTIONS.get(name, {})})


OF_EVENTS = ("ttbar_reconstruction", "neutrinos", "segmentation")
"""Tasks whose rows are no jets; they have tests of their own."""


def by_need(need: str) -> list[str]:
    """Return the names of the tasks of jets that need a head of a field, a generator, or embeddings."""
    return [name for name in TASKS if name not in OF_EVENTS and getattr(task_of(name).needs, need)]


def columns_of(jet_columns: Any, classes: tuple[str, ...], *, rows: int = ROWS) -> dict[str, Any]:
    """Return jets of some classes in turn; the last is that of taus, which have modes and momenta."""
    columns: dict[str, Any] = dict(jet_columns(rows, seed=17))
    rng = np.random.default_rng(17)
    label = np.arange(rows) % len(classes)
    tau = label == len(classes) - 1
    columns["jet_label"] = label.astype(np.int16)
    modes = np.where(tau, rng.integers(0, len(DECAY_MODES) - 1, rows), DECAY_MODES.index("none"))
    columns["tau_decay_mode"] = modes.astype(np.int16)
    columns["tau_log_pt_ratio"] = np.where(tau, rng.normal(0.2, 0.05, rows), 0.0).astype(np.float32)
    columns["jet_origin"] = np.arange(rows) // 40
    columns["jet_variation"] = (np.arange(rows) // 10 % 4).astype(np.int8)
    pt: Ragged = columns["part_pt"]
    charged = columns["part_charge"].values != 0
    origin = rng.integers(0, len(ORIGIN_CLASSES), len(charged))
    vertex = np.where(charged, rng.integers(0, 3, len(charged)), NO_VERTEX)
    columns["part_origin"] = pt.with_values(origin.astype(np.int8))
    columns["part_vertex"] = pt.with_values(vertex.astype(np.int16))
    for field in TAU_FIELDS[2:]:
        columns[field.name] = tau.astype(np.float32)
    return columns


def jet_classes(task: Task) -> tuple[str, ...]:
    """Return the jet classes of a store for a task, in an order that is not the task's."""
    if task.name.startswith("tau_"):
        return ("quark", "tau")
    if task.needs.field == "jet_label" and not OPTIONS.get(task.name):
        return tuple(reversed(task.classes))  # type: ignore[attr-defined]
    return JETCLASS_CLASSES


def store_of(task: Task, jet_columns: Any, path: Path) -> Store:
    """Write test rows for a task: events where it is about objects, else jets."""
    if task.needs.field == "object_role":
        events = event_columns(ROWS, seed=17, processes=("ttbar",))
        group = Field(
            "event_group", Level.EVENT, Kind.COUNT, dtype="int64", description="rows that belong together"
        )
        events["event_group"] = np.arange(ROWS) // 40
        events["event_resonance_mass"] = np.random.default_rng(17).uniform(400, 900, ROWS).astype(np.float32)
        schema = replace(event_schema(("ttbar",), truth=True, extra=(group,)), group="event_group")
        return Store.open(write_store(path, schema, [("test", events)], provenance={"source": "test"}))
    classes = jet_classes(task)
    columns: Mapping[str, Any] = columns_of(jet_columns, classes)
    fields = (*TAU_FIELDS, *Resimulation().fields())
    schema = replace(jet_schema(classes, truth=True, extra=fields), group="jet_origin")
    return Store.open(write_store(path, schema, [("test", columns)], provenance={"source": "test"}))


def save_generating_model(store: Store, path: Path, *, features: str, context: str, length: int) -> Path:
    """Write an untrained flow whose normalisation is fitted."""
    flow = {"name": "flow_matching", "max_constituents": length, "generator": {"name": "flow", "steps": 2}}
    backbone = resolve_component(BACKBONES, TINY, where="test")
    objective = resolve_component(OBJECTIVES, flow, where="test")
    inputs, conditions = feature_set(features), context_set(context)
    with seeded_init(0, "test"):
        network = build_network(backbone, inputs, context=conditions)
        learner = make_learner(objective, network, store.schema)
    learner.prepare([random_batch(inputs, context=conditions)])
    model = Model(network, backbone, inputs, store.schema, max_constituents=length, context=conditions)
    model.save(path)
    return path
