"""Tokenizers: constituents to tokens (integers) and back. One file each, one row here."""

from hepfm.core.registry import Registry

TOKENIZERS = Registry(
    "tokenizer",
    {
        "vqvae": (
            "hepfm.tokenizers.vqvae:VqVae",
            "learned codebook between NormFormer blocks: a token depends on the whole row (2403.05618)",
        ),
        "fsq": (
            "hepfm.tokenizers.fsq:Fsq",
            "finite scalar quantisation: each latent rounded to a few levels, no codebook (2309.15505)",
        ),
        "kmeans": (
            "hepfm.tokenizers.kmeans:KMeansTokenizer",
            "the nearest of several thousand centroids of the features, fitted once",
        ),
        "binned": (
            "hepfm.tokenizers.binned:BinnedTokenizer",
            "a regular grid of the features",
        ),
        "vqvae_transformer": (
            "hepfm.tokenizers.vqvae_transformer:VqVaeTransformer",
            "learned codebook between pre-norm transformer blocks (2512.04149)",
        ),
        "vqvae_mlp": (
            "hepfm.tokenizers.vqvae_mlp:VqVaeMlp",
            "learned codebook between layers that act on each constituent separately (2403.05618)",
        ),
        "vqvae_cosine": (
            "hepfm.tokenizers.vqvae_cosine:VqVaeCosine",
            "like vqvae, with codes compared by cosine similarity",
        ),
    },
)
