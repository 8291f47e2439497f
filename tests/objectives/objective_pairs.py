"""Every registered pair of objective and backbone that fits jets, small."""

from __future__ import annotations

from typing import Any

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.networks.specs import TokenizerSpec
from hepfm.objectives import OBJECTIVES
from hepfm.testing.objective_steps import TOPS
from hepfm.testing.objectives import ObjectiveCase
from hepfm.tokenizers import TOKENIZERS

ALL_BUT_TYPES = ["deta", "dphi", "log_pt", "tanh_d0", "d0_error", "tanh_dz", "dz_error"]

SPECS: dict[str, Any] = {
    **{
        name: {"name": name}
        for name in OBJECTIVES
        if name not in ("weighted_sum", "masked", "assignment", "segmentation")
    },
    "assignment": {
        "name": "assignment",
        "resonances": TOPS,
        "alike": [["t", "tbar"]],
        "head": {"dropout": 0.0},
    },
    "masked": {"name": "masked"},
    "masked_momenta": {
        "name": "masked_momenta",
        "choose": "random",
        "fraction": 0.4,
        "head": {"name": "momenta", "components": ["log_pt", "deta", "dphi", "log_energy"]},
    },
    "masked_kmeans": {"name": "masked", "targets": [{"name": "kmeans", "codes": 16}]},
    "masked_flows": {
        "name": "masked",
        "targets": [
            {"name": "identity", "weight": 0.3},
            {"name": "spline_flow", "features": ALL_BUT_TYPES, "transforms": 2, "hidden_width": 8},
            {"name": "flow_matching", "features": ALL_BUT_TYPES},
            {"name": "set_flow_matching", "features": ALL_BUT_TYPES, "num_blocks": 2},
        ],
    },
    "placeholder": {
        "name": "masked",
        "hide": "placeholder",
        "fraction": 0.3,
        "targets": [{"name": "codes", "weight": 2}, "regression"],
    },
    "tokenize": {
        "name": "tokenize",
        "tokenizer": {"name": "vqvae", "size": "xs", "codes": 16, "dropout": 0.0, "replace_after": 0},
    },
    "next_token_decoded": {"name": "next_token"},
    "supervised_only": {"name": "supervised", "label": "jet_pt", "only": ["jet_label", "Tbqq"]},
    "parametrised": {
        "name": "parametrised",
        "signal": ["Tbqq", "Tbl"],
        "parameter": "jet_eta",
        "values": [-1.0, 0.0, 1.0],
    },
    "contrastive_members": {"name": "contrastive", "positives": "members", "projector": None},
    "contrastive_jetclr": {
        "name": "contrastive",
        # Smearing comes last: neighbours of one direction are chosen arbitrarily among equals.
        "augmentations": ["rotation", "translation", "splitting", "smearing"],
        "projector": {"hidden": [16], "outputs": 8, "activation": "elu", "norm": False},
    },
    "jbot": {"name": "self_distillation", "masked": {"choose": "pt_fraction", "fraction": [0.0, 0.5]}},
    "rino": {
        "name": "self_distillation",
        "views": "subjets",
        "balance": "sinkhorn",
        "teacher_subjets": [2],
        "student_subjets": [4],
        "masked": {"own_projection": True},
    },
    "multi_label_balanced": {"name": "multi_label", "balance": True, "label_weights": {"truth_first": 2.0}},
    "segmentation": {
        "name": "segmentation",
        "segments": {"t_had": [["t_b", "t_q"], ["tbar_b", "tbar_q"]], "w_had": [["w_q"]]},
        "head": {"dropout": 0.0, "num_heads": 4},
    },
    "denoising": {"name": "denoising", "noised": [0.5, 1.0]},
    "denoising_label": {"name": "denoising", "noised": [0.5, 1.0], "label": "jet_label"},
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
    "placeholder": TokenizerSpec(TOKENIZER),
}
"""TokenizerSpec of the networks whose objective predicts codes."""


def case(objective: str, backbone: str) -> ObjectiveCase:
    return ObjectiveCase(SPECS[objective], backbone, CODES.get(objective))


FEW: dict[str, tuple[str, ...]] = {
    "assignment": ("transformer", "evenet"),
    "denoising": ("transformer", "particle_transformer", "evenet"),
    "denoising_label": ("evenet",),
    "neutrinos": ("transformer", "evenet"),
    "segmentation": ("transformer", "evenet"),
    "contrastive_jetclr": ("transformer", "edge_conv"),
    "density_ratio": ("transformer", "particlenet", "pet"),
    "contrastive_members": ("transformer", "edge_conv"),
    "jbot": ("transformer", "edge_conv"),
    "jepa": ("transformer", "particle_transformer"),
    "masked_flows": ("transformer", "pet"),
    "multi_label_balanced": ("transformer",),
    "masked_kmeans": ("transformer", "pet"),
    "rino": ("transformer",),
    "self_distillation": ("transformer", "pet"),
    "supervised_contrastive": ("transformer",),
    "supervised_only": ("transformer",),
    "vicreg": ("transformer",),
}
"""Objectives whose views and vectors others of the same kind try with every backbone."""

PAIRS = [
    (objective, backbone)
    for objective in SPECS
    for backbone in FEW.get(objective, tuple(BACKBONES))
    if case(objective, backbone).fits()
]
