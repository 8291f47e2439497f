"""Which events are kept, by what was reconstructed of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pydantic

from hepfm.core.config import Config
from hepfm.data.event_objects import EventObjects
from hepfm.simulate.particles import Bools

Number = pydantic.NonNegativeInt

_COUNTED = {
    "leptons": ("electron", "muon"),
    "electrons": ("electron",),
    "muons": ("muon",),
    "taus": ("tau",),
    "photons": ("photon",),
    "jets": ("jet",),
    "b_jets": ("jet",),
    "objects": ("electron", "muon", "tau", "photon", "jet"),
}
"""What is counted, and of which types it is."""


class EventSelection(Config):
    """Cuts on reconstructed objects; leptons are electrons and muons, b jets those with a b tag.

    Attributes
    ----------
    leptons_min, leptons_max, electrons_min, muons_min, taus_min, photons_min, jets_min, jets_max, b_jets_min
        Smallest and largest numbers; None for any.
    objects_min
        Smallest number of all of these together; missing momentum is none of them.
    opposite_sign
        Whether the two hardest leptons must have opposite charges; fewer than two fail.
    lepton_pt_min
        Smallest pt of the hardest lepton, GeV; None for any, and then there need not be one.
    met_min
        Smallest missing transverse momentum, GeV.
    """

    leptons_min: Number = 0
    leptons_max: Number | None = None
    electrons_min: Number = 0
    muons_min: Number = 0
    taus_min: Number = 0
    photons_min: Number = 0
    jets_min: Number = 0
    jets_max: Number | None = None
    b_jets_min: Number = 0
    objects_min: Number = 0
    opposite_sign: bool = False
    lepton_pt_min: float | None = pydantic.Field(default=None, gt=0)
    met_min: float = pydantic.Field(default=0.0, ge=0)

    @pydantic.model_validator(mode="after")
    def _check(self) -> EventSelection:
        for what in ("leptons", "jets"):
            low, high = getattr(self, f"{what}_min"), getattr(self, f"{what}_max")
            if high is not None and high < low:
                raise ValueError(f"{what}_max {high} must not be below {what}_min {low}")
        if self.opposite_sign and self.leptons_max is not None and self.leptons_max < 2:
            raise ValueError(f"opposite_sign needs two leptons, and leptons_max is {self.leptons_max}")
        return self

    def cuts(self, objects: EventObjects, num_events: int) -> Iterator[tuple[str, Bools]]:
        """Yield every cut that is asked for, with which events pass it, shape (num_events,).

        Parameters
        ----------
        objects
            Reconstructed objects of a batch.
        num_events
            Events of the batch.
        """
        for name, types in _COUNTED.items():
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max", None)
            mine = objects.of_type(*types) & ((objects.b_tag > 0.5) | (name != "b_jets"))
            count = objects.take(mine).number(num_events)
            if low:
                yield f"{name}_min={low}", count >= low
            if high is not None:
                yield f"{name}_max={high}", count <= high
        leptons = objects.take(objects.of_type("electron", "muon"))
        if self.lepton_pt_min is not None:
            hard = leptons.take(leptons.pt > self.lepton_pt_min).number(num_events) > 0
            yield f"lepton_pt_min={self.lepton_pt_min:g}", hard
        if self.opposite_sign:
            yield "opposite_sign=true", opposite_sign(leptons, num_events)
        if self.met_min:
            missing = objects.take(objects.of_type("met") & (objects.pt > self.met_min))
            yield f"met_min={self.met_min:g}", missing.number(num_events) > 0

    def passing(self, objects: EventObjects, num_events: int) -> Bools:
        """Tell which events pass all cuts."""
        passing = np.ones(num_events, bool)
        for _, cut in self.cuts(objects, num_events):
            passing &= cut
        return passing


def opposite_sign(leptons: EventObjects, num_events: int) -> Bools:
    """Tell in which events the two hardest of the leptons have opposite charges."""
    leptons = leptons.take(np.lexsort((-leptons.pt, leptons.event)))
    first = np.searchsorted(leptons.event, np.arange(num_events))
    two = leptons.number(num_events) >= 2
    opposite = np.zeros(num_events, bool)
    opposite[two] = leptons.charge[first[two]] * leptons.charge[first[two] + 1] < 0
    return opposite
