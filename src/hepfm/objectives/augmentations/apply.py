"""Augmentations one after the other, and what is known of a row as a whole made anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from hepfm.core.batch import Batch
from hepfm.core.config import Component, ComponentOf
from hepfm.core.draws import Draws
from hepfm.networks.network import Network
from hepfm.nn.momenta import relative_to_visible
from hepfm.objectives.augmentations import AUGMENTATIONS
from hepfm.objectives.augmentations.base import Augmentation

Augmentations = tuple[Annotated[Component, ComponentOf(AUGMENTATIONS)], ...]
"""Component specs of augmentations, in the order in which they are done."""


def augmented(
    batch: Batch, network: Network, augmentations: Sequence[Augmentation[Any]], draws: Draws, view: str
) -> Batch:
    """Return the rows augmented; what is known of a row as a whole is that of what is shown of it.

    Random numbers have names that begin with `view`, so that two views differ.
    """
    for number, augmentation in enumerate(augmentations):
        batch = augmentation(batch, draws, f"{view}.{number}", network.feature_names)
    features_BNF = relative_to_visible(batch.features_BNF, batch.mask_BN, batch.p4_BN4, network.feature_names)
    context_BC = network.visible_context(batch.context_BC, batch.mask_BN, batch.p4_BN4)
    return replace(batch, features_BNF=features_BNF, context_BC=context_BC)
