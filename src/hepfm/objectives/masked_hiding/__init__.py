"""Ways to hide constituents from the backbone in masked modelling. One file each, one row here."""

from hepfm.core.registry import Registry

MASKED_HIDING = Registry(
    "masked_hiding",
    {
        "removed": (
            "hepfm.objectives.masked_hiding.removed:RemovedHiding",
            "hidden constituents leave the row; a decoder has a vector for each rank among them",
        ),
        "placeholder": (
            "hepfm.objectives.masked_hiding.placeholder:PlaceholderHiding",
            "one learned vector stands for every hidden constituent; ranks in pt enter after the backbone",
        ),
    },
)
