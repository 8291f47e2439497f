"""Targets of masked modelling: what is asked of a removed constituent. One file each, one row here."""

from hepfm.core.registry import Registry

MASKED_TARGETS = Registry(
    "masked_target",
    {
        "regression": (
            "hepfm.objectives.masked_targets.regression:FeatureRegression",
            "the standardised features themselves, mean absolute error",
        ),
        "kmeans": (
            "hepfm.objectives.masked_targets.kmeans:KMeans",
            "the nearest of some thousand centroids, cross-entropy",
        ),
        "codes": (
            "hepfm.objectives.masked_targets.codes:TokenizerCodes",
            "the code that the network's tokenizer gives it, cross-entropy",
        ),
    },
)
