"""What a model is not to be told: groups of features that are withheld when it is used."""

from __future__ import annotations

from collections.abc import Sequence

from hepfm.core.log import logger
from hepfm.models.directory import Model


def withhold(model: Model, groups: Sequence[str]) -> Model:
    """Return a model that reads some groups of features as zero, whatever the data have.

    Parameters
    ----------
    model
        The model.
    groups
        Names of groups of its feature set: ``identity`` (charge and particle type), ``displacement`` (impact
        parameters of tracks).

    Raises
    ------
    ConfigError
        When its feature set has no such group.
    """
    quiet = model.without(groups)
    unknown = [name for name in groups if name not in model.absent]
    if unknown and model.network.feature_dropout.rate == 0.0:
        logger.warning(
            "the network never saw rows without %s: what it says of them shows how much it leans on these, "
            "not how well it can do without; fine-tune it with data.withhold=[%s], or pre-train it with "
            "data.feature_dropout above 0",
            " and ".join(unknown),
            ",".join(unknown),
        )
    return quiet
