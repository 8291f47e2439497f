"""Names of the branches of a NanoAOD file with particle-flow candidates."""

from __future__ import annotations

from dataclasses import dataclass

from hepfm.core.errors import DataError
from hepfm.data.readers.base import require
from hepfm.data.tables.base import FileTable

EVENT = ("run", "luminosityBlock", "event")
GENERATED = ("Generator_x1", "Generator_x2", "Generator_scalePDF")
"""What tells simulated events of different samples apart."""
PUPPI = "puppiWeight"
MOMENTUM = ("pt", "eta", "phi", "mass")

_JET = {"cms_jet_pt": "pt", "cms_jet_eta": "eta", "cms_jet_phi": "phi", "cms_jet_mass": "mass"}
_SUBSTRUCTURE = {"jet_softdrop_mass": "msoftdrop", **{f"jet_tau{n}": f"tau{n}" for n in (1, 2, 3, 4)}}
_LINKS = {"PFCand": ("pfCandIdx",), "PFCands": ("pFCandsIdx", "pfCandIdx", "candIdx")}
"""Candidates and the links to them, first of official files, then of PFNano."""


@dataclass(frozen=True)
class NanoaodLayout:
    """Names of branches.

    Attributes
    ----------
    jets
        Of the jets, by field: ``cms_jet_pt`` ... and those of substructure that there are.
    candidates
        Of the candidates, by the last part of their names: ``pt``, ``pdgId`` ... and, where there are,
        ``charge``, ``d0``, ``d0Err``, ``dz``, ``dzErr`` and ``puppiWeight``.
    links
        The jet and the candidate of each link.
    generated
        Those of `GENERATED` that there are.
    """

    jets: dict[str, str]
    candidates: dict[str, str]
    links: tuple[str, str]
    generated: tuple[str, ...]

    @property
    def has_tracks(self) -> bool:
        """Whether there are impact parameters."""
        return {"d0", "dz"} <= self.candidates.keys()


def find_layout(table: FileTable, jets: str) -> NanoaodLayout:
    """Return the names of the branches of a file.

    Parameters
    ----------
    table
        The tree of events.
    jets
        Which jets: ``FatJet`` or ``Jet``.

    Raises
    ------
    DataError
        When there are no candidates of these jets, or branches of the jets, candidates or events are missing.
    """
    candidates, links = _find_links(table, jets)
    of_jets = {field: f"{jets}_{name}" for field, name in _JET.items()}
    of_candidates = {name: f"{candidates}_{name}" for name in (*MOMENTUM, "pdgId")}
    needed = [*EVENT, *of_jets.values(), *of_candidates.values()]
    require(table.names, needed, table.path, what="NanoAOD branches")
    there = set(table.names)
    more_of_jets = {field: f"{jets}_{name}" for field, name in _SUBSTRUCTURE.items()}
    more = {name: f"{candidates}_{name}" for name in ("charge", "d0", "d0Err", "dz", "dzErr", PUPPI)}
    return NanoaodLayout(
        of_jets | {field: name for field, name in more_of_jets.items() if name in there},
        of_candidates | {key: name for key, name in more.items() if name in there},
        links,
        tuple(name for name in GENERATED if name in there),
    )


def _find_links(table: FileTable, jets: str) -> tuple[str, tuple[str, str]]:
    """Return the prefix of the candidates, and the branches of the links to them."""
    possible = [
        (candidates, (f"{jets}{candidates}_jetIdx", f"{jets}{candidates}_{index}"))
        for candidates, indices in _LINKS.items()
        for index in indices
    ]
    for candidates, links in possible:
        if set(links) <= set(table.names):
            return candidates, links
    (_, official), (_, pfnano) = possible[:2]
    other = "Jet" if jets == "FatJet" else "FatJet"
    cure = "earlier official files hold objects only, such as jets and leptons: take version 15 or PFNano"
    if any(f"{other}{candidates}_jetIdx" in table.names for candidates in _LINKS):
        cure = f"it has those of {other}: --set jets={other}"
    raise DataError(
        f"{table.path} has no candidates of {jets}: it lacks the branches {' and '.join(official)} "
        f"(official NanoAOD from version 15), and {' and '.join(pfnano)} (PFNano); {cure}"
    )
