"""Embeddings: the numbers of a constituent to its vector. One file each, one row here."""

from hepfm.core.registry import Registry

EMBEDDINGS = Registry(
    "embedding",
    {
        "ordinary": (
            "hepfm.embeddings.ordinary:Ordinary",
            "the backbone's own embedding of all features, with zeros for those that a constituent lacks",
        ),
        "numbers": (
            "hepfm.embeddings.numbers:SummedNumbers",
            "each number times a learned vector, the sum over those that exist (xVal, 2310.02989)",
        ),
        "number_tokens": (
            "hepfm.embeddings.number_tokens:NumberTokens",
            "each number that exists is a token; the tokens of a constituent attend, then their mean",
        ),
    },
)
