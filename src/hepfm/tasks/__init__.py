"""Tasks: downstream protocols, one file each, one row here."""

from hepfm.core.registry import Registry

TASKS = Registry(
    "task",
    {
        "jetclass": ("hepfm.tasks.jetclass:JetClass", "ten-class jet tagging with JetClass's metrics"),
        "top_tagging": ("hepfm.tasks.top_tagging:TopTagging", "top quark against light jets, 550-650 GeV"),
        "quark_gluon": ("hepfm.tasks.quark_gluon:QuarkGluon", "quark against gluon jets, 500-550 GeV"),
        "tau_identification": ("hepfm.tasks.taus:TauIdentification", "hadronic taus against quark jets"),
        "tau_decay_mode": ("hepfm.tasks.taus:TauDecayMode", "decay mode of hadronic taus"),
        "tau_momentum": ("hepfm.tasks.taus:TauMomentum", "visible momentum of hadronic taus"),
        "classification": (
            "hepfm.tasks.classification:Classification",
            "classes of any categorical field: options field, signal, background, only, efficiencies",
        ),
        "weak_supervision": (
            "hepfm.tasks.weak_supervision:WeakSupervision",
            "a signal found without labels, in stores of `hepfm data mix`: options background_efficiencies",
        ),
        "significance": (
            "hepfm.tasks.significance:Significance",
            "what a score is worth in a search: options signal, background, luminosity, cross_sections",
        ),
        "mass_scan": (
            "hepfm.tasks.mass_scan:MassScan",
            "signal of each mass, under that hypothesis: options masses, parameter, signal, background",
        ),
        "robustness": (
            "hepfm.tasks.robustness:Robustness",
            "how far scores shift between simulations: options variation, nominal, variations, floor",
        ),
        "anomaly": (
            "hepfm.tasks.anomaly:Anomaly",
            "signal by distance from unlabelled training rows: options score, bank, reference, signal",
        ),
        "domain_shift": (
            "hepfm.tasks.domain_shift:DomainShift",
            "how far apart embeddings of two stores or simulations are: options against, variation, nominal",
        ),
        "similarity": (
            "hepfm.tasks.similarity:Similarity",
            "how alike two networks see the same rows, layer by layer (CKA): options other, rows, seed",
        ),
        "regression": (
            "hepfm.tasks.regression:Regression",
            "any numeric field: options field, only, groups, compare",
        ),
        "constituent_origin": (
            "hepfm.tasks.constituent_origin:ConstituentOrigin",
            "which decay each constituent comes from; simulated jets with truth",
        ),
        "track_origin": (
            "hepfm.tasks.track_origin:TrackOrigin",
            "which decay each track comes from; simulated jets with truth",
        ),
        "vertex_finding": (
            "hepfm.tasks.vertex_finding:VertexFinding",
            "which tracks share a vertex; simulated jets with truth",
        ),
        "assignment": (
            "hepfm.tasks.assignment:AssignmentTask",
            "which objects are the daughters of which resonance: options resonances, alike",
        ),
        "segmentation": (
            "hepfm.tasks.segmentation:SegmentationTask",
            "decays of events as sets of objects: options segments, mass_resolution",
        ),
        "neutrinos": (
            "hepfm.tasks.neutrinos:NeutrinosTask",
            "momenta of neutrinos and calibration of their draws: options draws, steps, seed",
        ),
        "ttbar_reconstruction": (
            "hepfm.tasks.ttbar_reconstruction:TtbarReconstruction",
            "both tops of dileptonic pairs: options choice, attempts of the analytic solution",
        ),
        "jet_generation": ("hepfm.tasks.jet_generation:JetGeneration", "generated against real jets"),
        "shower_generation": (
            "hepfm.tasks.shower_generation:ShowerGeneration",
            "generated against real showers, CaloChallenge's data set 2 cells",
        ),
        "jetnet30": (
            "hepfm.tasks.jet_generation:JetNet30",
            "generated JetNet jets, 30 constituents, with FPND",
        ),
        "jetnet150": ("hepfm.tasks.jet_generation:JetNet150", "generated JetNet jets, 150 constituents"),
    },
)
