"""Heads: features in, outputs out. One file each, one row here."""

from hepfm.core.registry import Registry

HEADS = Registry(
    "head",
    {
        "classify": ("hepfm.heads.classify:Classify", "pooling and a linear layer to class logits"),
        "class_attention": (
            "hepfm.heads.class_attention:ClassAttention",
            "tokens of the backbone attend to constituents, then class logits (2510.24066)",
        ),
        "sum": (
            "hepfm.heads.sum:Sum",
            "each constituent through a layer, their sum, class logits (2403.05618)",
        ),
        "class_token": (
            "hepfm.heads.class_token:ClassToken",
            "a learned token attends to the constituents, then class logits (2202.03772, 2512.04149)",
        ),
        "event_token": (
            "hepfm.heads.event_token:EventToken",
            "the event's token attends to its objects, a gated layer, class logits (2601.17126)",
        ),
        "knn": (
            "hepfm.heads.knn:NearestNeighbours",
            "votes of the most similar of labelled rows; filled by mode=knn (1805.01978)",
        ),
        "classify_constituents": (
            "hepfm.heads.classify_constituents:ClassifyConstituents",
            "class logits of each constituent",
        ),
        "pairs": (
            "hepfm.heads.pairs:Pairs",
            "whether two constituents share a vertex, a logit of each pair (2409.12589)",
        ),
        "assignment": (
            "hepfm.heads.assignment:AssignmentHead",
            "which objects are the daughters of which resonance, jointly (2106.03898, 2601.17126)",
        ),
        "neutrinos": (
            "hepfm.heads.neutrinos:NeutrinosHead",
            "neutrino and antineutrino by diffusion, several solutions of each event (after 2601.17126)",
        ),
        "segments": (
            "hepfm.heads.segments:Segments",
            "queries, each with a tag and a mask of objects (2601.17126)",
        ),
        "momenta": (
            "hepfm.heads.momenta:Momenta",
            "the momentum of each constituent of which the network knows what it is (2412.07867)",
        ),
        "regress": (
            "hepfm.heads.regress:Regress",
            "pooling and a linear layer to real targets in physical units",
        ),
    },
)
