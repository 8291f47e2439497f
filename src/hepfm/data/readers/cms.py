"""What readers of CMS data share: fields of CMS's own jet, impact parameters."""

from __future__ import annotations

from hepfm.core.ragged import Array
from hepfm.core.schema import Field, Kind, Level
from hepfm.data.readers.physics import impact_parameters

_MM_PER_CM = 10.0

JET_AXIS_FIELDS = (
    Field(
        "cms_jet_pt", Level.OBJECT, unit="GeV", description="transverse momentum of the jet as CMS gives it"
    ),
    Field("cms_jet_eta", Level.OBJECT, description="pseudorapidity of the jet as CMS gives it"),
    Field("cms_jet_phi", Level.OBJECT, Kind.ANGLE, "rad", description="azimuth of the jet as CMS gives it"),
)


def cms_impact_parameters(
    dxy: Array, dxy_error: Array, dz: Array, dz_error: Array, *, charged: Array
) -> dict[str, Array]:
    """Return the fields of impact parameters of columns in cm, as `impact_parameters` does.

    What the files call ``d0`` is CMS's ``dxy`` (``PackedCandidate::dxy()``), which has the opposite sign of
    Delphes's and so of JetClass's ``d0`` = (x py - y px) / pt.
    """
    return impact_parameters(-dxy, dxy_error, dz, dz_error, charged=charged, mm_per_unit=_MM_PER_CM)
