"""Targets of masked modelling: what is asked of a hidden constituent. One file each, one row here."""

from hepfm.core.registry import Registry

MASKED_TARGETS = Registry(
    "masked_target",
    {
        "identity": (
            "hepfm.objectives.masked_targets.identity:Identity",
            "the particle type with its charge, cross-entropy",
        ),
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
        "spline_flow": (
            "hepfm.objectives.masked_targets.spline_flow:SplineFlow",
            "the density of its features, by a coupling flow of splines",
        ),
        "flow_matching": (
            "hepfm.objectives.masked_targets.flow_matching:ConstituentFlow",
            "the velocity from noise to its features, each constituent by itself",
        ),
        "set_flow_matching": (
            "hepfm.objectives.masked_targets.set_flow_matching:SetFlow",
            "the velocity from noise to all hidden constituents of a row together",
        ),
    },
)
