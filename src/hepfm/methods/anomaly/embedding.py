"""Distance of a fixed model's embeddings from those of the sidebands."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import pydantic

from hepfm.core.config import Component, ComponentOf, Config
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Schema
from hepfm.data.row_source import Index, RowSource
from hepfm.methods.anomaly.base import AnomalyMethod, Scorer, SearchProblem, Sizes
from hepfm.methods.anomaly.events import Events
from hepfm.methods.anomaly.model_inputs import ModelConfig
from hepfm.methods.ratio.base import Floats
from hepfm.models.device import pick_device
from hepfm.models.directory import Model
from hepfm.models.scores import embed
from hepfm.tasks.anomaly_scores import ANOMALY_SCORES
from hepfm.tasks.anomaly_scores.base import AnomalyScore
from hepfm.tasks.anomaly_scores.log_sum_exp import directions


class EmbeddingDistanceConfig(ModelConfig):
    """Options of `EmbeddingDistance`, beside those of `ModelConfig`.

    Attributes
    ----------
    distance
        Component spec of an anomaly score: ``knn``, ``log_sum_exp``, ``mahalanobis``, ``gaussian_mixture``.
    bank
        Most sideband events whose embeddings are kept, a seeded draw.
    """

    distance: Annotated[Component, ComponentOf(ANOMALY_SCORES, default="knn")] = pydantic.Field(
        "knn", validate_default=True
    )
    bank: int = pydantic.Field(20_000, ge=2)


class EmbeddingDistance(AnomalyMethod[Floats]):
    """Embeddings are divided by their length; those of two jets stand one behind the other."""

    Config: ClassVar[type[Config]] = EmbeddingDistanceConfig
    models = ("model",)
    config: EmbeddingDistanceConfig

    def check(self, schema: Schema, features: tuple[str, ...], *, where: str) -> None:
        """Refuse what is no model; see `AnomalyMethod.check`."""
        Model.load(self.config.model)

    def read(self, events: Events, features: tuple[str, ...]) -> Floats:
        """Return the embedding of each event, (R, D)."""
        model = Model.load(self.config.model)
        vectors = events.of_parts(partial(self._of_rows, model))
        return vectors.reshape(len(events), -1)

    def _of_rows(self, model: Model, source: RowSource, rows: Index) -> Floats:
        device = str(pick_device(self.config.device, option="device"))
        return directions(embed(model, source, rows=rows, device=device).astype(np.float64))

    def take(self, x: Floats, places: Index) -> Floats:
        """Return some of the embeddings."""
        return x[places]

    def work(self, sizes: Sizes) -> float:
        """Return the number of rows that the model is asked for; see `AnomalyMethod.work`."""
        return float(sizes.parts * (sizes.data + sizes.test))

    def learn(
        self, problem: SearchProblem, x: Floats, prepared: Any, seen: Index, seed: int
    ) -> Scorer[Floats]:
        """Keep sideband events that may be looked at as the bank; see `AnomalyMethod.learn`."""
        bank = seen[problem.regions.beside(problem.data.mass[seen])]
        if len(bank) > self.config.bank:
            bank = numpy_generator(seed, "anomaly.bank").choice(bank, self.config.bank, replace=False)
        distance: AnomalyScore = self.config.distance.cls(self.config.distance.config)
        distance.fit(x[bank])
        return distance
