"""Heads: features in, outputs out. One file each, one row here."""

from hepfm.core.registry import Registry

HEADS = Registry(
    "head",
    {
        "classify": ("hepfm.heads.classify:Classify", "pooling and a linear layer to class logits"),
        "regress": (
            "hepfm.heads.regress:Regress",
            "pooling and a linear layer to real targets in physical units",
        ),
    },
)
