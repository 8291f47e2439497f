"""Rows and learners of the tests of masked modelling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.data import feature_set
from hepfm.data.feature_names import DISPLACEMENT, FLAGS
from hepfm.data.features import FeatureSet
from hepfm.data.schemas.jets import jet_schema
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.specs import TokenizerSpec
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.base import Output, View, apply
from hepfm.objectives.masked import MASKED, Masked
from hepfm.objectives.masked_hiding.base import shown_tokens
from hepfm.objectives.masked_targets.base import Hidden, MaskedTarget, Shown
from hepfm.testing.objective_steps import DRAWS
from hepfm.train.learner import Learner, make_learner

TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2, "num_registers": 1}
PETFULL = feature_set("petfull")
CONTINUOUS = ["deta", "dphi", "log_pt", *DISPLACEMENT]
"""The seven of MPM v2."""


def build(
    *,
    features: FeatureSet = PETFULL,
    backbone: dict[str, Any] = TINY,
    tokenizer: TokenizerSpec | None = None,
    **options: Any,
) -> Learner:
    """Return a small network with the objective."""
    component = resolve_component(OBJECTIVES, {"name": "masked", **options}, where="test")
    with seeded_init(0, "test"):
        network = build_network(
            resolve_component(BACKBONES, backbone, where="test"), features, tokenizer=tokenizer
        )
        return make_learner(component, network, jet_schema())


def masked(learner: Learner) -> Masked:
    assert isinstance(learner.objective, Masked)
    return learner.objective


def target_of(learner: Learner, name: str) -> Any:
    target = masked(learner).targets[name]
    assert isinstance(target, MaskedTarget)
    return target


def jets(*, rows: int = 16, features: FeatureSet = PETFULL, lengths: Any = None) -> Batch:
    """Return rows of charged hadrons, photons, ... in turn; neutral ones have no impact parameters."""
    batch = random_batch(features, rows=rows, lengths=lengths)
    values = batch.features_BNF.clone()
    kind_BN = (torch.arange(values.shape[1]) + torch.arange(len(batch))[:, None]) % 6
    charge_BN = torch.tensor([1.0, 0.0, 0.0, -1.0, 1.0, 0.0])[kind_BN]
    names = features.names
    if "charge" in names:
        values[..., names.index("charge")] = charge_BN
        for number, flag in enumerate(FLAGS):
            values[..., names.index(flag)] = (kind_BN == number).float()
    for name in DISPLACEMENT:
        if name in names:
            values[..., names.index(name)] *= charge_BN != 0
    return replace(batch, features_BNF=values * batch.mask_BN[..., None])


def asked(learner: Learner, batch: Batch) -> tuple[View, Output, Hidden, Shown]:
    """Return the view, what the network makes of it, what is hidden, and what a target is told."""
    view = learner.views(batch, DRAWS)[MASKED]
    output, hidden = apply(learner.network, view), Hidden.of(view.extra)
    decoder = masked(learner).decoder
    vectors = None if decoder is None else decoder(output, hidden)
    return view, output, hidden, Shown(*shown_tokens(output), vectors, DRAWS.rows(batch.rows_B))


def hidden_numbers(learner: Learner, batch: Batch) -> list[int]:
    """Return how many constituents of each row are hidden."""
    numbers: Tensor = learner.views(batch, DRAWS)[MASKED].extra["hidden.mask_BM"].sum(1)
    return [int(number) for number in numbers]
