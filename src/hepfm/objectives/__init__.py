"""Objectives: how weights are trained. One file each, one row here."""

from hepfm.core.registry import Registry

OBJECTIVES = Registry(
    "objective",
    {
        "supervised": (
            "hepfm.objectives.supervised:Supervised",
            "classification or regression of labels, with label smoothing and row weights",
        ),
    },
)
