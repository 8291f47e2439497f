"""Density of zuko's masked autoregressive flow, in fewer operations than the flow itself takes.

Its networks are tiny: a step of training spends its time on objects of transformations and on single
operations, not on matrix products. The affine transformation and its Jacobian are written out here; networks,
masks, initial weights and the inverse, by which samples are drawn, are the package's.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

_LN_SLOPE = math.log(1e-3)
"""ln of the least slope of zuko's affine transformation."""


def log_density(flow: nn.Module, x_RF: Tensor, condition_RC: Tensor) -> Tensor:
    """Return ln p(x | condition), (R,): what ``flow(condition).log_prob(x)`` returns.

    A transformation is z = x exp(a) + b (1705.07057, Eq. 4, where its inverse is given), with a and b of a
    masked network of x and the condition; a = s/(1 + abs(s/ln 0.001)) is zuko's limit of its output s. A
    single feature has a network of the condition alone.

    Parameters
    ----------
    flow
        ``zuko.flows.MAF`` with its own univariate transformation and base.
    x_RF, condition_RC
        Inputs and conditions of R rows.
    """
    logs = []
    z_RF = x_RF
    for transform in cast(Any, flow).transform.transforms:
        network = transform.hyper
        alone = network[0].in_features == condition_RC.shape[1]
        output = network(condition_RC if alone else torch.cat((z_RF, condition_RC), dim=1))
        shift_RF, scale_RF = output.unflatten(1, (-1, 2)).unbind(2)
        log_RF = scale_RF / (1 + (scale_RF / _LN_SLOPE).abs())
        z_RF = torch.addcmul(shift_RF, z_RF, log_RF.exp())
        logs.append(log_RF)
    normal_R = -0.5 * (z_RF.square() + math.log(2 * math.pi)).sum(dim=1)
    return normal_R + torch.stack(logs).sum(dim=(0, 2))
