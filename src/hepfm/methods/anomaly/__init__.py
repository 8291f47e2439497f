"""Ways of finding events that background does not explain; each is one file and one row here."""

from hepfm.core.registry import Registry

ANOMALY_METHODS = Registry(
    "anomaly_method",
    {
        "cwola": ("hepfm.methods.anomaly.cwola:Cwola", "classifier of signal region against sidebands"),
        "cathode": (
            "hepfm.methods.anomaly.cathode:Cathode",
            "classifier of data against samples of a density that is interpolated from the sidebands",
        ),
        "anode": ("hepfm.methods.anomaly.anode:Anode", "ratio of two learned densities"),
        "idealised": (
            "hepfm.methods.anomaly.idealised:Idealised",
            "reference: classifier of data against true background",
        ),
        "supervised": (
            "hepfm.methods.anomaly.supervised:SupervisedReference",
            "reference: classifier of true signal against true background",
        ),
        "score": ("hepfm.methods.anomaly.score:Score", "score of a trained model"),
        "embedding": (
            "hepfm.methods.anomaly.embedding:EmbeddingDistance",
            "distance of a model's embeddings from those of the sidebands",
        ),
    },
)
