"""Groupings: constituents to the tokens of the backbone. One file each, one row here."""

from hepfm.core.registry import Registry

GROUPINGS = Registry(
    "grouping",
    {
        "particles": (
            "hepfm.groupings.particles:SingleParticles",
            "each constituent is a token (JetParticle-JEPA, 2606.14813, and all networks without grouping)",
        ),
        "subjets": (
            "hepfm.groupings.subjets:SubjetGrouping",
            "Cambridge-Aachen subjets, clustered when rows are read (J-JEPA, 2412.05333)",
        ),
        "patches": (
            "hepfm.groupings.patches:Patches",
            "farthest-point centres with their nearest constituents in eta and phi (HEP-JEPA, 2502.03933)",
        ),
    },
)
