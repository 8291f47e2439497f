"""How objects of events are reconstructed: thresholds, efficiencies, isolation, tags, overlaps.

All of it is parametrised. Efficiencies, isolation and tagging rates are by default those of the CMS card of
Delphes 3 (1307.6346), on top of the tracking and calorimeters of the recipe's detector; thresholds and the
jet radius are those usual at 13 TeV.
"""

from __future__ import annotations

import numpy as np
import pydantic

from hepfm.core.config import Config
from hepfm.data.object_overlaps import Overlap
from hepfm.data.truth_matching import MATCH_RADIUS
from hepfm.simulate.particles import Floats

CENTRAL = 1.5
"""|eta| up to which the first efficiency holds."""


class IsolatedObject(Config):
    """Electrons, muons or photons.

    Attributes
    ----------
    pt_min, eta_max
        Thresholds on the measured momentum, GeV.
    efficiency_central, efficiency_forward
        Probability that one that is measured is identified, up to |eta| = 1.5 and beyond.
    cone
        Radius of the isolation cone.
    isolation
        Largest sum of the pt of other candidates in the cone over the object's own pt.
    candidate_pt_min
        Candidates below are left out of this sum, GeV.
    """

    pt_min: float = pydantic.Field(default=10.0, gt=0)
    eta_max: float = pydantic.Field(default=2.5, gt=0)
    efficiency_central: float = pydantic.Field(default=0.95, ge=0, le=1)
    efficiency_forward: float = pydantic.Field(default=0.85, ge=0, le=1)
    cone: float = pydantic.Field(default=0.5, gt=0)
    isolation: float = pydantic.Field(default=0.12, ge=0)
    candidate_pt_min: float = pydantic.Field(default=0.5, ge=0)

    def efficiency(self, eta: Floats) -> Floats:
        """Return the probability of identification."""
        return np.where(np.abs(eta) <= CENTRAL, self.efficiency_central, self.efficiency_forward)


class Electrons(IsolatedObject):
    """Electrons: tracks of electrons."""


class Muons(IsolatedObject):
    """Muons: tracks of muons."""

    eta_max: float = pydantic.Field(default=2.4, gt=0)
    efficiency_forward: float = pydantic.Field(default=0.95, ge=0, le=1)
    isolation: float = pydantic.Field(default=0.25, ge=0)


class Photons(IsolatedObject):
    """Photons: energy in the electromagnetic calorimeter that belongs to no track."""

    pt_min: float = pydantic.Field(default=15.0, gt=0)


class TagRate(Config):
    """Probability of a tag: constant + slope pt + scale tanh(rise pt) / (1 + fall pt), pt in GeV.

    Attributes
    ----------
    constant, slope, scale, rise, fall
        The numbers of the formula; what it gives is cut to the range from 0 to 1.
    """

    constant: float = 0.0
    slope: float = 0.0
    scale: float = 0.0
    rise: float = 0.0
    fall: float = pydantic.Field(default=0.0, ge=0)

    def __call__(self, pt: Floats) -> Floats:
        """Return the probability at these pt."""
        rate = self.constant + self.slope * pt + self.scale * np.tanh(self.rise * pt) / (1 + self.fall * pt)
        return np.clip(rate, 0.0, 1.0)


class BTag(Config):
    """A b tag of jets by their flavour.

    Attributes
    ----------
    b, c, light
        Rates of jets with a b hadron, of those with a c hadron alone, and of all others.
    eta_max
        Jets beyond have no tag.
    radius
        A hadron belongs to the nearest jet within this distance of its axis.
    hadron_pt_min
        Hadrons below do not count, GeV.
    """

    b: TagRate = TagRate(scale=21.25, rise=0.0025, fall=0.063)
    c: TagRate = TagRate(scale=0.25, rise=0.018, fall=0.0013)
    light: TagRate = TagRate(constant=0.01, slope=0.000038)
    eta_max: float = pydantic.Field(default=2.5, gt=0)
    radius: float = pydantic.Field(default=0.3, gt=0)
    hadron_pt_min: float = pydantic.Field(default=5.0, ge=0)


class Taus(Config):
    """Hadronic taus: jets that are identified as such, with a rate for true ones and another for all else.

    Attributes
    ----------
    pt_min, eta_max
        Thresholds on the jet, GeV.
    efficiency
        Probability that the jet nearest to the visible decay products of a hadronic tau is identified.
    mistag
        The same for all other jets with a track.
    radius
        Largest distance of that jet.
    visible_pt_min
        Taus with softer visible products do not count as true ones, GeV.
    """

    pt_min: float = pydantic.Field(default=20.0, gt=0)
    eta_max: float = pydantic.Field(default=2.5, gt=0)
    efficiency: float = pydantic.Field(default=0.6, ge=0, le=1)
    mistag: float = pydantic.Field(default=0.01, ge=0, le=1)
    radius: float = pydantic.Field(default=0.3, gt=0)
    visible_pt_min: float = pydantic.Field(default=10.0, ge=0)


class ObjectJets(Config):
    """Jets: anti-kT from all candidates.

    Attributes
    ----------
    radius, pt_min, eta_max
        Jet radius R and thresholds, GeV.
    """

    radius: float = pydantic.Field(default=0.4, gt=0)
    pt_min: float = pydantic.Field(default=25.0, gt=0)
    eta_max: float = pydantic.Field(default=4.7, gt=0)


OVERLAPS = (
    Overlap(drop="photon", near="electron", radius=0.2),
    Overlap(drop="photon", near="muon", radius=0.2),
    Overlap(drop="tau", near="electron", radius=0.2),
    Overlap(drop="tau", near="muon", radius=0.2),
    Overlap(drop="jet", near="electron", radius=0.2),
    Overlap(drop="jet", near="muon", radius=0.2),
    Overlap(drop="jet", near="photon", radius=0.2),
    Overlap(drop="jet", near="tau", radius=0.2),
    Overlap(drop="electron", near="jet", radius=0.4),
    Overlap(drop="muon", near="jet", radius=0.4),
    Overlap(drop="photon", near="jet", radius=0.4),
    Overlap(drop="tau", near="jet", radius=0.4),
)
"""An isolated lepton or photon is also a jet, which is dropped; one that is then still beside a jet belongs
to it. Photons and taus that are electrons or muons go first."""


class ObjectRecipe(Config):
    """How objects are reconstructed.

    Attributes
    ----------
    electrons, muons, photons, taus, jets, b_tag
        Options of each.
    overlaps
        Steps of the removal of overlaps, in their order.
    match_radius
        Largest distance of a reconstructed object from the generator object that it has its role from.
    """

    electrons: Electrons = Electrons()
    muons: Muons = Muons()
    photons: Photons = Photons()
    taus: Taus = Taus()
    jets: ObjectJets = ObjectJets()
    b_tag: BTag = BTag()
    overlaps: tuple[Overlap, ...] = OVERLAPS
    match_radius: float = pydantic.Field(default=MATCH_RADIUS, gt=0)
