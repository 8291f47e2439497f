"""The contract of an objective: it owns a network and says how its weights are trained."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.batch import Batch
from hepfm.core.config import Component
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.schema import Schema
from hepfm.networks.network import Network
from hepfm.nn.batchnorm import BatchNorm
from hepfm.objectives.loss import Loss

CLEAN = "clean"
"""Name of the view that shows a batch as it is."""


@dataclass(frozen=True)
class View:
    """What the network is shown of a batch: the batch itself, or a noised, masked or cropped copy.

    Attributes
    ----------
    batch
        What the network sees; labels, weights and context are those of the rows.
    time_B
        Time of the noise in (0, 1]; None when nothing is noised.
    clarity_B
        Share of the information that is left, in [0, 1]: the weight of a label's loss on this view. None
        means 1.
    extra
        What the objective's own loss needs besides (targets, positions).
    codes_BN
        Codes of the constituents, where they are at hand.
    prefix_BKD
        Tokens that the network is shown in front of each row.
    causal
        Whether constituents see only what stands before them.
    """

    batch: Batch
    time_B: Tensor | None = None
    clarity_B: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    codes_BN: Tensor | None = None
    prefix_BKD: Tensor | None = None
    causal: bool = False


@dataclass(frozen=True)
class Seen:
    """A view and the features that the network has made of it."""

    view: View
    features: Features


def look(network: Network, view: View) -> Seen:
    """Show a network a view."""
    features = network.features(
        view.batch,
        time_B=view.time_B,
        codes_BN=view.codes_BN,
        prefix_BKD=view.prefix_BKD,
        causal=view.causal,
    )
    return Seen(view, features)


def row_weights(batch: Batch) -> Tensor:
    """Return the weights of the rows, (B,); 1 without any."""
    if batch.weights_B is None:
        return batch.mask_BN.new_ones(len(batch), dtype=torch.float32)
    return batch.weights_B


class Objective(nn.Module):
    """How weights are trained. Subclasses are built by ``cls(config, network, schema)``.

    `network` holds all that the model directory keeps. An objective adds its own heads to it in its
    constructor (``network.heads[...]``), and may own further modules (an EMA teacher, a predictor) that
    live in checkpoints only.

    A loss is made in two steps, so that a sum of objectives runs the network once for each view that its
    terms share: `views` says what the network is shown, `loss` what is asked of its features. It is a sum and
    a count for each of its terms: the loop divides by the count of the whole step, over its parts and over
    processes, so that how a batch is cut never changes what is learned. Counts are needed before the first
    backward pass: `weights` gives them from the views alone.
    """

    Config: ClassVar[type[BaseConfig]]
    needs: ClassVar[frozenset[str]] = frozenset()
    """Of ``{"labels", "p4"}`` and of what backbones support; checked before anything is built."""
    signed_weights: ClassVar[bool] = False
    """Whether rows may have negative weights: only where the loss is a mean over rows, or constituents, which
    has the expectation that an unweighted sample of the same distribution would have."""
    lets_through: ClassVar[str]
    """What its views show of what they hide, for people; checked by the contract tests."""
    trains_tokenizer: ClassVar[bool] = False
    """Whether a network's tokenizer is trained; it is frozen otherwise."""

    def __init__(self, config: BaseConfig, network: Network, schema: Schema) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.schema = schema
        if network.tokenizer is not None and not self.trains_tokenizer:
            network.tokenizer.freeze()

    @classmethod
    def targets(cls, config: BaseConfig, schema: Schema) -> tuple[str, ...]:
        """Return the label fields that the loss reads; raise `IncompatibleError` when the data lack them."""
        return ()

    @classmethod
    def predicts(cls, config: BaseConfig, schema: Schema) -> tuple[str, ...]:
        """Return the label fields that heads predict; those of `targets` by default."""
        return cls.targets(config, schema)

    @classmethod
    def counting(cls, config: BaseConfig, schema: Schema) -> tuple[str, int] | None:
        """Return the field and the class number of the only rows that teach anything; None for all rows."""
        return None

    @classmethod
    def allows_signed_weights(cls, config: BaseConfig) -> bool:
        """Return whether rows may have negative weights; see `signed_weights`."""
        return cls.signed_weights

    @classmethod
    def generator_of(cls, config: BaseConfig) -> Component | None:
        """Return the generator whose weights are trained; None for an objective that trains none."""
        return None

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit constants to some thousand rows of the training data before the first step. Nothing by default.

        What is fitted must be kept in buffers.
        """

    @property
    def whole_step(self) -> bool:
        """Whether a term is a statistic of the whole step: then all its parts are held in memory at once."""
        return False

    @property
    def random_parts(self) -> bool:
        """Whether parts of a step must be random draws, not rows of similar length.

        Batch normalisation takes the mean and the variance of a part for those of all rows.
        """
        return any(isinstance(module, BatchNorm) for module in self.network.modules())

    def views(self, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return what the network is to be shown, by name; random draws come only from `draws`.

        A name stands for one way of making a view: in a sum, terms that ask for the same name share it.
        """
        return {CLEAN: View(batch)}

    @abstractmethod
    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows, or constituents, of each term that is minimised, by its name.

        Of any shape; 0 for those that do not count.
        """

    def counts(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the count of each term that is minimised, as `loss` will have it."""
        return {name: weights.abs().sum() for name, weights in self.weights(views).items()}

    @abstractmethod
    def loss(self, seen: Mapping[str, Seen], draws: Draws) -> Loss:
        """Return the loss of the features of all views of this objective."""

    def forward(self, views: Mapping[str, View], draws: Draws) -> Loss:
        """Show the network the views and return the loss; random draws come only from `draws`."""
        return self.loss({name: look(self.network, view) for name, view in views.items()}, draws)

    def after_step(self, step: int) -> None:
        """Do what follows an optimiser step, e.g. move an EMA teacher. Nothing by default."""
