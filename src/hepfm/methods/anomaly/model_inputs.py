"""What methods share that ask a trained model."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from hepfm.core.config import Config
from hepfm.methods.ratio.base import Floats

Combination = Literal["mean", "max", "min"]


class ModelConfig(Config):
    """What options of such a method begin with.

    Attributes
    ----------
    model
        Model directory, or that of a run: pre-trained, fine-tuned or trained from scratch.
    device
        Where it runs.
    """

    model: str
    device: Literal["auto", "cpu", "cuda"] = "auto"


def combine(values_RP: npt.NDArray[np.floating], how: Combination) -> Floats:
    """Return one number of the parts of each event, (R,)."""
    if how == "mean":
        return np.asarray(values_RP.mean(axis=1), np.float64)
    return np.asarray(values_RP.max(axis=1) if how == "max" else values_RP.min(axis=1), np.float64)
