"""What a recipe of events says: processes with their Pythia lines, detector, objects, selection, sizes."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

import pydantic

from hepfm.core.config import Component, ComponentOf
from hepfm.core.schema import Schema
from hepfm.data.schemas.events import event_schema
from hepfm.simulate import DETECTORS
from hepfm.simulate.collision_recipe import CollisionRecipe, ProcessRecipe
from hepfm.simulate.event_selection import EventSelection
from hepfm.simulate.object_recipe import ObjectRecipe
from hepfm.simulate.simulation import SplitSizes


class EventProcess(ProcessRecipe):
    """A process: its Pythia lines, which come after the common ones.

    Attributes
    ----------
    pythia
        Lines of this class.
    variants
        Further lines that change from chunk to chunk in turn, e.g. the two charges of a lepton.
    resonance
        Particle code of the resonance whose mass is stored with each event; None for a process without one.
    masses
        Masses of the resonance, GeV, which change from chunk to chunk in turn: each is a line ``CODE:m0 =
        MASS``. Without them it has Pythia's mass, or that of the lines.
    """

    pythia: tuple[str, ...]
    resonance: pydantic.PositiveInt | None = None
    masses: tuple[pydantic.PositiveFloat, ...] = ()

    @pydantic.model_validator(mode="after")
    def _check_masses(self) -> EventProcess:
        if self.masses and self.resonance is None:
            raise ValueError("say which particle has these masses, e.g. resonance: 32")
        if len(set(self.masses)) != len(self.masses):
            raise ValueError(f"masses names one twice: {', '.join(f'{mass:g}' for mass in self.masses)}")
        return self

    def processes(self) -> tuple[tuple[str, ...], ...]:
        """Return the lines of each variant: every mass with every one of `variants`."""
        masses = tuple((f"{self.resonance}:m0 = {mass:g}",) for mass in self.masses)
        return tuple(
            (*mass, *lines) for mass, lines in itertools.product(masses or ((),), super().processes())
        )


class EventRecipe(CollisionRecipe):
    """A simulation of whole events.

    Attributes
    ----------
    events
        Events per class of each split.
    classes
        Processes by name, in label order.
    detector
        Name of a detector, or a mapping with its options.
    objects
        How objects are reconstructed from its candidates.
    selection
        Which events are kept.
    truth
        Whether the store holds the particles of the hard process, roles and facts about the hard process.
    chunk_events
        Events of one unit of work: it has its own seeds, and is what a stopped run may lose.
    """

    kind: Literal["events"] = "events"
    events: SplitSizes
    classes: dict[str, EventProcess]
    detector: Annotated[Component, ComponentOf(DETECTORS, default="cms")] = pydantic.Field(
        default="cms", validate_default=True
    )
    objects: ObjectRecipe = ObjectRecipe()
    selection: EventSelection = EventSelection()
    truth: bool = True
    chunk_events: int = pydantic.Field(default=500, gt=0)

    @property
    def chunk_rows(self) -> int:
        """Events of one unit of work, at most."""
        return self.chunk_events

    def store_schema(self, *, weighted: bool = False) -> Schema:
        """Return the schema of the store, with a field for event weights if they are not all 1."""
        return event_schema(self.class_names, truth=self.truth, weight=weighted)
