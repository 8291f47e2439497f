"""The store of collider data, its features, loader, readers and writers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepfm.core.registry import Registry

if TYPE_CHECKING:
    from hepfm.data.context import ContextSet
    from hepfm.data.features import FeatureSet
    from hepfm.data.targets import TargetSet

FEATURE_SETS = Registry(
    "feature_set",
    {
        "kin": ("hepfm.data.feature_sets:KIN", "7 kinematic inputs of the Particle Transformer"),
        "kinpid": ("hepfm.data.feature_sets:KINPID", "13: kinematics, charge and particle type"),
        "full": ("hepfm.data.feature_sets:FULL", "17: kinematics, charge, type and impact parameters"),
        "pet": ("hepfm.data.feature_sets:PET", "4 independent kinematic inputs: angles, log pt, log energy"),
        "petpid": ("hepfm.data.feature_sets:PETPID", "10: those of pet, charge and particle type"),
        "petfull": ("hepfm.data.feature_sets:PETFULL", "14: those of petpid and impact parameters"),
        "massless": ("hepfm.data.feature_sets:MASSLESS", "3: angles and log pt, as OmniJet-alpha reads them"),
        "event": (
            "hepfm.data.event_features:EVENT",
            "13 of reconstructed objects of an event: kinematics, type, charge, b tag",
        ),
        "event_levels": (
            "hepfm.data.event_features:EVENT_LEVELS",
            "19: the same, of generator particles too, with level and sign of the particle",
        ),
        "evenet": (
            "hepfm.data.evenet_features:EVENET",
            "7 of jets, leptons and photons, as EveNet's released networks read them",
        ),
        "bumblebee": (
            "hepfm.data.bumblebee_features:BUMBLEBEE",
            "19 of both levels of an event as Bumblebee reads them: the mass in place of the energy",
        ),
        "calo": ("hepfm.data.shower_features:CALO", "4 of calorimeter hits: x, y, layer, log energy"),
    },
)

CONTEXT_SETS = Registry(
    "context_set",
    {
        "jet": ("hepfm.data.context:JET", "log pt, eta, log mass and number of constituents of the jet"),
        "event": (
            "hepfm.data.event_features:EVENT_CONTEXT",
            "missing momentum, sums of pt, masses and numbers of an event's objects",
        ),
        "evenet": (
            "hepfm.data.evenet_features:EVENET_CONTEXT",
            "10 globals of an event, as EveNet's released networks read them",
        ),
        "resonance_mass": (
            "hepfm.data.event_features:RESONANCE_MASS",
            "the mass of the resonance that is searched for",
        ),
        "incident": ("hepfm.data.shower_features:INCIDENT", "log energy of a shower's incident particle"),
    },
)

TARGET_SETS = Registry(
    "target_set",
    {
        "event_neutrinos": (
            "hepfm.data.targets:NEUTRINOS",
            "neutrino and antineutrino of the hard process of an event",
        ),
    },
)

READERS = Registry(
    "reader",
    {
        "mapping": (
            "hepfm.data.readers.mapping:MappingReader",
            "your own files: ROOT, Parquet, HDF5 or NumPy, with a map of what is what",
        ),
        "jetclass": (
            "hepfm.data.readers.jetclass:JetClassReader",
            "JetClass, JetClass-II: ROOT or Parquet",
        ),
        "top_tagging": ("hepfm.data.readers.top_tagging:TopTaggingReader", "top-tagging reference set, HDF5"),
        "quark_gluon": (
            "hepfm.data.readers.published_maps:QuarkGluonReader",
            "quark and gluon jets of Pythia or Herwig, NumPy",
        ),
        "atlas_top": (
            "hepfm.data.readers.published_maps:AtlasTopReader",
            "ATLAS top tagging open data: MeV, event weights, HDF5",
        ),
        "omnilearned": (
            "hepfm.data.readers.omnilearned:OmniLearnedReader",
            "OmniLearned's layout, HDF5; what its columns and classes are must be said",
        ),
        "aspen": (
            "hepfm.data.readers.aspen:AspenReader",
            "Aspen Open Jets: unlabelled jets of CMS open data, HDF5",
        ),
        "nanoaod": (
            "hepfm.data.readers.nanoaod:NanoAodReader",
            "CMS NanoAOD with candidates: from version 15, or PFNano, ROOT",
        ),
        "delphes": (
            "hepfm.data.readers.delphes:DelphesReader",
            "Delphes: jets and their constituents, ROOT",
        ),
        "nanoaod_events": (
            "hepfm.data.readers.nanoaod_events:NanoAodEventsReader",
            "CMS NanoAOD: whole events with jets, leptons, photons and missing momentum, ROOT",
        ),
        "delphes_events": (
            "hepfm.data.readers.delphes_events:DelphesEventsReader",
            "Delphes: whole events with jets, leptons, photons and missing momentum, ROOT",
        ),
        "physlite": (
            "hepfm.data.readers.physlite:PhysliteReader",
            "ATLAS DAOD_PHYSLITE: jets with their tracks, or with flow objects where kept, ROOT",
        ),
        "physlite_events": (
            "hepfm.data.readers.physlite_events:PhysliteEventsReader",
            "ATLAS DAOD_PHYSLITE: whole events with jets, leptons, photons and missing momentum, ROOT",
        ),
        "edm4hep": (
            "hepfm.data.readers.edm4hep:Edm4hepReader",
            "EDM4hep of Key4hep and FCC: jets stored or clustered, podio's TTree or RNTuple, ROOT",
        ),
        "colliderml": (
            "hepfm.data.readers.colliderml:ColliderMlReader",
            "ColliderML: events with particles, tracks or calorimeter cells, Parquet",
        ),
        "lhco": (
            "hepfm.data.readers.lhco:LhcoReader",
            "LHC Olympics: events of particles, clustered into jets, HDF5",
        ),
        "lhco_features": (
            "hepfm.data.readers.published_maps:LhcoFeaturesReader",
            "LHC Olympics: masses and N-subjettiness of the two jets of an event, HDF5",
        ),
        "omnifold": (
            "hepfm.data.readers.omnifold:OmniFoldReader",
            "OmniFold's Z + jets: each jet at particle and at detector level, NumPy",
        ),
        "rs3l": (
            "hepfm.data.readers.rs3l:Rs3lReader",
            "RS3L: each jet in several simulations of its hard event, HDF5",
        ),
        "fu_tau": (
            "hepfm.data.readers.fu_tau:FuTauReader",
            "Fu-tau-re: taus and quarks in e+e- at 380 GeV, Parquet",
        ),
        "calochallenge": (
            "hepfm.data.readers.calochallenge:CaloChallengeReader",
            "CaloChallenge: showers as energies of all cells, HDF5",
        ),
        "caloclouds": (
            "hepfm.data.readers.shower_points:CaloCloudsReader",
            "CaloClouds: photon showers in ILD as points, HDF5",
        ),
        "getting_high": (
            "hepfm.data.readers.shower_points:GettingHighReader",
            "Getting High: photon showers in ILD's regular grid as points, HDF5",
        ),
        "jetnet": ("hepfm.data.readers.jetnet:JetNetReader", "JetNet30, JetNet150: HDF5, a file per class"),
    },
)

EXPORTERS = Registry(
    "exporter",
    {
        "jetclass": (
            "hepfm.data.exporters.jetclass:JetClassFormat",
            "JetClass's branches in its order and types: a ROOT or Parquet file",
        ),
        "calochallenge": (
            "hepfm.data.exporters.calochallenge:CaloChallengeFormat",
            "CaloChallenge's layout: an HDF5 file with the energies of all cells",
        ),
        "jetnet": (
            "hepfm.data.exporters.jetnet:JetNetFormat",
            "JetNet's layout: a folder with an HDF5 file per class",
        ),
        "omnilearned": (
            "hepfm.data.exporters.omnilearned:OmniLearnedFormat",
            "OmniLearned's layout: an HDF5 file",
        ),
    },
)


def feature_set(name: str) -> FeatureSet:
    """Return the feature set called `name`; raise `ConfigError` if there is none."""
    loaded: FeatureSet = FEATURE_SETS.load(name)
    return loaded


def invertible_sets() -> list[str]:
    """Return the names of the feature sets of which rows can be made, e.g. by generators."""
    return [name for name in FEATURE_SETS if feature_set(name).invertible]


def target_set(name: str) -> TargetSet:
    """Return the target set called `name`; raise `ConfigError` if there is none."""
    loaded: TargetSet = TARGET_SETS.load(name)
    return loaded


def context_set(name: str) -> ContextSet:
    """Return the context set called `name`; raise `ConfigError` if there is none."""
    loaded: ContextSet = CONTEXT_SETS.load(name)
    return loaded
