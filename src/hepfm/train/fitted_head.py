"""Heads that are fitted to the summaries of a fixed backbone at once, instead of by the loop."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn

from hepfm.core.errors import IncompatibleError
from hepfm.core.ragged import Array
from hepfm.core.schema import Kind
from hepfm.data.joint_loader import JointEvalLoader
from hepfm.data.loader import EvalLoader, TrainLoader
from hepfm.data.targets import DERIVED
from hepfm.models.fixture import EMBEDDING, forward
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec
from hepfm.train.strategies import Frozen
from hepfm.train.trackers import Recorder

if TYPE_CHECKING:
    from hepfm.train.loop import Trainer

_BATCH = 256


@dataclass(frozen=True)
class Labelled:
    """Summaries (R, D), class numbers (R,) and weights (R,) of some rows; None for equal weights."""

    features_RD: Array
    label_R: Array
    weight_R: Array | None = None


class FittedHead(Frozen):
    """Fit the head of a fixed backbone, once for each setting; the one with the smallest loss is kept.

    The loss is that of the validation part of the label budget; without one the first setting is used. Rows
    count by their event weights, which must not be negative. The sections ``train`` and ``early_stopping``
    have no effect, but for ``train.device``.
    """

    by_steps = False
    signed_weights = False
    name: ClassVar[str]
    setting: ClassVar[str]
    """What is tried, as the log calls it."""

    @property
    @abstractmethod
    def settings(self) -> Sequence[float]:
        """The values to try."""

    @abstractmethod
    def fit(self, train: Labelled, num_classes: int, setting: float) -> Any:
        """Return a head fitted to summaries and labels."""

    @abstractmethod
    def logits(self, fitted: Any, features_RD: Array) -> Array:
        """Return the logits of rows, (R, K)."""

    @abstractmethod
    def keep(self, network: Network, spec: HeadSpec, fitted: Any) -> None:
        """Put a fitted head into the network."""

    def check(self, network: Network, spec: HeadSpec) -> None:
        """Raise `IncompatibleError` where the head of the network cannot be fitted so."""

    def train(self, trainer: Trainer) -> None:
        """Try every setting, log its loss, and leave the best head in the network."""
        network, job, device = trainer.job.learner.network, trainer.job, trainer.world.device
        spec = self._spec(network)
        assert isinstance(job.train, TrainLoader)
        assert not isinstance(job.validation, JointEvalLoader)
        if trainer.world.size > 1:
            raise IncompatibleError(f"mode {self.name!r} runs in one process; use mode=frozen")
        network.eval()
        train = self._labelled(network, _finite(job.train), spec, device)
        held_out = self._labelled(network, job.validation, spec, device) if job.validation else None
        recorder = Recorder(trainer.run, step=-1, names=trainer.config.trackers, active=True)
        best: tuple[float, int, Any] | None = None
        for step, setting in enumerate(self.settings if held_out else self.settings[:1]):
            fitted = self.fit(train, spec.num_outputs, setting)
            chosen_by = held_out or train
            values = _score(self.logits(fitted, chosen_by.features_RD), chosen_by)
            recorder.log("validation" if held_out else "train", step, {self.setting: setting, **values})
            if best is None or values["loss"] < best[0]:
                best = (values["loss"], step, fitted)
        recorder.close()
        assert best is not None
        trainer.step = best[1]
        self.keep(network, spec, best[2])

    def _spec(self, network: Network) -> HeadSpec:
        specs = network.head_specs.values()
        fitting = (
            s
            for s in specs
            if s.field.kind is Kind.CATEGORICAL and s.head.cls.level == "row" and s.field.name not in DERIVED
        )
        spec = next(fitting, None)
        if spec is None:
            raise IncompatibleError(f"mode {self.name!r} needs a categorical label of rows; use mode=frozen")
        self.check(network, spec)
        return spec

    def _labelled(
        self, network: Network, loader: EvalLoader, spec: HeadSpec, device: torch.device
    ) -> Labelled:
        rows = embed_rows(network, loader, spec.field.name, device)
        if rows.weight_R is None:
            return rows
        return replace(rows, weight_R=self._relative(rows.weight_R, str(loader.content.weights)))

    def _relative(self, weight_R: Array, field: str) -> Array:
        """Return weights with a mean of 1, so that a setting means the same with weights and without."""
        weight_R = weight_R.astype(np.float64)
        if (weight_R < 0).any() or weight_R.sum() == 0:
            raise IncompatibleError(
                f"mode {self.name!r} takes no negative weights and not zeros alone: "
                f"{int((weight_R < 0).sum())} of {len(weight_R)} weights {field!r} are negative; use "
                "mode=frozen, or set data.weights=null"
            )
        return weight_R / weight_R.mean()


def embed_rows(network: Network, loader: EvalLoader, label: str, device: torch.device) -> Labelled:
    """Return the summaries of rows by a network as it is, with the classes of a field and their weights."""
    features, labels, weights = [], [], []
    for batch in loader:
        features.append(forward(network, batch.to(device))[EMBEDDING].cpu().numpy())
        labels.append(batch.labels[label].numpy())
        weights += [] if batch.weights_B is None else [batch.weights_B.numpy()]
    weight_R = np.concatenate(weights) if weights else None
    return Labelled(np.concatenate(features), np.concatenate(labels), weight_R)


def _finite(loader: TrainLoader) -> EvalLoader:
    return EvalLoader(loader.source, loader.content, rows=loader.rows, batch_size=_BATCH)


def _score(logits_RK: Array, data: Labelled) -> dict[str, float]:
    logits = torch.from_numpy(np.asarray(logits_RK))
    label = torch.from_numpy(data.label_R)
    weight = torch.ones(len(label)) if data.weight_R is None else torch.from_numpy(data.weight_R)
    weight = weight.double() / weight.double().sum()
    loss = nn.functional.cross_entropy(logits, label, reduction="none").double()
    return {"loss": float(loss @ weight), "accuracy": float((logits.argmax(-1) == label).double() @ weight)}
