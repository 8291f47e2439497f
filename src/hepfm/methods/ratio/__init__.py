"""Ways of learning the ratio of two densities; each is one file and one row here."""

from hepfm.core.registry import Registry

RATIO_ESTIMATORS = Registry(
    "ratio_estimator",
    {
        "perceptron": ("hepfm.methods.ratio.perceptron:Perceptron", "dense layers on observables"),
        "trees": ("hepfm.methods.ratio.trees:Trees", "boosted trees on observables, by scikit-learn"),
        "network": (
            "hepfm.methods.ratio.network:RatioNetwork",
            "a network on whole rows, from scratch or adapted from a foundation model",
        ),
    },
)
