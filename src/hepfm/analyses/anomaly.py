"""``hepfm anomaly``: searches for a resonance without labels, on data with and without injected signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pydantic

from hepfm.analyses.analysis import Analysis, AnalysisConfig, AnalysisResult, analyse
from hepfm.core.config import Component, ComponentOf
from hepfm.core.rng import integer_seed
from hepfm.methods.anomaly import ANOMALY_METHODS
from hepfm.methods.anomaly.hunt import HuntConfig
from hepfm.methods.anomaly.regions import Regions
from hepfm.methods.samples import SampleConfig
from hepfm.metrics.improvement_curve import LEAST_BACKGROUND
from hepfm.workflow.folder import Workspace
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import State
from hepfm.workflow.store_entries import Count
from hepfm.workflow.verbs.anomaly import AnomalyRunOptions, SearchOnce

Method = Annotated[Component, ComponentOf(ANOMALY_METHODS)]


def _without_null(methods: Any) -> Any:
    """Leave out methods that are null, so that a recipe can leave out some of its base."""
    if not isinstance(methods, Mapping):
        return methods
    return {name: spec for name, spec in methods.items() if spec is not None}


MADE_OF = ("background", "signal", "test_background", "test_signal")
"""Samples of which data are made, and with which they are measured."""
Efficiency = Annotated[float, pydantic.Field(gt=0, lt=1)]


class SearchConfig(AnalysisConfig):
    """A recipe of ``hepfm anomaly``.

    Rows are events, or jets of which the two of an event belong together. The data are made of ``background``
    and ``signal``, or they are ``data`` of unknown truth: a black box, or real ones.

    Attributes
    ----------
    data
        Events of unknown truth, one data set: ``background``, ``signals``, ``draws`` and ``events`` are then
        left out, or null.
    background, signal
        Simulated events of which the data are made. Weighted ones are drawn by their weights. With ``data``
        the signal is what the method ``supervised`` learns, and nothing is injected.
    test_background, test_signal
        Events of known truth that are only scored; with ``data`` either may be missing.
    reference
        Background that is known as such, for the methods ``idealised`` and ``supervised``.
    regions
        Signal region and sidebands.
    features
        Observables of an event that methods look at.
    methods
        What is compared: component specs by name; null leaves one of the base out.
    signals
        Injected signal events, in signal region and sidebands together; 0 is the control.
    events
        Background events of each draw; all when null.
    draws
        Data sets of each number of signal events. They share no background as long as there are ``draws``
        times ``events``.
    trainings
        Trainings with other seeds, and with other folds, for each draw.
    folds
        Parts of the data: each is scored by what was learned from the others.
    efficiencies
        Parts of the data that cuts keep, for bump hunt, limit and sculpting.
    least_background
        Test background events that pass at the tightest threshold of an improvement; 25 are a relative error
        of 20 % on the background efficiency.
    hunt
        Options of bump hunt and limit.
    """

    data: SampleConfig | None = None
    background: SampleConfig | None = None
    signal: SampleConfig | None = None
    test_background: SampleConfig | None = None
    test_signal: SampleConfig | None = None
    reference: SampleConfig | None = None
    regions: Regions
    features: tuple[str, ...] = pydantic.Field(min_length=1)
    methods: Annotated[dict[str, Method], pydantic.BeforeValidator(_without_null)] = pydantic.Field(
        min_length=1
    )
    signals: tuple[pydantic.NonNegativeInt, ...] = pydantic.Field((0, 100, 300, 1000), min_length=1)
    events: Count | None = None
    draws: int = pydantic.Field(10, ge=1)
    trainings: int = pydantic.Field(1, ge=1)
    folds: int = pydantic.Field(5, ge=2)
    efficiencies: tuple[Efficiency, ...] = pydantic.Field((0.1, 0.01, 0.001), min_length=1)
    least_background: int = pydantic.Field(LEAST_BACKGROUND, ge=1)
    hunt: HuntConfig = pydantic.Field(default_factory=lambda: HuntConfig.model_validate({}))

    @pydantic.model_validator(mode="before")
    @classmethod
    def _one_draw_of_a_black_box(cls, values: Any) -> Any:
        """Data of unknown truth are one data set, into which nothing is injected."""
        if not isinstance(values, Mapping) or values.get("data") is None:
            return values
        return {**values, "signals": values.get("signals") or (0,), "draws": values.get("draws") or 1}

    @pydantic.model_validator(mode="after")
    def _check_data(self) -> SearchConfig:
        if self.data is None:
            missing = [name for name in MADE_OF if getattr(self, name) is None]
            if missing:
                raise ValueError(
                    f"there is no {' and no '.join(missing)}: give background, signal, test_background and "
                    "test_signal, of which data are made and measured, or data, whose truth is not known"
                )
            return self
        given = {"background": self.background, "events": self.events}
        extra = [name for name, value in given.items() if value is not None]
        extra += ["signals"] * (self.signals != (0,)) + ["draws"] * (self.draws != 1)
        if extra:
            raise ValueError(
                f"data are of unknown truth, one data set into which nothing is injected: leave out "
                f"{', '.join(extra)}, or set them to null; without data they say of what data are made"
            )
        if self.signal is not None and not any(one.cls.signal for one in self.methods.values()):
            raise ValueError(
                "beside data of unknown truth, signal is what a supervised method learns, and there is none: "
                "leave it out, or set it to null"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _check(self) -> SearchConfig:
        samples = self.samples
        for first, second in (("background", "test_background"), ("signal", "test_signal")):
            if first in samples and samples[first] == samples.get(second):
                raise ValueError(
                    f"{first} and {second} are the same events: what was trained on would be tested on; "
                    "give them other splits"
                )
        if self.data is not None:
            same = [role for role, one in samples.items() if role != "data" and one == self.data]
            if same:
                raise ValueError(f"{same[0]} and data are the same events, whose truth is not known")
        if self.reference is not None and self.reference in (self.background, self.test_background):
            raise ValueError("reference is background of data or test: give it other events")
        if self.regions.field in self.features:
            raise ValueError(
                f"features have {self.regions.field!r}, in which the signal region is: every method would "
                "find the region itself"
            )
        for name, values in (("signals", self.signals), ("efficiencies", self.efficiencies)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} names a number twice")
        return self

    @property
    def samples(self) -> dict[str, SampleConfig]:
        """All samples by what they are."""
        found = {role: getattr(self, role) for role in ("data", *MADE_OF, "reference")}
        return {role: one for role, one in found.items() if one is not None}

    @property
    def cuts(self) -> tuple[float, ...]:
        """Parts of the data that are looked at: data of unknown truth without a cut too."""
        return self.efficiencies if self.data is None else (1.0, *self.efficiencies)


@dataclass(frozen=True, order=True)
class Key:
    """Which search a run is.

    Attributes
    ----------
    method
        Its name in the recipe.
    signals
        Injected signal events.
    draw, training
        Numbers from 1.
    """

    method: str
    signals: int
    draw: int
    training: int


class AnomalySearch(Analysis[SearchConfig]):
    """Searches without labels."""

    kind: ClassVar[str] = "anomaly"
    Config: ClassVar[type[AnalysisConfig]] = SearchConfig
    config: SearchConfig

    def runs(self) -> dict[Key, Run]:
        """Return the searches."""
        config = self.config
        keys = [
            Key(method, signals, draw, training)
            for method in config.methods
            for signals in config.signals
            for draw in range(1, config.draws + 1)
            for training in range(1, config.trainings + 1)
        ]
        return {key: self._run(key) for key in keys}

    def _run(self, key: Key) -> Run:
        config = self.config
        options = AnomalyRunOptions(
            samples={
                role: one.model_dump(mode="json", exclude={"store"}) for role, one in config.samples.items()
            },
            regions=config.regions,
            features=config.features,
            method=config.methods[key.method].spec(),
            signals=key.signals,
            events=config.events,
            draw=key.draw - 1,
            folds=config.folds,
            efficiencies=config.cuts,
            least_background=config.least_background,
            hunt=config.hunt,
            seed=integer_seed(config.seed, "anomaly.training", key.draw, key.training, bits=31),
            sample_seed=config.seed,
        )
        return SearchOnce.plan(self.chosen(config.samples), options, note=key.method)

    def report(
        self, workspace: Workspace, states: Mapping[str, State]
    ) -> tuple[Path | None, Mapping[str, Path], Mapping[str, Any]]:
        """Write the page; see `Analysis.report`."""
        if self.config.data is None:
            from hepfm.analyses.anomaly_report import write_report
        else:
            from hepfm.analyses.black_box_report import write_report

        return write_report(self, workspace, states)


def anomaly(
    recipe: str | Path | Mapping[str, Any],
    *,
    output: str | Path,
    overrides: Sequence[str] = (),
    processes: int | None = None,
    cluster: str | None = None,
    report_only: bool = False,
) -> AnalysisResult:
    """Search for anomalies and write a page.

    Parameters are those of `hepfm.analyses.unfold.unfold`; the recipe's values are those of `SearchConfig`.

    Raises
    ------
    ConfigError
        With everything that cannot work, before anything runs.
    """
    return analyse(
        AnomalySearch.read(recipe, overrides),
        output=output,
        processes=processes,
        cluster=cluster,
        report_only=report_only,
    )
