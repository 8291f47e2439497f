"""Segments that a model finds in events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.batch import Batch
from hepfm.core.errors import ModelError
from hepfm.core.ragged import Columns, Ragged, lists
from hepfm.data.row_source import Rows, RowSource
from hepfm.data.targets import SEGMENTS
from hepfm.heads.segments import Segments
from hepfm.metrics.predictions import IntArray
from hepfm.models.directory import Model
from hepfm.models.over_rows import of_constituents, over_rows
from hepfm.models.places import at_their_places


@dataclass(frozen=True)
class EventSegments:
    """What a model says of R events.

    Attributes
    ----------
    tags
        Names in the order of the columns of `tag_probability`; the first is ``"none"``.
    tag_probability
        Of each of Q queries, float32 (R, Q, C).
    object_probability
        Of each object to belong to the segment of each query, lists of float32 (n, Q).
    """

    tags: tuple[str, ...]
    tag_probability: npt.NDArray[np.float32]
    object_probability: Ragged

    def partition(self) -> tuple[Ragged, IntArray]:
        """Return each object in one segment at most: lists of the number of its query, -1 for none, and the
        tag of each query, (R, Q), 0 for none.

        Queries whose most probable tag is none have no objects; of the others each object is in the one that
        it most probably belongs to, or in none if no probability is above one half.
        """
        tag_RQ = self.tag_probability.argmax(-1)
        row = self.object_probability.row_index()
        p_NQ = np.where(tag_RQ[row] > 0, self.object_probability.values, 0.0)
        best_N = np.where(p_NQ.max(1, initial=0.0) > 0.5, p_NQ.argmax(1), -1)
        return self.object_probability.with_values(best_N), tag_RQ


def event_segments(
    model: Model,
    source: RowSource,
    *,
    rows: Rows = None,
    batch_size: int | None = None,
    device: str = "cpu",
) -> EventSegments:
    """Return the segments of events in the order of `rows`; see `hepfm.models.over_rows.over_rows`.

    Raises
    ------
    ModelError
        When the model was not trained with the objective ``segmentation``.
    """
    if SEGMENTS.name not in model.outputs:
        raise ModelError(
            f"the model predicts {', '.join(model.outputs) or 'nothing'}, and no segments; fine-tune it "
            "with the objective segmentation first"
        )
    head = model.network.heads[SEGMENTS.name]
    assert isinstance(head, Segments)

    def work(batch: Batch) -> Columns:
        said = head.parts(model.network.features(batch), batch.mask_BN)[-1]
        objects = of_constituents(said.object_BQN.sigmoid().transpose(1, 2), batch.mask_BN)
        return {"tags": said.tag_BQC.softmax(-1).cpu().numpy(), "objects": objects}

    columns = over_rows(work, model, source, rows=rows, batch_size=batch_size, device=device)
    return EventSegments(
        ("none", *head.config.tags),
        np.asarray(columns["tags"]),
        at_their_places(lists(columns, "objects"), model.features, source, rows),
    )
