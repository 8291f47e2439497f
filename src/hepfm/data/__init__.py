"""The store of collider data, its features, loader, readers and writers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepfm.core.registry import Registry

if TYPE_CHECKING:
    from hepfm.data.features import FeatureSet

FEATURE_SETS = Registry(
    "feature_set",
    {
        "kin": ("hepfm.data.features:KIN", "7 kinematic inputs of the Particle Transformer"),
        "kinpid": ("hepfm.data.features:KINPID", "13: kinematics, charge and particle type"),
        "full": ("hepfm.data.features:FULL", "17: kinematics, charge, type and impact parameters"),
    },
)

READERS = Registry(
    "reader",
    {
        "jetclass": (
            "hepfm.data.readers.jetclass:JetClassReader",
            "JetClass, JetClass-II: ROOT or Parquet",
        ),
        "top_tagging": ("hepfm.data.readers.top_tagging:TopTaggingReader", "top-tagging reference set, HDF5"),
    },
)


def feature_set(name: str) -> FeatureSet:
    """Return the feature set called `name`; raise `ConfigError` if there is none."""
    found: FeatureSet = FEATURE_SETS.load(name)
    return found
