"""Both tops of dileptonic pairs, reconstructed from leptons, jets and missing momentum.

Beside the model stand the analytic solution of the kinematics (`hepfm.physics.ttbar`), half of the missing
momentum for each neutrino, and the median of each quantity. What is marked ``solved`` is measured of the
events that have an analytic solution: there both are compared on the same events.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pydantic
import torch

from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import DataError, ModelError
from hepfm.core.ragged import Array, Ragged
from hepfm.data.groups import row_groups
from hepfm.data.store import Store
from hepfm.data.weights import effective_rows, read_weights
from hepfm.metrics.predictions import IntArray
from hepfm.physics.kinematics import four_momentum
from hepfm.physics.ttbar import (
    TOP_MASS,
    W_MASS,
    Choice,
    DileptonEvents,
    TopSolutions,
    likelier_bottoms,
    likelier_pairing,
    nearest_jets,
    reconstruct,
    shared_missing,
)
from hepfm.tasks.base import MeasureOptions, ModelNeeds, Task, TaskMetric
from hepfm.tasks.measured import Measured
from hepfm.tasks.result import Baseline, ResultFile
from hepfm.tasks.result_folder import read_columns, rows_table
from hepfm.tasks.row_statistics import RowStatistics
from hepfm.tasks.subject import Subject
from hepfm.tasks.ttbar_answers import FRACTIONS, SOLVED, TopPairAnswer, TopPairRows
from hepfm.tasks.ttbar_events import FIELDS, Bools, TopPairEvents
from hepfm.tasks.ttbar_quantities import METRICS, errors, quantities

PAIRS = "top_pairs.arrow"
_B, _L, _NU = range(3)


class TtbarReconstructionConfig(BaseConfig):
    """Options of `TtbarReconstruction`: those of the analytic solution.

    Attributes
    ----------
    choice
        Which of up to eight solutions is taken: ``smallest_mass``, that of the smallest mass of the top pair,
        or ``lepton_bottom_mass``, the same of the pairing with the smaller masses of lepton and b jet.
    top_mass, w_mass
        Masses that the solutions have (GeV).
    attempts
        Further attempts at events without a solution, with the momenta of both b jets smeared.
    jet_resolution
        Relative spread of the jets' momenta in these.
    """

    choice: Choice = "smallest_mass"
    top_mass: pydantic.PositiveFloat = TOP_MASS
    w_mass: pydantic.PositiveFloat = W_MASS
    attempts: pydantic.NonNegativeInt = 0
    jet_resolution: pydantic.PositiveFloat = 0.15


class TtbarReconstruction(Task):
    """Top pairs with an electron or a muon of each top; other events do not count."""

    Config: ClassVar[type[BaseConfig]] = TtbarReconstructionConfig
    name = "ttbar_reconstruction"
    version = 1
    title = "Reconstruction of dileptonic top pairs"
    primary = "mtt_iqr"
    row_file = PAIRS
    label: ClassVar[str] = "object_pt"

    config: TtbarReconstructionConfig

    @property
    def needs(self) -> ModelNeeds:
        """A head that predicts the momenta of generator objects."""
        return ModelNeeds(field=self.label)

    @property
    def fields(self) -> tuple[str, ...]:
        """What objects are, where they are, and which decay they come from."""
        return FIELDS

    def metrics(self) -> tuple[TaskMetric, ...]:
        """Return the metrics of all events, then those of the events with an analytic solution."""
        of_events = tuple(one.metric for one in METRICS)
        return (*of_events, *(one.of_group(SOLVED) for one in of_events), *FRACTIONS)

    def objective(self) -> dict[str, Any]:
        """Return the objective that learns the momenta of generator objects."""
        return {"name": "masked_momenta", "label": self.label}

    def measure(self, subject: Subject, store: Store, options: MeasureOptions) -> Measured:
        """Reconstruct the tops of the test rows, by the model and by the other ways."""
        scorer = subject.scorer(self.label, self.objective())
        events = TopPairEvents.read(store, np.asarray(store.split(self.split), np.int64))
        if not len(events.rows):
            raise DataError(
                f"no test row of {store.path} has a b quark, an electron or a muon and a neutrino of each "
                f"top; the task {self.name!r} needs some, e.g. of `hepfm simulate ttbar_dilepton`"
            )
        model = _of_model(scorer.score(store, events.rows), events, what=subject.what)
        analytic = self._solve(events)
        rows = TopPairRows(
            solved=analytic.solved,
            matched=events.matched,
            weights=read_weights(store, events.rows),
            groups=row_groups(store, events.rows),
        )
        others = {
            "analytic": ("analytic solution", _of_solutions(analytic, events)),
            "half": ("neutrinos = MET/2", _of_halves(events)),
            "median": ("median of the test events", _of_medians(events)),
        }
        return Measured(
            metrics=rows.measure(model),
            rows=len(events.rows),
            rows_per_class={SOLVED: int(analytic.solved.sum()), "matched": int(events.matched.sum())},
            effective_rows=effective_rows(rows.weights),
            baselines=tuple(
                Baseline(name=name, title=title, metrics=rows.measure(answer))
                for name, (title, answer) in others.items()
            ),
            tables={PAIRS: rows_table(events.rows, rows.columns(model))},
        )

    def row_statistics(self, folder: Path, result: ResultFile) -> RowStatistics:
        """Return the errors of a result's events."""
        table = read_columns(folder, PAIRS, result)
        rows, model = TopPairRows.of(table)
        numbers = table["row"].astype(np.int64)
        return RowStatistics(numbers, rows.matched, rows.ones, rows.statistics(model), rows.groups)

    def _solve(self, events: TopPairEvents) -> TopSolutions:
        config = self.config
        draws = (
            Draws(0, "ttbar", attempt).rows(torch.from_numpy(events.rows)).normal("jets", 2).numpy()
            for attempt in range(config.attempts)
        )
        factors = [np.clip(1 + config.jet_resolution * draw, 0.1, None) for draw in draws]
        return reconstruct(
            events.seen,
            choice=config.choice,
            top_mass=config.top_mass,
            w_mass=config.w_mass,
            smearing=np.stack(factors) if factors else None,
        )


def _of_model(said: Any, events: TopPairEvents, *, what: str) -> TopPairAnswer:
    if not isinstance(said, Ragged) or said.values.shape[1:] != (4,):
        raise ModelError(f"{what} gives no momenta of generator objects")
    if (said.lengths != events.final).any():
        raise ModelError(
            f"{what} gives momenta of {said.lengths.sum()} generator objects, and the events have "
            f"{events.final.sum()}; its features must read both levels: withhold nothing of 'generator'"
        )
    if not np.isfinite(said.values).all():
        raise ModelError(f"{what} gives momenta that are NaN or infinite")
    momenta = four_momentum(*said.values.astype(np.float64).T)
    parts = momenta[said.offsets[:-1, None, None] + events.place]
    jets = nearest_jets(parts[:, :, _B], events.jets, events.jet_mask)
    return _answer(
        events, parts[:, :, _B], parts[:, :, _L], parts[:, :, _NU], np.ones(len(parts), bool), jets
    )


def _of_solutions(found: TopSolutions, events: TopPairEvents) -> TopPairAnswer:
    turned = np.where(found.pairing[:, None] == 1, events.seen_jets[:, ::-1], events.seen_jets)
    jets = np.where(found.solved[:, None], turned, -1)
    return _answer(events, found.bottoms, events.seen.leptons, found.neutrinos, found.solved, jets)


def _of_halves(events: TopPairEvents) -> TopPairAnswer:
    """Each neutrino has half of the missing momentum, and the pseudorapidity of its lepton."""
    seen: DileptonEvents = events.seen
    second = likelier_pairing(seen)[:, None] == 1
    neutrinos = shared_missing(seen.missing, seen.leptons, np.full(len(events.rows), 2))
    jets = np.where(second, events.seen_jets[:, ::-1], events.seen_jets)
    jets = np.where(seen.complete[:, None], jets, -1)
    return _answer(events, likelier_bottoms(seen), seen.leptons, neutrinos, seen.complete, jets)


def _of_medians(events: TopPairEvents) -> TopPairAnswer:
    """The median of each quantity of these very events: the best that a constant can do."""
    truth = _truth(events)
    constant = {name: np.broadcast_to(np.median(values), values.shape) for name, values in truth.items()}
    return TopPairAnswer(errors(constant, truth), np.ones(len(events.rows), bool), None)


def _answer(
    events: TopPairEvents, bottoms: Array, leptons: Array, neutrinos: Array, answered: Bools, jets: IntArray
) -> TopPairAnswer:
    with np.errstate(invalid="ignore"):
        found = errors(quantities(bottoms, leptons, neutrinos), _truth(events))
    right = answered & (jets == events.bottom_jets).all(1) & (events.bottom_jets >= 0).all(1)
    return TopPairAnswer(found, answered, right)


def _truth(events: TopPairEvents) -> dict[str, Array]:
    return quantities(*(events.truth[:, :, k] for k in (_B, _L, _NU)))
