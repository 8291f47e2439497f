"""Registration: what a study asks, written and hashed into its directory before the first run.

What was named before the results were seen can be told from what was picked afterwards. ``registration.json``
holds the contrasts with their budgets spelled out, the objectives of the arms they name and the replicates,
what a scaling law is fitted to and what it predicts, their SHA-256, date and commit. When any of it changes
while finished runs are there, the first registration is kept, the change is added below it, and the report
says so.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Collection
from itertools import pairwise
from typing import Literal

from hepfm.core.config import Config, validate
from hepfm.core.files import read_json, write_json
from hepfm.core.log import logger
from hepfm.core.provenance import code_commit
from hepfm.metrics.contrast import read_contrast
from hepfm.study.arm import Arm
from hepfm.study.config import StudyConfig, Values
from hepfm.study.folder import StudyFolder
from hepfm.study.scaling_grid import ScalingGrid

REGISTRATION = "registration.json"

SCALED_LOSS = "loss of pre-training at the best validation"
LAW = "L = E + A/N^alpha + B/D^beta; N parameters without the embedding of inputs and the heads, D rows"
AGREEMENT = (
    "the geometric mean of the losses that are measured lies in the interval of the mean of as many trainings"
)


class Registered(Config):
    """One state of the contrasts.

    Attributes
    ----------
    content
        What is hashed; see `registered_content`.
    sha256
        Of its canonical JSON.
    date
        UTC, to the second.
    commit
        Of the package, where it is known.
    finished_runs
        Runs of the study, as it was planned then, that were done at that time.
    other_finished_runs
        Other runs of the directory that were done: of other studies, or of this one with other settings.
    """

    content: Values
    sha256: str
    date: str
    commit: str | None
    finished_runs: int
    other_finished_runs: int = 0


class Registration(Registered):
    """The first state, and every change since.

    Attributes
    ----------
    changes
        Later states, made when runs had finished already.
    """

    format: Literal["hepfm-registration"] = "hepfm-registration"
    changes: tuple[Registered, ...] = ()

    @property
    def current(self) -> Registered:
        """The state that the report follows."""
        return self.changes[-1] if self.changes else self

    @property
    def asks_contrasts(self) -> bool:
        """Whether there are, or were, contrasts."""
        return any(state.content["contrasts"] for state in (self, *self.changes))

    @property
    def beforehand(self) -> bool:
        """Whether the contrasts stand as they were named before the first run."""
        return self.finished_runs == 0 and not self.changes


def registered_content(config: StudyConfig) -> Values:
    """Return what is registered: contrasts, the objectives of their arms, replicates, the scaling law."""
    contrasts = {name: one.model_dump(mode="json") for name, one in config.contrasts.items()}
    for name, one in config.contrasts.items():
        contrasts[name]["budgets"] = list(config.budgets_of(one))
    named = {arm for one in config.contrasts.values() for arm in read_contrast(one.contrast).arms}
    scaling = {} if config.scaling is None else {"scaling": _registered_scaling(config, config.scaling)}
    domains = {"domains": config.domains} if config.domains else {}
    return {
        **domains,
        "contrasts": contrasts,
        "arms": {name: _plain(config.arms[name]) for name in sorted(named)},
        "replicates": list(config.seeds.replicates),
        **scaling,
    }


def _registered_scaling(config: StudyConfig, scaling: ScalingGrid) -> Values:
    """Return what is fitted by which law, what is predicted from it, and what counts as agreement."""
    return {
        "loss": SCALED_LOSS,
        "law": LAW,
        "agreement": AGREEMENT,
        "arms": {name: _plain(config.arms[name]) for name in scaling.arms or config.pretrained},
        "sizes": config.by_size,
        "seeds": list(config.seeds.pretrain),
        "fitted": [list(cell) for cell in scaling.fitted(config.pretrain.by_size, config.pretrain.rows)],
        **scaling.model_dump(mode="json", exclude={"arms", "sizes"}),
    }


def _plain(arm: Arm | None) -> Values | None:
    """Return an arm: its options with the objective, the domains or the model, whichever it has."""
    if arm is None:
        return None
    others = {"objective", "domains", "model"}
    return {
        key: value
        for key, value in arm.model_dump(mode="json").items()
        if key not in others or value is not None
    }


def digest(content: Values) -> str:
    """Return the SHA-256 of the canonical JSON of some values."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def register(config: StudyConfig, folder: StudyFolder, planned: Collection[str]) -> Registration | None:
    """Write what a study asks, or note that it changed; call it before any run starts.

    A change replaces the registration only where no run of the directory has finished: one that the study
    no longer plans may be a run of its earlier settings. Nothing is written for a study that asks, and asked,
    nothing.

    Parameters
    ----------
    config
        The study.
    folder
        Its directory.
    planned
        Names of its runs.
    """
    last = read_registration(folder)
    if last is None and not config.contrasts and config.scaling is None:
        return None
    state = _state(config, folder, planned)
    if last is not None and last.current.sha256 == state.sha256:
        return last
    if last is None or not (state.finished_runs or state.other_finished_runs):
        new = Registration(**state.model_dump())
    else:
        logger.warning(
            "what the study asks was changed after the first run: registered %s, now %s; the report says so",
            last.current.sha256[:12],
            state.sha256[:12],
        )
        new = last.model_copy(update={"changes": (*last.changes, state)})
    write_json(folder.path / REGISTRATION, new.model_dump(mode="json"))
    return new


def _state(config: StudyConfig, folder: StudyFolder, planned: Collection[str]) -> Registered:
    content = registered_content(config)
    finished = {name for name in folder.existing() if folder.run(name).facts() is not None}
    own = len(finished.intersection(planned))
    return Registered(
        content=content,
        sha256=digest(content),
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        commit=code_commit(),
        finished_runs=own,
        other_finished_runs=len(finished) - own,
    )


def read_registration(folder: StudyFolder) -> Registration | None:
    """Return the registration of a study's directory; None when it has none."""
    path = folder.path / REGISTRATION
    return validate(Registration, read_json(path), where=str(path)) if path.exists() else None


def registration_text(registration: Registration) -> str:
    """Return for people when the questions were asked, and what was changed since."""
    finished = registration.finished_runs
    when = f"when {_runs(finished)} had finished already: NOT before" if finished else "before"
    first = (
        f"Registered on {registration.date} at commit {(registration.commit or 'unknown')[:10]}, "
        f"SHA-256 {registration.sha256}, {when} the first run{_others(registration)}."
    )
    changes = [
        f"CHANGED AFTER THE FIRST RUN, on {new.date}, when {_runs(new.finished_runs)} had finished"
        f"{_others(new)}: "
        f"SHA-256 {new.sha256} in place of {old.sha256}. Changed: "
        f"{', '.join(_changes(old.content, new.content))}."
        for old, new in pairwise((registration, *registration.changes))
    ]
    return " ".join((first, *changes))


def _others(state: Registered) -> str:
    count = state.other_finished_runs
    what = "of other studies, or of this one with other settings,"
    return f" (beside {_runs(count)} {what} in the same directory)" if count else ""


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _changes(old: Values, new: Values) -> list[str]:
    """Return what differs between two states, by the names of contrasts and sections."""
    before, after = old["contrasts"], new["contrasts"]
    arms = sorted(old["arms"].keys() & new["arms"].keys())
    return [
        *(f"new contrast {name!r}" for name in sorted(after.keys() - before.keys())),
        *(f"removed contrast {name!r}" for name in sorted(before.keys() - after.keys())),
        *(f"contrast {name!r}" for name in sorted(before) if name in after and before[name] != after[name]),
        *(f"objective of arm {arm!r}" for arm in arms if old["arms"][arm] != new["arms"][arm]),
        *(["the replicates"] if old["replicates"] != new["replicates"] else []),
        *(["the domains"] if old.get("domains") != new.get("domains") else []),
        *(["the scaling law"] if old.get("scaling") != new.get("scaling") else []),
    ]
