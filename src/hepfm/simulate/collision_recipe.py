"""What recipes of collisions have in common, whatever their rows: classes with their Pythia lines, a
detector, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import pydantic

from hepfm.core.config import Component, ComponentOf, Config
from hepfm.core.errors import did_you_mean
from hepfm.core.schema import Schema
from hepfm.simulate import DETECTORS
from hepfm.simulate.resimulation import Resimulation
from hepfm.simulate.simulation import SimulationRecipe


class ProcessRecipe(Config):
    """A class: its Pythia lines, which come after the common ones.

    Attributes
    ----------
    pythia
        Lines of this class.
    variants
        Further lines that change from chunk to chunk in turn, e.g. the two charges of a lepton.
    """

    pythia: tuple[str, ...] = ()
    variants: tuple[tuple[str, ...], ...] = ()

    def processes(self) -> tuple[tuple[str, ...], ...]:
        """Return the lines of each variant; once no lines where there are no variants."""
        return self.variants or ((),)


class CollisionRecipe(SimulationRecipe):
    """A simulation whose rows come from collisions.

    Attributes
    ----------
    classes
        Classes by name, in label order.
    only
        Names of the classes to make, where not all are wanted; labels are numbered in this order.
    pythia
        Lines common to all classes.
    mpi
        Multi-parton interactions. Without them Pythia is about six times as fast, and there is no underlying
        event.
    detector
        Name of a detector, or a mapping with its options.
    batch_events
        Events generated at once.
    """

    classes: Mapping[str, ProcessRecipe]
    only: tuple[str, ...] = ()
    pythia: tuple[str, ...] = ()
    mpi: bool = True
    detector: Annotated[Component, ComponentOf(DETECTORS, default="jetclass")] = pydantic.Field(
        default="jetclass", validate_default=True
    )
    batch_events: int = pydantic.Field(default=200, gt=0)

    @pydantic.model_validator(mode="after")
    def _check_classes(self) -> CollisionRecipe:
        if not self.classes:
            raise ValueError("'classes' is empty")
        for name in self.only:
            if name not in self.classes:
                raise ValueError(f"unknown class {name!r} in 'only'{did_you_mean(name, self.classes)}")
        if len(set(self.only)) != len(self.only):
            raise ValueError("'only' names a class twice")
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that are made, in label order."""
        return self.only or tuple(self.classes)

    @property
    def chunk_rows(self) -> int:
        """Rows of one unit of work, at most."""
        raise NotImplementedError

    def store_schema(self, *, weighted: bool = False) -> Schema:
        """Return the schema of the store, with a field for event weights if they are not all 1."""
        raise NotImplementedError

    def num_variants(self, class_name: str) -> int:
        """Return the number of processes of a class."""
        return len(self.classes[class_name].processes())

    def lines(self, class_name: str, chunk: int) -> tuple[str, ...]:
        """Return the Pythia lines of a chunk of a class."""
        recipe = self.classes[class_name]
        variants = recipe.processes()
        mpi = f"PartonLevel:MPI = {'on' if self.mpi else 'off'}"
        return (mpi, *self.pythia, *recipe.pythia, *variants[chunk % len(variants)])

    def given_events(self, class_name: str) -> Path | None:
        """Return the HepMC3 file that holds the events of a class; None where Pythia makes them."""
        return None

    def simulated_again(self) -> Resimulation | None:
        """Return how each hard event is simulated several times; None for once."""
        return None
