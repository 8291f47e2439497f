"""Converters: another package's checkpoint into a model directory. One file each, one row here."""

from hepfm.core.registry import Registry

CONVERTERS = Registry(
    "converter",
    {
        "weaver": (
            "hepfm.models.convert.weaver:convert_weaver",
            "Particle Transformer state dicts of weaver-core (the published JetClass models)",
        ),
    },
)
