"""The constants that a network standardises its inputs with, by name: for cards and ``hepfm show``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hepfm.networks.network import Network
from hepfm.nn.standardize import Standardize

Constants = dict[str, dict[str, dict[str, float]]]
"""Centre and scale of each column, by what reads it."""


def constants_of(network: Network) -> Constants:
    """Return centre and scale, ``(x - centre) * scale``, of every column that is standardised.

    Keys are ``"features"``, what the network sees of a constituent; ``"backbone"``, where the backbone was
    trained with other constants and still reads by those; ``"context"``, of the whole row; ``"generator"``,
    what it draws of rows itself.
    """
    features = network.standardize
    tables = {"features": _table(network.feature_names, features.centre_F, features.scale_F)}
    other = _of_backbone(network)
    if other is not None:
        tables["backbone"] = _table(network.feature_names, *other)
    names = network.context.names if network.context else ()
    if network.conditioning is not None and network.conditioning.standardize is not None:
        layer = network.conditioning.standardize
        tables["context"] = _table(names, layer.centre_F, layer.scale_F)
    generated = _of_generator(network)
    if generated is not None:
        tables["generator"] = _table(names, generated.centre_F, generated.scale_F)
    return tables


def _of_backbone(network: Network) -> tuple[Tensor, Tensor] | None:
    """Return the constants by which the backbone reads physical features; None for those of the network."""
    factor_F, shift_F = network.input_scale_F, network.input_shift_F
    if torch.equal(factor_F, torch.ones_like(factor_F)) and not shift_F.any():
        return None
    scale_F = network.standardize.scale_F * factor_F
    return network.standardize.centre_F - shift_F / scale_F, scale_F


def _of_generator(network: Network) -> Standardize | None:
    """Return the layer of what a generator draws of rows; None without one, or without columns."""
    modules = () if network.generator is None else network.generator.modules()
    layers = [module for module in modules if isinstance(module, Standardize)]
    return next((layer for layer in layers if len(layer.centre_F)), None)


def _table(names: Sequence[str], centre_F: Tensor, scale_F: Tensor) -> dict[str, dict[str, float]]:
    # The names of a context are those of more columns, where a generator draws all but the last.
    pairs = zip(names, centre_F.tolist(), scale_F.tolist(), strict=False)
    return {name: {"centre": _short(centre), "scale": _short(scale)} for name, centre, scale in pairs}


def _short(value: float) -> float:
    """Return a number with the six digits that single precision has for sure."""
    return float(f"{value:.6g}")
