"""The score that a trained model gives each event."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np
import pydantic

from hepfm.core.config import Config
from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.core.schema import Schema
from hepfm.data.row_source import Index, RowSource
from hepfm.methods.anomaly.base import AnomalyMethod, Scorer, SearchProblem, Sizes
from hepfm.methods.anomaly.events import Events
from hepfm.methods.anomaly.model_inputs import Combination, ModelConfig, combine
from hepfm.methods.ratio.base import Floats
from hepfm.models.device import pick_device
from hepfm.models.directory import Model
from hepfm.models.scores import score

_SMALLEST = 1e-30


class ScoreConfig(ModelConfig):
    """Options of `Score`, beside those of `ModelConfig`.

    Attributes
    ----------
    head
        Field that the model predicts.
    against
        Class, or classes, of background: the score is -ln of their probability together. None for a head of
        a number, which is the score itself.
    combine
        How the scores of the two jets of an event become one.
    """

    head: str
    against: tuple[str, ...] | None = pydantic.Field(None, min_length=1)
    combine: Combination = "mean"


class Score(AnomalyMethod[Floats]):
    """Says how unlike classes of background a model finds an event; nothing is learned from the data."""

    Config: ClassVar[type[Config]] = ScoreConfig
    folded = False
    models = ("model",)
    config: ScoreConfig

    def check(self, schema: Schema, features: tuple[str, ...], *, where: str) -> None:
        """Refuse a model without the head or its classes; see `AnomalyMethod.check`."""
        model, config = Model.load(self.config.model), self.config
        if config.head not in model.outputs:
            raise ConfigError(
                f"the model predicts no {config.head!r}{did_you_mean(config.head, model.outputs)}"
            )
        classes = model.classes.get(config.head, ())
        if bool(classes) != (config.against is not None):
            raise ConfigError(
                f"head {config.head!r} has {', '.join(classes) or 'no classes'}: "
                + ("name those of background (against)" if classes else "leave `against` out")
            )
        for name in config.against or ():
            if name not in classes:
                raise ConfigError(f"head {config.head!r} has no class {name!r}{did_you_mean(name, classes)}")

    def read(self, events: Events, features: tuple[str, ...]) -> Floats:
        """Return the score of each event."""
        model = Model.load(self.config.model)
        return combine(events.of_parts(partial(self._of_rows, model)), self.config.combine)

    def _of_rows(self, model: Model, source: RowSource, rows: Index) -> Floats:
        device = str(pick_device(self.config.device, option="device"))
        said = np.asarray(score(model, source, rows=rows, device=device)[self.config.head], np.float64)
        if self.config.against is None:
            return said
        classes = model.classes[self.config.head]
        columns = [classes.index(name) for name in self.config.against]
        return -np.log(np.maximum(said[:, columns].sum(axis=1), _SMALLEST))

    def take(self, x: Floats, places: Index) -> Floats:
        """Return some of the scores."""
        return x[places]

    def work(self, sizes: Sizes) -> float:
        """Return the number of rows that the model is asked for; see `AnomalyMethod.work`."""
        return float(sizes.parts * (sizes.data + sizes.test))

    def learn(
        self, problem: SearchProblem, x: Floats, prepared: Any, seen: Index, seed: int
    ) -> Scorer[Floats]:
        """Learn nothing."""
        return lambda rows: rows
