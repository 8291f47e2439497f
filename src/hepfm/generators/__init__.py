"""Generators: the part of a network that generates rows. One file each, one row here."""

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
            "token by token until a stop token, behind a causal backbone and a tokenizer",
        ),
    },
)
