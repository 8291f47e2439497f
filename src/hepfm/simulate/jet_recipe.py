"""What a recipe of jets says: classes with their Pythia lines and matches, detector, clustering, sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from hepfm.core.config import Component, ComponentOf, Config, validate
from hepfm.core.errors import ConfigError
from hepfm.core.schema import Schema
from hepfm.data.schemas.jets import jet_schema
from hepfm.physics.clustering import Algorithm
from hepfm.simulate import LABELLERS
from hepfm.simulate.collision_recipe import CollisionRecipe, ProcessRecipe
from hepfm.simulate.dijet_recipe import Dijet
from hepfm.simulate.level_recipe import JetCuts, TwoLevels
from hepfm.simulate.resimulation import Resimulation
from hepfm.simulate.simulation import SplitSizes


class ClassRecipe(ProcessRecipe):
    """One class of jets: its Pythia lines, after the common ones, and its truth match.

    Attributes
    ----------
    hepmc
        HepMC3 file of another generator whose events are taken in place of Pythia's; the lines then do
        nothing, and the class may have none of its own.
    match
        Which jets are kept, in the words of the recipe's labeller.
    """

    hepmc: str | None = None
    match: dict[str, Any] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _check_source(self) -> ClassRecipe:
        if self.hepmc is None and "pythia" not in self.model_fields_set:
            raise ValueError(
                "give the class its Pythia lines, or the HepMC3 file of its events (hepmc: FILE)"
            )
        if self.hepmc is not None and (self.pythia or self.variants):
            raise ValueError("the events come from the file 'hepmc'; leave out pythia and variants")
        return self


class JetSelection(JetCuts):
    """Clustering and the jets that are kept: pT in GeV strictly between the bounds.

    Attributes
    ----------
    algorithm
        ``anti_kt``, or ``ee_genkt``: generalised kt for e+e- with p = -1, in angles instead of eta and phi.
    radius
        Of the jets.
    pt_min, pt_max
        Bounds of the jet's pT in GeV.
    eta_max, rapidity_max
        Largest absolute pseudorapidity and rapidity of the jet; None for any.
    """

    algorithm: Algorithm = "anti_kt"
    radius: float = pydantic.Field(default=0.8, gt=0)


class JetRecipe(CollisionRecipe):
    """A simulation of jets.

    Attributes
    ----------
    jets
        Jets per class of each split.
    classes
        Classes by name, in label order.
    selection
        Clustering and cuts.
    labeller
        What decides which jets belong to a class, and which truth is stored with them: ``decays``, ``taus``.
    resimulate
        How each hard event is simulated several times; None for once. The numbers of `jets` are then those of
        jets of the hard process, each of which becomes a row in every variation in which it passes.
    levels
        The leading jet of each event at particle and at detector level; None for jets at detector level. The
        numbers of `jets` are then those of events.
    dijet
        The two leading jets of each event; None for all jets of the class. The numbers of `jets` are then
        those of events.
    identity, tracks, substructure
        Whether the store holds charge and type, impact parameters, soft-drop mass and N-subjettiness.
    truth
        Whether the store holds the truth of constituents: what they come from, and the numbers of their
        vertices.
    max_constituents
        The hardest constituents of a jet that are stored; all of them when nothing is given. The jet's own
        fields are those of the whole jet.
    chunk_jets
        Jets of one unit of work: it has its own seeds, and is what a stopped run may lose.
    """

    kind: Literal["jets"] = "jets"
    jets: SplitSizes
    classes: dict[str, ClassRecipe]
    selection: JetSelection = JetSelection()
    labeller: Annotated[Component, ComponentOf(LABELLERS, default="decays")] = pydantic.Field(
        default="decays", validate_default=True
    )
    resimulate: Resimulation | None = None
    levels: TwoLevels | None = None
    dijet: Dijet | None = None
    identity: bool = True
    tracks: bool = True
    substructure: bool = True
    truth: bool = False
    max_constituents: int | None = pydantic.Field(default=None, gt=0)
    chunk_jets: int = pydantic.Field(default=500, gt=0)

    @pydantic.model_validator(mode="after")
    def _check_matches(self) -> JetRecipe:
        try:
            for name in self.classes:
                self.match(name)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    @pydantic.model_validator(mode="after")
    def _check_tracks(self) -> JetRecipe:
        if self.tracks and not self.detector.cls.measures_tracks:
            raise ValueError(
                f"detector {self.detector.name!r} measures no impact parameters; set tracks: false"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _check_ways(self) -> JetRecipe:
        ways = [name for name in ("resimulate", "levels", "dijet") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise ValueError(f"a recipe has one of {' and '.join(ways)}; leave the others out")
        if self.levels is not None or self.dijet is not None:
            matched = [name for name in self.classes if self.classes[name].match]
            if matched or self.labeller.name != "decays":
                raise ValueError(
                    f"{ways[0]} takes the leading jets of every event; leave out labeller and match"
                    + (f" (of {matched[0]})" if matched else "")
                )
            if self.truth:
                raise ValueError(f"{ways[0]} stores no truth of constituents; set truth: false")
        if self.levels is not None and (self.tracks or self.substructure):
            raise ValueError(
                "particles have no measured tracks, and levels has observables of its own; set tracks: false "
                "and substructure: false"
            )
        return self

    @property
    def grouped(self) -> Resimulation | TwoLevels | Dijet | None:
        """What makes several rows of one event; None where rows stand alone."""
        return self.resimulate or self.levels or self.dijet

    @property
    def chunk_rows(self) -> int:
        """Jets of one unit of work, at most."""
        return self.chunk_jets

    def match(self, class_name: str) -> Config:
        """Return which jets belong to a class, in the words of the labeller; its keys are checked."""
        cls: type[Config] = self.labeller.cls.Match
        where = f"classes.{class_name}.match (labeller {self.labeller.name})"
        return validate(cls, self.classes[class_name].match, where=where)

    def store_schema(self, *, weighted: bool = False) -> Schema:
        """Return the schema of the store, with a field for event weights if they are not all 1."""
        grouped = self.grouped
        fields = grouped.fields() if grouped else ()
        schema = jet_schema(
            self.class_names,
            identity=self.identity,
            tracks=self.tracks,
            substructure=self.substructure,
            truth=self.truth,
            weight=weighted,
            extra=(*fields, *self.labeller.cls.fields),
        )
        return replace(schema, group=grouped.group) if grouped else schema

    def given_events(self, class_name: str) -> Path | None:
        """Return the HepMC3 file that holds the events of a class; None where Pythia makes them."""
        given = self.classes[class_name].hepmc
        return None if given is None else Path(given)

    def simulated_again(self) -> Resimulation | None:
        """Return how each hard event is simulated several times; None for once."""
        return self.resimulate
