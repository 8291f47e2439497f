"""What a simulation recipe says: classes with their Pythia lines and labels, detector, jets, sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic

from hepfm.core.config import Component, Config, fingerprint, load_recipe, resolve_component, validate
from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.core.schema import Schema
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.schemas.taus import TAU_FIELDS
from hepfm.physics.clustering import Algorithm
from hepfm.simulate import DETECTORS
from hepfm.simulate.labels import parse_pattern
from hepfm.simulate.lhe import file_hashes

SPLITS = ("train", "val", "test")


class Match(Config):
    """Which jets of an event belong to the class; all of them when nothing is given.

    Attributes
    ----------
    resonance
        |PDG code| of a particle that must lie inside the jet or, with `decay`, all of its decay products.
    decay
        What it decays to, e.g. ``"q q l nu"``; neutrinos are not tested.
    parton
        Kind of an outgoing parton of the hard collision that must lie inside, e.g. ``"g"``.
    hadronic_tau
        Whether the visible products of a tau that decays into hadrons must point into it.
    without_tau
        Whether they must not, as those of a heavy quark's decay may.
    """

    resonance: int | None = pydantic.Field(default=None, gt=0)
    decay: str | None = None
    parton: str | None = None
    hadronic_tau: bool = False
    without_tau: bool = False

    @pydantic.model_validator(mode="after")
    def _check(self) -> Match:
        if self.decay is not None and self.resonance is None:
            raise ValueError("give the 'resonance' of this 'decay'")
        if self.hadronic_tau and self.without_tau:
            raise ValueError("give one of 'hadronic_tau' and 'without_tau'")
        if (self.resonance is not None) + (self.parton is not None) + self.hadronic_tau > 1:
            raise ValueError("give one of 'resonance', with or without 'decay', 'parton' and 'hadronic_tau'")
        for pattern in (self.decay, self.parton):
            if pattern is not None:
                _as_value_error(pattern)
        if self.parton is not None and len(self.parton.split()) != 1:
            raise ValueError(f"'parton' is one word, got {self.parton!r}")
        return self


def _as_value_error(pattern: str) -> None:
    try:
        parse_pattern(pattern)
    except ConfigError as error:
        raise ValueError(str(error)) from None


class ClassRecipe(Config):
    """One class: its Pythia lines, after the common ones, and its truth match.

    Attributes
    ----------
    pythia
        Lines of this class.
    variants
        Further lines that change from chunk to chunk in turn, e.g. the two charges of a lepton.
    match
        Which jets are kept.
    """

    pythia: tuple[str, ...]
    variants: tuple[tuple[str, ...], ...] = ()
    match: Match = Match()


class SplitSizes(Config):
    """Rows of each split; of jets, in each class."""

    train: int = pydantic.Field(default=0, ge=0)
    val: int = pydantic.Field(default=0, ge=0)
    test: int = pydantic.Field(default=0, ge=0)


class JetSelection(Config):
    """Clustering and the jets that are kept: pT in GeV strictly between the bounds.

    Attributes
    ----------
    algorithm
        ``anti_kt``, or ``ee_genkt``: generalised kt for e+e- with p = -1, in angles instead of eta and phi.
    """

    algorithm: Algorithm = "anti_kt"
    radius: float = pydantic.Field(default=0.8, gt=0)
    pt_min: float = pydantic.Field(default=500.0, gt=0)
    pt_max: float = 1000.0
    eta_max: float | None = None
    rapidity_max: float | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> JetSelection:
        if self.pt_max <= self.pt_min:
            raise ValueError(f"pt_max {self.pt_max} must be above pt_min {self.pt_min}")
        return self


class Recipe(Config):
    """A simulation.

    Attributes
    ----------
    description
        One line.
    seed
        Seed of everything.
    jets
        Jets per class of each split.
    classes
        Classes by name, in label order.
    only
        Names of the classes to make, where not all are wanted; labels are numbered in this order.
    pythia
        Lines common to all classes.
    mpi
        Multi-parton interactions. Without them Pythia is about six times as fast, and jets lack underlying
        event.
    detector
        Name of a detector, or a mapping with its options.
    selection
        Clustering and cuts.
    taus
        Whether the store holds decay mode and visible momentum of the tau in each jet.
    identity, tracks, substructure
        Whether the store holds charge and type, impact parameters, soft-drop mass and N-subjettiness.
    max_constituents
        The hardest constituents of a jet that are stored; all of them when nothing is given. The jet's own
        fields are those of the whole jet.
    chunk_jets
        Jets of one unit of work: it has its own seeds, and is what a stopped run may lose.
    batch_events
        Events generated at once.
    """

    description: str = ""
    seed: int = pydantic.Field(default=0, ge=0)
    jets: SplitSizes
    classes: dict[str, ClassRecipe]
    only: tuple[str, ...] = ()
    pythia: tuple[str, ...] = ()
    mpi: bool = True
    detector: str | dict[str, Any] = "jetclass"
    selection: JetSelection = JetSelection()
    taus: bool = False
    identity: bool = True
    tracks: bool = True
    substructure: bool = True
    max_constituents: int | None = pydantic.Field(default=None, gt=0)
    chunk_jets: int = pydantic.Field(default=500, gt=0)
    batch_events: int = pydantic.Field(default=200, gt=0)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Recipe:
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

    def detector_component(self) -> Component:
        """Return the detector with its options checked."""
        return resolve_component(DETECTORS, self.detector, where="detector", default="jetclass")

    def store_schema(self, *, weighted: bool = False) -> Schema:
        """Return the schema of the store, with a field for event weights if they are not all 1."""
        return jet_schema(
            self.class_names,
            identity=self.identity,
            tracks=self.tracks,
            substructure=self.substructure,
            weight=weighted,
            extra=TAU_FIELDS if self.taus else (),
        )

    def lines(self, class_name: str, chunk: int) -> tuple[str, ...]:
        """Return the Pythia lines of a chunk of a class."""
        recipe = self.classes[class_name]
        variant = recipe.variants[chunk % len(recipe.variants)] if recipe.variants else ()
        mpi = f"PartonLevel:MPI = {'on' if self.mpi else 'off'}"
        return (mpi, *self.pythia, *recipe.pythia, *variant)

    def fingerprint(self) -> str:
        """Return a hash of everything that changes the jets, the contents of event files among them."""
        values = self.model_dump(mode="json", exclude={"description"})
        files = file_hashes(self)
        if files:
            values["event_files"] = files
        return fingerprint({**values, "detector": self.detector_component().spec()})


def read_values(
    recipe: str | Path | Mapping[str, Any] | Recipe, overrides: Sequence[str]
) -> tuple[Mapping[str, Any] | Recipe, str]:
    """Return what a recipe says, and how messages call it; overrides are laid over one named or written."""
    if isinstance(recipe, (str, Path)):
        return load_recipe(recipe, "simulate", overrides), str(recipe)
    if overrides:
        raise ConfigError("key=value overrides go with a recipe given by name or file")
    return recipe, "recipe"


def read_recipe(
    recipe: str | Path | Mapping[str, Any] | Recipe, *, overrides: Sequence[str] = (), seed: int | None = None
) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    recipe
        Name of a built-in recipe, path of a YAML file, plain values, or a recipe.
    overrides
        ``key=value`` texts laid over a named or written recipe.
    seed
        Replaces the recipe's seed.
    """
    values, where = read_values(recipe, overrides)
    checked = validate(Recipe, values, where=where)
    if seed is not None:
        checked = validate(Recipe, {**checked.model_dump(), "seed": seed}, where=where)
    if sum(checked.jets.model_dump().values()) == 0:
        raise ConfigError(f"{where}: no jets asked for; give e.g. jets.train=1000")
    if checked.tracks and not checked.detector_component().cls.measures_tracks:
        name = checked.detector_component().name
        raise ConfigError(f"{where}: detector {name!r} measures no impact parameters; set tracks: false")
    return checked
