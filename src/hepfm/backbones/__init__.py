"""Backbones: constituents in, features out. One file each, one row here."""

from hepfm.core.registry import Registry

BACKBONES = Registry(
    "backbone",
    {
        "transformer": (
            "hepfm.backbones.transformer:Transformer",
            "pre-norm transformer with registers, optionally causal",
        ),
        "ranked_transformer": (
            "hepfm.backbones.ranked_transformer:RankedTransformer",
            "the same, told the order: a learned vector of the rank in pt is added to each constituent",
        ),
        "particle_transformer": (
            "hepfm.backbones.particle_transformer:ParticleTransformer",
            "Particle Transformer: attention biased by pair features, class attention (2202.03772)",
        ),
        "pet": (
            "hepfm.backbones.pet:Pet",
            "Point Edge Transformer of OmniLearned: neighbours, pair features, class tokens (2510.24066)",
        ),
        "evenet": (
            "hepfm.backbones.evenet:EveNet",
            "EveNet: Point Edge Transformer of objects, gated encoder with globals (2601.17126)",
        ),
        "edge_conv": (
            "hepfm.backbones.edge_conv:EdgeConv",
            "dynamic edge convolutions of nearest neighbours, summed: RS3L's network (2403.07066)",
        ),
        "particlenet": (
            "hepfm.backbones.particlenet:ParticleNet",
            "ParticleNet: edge convolutions with batch normalisation, averaged (1902.08570)",
        ),
        "event_graph": (
            "hepfm.backbones.event_graph:EventGraph",
            "fully connected graph network of the pre-trained event classifier (2412.10665)",
        ),
        "lgatr": (
            "hepfm.backbones.lgatr:LGATr",
            "L-GATr: Lorentz-equivariant transformer of multivectors, by its authors' package (2405.14806)",
        ),
        "lgatr_slim": (
            "hepfm.backbones.lgatr_slim:LGATrSlim",
            "L-GATr-slim: Lorentz-equivariant transformer of vectors and scalars (2512.17011)",
        ),
        "post_norm_transformer": (
            "hepfm.backbones.post_norm_transformer:PostNormTransformer",
            "causal post-norm transformer of tokens or features: OmniJet-alpha's (2403.05618)",
        ),
        "none": (
            "hepfm.backbones.none:NoBackbone",
            "no backbone: for a tokenizer that is trained alone",
        ),
    },
)
