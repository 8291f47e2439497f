"""How unlike the rows of a bank a row is, by its summary vector. One file each, one row here."""

from hepfm.core.registry import Registry

ANOMALY_SCORES = Registry(
    "anomaly_score",
    {
        "knn": ("hepfm.tasks.anomaly_scores.knn:NeighbourDistance", "mean distance to the nearest rows"),
        "log_sum_exp": (
            "hepfm.tasks.anomaly_scores.log_sum_exp:CosineLogSumExp",
            "log-sum-exp of the cosines with the nearest rows",
        ),
        "mahalanobis": (
            "hepfm.tasks.anomaly_scores.mahalanobis:Mahalanobis",
            "distance from the mean in units of the covariance, which is shrunk",
        ),
        "gaussian_mixture": (
            "hepfm.tasks.anomaly_scores.gaussian_mixture:MixtureDensity",
            "negative log density of a Gaussian mixture",
        ),
    },
)
