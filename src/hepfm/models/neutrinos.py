"""Neutrinos that a model gives to events: several solutions of each, and one that stands for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.core.errors import ModelError
from hepfm.core.ragged import Columns
from hepfm.data.row_source import Rows, RowSource
from hepfm.heads.neutrinos import NeutrinosHead, point_estimate
from hepfm.models.directory import Model
from hepfm.models.over_rows import over_rows

FIELD = "event_neutrinos"


@dataclass(frozen=True)
class NeutrinoSolutions:
    """What a model says of the neutrino and the antineutrino of R events.

    Attributes
    ----------
    momenta
        px, py, pz (GeV) of S solutions, float32 (R, S, 2, 3), the neutrino first.
    estimate
        The solution nearest to all others, float32 (R, 2, 3).
    probability
        Of there being such a neutrino, float32 (R, 2).
    """

    momenta: npt.NDArray[np.float32]
    estimate: npt.NDArray[np.float32]
    probability: npt.NDArray[np.float32]


def neutrino_solutions(
    model: Model,
    source: RowSource,
    *,
    rows: Rows = None,
    solutions: int = 16,
    steps: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    device: str = "cpu",
) -> NeutrinoSolutions:
    """Draw solutions for the neutrinos of events, in the order of `rows`.

    Parameters
    ----------
    model
        Trained with the objective ``neutrinos``.
    source, rows, batch_size, device
        As of `hepfm.models.over_rows.over_rows`.
    solutions
        S, of each event.
    steps
        Steps of the sampler; those of the head when None.
    seed
        Of the draws, which belong to the rows: they do not depend on batches.

    Raises
    ------
    ModelError
        When the model was not trained so.
    """
    if FIELD not in model.outputs:
        raise ModelError(
            f"the model predicts {', '.join(model.outputs) or 'nothing'}, and no neutrinos; fine-tune it "
            "with the objective neutrinos first"
        )
    draws = Draws(seed, "neutrinos")

    def work(batch: Batch) -> Columns:
        head = model.network.heads[FIELD]
        assert isinstance(head, NeutrinosHead)
        shape = (solutions, *head.noise_SMK.shape[1:])
        noise = draws.rows(batch.rows_B).normal("solutions", *shape)
        features = model.network.features(batch)
        momenta = head.sample(features, batch.mask_BN, noise, steps=steps or head.config.steps)
        probability = torch.sigmoid(head.likelihood(features, batch.mask_BN))
        found = {"momenta": momenta, "estimate": point_estimate(momenta), "probability": probability}
        return {name: values.float().cpu().numpy() for name, values in found.items()}

    columns = over_rows(work, model, source, rows=rows, batch_size=batch_size, device=device)
    return NeutrinoSolutions(**{name: np.asarray(column) for name, column in columns.items()})
