"""Every registered pair of objective and backbone that fits jets, small, with a batch for each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import Component, resolve_component
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Kind
from hepfm.data import context_set, feature_set
from hepfm.data.context import ContextSet
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.specs import TokenizerSpec
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.compatibility import check_compatible
from hepfm.tokenizers import TOKENIZERS
from hepfm.train.learner import Learner, make_learner

SCHEMA = jet_schema(JETCLASS_CLASSES)
FEATURES = feature_set("petfull")


def smallest(name: str) -> Component:
    sizes = getattr(BACKBONES.load(name), "sizes", {})
    size = next((size for size in ("xs", "micro") if size in sizes), None)
    return resolve_component(BACKBONES, {"name": name, **({"size": size} if size else {})}, where="test")


def context(backbone: str) -> ContextSet | None:
    return context_set("jet") if "prefix" in BACKBONES.load(backbone).supports else None


SPECS: dict[str, Any] = {
    **{name: {"name": name} for name in OBJECTIVES if name not in ("weighted_sum", "masked")},
    "masked": {"name": "masked", "target": "regression"},
    "masked_kmeans": {"name": "masked", "target": {"name": "kmeans", "codes": 16}},
    "tokenize": {
        "name": "tokenize",
        "tokenizer": {"name": "vqvae", "size": "xs", "codes": 16, "dropout": 0.0, "replace_after": 0},
    },
    "next_token_decoded": {"name": "next_token"},
    "supervised_only": {"name": "supervised", "label": "jet_pt", "only": ["jet_label", "Tbqq"]},
    "sum": {"name": "weighted_sum", "terms": [{"name": "supervised"}, {"name": "masked", "weight": 0.5}]},
    "sum_of_all": {
        "name": "weighted_sum",
        "terms": [
            {"name": "supervised", "view": "noised", "context": True},
            {"name": "supervised"},
            {"name": "flow_matching"},
            {"name": "masked"},
            {"name": "supervised", "view": "masked"},
            {"name": "lejepa", "weight": 2},
        ],
    },
}
"""Every registered objective, and sums of them."""

TOKENIZER = resolve_component(TOKENIZERS, {"name": "kmeans", "codes": 16}, where="test")
CODES = {
    "next_token": TokenizerSpec(TOKENIZER, "codes"),
    "next_token_decoded": TokenizerSpec(TOKENIZER, "decoded"),
}
"""TokenizerSpec of the networks whose objective predicts them."""


def construct(objective: str, backbone: str, *, seed: int) -> Learner:
    component = resolve_component(OBJECTIVES, SPECS[objective], where="test")
    check_compatible(component, smallest(backbone), SCHEMA)
    with seeded_init(seed, "test"):
        network = build_network(
            smallest(backbone), FEATURES, context=context(backbone), tokenizer=CODES.get(objective)
        )
        return make_learner(component, network, SCHEMA)


def build(objective: str, backbone: str, *, seed: int) -> Learner:
    built = construct(objective, backbone, seed=seed)
    batch = random_batch(FEATURES, context=context(backbone))
    network = built.network
    if network.tokenizer is not None:
        network.tokenizer.fit([(network.standardize(batch.features_BNF, batch.mask_BN), batch.mask_BN)])
    built.prepare([batch])
    return built


def fits(objective: str, backbone: str) -> bool:
    try:
        construct(objective, backbone, seed=0)
    except IncompatibleError:
        return False
    return True


PAIRS = [(objective, backbone) for objective in SPECS for backbone in BACKBONES if fits(objective, backbone)]


def batch_for(learner: Learner) -> Batch:
    conditioned = context_set("jet") if learner.network.num_context else None
    batch = random_batch(FEATURES, context=conditioned)
    labels = {}
    for name in learner.requirements.labels:
        field = SCHEMA[name]
        number = torch.arange(len(batch))
        labels[name] = number % len(field.classes) if field.kind is Kind.CATEGORICAL else number.float()
    return replace(batch, labels=labels)
