"""Tokenizers: constituents to integers and back. One file each, one row here."""

from hepfm.core.registry import Registry

TOKENIZERS = Registry(
    "tokenizer",
    {
        "vqvae": (
            "hepfm.tokenizers.vqvae:VqVae",
            "learned codebook between an encoder and a decoder: conditional, unconditional or causal",
        ),
        "fsq": (
            "hepfm.tokenizers.fsq:Fsq",
            "finite scalar quantisation: each latent rounded to a few levels, no codebook (2309.15505)",
        ),
        "kmeans": (
            "hepfm.tokenizers.kmeans:KMeans",
            "the nearest of some thousand centroids of the features, fitted once",
        ),
        "binned": (
            "hepfm.tokenizers.binned:Binned",
            "a regular grid of the features",
        ),
    },
)
