"""The contract of an objective: how the weights of a network are trained."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from hepfm.backbones.base import Features, Modulation, Placeholder
from hepfm.core.batch import Batch
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.schema import Schema
from hepfm.groupings.base import Groups
from hepfm.networks.network import Network
from hepfm.nn.batchnorm import BatchNorm
from hepfm.objectives.loss import Loss
from hepfm.objectives.requirements import CLEAN, Requirements


@dataclass(frozen=True)
class View:
    """What the network is shown of a batch: the batch itself, or a noised, masked or cropped copy.

    Attributes
    ----------
    batch
        What the network sees; labels, weights and context are those of the rows.
    time_B
        Time of the noise in (0, 1]; None when nothing is noised.
    weight_B
        Factor in [0, 1] of the loss of a label on this view, by how much of the row can still be seen. None
        means 1.
    extra
        What the objective's own loss needs besides (targets, positions).
    codes_BN
        Codes of the constituents, where they are at hand.
    prefix_BKD
        Tokens that the network is shown in front of each row.
    causal
        Whether constituents see only what stands before them.
    placeholder
        Constituents of the batch that a learned vector stands for; the batch holds nothing of them.
    groups
        The only groups that are shown, for a network with a grouping; None for all of the batch.
    modulation
        Factor and offset of embedded constituents, by which the network is told what was done to each.
    """

    batch: Batch
    time_B: Tensor | None = None
    weight_B: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    codes_BN: Tensor | None = None
    prefix_BKD: Tensor | None = None
    causal: bool = False
    placeholder: Placeholder | None = None
    groups: Groups | None = None
    modulation: Modulation | None = None


@dataclass(frozen=True)
class Output:
    """A view and the features that the network makes of it."""

    view: View
    features: Features


def apply(network: Network, view: View) -> Output:
    """Show a network a view."""
    features = network.features(
        view.batch,
        time_B=view.time_B,
        codes_BN=view.codes_BN,
        prefix_BKD=view.prefix_BKD,
        causal=view.causal,
        placeholder=view.placeholder,
        groups=view.groups,
        modulation=view.modulation,
    )
    return Output(view, features)


def row_weights(batch: Batch) -> Tensor:
    """Return the weights of the rows, (B,); 1 without any."""
    if batch.weights_B is None:
        return batch.mask_BN.new_ones(len(batch), dtype=torch.float32)
    return batch.weights_B


ConfigT = TypeVar("ConfigT", bound=BaseConfig)


class Objective(nn.Module, Generic[ConfigT]):
    """How a network is trained. Subclasses are built by ``cls(config, network, schema)``.

    An objective holds no network: it is given the one that it trains with every call, and keeps only what a
    model directory does not (a decoder, a projector, an EMA teacher). Its constructor is given the network
    that it will train, fitted out with what `requirements` asks for, to build modules of the right size.

    A loss is made in two steps, so that a sum of objectives runs the network once for each view that its
    terms share: `views` says what the network is shown, `loss` what is asked of its features. It is a sum and
    a count for each of its terms: the loop divides by the count of the whole step, over its parts and over
    processes, so that how a batch is cut never changes what is learned. Counts are needed before the first
    backward pass: `weights` gives them from the views alone.
    """

    Config: ClassVar[type[BaseConfig]]
    lets_through: ClassVar[str]
    """What its views show of what they hide, for people; checked by the contract tests."""

    def __init__(self, config: ConfigT, network: Network, schema: Schema) -> None:
        super().__init__()
        self.config = config
        self.schema = schema

    @classmethod
    @abstractmethod
    def requirements(cls, config: ConfigT, schema: Schema) -> Requirements:
        """Return all that the objective needs; raise `IncompatibleError` when the data lack it."""

    @classmethod
    def check(cls, config: ConfigT, network: Network) -> None:
        """Raise `IncompatibleError` for a network that cannot be trained so, before it is fitted out."""

    def prepare(self, network: Network, batches: Iterable[Batch]) -> None:
        """Fit constants, or copy weights into a teacher, before the first step. Nothing by default.

        Called once, when all weights of the network are in place, in pre-training and in fine-tuning; not
        when a run is resumed, so that what is set here must be kept in buffers or parameters.

        Parameters
        ----------
        network
            The network that is going to be trained.
        batches
            Some thousand rows of the training data.
        """

    @property
    def whole_step(self) -> bool:
        """Whether a term is a statistic of the whole step: then all its parts are held in memory at once."""
        return False

    def random_parts(self, network: Network) -> bool:
        """Tell whether parts of a step must be random draws, not rows of similar length.

        Batch normalisation takes the mean and the variance of a part for those of all rows.
        """
        modules = (*network.modules(), *self.modules())
        return any(isinstance(module, BatchNorm) for module in modules)

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
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
    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the loss of what the network made of all views of this objective."""

    def after_step(self, network: Network, step: int, num_steps: int) -> None:
        """Do what follows step `step` of `num_steps`, e.g. move an EMA teacher. Nothing by default."""
