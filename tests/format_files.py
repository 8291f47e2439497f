"""Small files of every format that `hepfm ingest` reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.data.exporters.export import export_store
from hepfm.data.store import Store


def write_hdf5(path: Path, **arrays: np.ndarray) -> Path:
    """Write data sets."""
    import h5py

    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def write_top_tagging(path: Path, rows: int = 3) -> Path:
    """Write jets in the layout of the top-tagging reference set, with pandas as it was written."""
    import pandas as pd

    names = [f"{part}_{slot}" for slot in range(200) for part in ("E", "PX", "PY", "PZ")]
    momenta = np.zeros((rows, 800), np.float32)
    momenta[:, :4] = (60.0, 40.0, 30.0, 20.0)
    frame = pd.DataFrame(momenta, columns=names)
    frame = pd.concat([frame, pd.DataFrame({"is_signal_new": np.zeros(rows, int)})], axis=1)
    frame.to_hdf(path, key="table", format="table")
    return path


QUARK_GLUON = np.array(
    [
        [[5.0, 0.1, 3.0, 22.0], [20.0, 0.2, 3.3, -211.0], [9.0, 0.0, 2.9, 11.0]],
        [[12.0, -0.5, 6.2, -13.0], [3.0, -0.4, 6.4, 2112.0], [0.0, 0.0, 0.0, 0.0]],
    ]
)
"""pt, rapidity, azimuth and code of constituents, not sorted, azimuths unwrapped."""


def write_quark_gluon(path: Path) -> Path:
    """Write two jets in the layout of EnergyFlow's quark and gluon jets."""
    np.savez_compressed(path, X=QUARK_GLUON, y=np.array([1.0, 0.0]))
    return path


def write_atlas_top(path: Path) -> Path:
    """Write two jets in the layout of ATLAS's open data, in MeV."""
    pt = np.zeros((2, 200), np.float32)
    pt[0, :3], pt[1, :1] = (3e5, 2e5, 1e5), 5e5
    eta, phi = np.where(pt > 0, 0.5, 0).astype(np.float32), np.where(pt > 0, -1.0, 0).astype(np.float32)
    return write_hdf5(
        path,
        fjet_clus_pt=pt,
        fjet_clus_eta=eta,
        fjet_clus_phi=phi,
        fjet_clus_E=pt * np.cosh(eta),
        fjet_pt=np.array([6e5, 5e5], np.float32),
        fjet_eta=np.array([0.5, 0.5], np.float32),
        fjet_phi=np.array([-1.0, -1.0], np.float32),
        fjet_m=np.array([1.7e5, 3e4], np.float32),
        labels=np.array([1, 0]),
        weights=np.array([0.5, 2.0], np.float32),
    )


def write_fu_tau(path: Path) -> Path:
    """Write two jets in the layout of Fu-tau-re."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    p4 = {"x": 20.0, "y": 10.0, "z": 5.0, "tau": 0.14}
    columns = {
        "reco_cand_p4s": [[p4, p4], [p4]],
        "reco_cand_charge": [[1, 0], [-1]],
        "reco_cand_pdg": [[211, 22], [-211]],
        **{f"reco_cand_{name}": [[0.01, -999.0], [0.02]] for name in ("dxy", "dz", "dxy_err", "dz_err")},
        "reco_jet_p4s": [p4, p4],
        "gen_jet_tau_decaymode": [0, -1],
        "gen_jet_tau_p4s": [p4, p4],
    }
    pq.write_table(pa.table(columns), path)
    return path


def nanoaod_branches(candidates: str = "PFCands", index: str = "pFCandsIdx") -> dict[str, Any]:
    """Return the branches of three events in the layout of PFNano: two jets, none, and one.

    The first jet has the candidates 2, 0 and 3, the second none, the third 1 and 0; candidate 1 of the first
    event is in no jet.
    """
    jets = {"pt": [[310.0, 200.0], [], [400.0]], "eta": [[0.1, 3.0], [], [-1.0]]}
    jets |= {"phi": [[0.2, 1.0], [], [3.1]], "mass": [[80.0, 20.0], [], [60.0]]}
    jets |= {"msoftdrop": [[75.0, -1.0], [], [-1e-5]]}
    jets |= {f"tau{n}": [[0.5 / n, 0.1], [], [0.3 / n]] for n in (1, 2, 3, 4)}
    parts = {
        "pt": [[50.0, 9.0, 100.0, 5.0], [2.0], [7.0, 300.0]],
        "mass": [[0.14, 0, 0, 0], [0], [0.1, -1e-3]],
    }
    parts |= {
        "eta": [[0.1, 2.0, 0.15, 0.2], [0.0], [-1.0, -1.1]],
        "phi": [[0.2, 2.0, 0.3, 0.1], [0.0], [3.1, -3.1]],
    }
    parts |= {"charge": [[1, 0, 0, 1], [0], [1, -1]], "pdgId": [[211, 1, 22, 211], [130], [-13, 11]]}
    parts |= {
        "d0": [[0.01, -1, -1, -1], [-1], [0.02, -0.03]],
        "d0Err": [[0.001, -1, -1, -1], [-1], [0.002, 0.003]],
    }
    parts |= {"dz": [[0.1, -1, -1, -1], [-1], [0.2, 0.3]], "dzErr": [[0.01, -1, -1, -1], [-1], [0.02, 0.03]]}
    parts |= {"puppiWeight": [[1.0, 0.0, 0.5, 0.0], [1.0], [0.0, 1.0]]}
    links = {"jetIdx": [[0, 0, 0], [], [0, 0]], index: [[2, 0, 3], [], [1, 0]]}
    return {
        "run": [1, 1, 1],
        "luminosityBlock": [7, 7, 8],
        "event": [70, 71, 70],
        "genWeight": [1.5, 2.0, -1.5],
        **{f"FatJet_{name}": values for name, values in jets.items()},
        **{f"{candidates}_{name}": values for name, values in parts.items()},
        **{f"FatJet{candidates}_{name}": values for name, values in links.items()},
    }


def write_nanoaod(path: Path, branches: Mapping[str, Any] | None = None) -> Path:
    """Write events in a layout of NanoAOD, by default those of `nanoaod_branches`."""
    import awkward as ak
    import uproot

    whole = (
        "Idx",
        "pdgId",
        "charge",
        "Mother",
        "Id",
        "VSjet",
        "cutBased",
        "atus",
        "statusFlags",
        "id1",
        "id2",
    )
    with uproot.recreate(path) as file:
        file["Events"] = {
            name: _branch(ak.Array(values), np.int32 if name.endswith(whole) else np.float32)
            for name, values in (branches or nanoaod_branches()).items()
        }
    return path


def _branch(array: Any, kind: type) -> Any:
    import awkward as ak

    return ak.values_astype(array, kind) if array.ndim == 2 else ak.to_numpy(array)


def delphes_branches() -> dict[str, Any]:
    """Return the branches of two events of Delphes's tracks and towers, and of jets that refer to them.

    The jet of the first event is made of a track, a photon and a neutral hadron, those of the second of a
    track each. The process number of ROOT stands in the highest bits of some references.
    """
    tracks = {"fUniqueID": [[11, 12], [11, 13]], "PT": [[40.0, 3.0], [30.0, 20.0]]}
    tracks |= {"Eta": [[0.5, -2.0], [1.0, -1.0]], "Phi": [[0.3, 2.0], [0.0, 3.0]]}
    tracks |= {
        "Mass": [[0.14, 0.14], [0.14, 0.1]],
        "Charge": [[1, -1], [1, 1]],
        "PID": [[211, 11], [321, -13]],
    }
    tracks |= {"D0": [[0.1, 0.2], [0.3, 0.4]], "ErrorD0": [[0.01, 0.02], [0.03, 0.04]]}
    tracks |= {"DZ": [[50.5, 0.6], [-19.0, -21.0]], "ErrorDZ": [[0.05, 0.06], [0.07, 0.08]]}
    photons = {
        "fUniqueID": [[14], []],
        "ET": [[60.0], []],
        "E": [[60.0 * np.cosh(0.4)], []],
        "Ehad": [[0.0], []],
    }
    hadrons = {
        "fUniqueID": [[15], []],
        "ET": [[9.0], []],
        "E": [[9.0 * np.cosh(0.6)], []],
        "Ehad": [[10.0], []],
    }
    photons |= {"Eta": [[0.4], []], "Phi": [[0.4], []], "Eem": [[64.0], []]}
    hadrons |= {"Eta": [[0.6], []], "Phi": [[0.2], []], "Eem": [[0.0], []]}
    jets = {"PT": [[108.0], [30.0, 20.0]], "Eta": [[0.45], [1.0, -1.0]], "Phi": [[0.3], [0.0, 3.0]]}
    jets |= {"Mass": [[12.0], [0.14, 0.1]]}
    jets |= {"Constituents": [[[15, 11, 14 | 1 << 24]], [[11], [13]]]}
    all_of = {"EFlowTrack": tracks, "EFlowPhoton": photons, "EFlowNeutralHadron": hadrons, "FatJet": jets}
    return {
        "Event.Number": [[0], [1]],
        "Event.Weight": [[0.5], [0.25]],
        "Vertex.Z": [[50.0, 1.0], [-20.0]],
        **{f"{name}.{key}": values for name, part in all_of.items() for key, values in part.items()},
    }


def nanoaod_event_branches() -> dict[str, Any]:
    """Return the branches of three events of NanoAOD, without candidates: t tbar, one jet, and nothing.

    In the first event an electron is found as a jet too, one muon is not isolated and one tau fails.
    """
    objects = {
        "Jet": {
            "pt": [[90.0, 60.0, 40.5, 15.0], [50.0], []],
            "eta": [[0.1, -1.0, 1.01, 0.0], [6.0], []],
            "phi": [[3.1, 0.0, -1.0, 2.0], [0.0], []],
            "mass": [[9.0, 6.0, 4.0, -1e-3], [5.0], []],
            "btagPNetB": [[0.9, 0.1, 0.2, -1.0], [0.5], []],
            "tightId": [[1, 0, 1, 1], [1], []],
        },
        "Electron": {
            "pt": [[40.0], [], []],
            "eta": [[1.0], [], []],
            "phi": [[-1.0], [], []],
            "mass": [[0.01], [], []],
            "charge": [[-1], [], []],
            "cutBased": [[4], [], []],
        },
        "Muon": {
            "pt": [[30.0, 12.0], [], []],
            "eta": [[-0.5, -2.0], [], []],
            "phi": [[1.0, -2.0], [], []],
            "mass": [[0.106, 0.106], [], []],
            "charge": [[1, -1], [], []],
            "looseId": [[1, 1], [], []],
            "pfIsoId": [[4, 0], [], []],
        },
        "Tau": {
            "pt": [[25.0, 22.0], [], []],
            "eta": [[2.0, -2.0], [], []],
            "phi": [[-2.5, -2.0], [], []],
            "mass": [[1.0, 0.8], [], []],
            "charge": [[-1, 1], [], []],
            "idDeepTau2018v2p5VSjet": [[1, 7], [], []],
        },
        "Photon": {
            "pt": [[], [21.0], []],
            "eta": [[], [0.3], []],
            "phi": [[], [0.4], []],
            "cutBased": [[], [1], []],
        },
        "GenPart": {
            "pdgId": [[21, 21, 6, -6, 6, 24, 5, -11, 12, -24, -5, 13, -14], [21, 2, 2], [21, 21, 21]],
            "genPartIdxMother": [[-1, -1, 0, 0, 2, 4, 4, 5, 5, 3, 3, 9, 9], [-1, -1, 0], [-1, -1, 0]],
            "status": [[21, 21, 22, 22, 62, 22, 23, 1, 1, 22, 23, 1, 1], [21, 21, 23], [21, 21, 23]],
            "statusFlags": [[128, 128, 128, 128, 8192, *[128] * 8], [128] * 3, [128, 128, 128]],
            "pt": [[0, 0, 99, 80, 100, 60, 88, 41, 33, 50, 61, 29, 31], [0, 0, 49], [0, 0, 9]],
            "eta": [
                [2e4, -2e4, 0, 1, 0, 0.5, 0.1, 1.02, 0, 0, -1.1, -0.5, 2],
                [2e4, -2e4, 3],
                [2e4, -2e4, 1],
            ],
            "phi": [[0, 0, 1, 2, 1, 2, -3.13, -1, 0, 1, 0.1, 1.02, 2], [0, 0, 1], [0, 0, 1]],
            "mass": [[0, 0, 172, 171, 173, 80, 0, 0, 0, 79, 0, 0, 0], [0, 0, 0], [0, 0, 0]],
        },
    }
    return {
        "run": [1, 1, 1],
        "luminosityBlock": [7, 7, 8],
        "event": [70, 71, 70],
        "genWeight": [1.5, 2.0, -1.5],
        "HLT_IsoMu24": [1, 0, 1],
        "Generator_id1": [21, 21, 21],
        "Generator_id2": [21, 2, 21],
        "PuppiMET_pt": [70.0, 5.0, 3.0],
        "PuppiMET_phi": [0.5, -3.0, 3.0],
        **{f"{name}_{key}": values for name, part in objects.items() for key, values in part.items()},
    }


def delphes_event_branches() -> dict[str, Any]:
    """Return the branches of two events of Delphes: Z -> mu mu with a tau-tagged jet, and one jet."""
    objects: dict[str, dict[str, list[list[Any]]]] = {
        "Jet": {"PT": [[50.0, 30.0], [80.0]], "Eta": [[0.5, -1.0], [2.0]], "Phi": [[0.1, 2.0], [3.0]]},
        "Electron": {"PT": [[], [9.0]], "Eta": [[], [0.5]], "Phi": [[], [0.5]], "Charge": [[], [1]]},
        "Muon": {"PT": [[45.0, 40.0], []], "Eta": [[1.0, -0.5], []], "Phi": [[-1.0, 2.9], []]},
        "Photon": {"PT": [[], [25.0]], "Eta": [[], [0.1]], "Phi": [[], [1.0]]},
        "MissingET": {"MET": [[12.0], [30.0]], "Phi": [[1.0], [-1.0]], "Eta": [[-3.0], [2.0]]},
        "Event": {"Number": [[0], [1]], "Weight": [[0.5], [0.25]], "ID1": [[1], [0]], "ID2": [[-1], [0]]},
        "Particle": {
            "PID": [[1, -1, 23, 23, 13, -13, 211], [21, 21, 22, 21]],
            "M1": [[-1, -1, 0, 2, 3, 3, 4], [-1, -1, 0, 0]],
            "Status": [[21, 21, 22, 62, 23, 23, 1], [21, 21, 23, 23]],
            "PT": [[0, 0, 0, 5.0, 46.0, 41.0, 1.0], [0, 0, 26.0, 75.0]],
            "Eta": [[999.9, -999.9, 999.9, 2.0, 1.0, -0.5, 0], [999.9, -999.9, 0.1, 2.0]],
            "Phi": [[0, 0, 0, 1.0, -1.0, 2.9, 0], [0, 0, 1.0, 3.0]],
            "E": [[900.0, 800.0, 95.0, 97.0, 71.0, 46.3, 1.1], [500.0, 600.0, 26.2, 283.0]],
        },
    }
    objects["Jet"] |= {"Mass": [[5.0, 1.0], [9.0]], "BTag": [[3, 2], [0]], "TauTag": [[0, 1], [0]]}
    objects["Jet"] |= {"Charge": [[3, -1], [0]]}
    objects["Muon"] |= {"Charge": [[-1, 1], []]}
    return {f"{name}.{key}": values for name, part in objects.items() for key, values in part.items()}


def physlite_event_branches() -> dict[str, Any]:
    """Return the branches of two events of PHYSLITE, in MeV: Z -> e e with a jet, and a lone jet."""
    link = {"m_persKey": 9, "m_persIndex": 0}
    objects = {
        "AnalysisJets": {
            "pt": [[6e4, 3e4], [9e4]],
            "eta": [[1.0, 2.0], [0.0]],
            "phi": [[0.5, 1.0], [-2.0]],
            "m": [[7e3, 3e3], [8e3]],
            "NNJvtPass": [[1, 0], [1]],
        },
        "AnalysisElectrons": {
            "pt": [[4.5e4, 4e4], []],
            "eta": [[0.1, -0.4], []],
            "phi": [[-1.0, 2.5], []],
            "charge": [[-1.0, 1.0], []],
            "DFCommonElectronsLHLoose": [[1, 1], []],
        },
        "AnalysisMuons": {
            "pt": [[], [2e4]],
            "eta": [[], [1.0]],
            "phi": [[], [1.0]],
            "charge": [[], [1.0]],
            "quality": [[], [3 | 8]],
        },
        "AnalysisTauJets": {
            "pt": [[], [3e4]],
            "eta": [[], [-1.0]],
            "phi": [[], [0.2]],
            "m": [[], [1e3]],
            "charge": [[], [-1.0]],
            "JetDeepSetLoose": [[], [1]],
        },
        "AnalysisPhotons": {
            "pt": [[], [2.5e4]],
            "eta": [[], [0.5]],
            "phi": [[], [3.0]],
            "DFCommonPhotonsIsEMLoose": [[], [1]],
        },
        "BTagging_AntiKt4EMPFlow": {"GN2v01_pb": [[0.9, 0.1], [0.2]]},
        "EventInfo": {
            "runNumber": [300, 300],
            "lumiBlock": [1, 2],
            "eventNumber": [70, 71],
            "mcEventWeights": [[1.5, 9.0], [-0.5, 9.0]],
        },
        "TruthEvents": {"PDGID1": [[1], [21]], "PDGID2": [[-1], [21]]},
        "HardScatterParticles": {
            "pdgId": [[1, -1, 23, 11, -11], [21, 21, 21]],
            "px": [[0, 0, 1e3, 2.4e4, -3.2e4], [0, 0, -4e4]],
            "py": [[0, 0, 0, -3.8e4, 2.4e4], [0, 0, -8e4]],
            "pz": [[1e5, -2e5, 5e3, 5e3, -1.6e4], [1e5, -1e5, 0]],
            "e": [[1e5, 2e5, 9.2e4, 4.6e4, 4.4e4], [1e5, 1e5, 9e4]],
            "prodVtxLink.m_persKey": [[0, 0, 7, 7, 7], [0, 0, 7]],
            "prodVtxLink.m_persIndex": [[9, 9, 0, 1, 1], [9, 9, 0]],
        },
        "HardScatterVertices": {
            "incomingParticleLinks": [
                [[link, {**link, "m_persIndex": 1}], [{**link, "m_persIndex": 2}]],
                [[link]],
            ]
        },
    }
    return {f"{name}AuxDyn.{key}": values for name, part in objects.items() for key, values in part.items()}


def write_parquet(path: Path, columns: Mapping[str, Any]) -> Path:
    """Write columns to Parquet, which holds what uproot does not write, such as references and links."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(dict(columns)), path)
    return path


def write_delphes(path: Path, branches: Mapping[str, Any] | None = None) -> Path:
    """Write events of Delphes, by default `delphes_branches`."""
    return write_parquet(path, branches or delphes_branches())


def physlite_branches() -> dict[str, Any]:
    """Return the branches of two events of ATLAS's PHYSLITE, in MeV: small and large jets, and four tracks.

    The first small jet has the tracks 1 and 0, the second one a track that was thinned away; the jet of the
    second event has track 0. The large jet's links lead to a container that the file does not have.
    """
    small = {"pt": [[9e4, 3e4], [5e4]], "eta": [[0.5, -1.0], [0.0]], "phi": [[0.3, 2.0], [-3.0]]}
    small |= {
        "m": [[9e3, 2e3], [5e3]],
        "HadronConeExclTruthLabelID": [[5, 0], [4]],
        "Width": [[0.1, 0.2], [0.3]],
    }
    large = {"pt": [[2e5], []], "eta": [[0.45], []], "phi": [[0.25], []], "m": [[8e4], []]}
    track = {"theta": [[1.1, 1.0, 2.2], [1.6]], "phi": [[0.3, 0.35, 2.1], [3.1]]}
    track |= {"qOverP": [[1e-4, -2e-5, 1e-4], [5e-5]], "d0": [[0.1, -0.2, 0.3], [0.4]]}
    track |= {"z0": [[1.0, 2.0, 3.0], [-4.0]], "vz": [[0.5, 0.5, 0.5], [0.0]]}
    track |= {"definingParametersCovMatrixDiag": [[[0.01, 0.04, 1, 1, 1]] * 3, [[0.09, 0.16, 1, 1, 1]]]}
    here, gone = {"m_persKey": 7, "m_persIndex": 0}, {"m_persKey": 0, "m_persIndex": 0}
    small |= {"GhostTrack": [[[{"m_persKey": 7, "m_persIndex": 1}, here, gone], [gone]], [[here]]]}
    large |= {"constituentLinks": [[[{"m_persKey": 9, "m_persIndex": 3}]], []]}
    event = {"runNumber": [300, 300], "lumiBlock": [1, 2], "eventNumber": [70, 71], "mcChannelNumber": [5, 5]}
    event |= {"mcEventWeights": [[1.5, 9.0], [-0.5, 9.0]]}
    vertices = {"z": [[9.0, 1.0], [-3.0]], "vertexType": [[3, 1], [1]]}
    all_of = {"AnalysisJets": small, "AnalysisLargeRJets": large, "InDetTrackParticles": track}
    all_of |= {"EventInfo": event, "PrimaryVertices": vertices}
    return {f"{name}AuxDyn.{key}": values for name, part in all_of.items() for key, values in part.items()}


def edm4hep_branches() -> dict[str, Any]:
    """Return the branches of two events of EDM4hep, as newer files spell them, with two jets and one.

    The first jet of the first event is made of the particles 2 and 0, the second one of 1; that of the second
    event of both of its particles. Particle 0 of each event has a track, whose second state is that at the
    vertex; particle 2 is an electron by a collection of its own.
    """
    momenta = {"momentum.x": [[3.0, 0.0, 4.0], [0.0, 1.0]], "momentum.y": [[0.0, -5.0, 0.0], [2.0, 2.0]]}
    momenta |= {"momentum.z": [[1.0, 2.0, 0.5], [1.0, -1.0]]}
    energy = [[np.hypot(np.hypot(3, 1), 0.14), np.sqrt(29.0), np.sqrt(16.25)], [np.sqrt(5.0), np.sqrt(6.0)]]
    parts = {**momenta, "energy": energy, "charge": [[1.0, 0.0, -1.0], [-1.0, 0.0]]}
    parts |= {
        "PDG": [[0, 22, 0], [0, 130]],
        "tracks_begin": [[0, 1, 1], [0, 1]],
        "tracks_end": [[1, 1, 1], [1, 1]],
    }
    jets = {
        "momentum.x": [[7.0, 0.0], [1.0]],
        "momentum.y": [[0.0, -5.0], [4.0]],
        "momentum.z": [[1.5, 2.0], [0.0]],
    }
    jets |= {"energy": [[energy[0][0] + energy[0][2], energy[0][1]], [sum(energy[1])]]}
    jets |= {"particles_begin": [[0, 2], [0]], "particles_end": [[2, 3], [2]]}
    states = {"D0": [[9.0, 0.1], [9.0, -0.2]], "Z0": [[9.0, 0.3], [9.0, 0.4]], "location": [[4, 1], [4, 1]]}
    states |= {"covMatrix.values": [[[1.0] * 21, [0.01, *[0] * 8, 0.04, *[0] * 11]]] * 2}
    truth = {"PDG": [[5, -5, 24], [21]], "generatorStatus": [[23, 23, 22], [23]]}
    truth |= {"momentum.x": [[6.0, 0.0, 9.0], [-1.0]], "momentum.y": [[0.1, -4.0, 9.0], [0.0]]}
    truth |= {"momentum.z": [[1.0, 2.0, 9.0], [0.0]]}
    all_of = {
        "ReconstructedParticles": parts,
        "_ReconstructedParticles_tracks": {"index": [[0], [0]], "collectionID": [[8], [8]]},
        "Jet": jets,
        "_Jet_particles": {"index": [[2, 0, 1], [0, 1]], "collectionID": [[6, 6, 6], [6, 6]]},
        "EFlowTrack": {"trackStates_begin": [[0], [0]], "trackStates_end": [[2], [2]]},
        "_EFlowTrack_trackStates": states,
        "Electron_objIdx": {"index": [[2], []]},
        "Particle": truth,
        "EventHeader": {"eventNumber": [[0], [1]], "runNumber": [[4], [4]], "weight": [[2.0], [-1.0]]},
    }
    return {f"{name}.{key}": values for name, part in all_of.items() for key, values in part.items()}


def colliderml_columns(kind: str = "tracks") -> dict[str, Any]:
    """Return the columns of two events of a kind of object of ColliderML."""
    if kind == "tracks":
        columns = {"qop": [[0.5, -0.1], [0.2]], "theta": [[1.0, 2.0], [1.5]], "phi": [[0.1, 3.0], [-2.0]]}
        return {"event_id": [7, 8], **columns, "d0": [[0.1, 0.2], [0.3]], "z0": [[1.0, 2.0], [3.0]]}
    if kind == "calo_hits":
        columns = {"total_energy": [[0.1, 0.5], [0.2]], "detector": [[9, 13], [10]], "x": [[1.0, 2.0], [3.0]]}
        return {"event_id": [7, 8], **columns, "y": [[4.0, 5.0], [6.0]], "z": [[7.0, 8.0], [9.0]]}
    columns = {"pdg_id": [[11, 22], [211]], "charge": [[-1.0, 0.0], [1.0]], "vertex_primary": [[1, 2], [1]]}
    columns |= {"px": [[1.0, 3.0], [2.0]], "py": [[0.0, 4.0], [0.0]], "pz": [[0.0, 0.0], [1.0]]}
    columns |= {"energy": [[1.0, 5.0], [2.3]], **{f"v{axis}": [[0.1, 0.2], [0.3]] for axis in "xyz"}}
    return {"event_id": [7, 8], **columns, "parent_id": [[None, 3], [None]]}


def lhco_events() -> np.ndarray:
    """Return pt, eta and phi of the particles of three events, (3, 700, 3): two jets, nothing, and one jet.

    The second jet of the first event lies across phi = pi; the first two particles of the third event are its
    jet, and the last one is too soft for another.
    """
    events = np.zeros((3, 700, 3))
    events[0, :4] = [(900, 0.5, 0.1), (800, -0.3, 3.1), (400, -0.2, -3.1), (300, 0.4, 0.3)]
    events[2, :3] = [(50, 1.0, 2.0), (25, 1.2, 2.2), (2, -2.0, -1.0)]
    return events


def write_lhco(
    path: Path, truth: Any = (1, 0, 0), *, events: Any = None, key: str = "df", **how: Any
) -> Path:
    """Write events in the layout of the LHC Olympics, with pandas as they were written; no truth for None."""
    import pandas as pd

    particles = lhco_events() if events is None else events
    values = particles.reshape(len(particles), -1)
    if truth is not None:
        values = np.concatenate([values, np.asarray(truth, float)[:, None]], axis=1)
    pd.DataFrame(values).to_hdf(path, key=key, **{"complevel": 9, "complib": "blosc", **how})
    return path


def write_lhco_features(path: Path, rows: int = 4) -> Path:
    """Write events in the layout of the LHC Olympics' high-level features, with pandas."""
    import pandas as pd

    rng = np.random.default_rng(1)
    names = ("px", "py", "pz", "m", "tau1", "tau2", "tau3")
    columns = {f"{name}j{jet}": rng.uniform(0.1, 1, rows) for jet in (1, 2) for name in names}
    for name, values in columns.items():
        values *= 1 if name.startswith("tau") else 100 if name.startswith("m") else 2000
    columns["pxj2"] *= -1
    frame = pd.DataFrame({**columns, "label": np.arange(rows) % 2 * 1.0})
    frame.to_hdf(path, key="df", format="fixed")
    return path


def omnifold_arrays() -> dict[str, np.ndarray]:
    """Return the arrays of three events in the layout of OmniFold: jets at both levels, at one, at the other.

    The jet of the first event at particle level is a K+, a photon and a neutron, at detector level a track
    and two cells.
    """
    gen = np.zeros((3, 5, 4))
    gen[0, :3] = [(0.002, 0.1, 0.3, 0.8), (2.0, 0.0, 0.1, 0.0), (0.03, -0.2, -0.1, 1.2)]
    gen[1, :1] = [(1.0, 0.0, 0.0, 0.7)]
    sim = np.zeros((3, 4, 4))
    sim[0, :3] = [(0.01, 0.1, 0.3, 0.1), (1.9, 0.0, 0.1, 0.0), (0.02, -0.2, -0.1, 0.3)]
    sim[2, :2] = [(0.3, 0.1, 0.0, 0.4), (0.2, -0.1, 0.0, 0.2)]
    jets = {
        "gen": [(203.2, -1.2, 3.1, 12.0), (100.0, 0.5, -2.0, 0.1057), (0, 0, 0, 0)],
        "sim": [(195.0, -1.2, 3.1, 11.0), (0, 0, 0, 0), (50.0, 2.0, 0.5, 4.0)],
    }
    names = ("lhas", "widths", "ang2s", "tau2s", "sdms", "zgs")
    arrays: dict[str, np.ndarray] = {"gen_Zs": np.array([(210.0, 0.4, 6.2), (220, -1, 0), (230, 1, -3.0)])}
    for level, particles in (("gen", gen), ("sim", sim)):
        arrays[f"{level}_jets"] = np.array(jets[level], float)
        arrays[f"{level}_particles"] = particles
        arrays[f"{level}_mults"] = (particles[..., 0] > 0).sum(axis=1)
        arrays |= {
            f"{level}_{name}": np.array([0.1, 0.2, 0.3]) * place for place, name in enumerate(names, 1)
        }
    return arrays


def write_omnifold(path: Path, **arrays: Any) -> Path:
    """Write events in the layout of OmniFold, some arrays in place of those of `omnifold_arrays`."""
    np.savez_compressed(path, **{**omnifold_arrays(), **arrays})
    return path


def rs3l_arrays() -> dict[str, np.ndarray]:
    """Return two hard events, and an empty one, in the layout of RS3L: five simulations, features in front.

    The jet of the second event fails the cuts in the fourth simulation.
    """
    jets = np.zeros((3, 5, 15), np.float32)
    candidates = np.zeros((3, 5, 13, 4), np.float32)
    jets[0, :, 0], jets[1, :, 0] = 4, 1
    for event, (eta, phi) in enumerate([(0.1, 3.1), (-1.0, 0.5)]):
        for variation in range(5):
            pt = np.array([400.0 + 10 * variation, 90, 20][: 3 - event], np.float32)
            part_eta = eta + np.array([0.0, 0.2, -0.1][: len(pt)])
            energy = pt * np.cosh(part_eta) * 1.0001
            real = candidates[event, variation, :, : len(pt)]
            real[0], real[2], real[3], real[5] = pt, part_eta, phi, energy
            real[1], real[6] = pt / pt.sum(), energy / energy.sum()
            real[7], real[8] = [1, 0, -1][: len(pt)], [211, 22, 13][: len(pt)]
            real[9], real[10] = [0.1, 0.7, -0.2][: len(pt)], [0.3, 0.7, 0.4][: len(pt)]
            jet_eta = np.arcsinh((pt * np.sinh(part_eta)).sum() / pt.sum())
            jets[event, variation, 9:13] = pt.sum(), jet_eta, phi, energy.sum()
    jets[1, 3], candidates[1, 3] = 0, 0
    return {"singletons": jets, "jet_pflow_cands": candidates}


def write_rs3l(path: Path, **arrays: np.ndarray) -> Path:
    """Write jets in the layout of RS3L, some arrays in place of those of `rs3l_arrays`."""
    return write_hdf5(path, **{**rs3l_arrays(), **arrays})


MAP: dict[str, Any] = {
    "fields": {
        f"{kind}_{name}": f"{kind}_{name}"
        for kind in ("jet", "part")
        for name in ("pt", "eta", "phi", "energy")
    },
    "label": {"take": "number", "codes": {0: "QCD", 1: "Tbqq"}},
    "observers": ["run"],
}
"""The map of the files of `write_mapped`."""


def write_mapped(path: Path, rows: int = 6) -> Path:
    """Write jets under the names of `MAP`: lists in ROOT and Parquet files, padded arrays in others."""
    import awkward as ak
    import pyarrow as pa
    import pyarrow.parquet as pq
    import uproot

    rng = np.random.default_rng(1)
    count = rng.integers(1, 5, rows)
    pt, eta, phi = rng.uniform(1, 20, count.sum()), *rng.normal(0, 0.3, (2, count.sum()))
    parts = {"pt": pt, "eta": eta, "phi": phi, "energy": pt * np.cosh(eta)}
    total = np.bincount(np.repeat(np.arange(rows), count), pt)
    jets = {"pt": total, "eta": 0 * total, "phi": 0 * total, "energy": 1.3 * total}
    numbers = {"number": np.arange(rows) % 2, "run": np.full(rows, 7)} | {
        f"jet_{name}": value for name, value in jets.items()
    }
    lists = {f"part_{name}": ak.unflatten(value, count) for name, value in parts.items()}
    if path.suffix == ".root":
        with uproot.recreate(path) as file:
            file.mktree("events", {**numbers, **lists})
    elif path.suffix == ".parquet":
        pq.write_table(
            pa.table(
                {
                    **numbers,
                    **{name: ak.to_arrow(value, extensionarray=False) for name, value in lists.items()},
                }
            ),
            path,
        )
    else:
        padded = {
            name: np.asarray(ak.fill_none(ak.pad_none(value, 5, axis=1), 0)) for name, value in lists.items()
        }
        if path.suffix == ".npz":
            np.savez(path, **numbers, **padded)
        else:
            write_hdf5(path, **numbers, **padded)
    return path


def make_inputs(folder: Path, jets: Store) -> dict[str, tuple[str, Path]]:
    """Write a file of every format that `hepfm ingest` reads; return format and path by a name."""
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 20, (2, 4, 6)).astype(np.float32)
    candidates = np.abs(rng.normal(10.0, 1.0, (2, 5, 11))).astype(np.float32)
    candidates[..., 8], candidates[..., 9], candidates[..., 10] = 1, 211, 0.5
    candidates[..., 3] = 60.0
    made = {
        "jetclass.root": export_store(jets, folder / "jetclass.root"),
        "jetclass.parquet": export_store(jets, folder / "jetclass.parquet"),
        "jetnet.hdf5": export_store(
            jets, folder / "jetnet", format_name="jetnet", options={"num_particles": 30}
        ),
        "omnilearned.h5": export_store(jets, folder / "omnilearned.h5", format_name="omnilearned"),
        "top_tagging.h5": write_top_tagging(folder / "top_tagging.h5"),
        **{
            f"mapping.{ending}": write_mapped(folder / f"mapping.{ending}")
            for ending in ("root", "parquet", "h5", "npz")
        },
        "quark_gluon.npz": write_quark_gluon(folder / "quark_gluon.npz"),
        "atlas_top.h5": write_atlas_top(folder / "atlas_top.h5"),
        "nanoaod.root": write_nanoaod(folder / "nanoaod.root"),
        "nanoaod_events.root": write_nanoaod(folder / "nanoaod_events.root", nanoaod_event_branches()),
        "lhco.h5": write_lhco(folder / "lhco.h5"),
        "lhco_features.h5": write_lhco_features(folder / "lhco_features.h5"),
        "omnifold.npz": write_omnifold(folder / "omnifold.npz"),
        "rs3l.h5": write_rs3l(folder / "rs3l.h5"),
        "delphes.parquet": write_delphes(folder / "delphes.parquet"),
        "delphes_events.parquet": write_delphes(folder / "delphes_events.parquet", delphes_event_branches()),
        "physlite_events.parquet": write_parquet(
            folder / "physlite_events.parquet", physlite_event_branches()
        ),
        "physlite.parquet": write_parquet(folder / "physlite.parquet", physlite_branches()),
        "edm4hep.parquet": write_parquet(folder / "edm4hep.parquet", edm4hep_branches()),
        "colliderml.parquet": write_parquet(folder / "colliderml.parquet", colliderml_columns()),
        "fu_tau.parquet": write_fu_tau(folder / "fu_tau.parquet"),
        "aspen.h5": write_hdf5(
            folder / "aspen.h5",
            event_info=np.arange(6).reshape(2, 3),
            jet_kinematics=np.tile(np.array([500.0, 0.1, 0.2, 80.0], np.float32), (2, 1)),
            PFCands=candidates,
            jet_tagging=np.zeros((2, 13), np.float32),
        ),
        "calochallenge.hdf5": write_hdf5(
            folder / "calochallenge.hdf5",
            showers=rng.exponential(5.0, (2, 6480)).astype(np.float32),
            incident_energies=np.full((2, 1), 2e3, np.float32),
        ),
        "caloclouds.h5": write_hdf5(
            folder / "caloclouds.h5", events=points, energy=np.array([[10.0], [90.0]], np.float32)
        ),
        "getting_high.h5": write_hdf5(
            folder / "getting_high.h5",
            showers=points.transpose(0, 2, 1),
            genE=np.array([[10.0], [90.0]], np.float32),
        ),
    }
    made["jetnet.hdf5"] = shutil.copy(next(made["jetnet.hdf5"].glob("*.hdf5")), folder / "g.hdf5")
    return {name: (name.split(".")[0], path) for name, path in made.items()}


def options_of(format_name: str, good: Path) -> tuple[object, ...]:
    """Return what a format must be told about its file."""
    if format_name == "mapping":
        map_file = good.with_name("map.yaml")
        if not map_file.exists():  # written once: several processes may read it
            map_file.write_text(json.dumps(MAP), encoding="utf-8")
        return ("--map", map_file)
    told = {"jetnet": "jet_class=g", "physlite": "jets=AnalysisJets"}.get(format_name)
    if format_name.endswith("_events"):
        told = "generator=true"
    return () if told is None else ("--set", told)
