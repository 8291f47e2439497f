"""The part of a map that says where the objects of events are: one list of them, or one number, by type."""

from __future__ import annotations

import pydantic

from hepfm.core.config import Config
from hepfm.data.readers.cuts import MomentumCuts
from hepfm.data.truth_matching import MATCH_RADIUS


class ObjectMap(MomentumCuts):
    """Objects of one type: columns of the files, or expressions of these.

    A column holds a list of each event, or one number where an event has one such object. Those without
    transverse momentum are dropped, as in padding.

    Attributes
    ----------
    pt, eta, phi
        Transverse momentum, pseudorapidity and azimuth; missing momentum has no eta.
    energy, mass
        One of both; neither for massless objects.
    charge
        In units of e; by default 0.
    b_tag
        Of jets: 1 for a tag, 0 for none, or a score.
    select
        Which are kept.
    unit
        Of the file's momenta, energies and masses.
    """

    pt: str
    phi: str
    eta: str | None = None
    energy: str | None = None
    mass: str | None = None
    charge: str | None = None
    b_tag: str | None = None
    select: str | None = None
    unit: str = "GeV"

    @pydantic.model_validator(mode="after")
    def _check(self) -> ObjectMap:
        if self.energy is not None and self.mass is not None:
            raise ValueError("either 'energy' or 'mass'")
        return self


class RecordMap(Config):
    """The record of a generator: columns of lists, or expressions of these, an entry for each particle.

    Attributes
    ----------
    pdg
        Codes of the Particle Data Group.
    mother
        Place of the first mother in the list of the event, below 0 for none.
    hard
        Which particles leave the hard process, among them resonances and their decay products, e.g.
        ``(status == 22) | (status == 23)`` for Pythia's numbers; incoming partons do not.
    pt, eta, phi
        Transverse momentum, pseudorapidity and azimuth.
    energy, mass
        One of both.
    unit
        Of the file's momenta, energies and masses.
    partons
        Codes of both incoming partons, two expressions of one number of each event; null where the files do
        not tell.
    match_radius
        Largest distance in eta and phi of an object from the generator object whose role it gets.
    """

    pdg: str
    mother: str
    hard: str
    pt: str
    eta: str
    phi: str
    energy: str | None = None
    mass: str | None = None
    unit: str = "GeV"
    partons: tuple[str, str] | None = None
    match_radius: float = pydantic.Field(default=MATCH_RADIUS, gt=0)

    @pydantic.model_validator(mode="after")
    def _check(self) -> RecordMap:
        if (self.energy is None) == (self.mass is None):
            raise ValueError("one of 'energy' and 'mass' is needed")
        return self
