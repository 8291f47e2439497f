"""Linear probe: logistic regression on the features of the fixed backbone, fitted to its optimum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pydantic
import torch
from torch import nn

from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.core.ragged import Array
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec
from hepfm.train.fitted_head import FittedHead, Labelled

_MAX_ITERATIONS = 2000


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


class Probe(FittedHead):
    """Fit the linear head of a fixed backbone by convex optimisation."""

    Config = ProbeConfig
    name = "probe"
    setting = "penalty"

    def __init__(self, config: ProbeConfig) -> None:
        super().__init__(config)
        self.config: ProbeConfig = config

    @property
    def settings(self) -> Sequence[float]:
        """The penalties to try."""
        return self.config.penalties

    def check(self, network: Network, spec: HeadSpec) -> None:
        """Raise `IncompatibleError` for a head that is not linear."""
        _linear(network, spec)

    def fit(self, train: Labelled, num_classes: int, setting: float) -> Array:
        """Return weights and bias of each class, (K, D + 1)."""
        return fit_logistic(train, num_classes, setting)

    def logits(self, fitted: Array, features_RD: Array) -> Array:
        """Return the logits of rows, (R, K)."""
        logits_RK: Array = features_RD @ fitted[:, :-1].T + fitted[:, -1]
        return logits_RK

    def keep(self, network: Network, spec: HeadSpec, fitted: Array) -> None:
        """Copy weights and bias into the head."""
        linear = _linear(network, spec)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(fitted[:, :-1]))
            linear.bias.copy_(torch.from_numpy(fitted[:, -1]))


def _linear(network: Network, spec: HeadSpec) -> nn.Linear:
    linear = getattr(network.heads[spec.field.name], "linear", None)
    if not isinstance(linear, nn.Linear):
        raise IncompatibleError("mode 'probe' needs head 'classify'; use mode=frozen")
    return linear


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
