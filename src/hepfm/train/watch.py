"""The watch on collapse: what some hundred rows say of the embedding in training without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from hepfm.core.draws import Draws
from hepfm.data.loader import EvalLoader
from hepfm.metrics.representation import (
    LEAST_RANK,
    LEAST_SPREAD,
    Spread,
    lidar,
    probe_accuracy,
    spread,
)
from hepfm.models.fixture import EMBEDDING, forward
from hepfm.nn.pooling import summary
from hepfm.objectives.base import apply
from hepfm.train.fitted_head import Labelled, embed_rows
from hepfm.train.knn import Knn, KnnConfig
from hepfm.train.learner import Learner

ROWS = 400
"""Validation rows that are watched; as many training rows are the bank of neighbours, and train the probe."""
_LIDAR_ROWS, _LIDAR_VIEWS = 100, 4
_NEIGHBOURS = 20
PREFIX = "embedding_"
"""Before the names of its numbers in the log."""


@dataclass(frozen=True)
class Watch:
    """What is watched.

    Attributes
    ----------
    validation
        Rows whose embedding is measured.
    bank
        Training rows with labels; None where the data have none.
    label
        The field with the classes.
    """

    validation: EvalLoader
    bank: EvalLoader | None = None
    label: str | None = None

    @torch.no_grad()
    def measure(self, learner: Learner, device: torch.device) -> dict[str, float]:
        """Return the numbers of the present weights, for the log; the learner is left in evaluation mode."""
        learner.eval()
        if self.label is None or self.bank is None:
            batches = [forward(learner.network, batch.to(device)) for batch in self.validation]
            vectors_RD = np.concatenate([outputs[EMBEDDING].cpu().numpy() for outputs in batches])
            values: dict[str, float] = {}
        else:
            bank = embed_rows(learner.network, self.bank, self.label, device)
            rows = embed_rows(learner.network, self.validation, self.label, device)
            vectors_RD, values = rows.features_RD, _accuracies(bank, rows)
        found = spread(vectors_RD)
        values = {
            "rankme": found.rankme,
            "spread": found.spread,
            "lidar": self._lidar(learner, device),
            **values,
        }
        return {f"{PREFIX}{name}": value for name, value in values.items()}

    def _lidar(self, learner: Learner, device: torch.device) -> float:
        """Return LiDAR over draws of the objective's first view."""
        batch = next(iter(self.validation)).to(device)
        drawn = []
        for number in range(_LIDAR_VIEWS):
            view = next(iter(learner.views(batch, Draws(0, "watch", number)).values()))
            features = apply(learner.network, view).features
            mask_BN = features.token_mask(view.batch.mask_BN)
            drawn.append(summary(features.tokens_BND, features.pooled_BD, mask_BN).float().cpu().numpy())
        vectors = np.stack(drawn, axis=1)[:_LIDAR_ROWS]
        return lidar(vectors) if np.isfinite(vectors).all() and len(vectors) > 1 else float("nan")


def _accuracies(bank: Labelled, rows: Labelled) -> dict[str, float]:
    """Return the accuracies of nearest neighbours and of a probe; nothing for vectors that are not finite."""
    if not (np.isfinite(bank.features_RD).all() and np.isfinite(rows.features_RD).all()):
        return {}
    classes = int(max(bank.label_R.max(), rows.label_R.max())) + 1
    knn = Knn(KnnConfig(neighbours=(_NEIGHBOURS,)))
    votes_RK = knn.logits(knn.fit(bank, classes, _NEIGHBOURS), rows.features_RD)
    return {
        "knn_accuracy": float((votes_RK.argmax(1) == rows.label_R).mean()),
        "probe_accuracy": probe_accuracy(bank.features_RD, bank.label_R, rows.features_RD, rows.label_R),
    }


def describe_collapse(values: Mapping[str, float]) -> str | None:
    """Return what to say of an embedding that has collapsed; None of one that has not, or is not watched.

    Of joint training each domain that is watched has its numbers, behind its name.
    """
    last = f"{PREFIX}rankme"
    domains = [name.removesuffix(last) for name in values if name.endswith(last)]
    return " ".join(filter(None, (_collapse(values, domain) for domain in domains))) or None


def _collapse(values: Mapping[str, float], domain: str) -> str | None:
    found = Spread(values[f"{domain}{PREFIX}rankme"], values[f"{domain}{PREFIX}spread"])
    if not found.collapsed:
        return None
    whose = f" of {domain.removesuffix('.')}" if domain else ""
    return (
        f"the embedding{whose} has collapsed: effective rank {found.rankme:.3g} (collapse: below "
        f"{LEAST_RANK:g}), variance {found.spread:.2g} of the mean square (below {LEAST_SPREAD:g}). Rows can "
        "hardly be told apart: raise the weight of a term that spreads them or the teacher's momentum, or "
        "lower the rate"
    )
