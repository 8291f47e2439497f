"""The verbs that a workflow can run; each is one file and one row here."""

from hepfm.core.registry import Registry

VERBS = Registry(
    "verb",
    {
        "simulate": ("hepfm.workflow.verbs.simulate:Simulate", "simulate a store"),
        "mix": ("hepfm.workflow.verbs.mix:Mix", "mix two samples for weak supervision from a store"),
        "label": ("hepfm.workflow.verbs.label:Label", "label events by their generator particles"),
        "tokenize": ("hepfm.workflow.verbs.tokenize:Tokenize", "train a tokenizer and report what it loses"),
        "pretrain": ("hepfm.workflow.verbs.pretrain:Pretrain", "train a model from a recipe"),
        "adopt": ("hepfm.workflow.verbs.adopt:Adopt", "take in a model that exists"),
        "joint": ("hepfm.workflow.verbs.joint:PretrainJoint", "train one backbone on several domains"),
        "finetune": ("hepfm.workflow.verbs.finetune:Finetune", "adapt a model to a task"),
        "generate": ("hepfm.workflow.verbs.generate:Generate", "generate a store of rows with a model"),
        "evaluate": ("hepfm.workflow.verbs.evaluate:Evaluate", "measure a model or a generated store"),
        "reweight": ("hepfm.workflow.verbs.reweight:Reweight", "weight a sample to another"),
        "unfold": ("hepfm.workflow.verbs.unfold:Unfold", "unfold data with a simulation"),
        "anomaly": (
            "hepfm.workflow.verbs.anomaly:SearchOnce",
            "search for anomalies in data with injected signal",
        ),
    },
)
"""In the order in which they follow each other."""
