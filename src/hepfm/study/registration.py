"""Registration: the contrasts of a study, written and hashed into its directory before the first run.

What was named before the results were seen can be told from what was picked afterwards. ``registration.json``
holds the contrasts with their budgets spelled out, the objectives of the arms they name and the replicates,
their SHA-256, date and commit. When any of it changes while finished runs are there, the first registration
is kept, the change is added below it, and the report says so.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import Any, Literal

from hepfm.core.config import Config, validate
from hepfm.core.files import read_json, write_json
from hepfm.core.log import logger
from hepfm.core.provenance import code_commit
from hepfm.metrics.contrast import read_contrast
from hepfm.study.config import StudyConfig, Values
from hepfm.study.folder import StudyFolder

REGISTRATION = "registration.json"


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
        Runs of the directory that were done at that time.
    """

    content: Values
    sha256: str
    date: str
    commit: str | None
    finished_runs: int


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
    def beforehand(self) -> bool:
        """Whether the contrasts stand as they were named before the first run."""
        return self.finished_runs == 0 and not self.changes


def registered_content(config: StudyConfig) -> Values:
    """Return what is registered: contrasts, the objectives of their arms, and the replicates."""
    contrasts = {name: one.model_dump(mode="json") for name, one in config.contrasts.items()}
    for name, one in config.contrasts.items():
        contrasts[name]["budgets"] = list(config.budgets_of(one))
    named = {arm for one in config.contrasts.values() for arm in read_contrast(one.contrast).arms}
    return {
        "contrasts": contrasts,
        "arms": {arm: config.arms[arm] for arm in sorted(named)},
        "replicates": list(config.seeds.replicates),
    }


def digest(content: Values) -> str:
    """Return the SHA-256 of the canonical JSON of some values."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def register(config: StudyConfig, folder: StudyFolder) -> Registration | None:
    """Write the contrasts of a study, or note that they changed; call it before any run starts.

    Without finished runs a change replaces the registration. Nothing is written for a study that has, and
    had, no contrasts.
    """
    last = read_registration(folder)
    if last is None and not config.contrasts:
        return None
    state = _state(config, sum(folder.run(name).facts() is not None for name in folder.existing()))
    if last is not None and last.current.sha256 == state["sha256"]:
        return last
    if last is None or not state["finished_runs"]:
        new = Registration(**state)
    else:
        logger.warning(
            "the contrasts were changed after the first run: registered %s, now %s; the report says so",
            last.current.sha256[:12],
            state["sha256"][:12],
        )
        new = last.model_copy(update={"changes": (*last.changes, Registered(**state))})
    write_json(folder.path / REGISTRATION, new.model_dump(mode="json"))
    return new


def _state(config: StudyConfig, finished: int) -> dict[str, Any]:
    content = registered_content(config)
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return {
        "content": content,
        "sha256": digest(content),
        "date": now,
        "commit": code_commit(),
        "finished_runs": finished,
    }


def read_registration(folder: StudyFolder) -> Registration | None:
    """Return the registration of a study's directory; None when it has none."""
    path = folder.path / REGISTRATION
    return validate(Registration, read_json(path), where=str(path)) if path.exists() else None


def registration_text(registration: Registration) -> str:
    """Return for people when the contrasts were named, and what was changed since."""
    first = (
        f"Registered on {registration.date} at commit {(registration.commit or 'unknown')[:10]}, "
        f"SHA-256 {registration.sha256}"
    )
    if registration.finished_runs:
        first += f", when {_runs(registration.finished_runs)} had finished already: NOT before the first run"
    else:
        first += ", before the first run"
    lines = [first + "."]
    before: Registered = registration
    for change in registration.changes:
        when = f"on {change.date}, when {_runs(change.finished_runs)} had finished"
        lines.append(
            f"CHANGED AFTER THE FIRST RUN, {when}: SHA-256 {change.sha256} in place of {before.sha256}. "
            f"Changed: {_changes(before.content, change.content)}."
        )
        before = change
    return " ".join(lines)


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _changes(old: Values, new: Values) -> str:
    """Return what differs between two states, by the names of contrasts and sections."""
    found = [
        f"{word} {name!r}"
        for word, names in (
            ("new contrast", new["contrasts"].keys() - old["contrasts"].keys()),
            ("removed contrast", old["contrasts"].keys() - new["contrasts"].keys()),
        )
        for name in sorted(names)
    ]
    both = sorted(old["contrasts"].keys() & new["contrasts"].keys())
    found += [f"contrast {name!r}" for name in both if old["contrasts"][name] != new["contrasts"][name]]
    shared = old["arms"].keys() & new["arms"].keys()
    found += [f"objective of arm {arm!r}" for arm in sorted(shared) if old["arms"][arm] != new["arms"][arm]]
    found += ["the replicates"] if old["replicates"] != new["replicates"] else []
    return ", ".join(found)
