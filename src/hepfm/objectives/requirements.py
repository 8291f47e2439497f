"""What an objective needs, told by its config and the data's schema alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hepfm.data.clustering import Clustering
from hepfm.data.row_selection import RowSelection
from hepfm.data.targets import TargetSet
from hepfm.networks.specs import GeneratorSpec, HeadSpec, TokenizerSpec

CLEAN = "clean"
"""Name of the view that shows a batch as it is."""


@dataclass(frozen=True)
class Requirements:
    """What an objective needs of data, network and backbone; nothing has to be built to know it.

    Attributes
    ----------
    labels
        Fields of the rows that the loss reads, whose classes are learned.
    facts
        Further fields that it reads, of which rows may lack classes: roles of objects, types.
    targets
        Target sets that it reads.
    heads
        Heads on the network, by the field that they predict.
    generator
        Generator whose weights are trained; None for an objective that trains none.
    tokenizer
        Tokenizer that is trained; any other tokenizer of the network is frozen.
    inputs
        What batches must hold, of ``{"p4"}``.
    backbone
        What the backbone must support; see `hepfm.backbones.base.Backbone.supports`.
    trains_backbone
        Whether a backbone is trained at all; a tokenizer is trained without one.
    rows
        The only rows that count; None for all.
    head_rows
        The same for each head, by the field that it predicts.
    clusterings
        Subjets that batches must have.
    groups
        Whether the tokens of the network may be groups of constituents, by where these come from:
        ``"shown"``, made of what the network is shown; ``"read"``, subjets that come with the rows, which
        a view without some constituents would contradict. Empty: tokens must be the constituents.
    signed_weights
        Whether rows may have negative weights: only where the loss is a mean over rows, or constituents,
        which has the expectation that an unweighted sample of the same distribution would have.
    views
        Names of the views that the objective makes.
    members
        Rows of a group that must come together in a step, by the setting ``data.members``; 1 where rows may
        come one by one.
    reads
        Name of a view that the loss reads and that another term of a sum has to make; None where it makes all
        that it reads.
    """

    labels: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    targets: tuple[TargetSet, ...] = ()
    heads: Mapping[str, HeadSpec] = field(default_factory=dict)
    generator: GeneratorSpec | None = None
    tokenizer: TokenizerSpec | None = None
    inputs: frozenset[str] = frozenset()
    backbone: frozenset[str] = frozenset()
    trains_backbone: bool = True
    rows: RowSelection | None = None
    head_rows: Mapping[str, RowSelection | None] = field(default_factory=dict)
    clusterings: tuple[Clustering, ...] = ()
    groups: frozenset[str] = frozenset()
    signed_weights: bool = False
    views: frozenset[str] = frozenset({CLEAN})
    members: int = 1
    reads: str | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields that batches must hold."""
        return tuple(dict.fromkeys((*self.labels, *self.facts)))
