"""Generators: the part of a network that makes new rows. One file each, one row here."""

from hepfm.core.registry import Registry

GENERATORS = Registry(
    "generator",
    {
        "flow": (
            "hepfm.generators.flow:Flow",
            "flow of noise to constituents, with a learned number of constituents and jet kinematics",
        ),
        "autoregressive": (
            "hepfm.generators.autoregressive:Autoregressive",
            "code after code until a stop, behind a causal backbone and a tokenizer",
        ),
    },
)
