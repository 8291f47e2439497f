"""Linear probe: logistic regression on the features of the fixed backbone, fitted to its optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pydantic
import torch
from torch import nn

from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.core.ragged import Array
from hepfm.core.schema import Kind
from hepfm.data.loader import EvalLoader, TrainLoader
from hepfm.models.fixture import EMBEDDING, forward
from hepfm.networks.network import Network
from hepfm.train.strategies import Frozen
from hepfm.train.trackers import Recorder

if TYPE_CHECKING:
    from hepfm.train.loop import Trainer

_MAX_ITERATIONS = 2000
_BATCH = 256


class ProbeConfig(Config):
    """Options of `Probe`.

    Attributes
    ----------
    penalties
        Inverse strengths of the L2 penalty to try, on standardised features; the one with the smallest loss
        on the validation part of the label budget is kept. Without a validation part the first is used.
    """

    penalties: tuple[pydantic.PositiveFloat, ...] = pydantic.Field(
        (1.0, 0.01, 0.1, 10.0, 100.0), min_length=1
    )


@dataclass(frozen=True)
class Labelled:
    """Features (R, D), class numbers (R,) and weights (R,) of some rows; None for equal weights."""

    features_RD: Array
    label_R: Array
    weight_R: Array | None = None


class Probe(Frozen):
    """Fit the linear head of a fixed backbone by convex optimisation instead of by the loop.

    Rows count by their event weights, which must not be negative: the loss would not be convex. The sections
    ``train`` and ``early_stopping`` have no effect, but for ``train.device``.
    """

    Config = ProbeConfig

    by_steps = False

    def __init__(self, config: ProbeConfig) -> None:
        super().__init__(config)
        self.config: ProbeConfig = config

    def train(self, trainer: Trainer) -> None:
        """Try every penalty, log its validation loss, and leave the best head in the network."""
        network, job = trainer.learner.network, trainer.job
        head, name = _linear_head(network)
        if trainer.world.size > 1:
            raise IncompatibleError("mode 'probe' runs in one process; use mode=frozen")
        network.eval()
        train = _features(network, _finite(job.train), name, trainer.world.device)
        held_out = _features(network, job.validation, name, trainer.world.device) if job.validation else None
        recorder = Recorder(trainer.run, step=-1, names=trainer.config.trackers, active=True)
        best: tuple[float, int, Array] | None = None
        for step, penalty in enumerate(self.config.penalties if held_out else self.config.penalties[:1]):
            weights_KD1 = fit_logistic(train, head.out_features, penalty)
            values = _score(weights_KD1, held_out or train)
            recorder.log("validation" if held_out else "train", step, {"penalty": penalty, **values})
            if best is None or values["loss"] < best[0]:
                best = (values["loss"], step, weights_KD1)
        recorder.close()
        assert best is not None
        trainer.step = best[1]
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(best[2][:, :-1]))
            head.bias.copy_(torch.from_numpy(best[2][:, -1]))


def _linear_head(network: Network) -> tuple[nn.Linear, str]:
    for name, output in network.head_specs.items():
        linear = getattr(network.heads[name], "linear", None)
        if output.field.kind is Kind.CATEGORICAL and isinstance(linear, nn.Linear):
            return linear, name
    raise IncompatibleError("mode 'probe' needs a categorical label and head 'classify'; use mode=frozen")


def _finite(loader: TrainLoader) -> EvalLoader:
    return EvalLoader(loader.source, loader.content, rows=loader.rows, batch_size=_BATCH)


def _features(network: Network, loader: EvalLoader, name: str, device: torch.device) -> Labelled:
    features, labels, weights = [], [], []
    for batch in loader:
        features.append(forward(network, batch.to(device))[EMBEDDING].cpu().numpy())
        labels.append(batch.labels[name].numpy())
        weights += [] if batch.weights_B is None else [batch.weights_B.numpy()]
    weight_R = _relative(np.concatenate(weights), str(loader.content.weights)) if weights else None
    return Labelled(np.concatenate(features), np.concatenate(labels), weight_R)


def _relative(weight_R: Array, field: str) -> Array:
    """Return weights with a mean of 1, so that a penalty means the same with weights and without."""
    weight_R = weight_R.astype(np.float64)
    if (weight_R < 0).any() or weight_R.sum() == 0:
        raise IncompatibleError(
            f"mode 'probe' takes no negative weights and not zeros alone: {int((weight_R < 0).sum())} of "
            f"{len(weight_R)} weights {field!r} are negative; use mode=frozen, or set data.weights=null"
        )
    return weight_R / weight_R.mean()


def fit_logistic(data: Labelled, num_classes: int, penalty: float) -> Array:
    """Return weights and bias of each class, float64 (K, D + 1), for features as they are.

    Parameters
    ----------
    data
        Features, labels and weights; every class must be among the labels.
    num_classes
        K.
    penalty
        Inverse strength of the L2 penalty on weights of standardised features.
    """
    from sklearn.linear_model import LogisticRegression

    absent = sorted(set(range(num_classes)) - set(data.label_R.tolist()))
    if absent:
        raise IncompatibleError(f"no row to train on has class number {absent[0]}; raise data.budget")
    centre_D = data.features_RD.mean(0, dtype=np.float64)
    scale_D = data.features_RD.std(0, dtype=np.float64) + 1e-6
    model = LogisticRegression(C=penalty, max_iter=_MAX_ITERATIONS)
    model.fit((data.features_RD - centre_D) / scale_D, data.label_R, sample_weight=data.weight_R)
    weight_KD, bias_K = model.coef_, model.intercept_
    if num_classes == 2:  # one logit for two classes: the other's is zero
        weight_KD, bias_K = np.vstack([0 * weight_KD, weight_KD]), np.append(0.0, bias_K)
    weight_KD = weight_KD / scale_D
    return np.column_stack([weight_KD, bias_K - weight_KD @ centre_D])


def _score(weights_KD1: Array, data: Labelled) -> dict[str, float]:
    logits = torch.from_numpy(data.features_RD @ weights_KD1[:, :-1].T + weights_KD1[:, -1])
    label = torch.from_numpy(data.label_R)
    weight = torch.ones(len(label)) if data.weight_R is None else torch.from_numpy(data.weight_R)
    weight = weight.double() / weight.double().sum()
    loss = nn.functional.cross_entropy(logits, label, reduction="none").double()
    return {"loss": float(loss @ weight), "accuracy": float((logits.argmax(-1) == label).double() @ weight)}
