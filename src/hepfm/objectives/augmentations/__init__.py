"""Augmentations: what is done to a row before it is shown, so that two views of it differ. One file each."""

from hepfm.core.registry import Registry

AUGMENTATIONS = Registry(
    "augmentation",
    {
        "cropping": (
            "hepfm.objectives.augmentations.cropping:Cropping",
            "a random part of the constituents",
        ),
        "rotation": (
            "hepfm.objectives.augmentations.rotation:Rotation",
            "all constituents turned about the axis by a random angle (JetCLR)",
        ),
        "translation": (
            "hepfm.objectives.augmentations.translation:Translation",
            "all constituents shifted in eta and phi (JetCLR)",
        ),
        "smearing": (
            "hepfm.objectives.augmentations.smearing:Smearing",
            "directions smeared, those of soft constituents most (JetCLR)",
        ),
        "splitting": (
            "hepfm.objectives.augmentations.splitting:Splitting",
            "constituents split in two of the same direction and the same sum (JetCLR)",
        ),
    },
)
