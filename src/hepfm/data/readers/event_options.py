"""Options of readers of whole events: which objects, which events, and what the files do not tell."""

from __future__ import annotations

import pydantic

from hepfm.data.readers.cuts import MomentumCuts
from hepfm.data.readers.event_files import WeightedFiles
from hepfm.data.truth_matching import MATCH_RADIUS

BALANCE = "objects"
"""In place of a collection of missing momentum: what balances the selected objects."""

KINDS = {"jets": "jet", "electrons": "electron", "muons": "muon", "taus": "tau", "photons": "photon"}
"""Type of the objects of each option."""


class ObjectChoice(MomentumCuts):
    """Which objects of one type are read.

    Attributes
    ----------
    collection
        Its name in the file; null for the default of the format.
    select
        Expression of the columns of the collection that says which are kept, such as
        ``cutBased >= 3``; null for the default of the format, ``pt > 0`` (or the like) for all.
    """

    min_pt: float = pydantic.Field(default=10.0, ge=0)
    max_abs_eta: float | None = pydantic.Field(default=2.5, gt=0)
    collection: str | None = None
    select: str | None = None


class JetChoice(ObjectChoice):
    """Which jets are read.

    Attributes
    ----------
    b_tag
        Expression of the b tag: a score, or a working point such as ``btagDeepFlavB > 0.28``; null for the
        default of the format.
    """

    min_pt: float = pydantic.Field(default=20.0, ge=0)
    max_abs_eta: float | None = pydantic.Field(default=5.0, gt=0)
    b_tag: str | None = None


class TauOrPhotonChoice(ObjectChoice):
    """Which hadronic taus or photons are read; as `ObjectChoice` from 20 GeV."""

    min_pt: float = pydantic.Field(default=20.0, ge=0)


class EventObjectsConfig(WeightedFiles):
    """Which objects of the events are read, and what the files do not tell.

    Attributes
    ----------
    jets, electrons, muons, taus, photons
        Which objects of each type are read, e.g. ``{min_pt: 30, select: tightId}``; null for none.
    met
        Collection of the missing transverse momentum, ``objects`` for that which balances the selected
        objects; null for none.
    overlap
        Distance in eta and phi within which only one of two objects of different types is kept: muons before
        electrons, taus, photons and jets; null to keep all.
    generator
        Read the particles of the hard process too, and give the objects matched with them their roles.
    match_radius
        Largest distance in eta and phi of an object from the generator object whose role it gets.
    select
        Expression of branches of the file with one number of each event: events that are kept, e.g.
        ``HLT_IsoMu24``; null for all.
    event_class
        Class of all events of the files, or class by a pattern of the file's name:
        ``{"TTto*": ttbar, "DY*": Zjets}``; null for events without label.
    tree
        The tree of events.
    """

    jets: JetChoice | None = JetChoice()
    electrons: ObjectChoice | None = ObjectChoice()
    muons: ObjectChoice | None = ObjectChoice()
    taus: TauOrPhotonChoice | None = TauOrPhotonChoice()
    photons: TauOrPhotonChoice | None = TauOrPhotonChoice()
    met: str | None = BALANCE
    overlap: float | None = pydantic.Field(default=0.4, gt=0)
    generator: bool = False
    match_radius: float = pydantic.Field(default=MATCH_RADIUS, gt=0)
    select: str | None = None
    event_class: str | dict[str, str] | None = None
    tree: str
