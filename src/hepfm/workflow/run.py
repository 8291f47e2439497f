"""A run: one verb with everything that determines its result, which is also its address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hepfm.core.config import fingerprint

Values = dict[str, Any]

ADDRESS_FORMAT = 2
"""Part of every address; raised when the package trains or measures differently for the same recipe."""


@dataclass(frozen=True)
class Run:
    """One piece of work.

    Attributes
    ----------
    verb
        What is done: a name in `hepfm.workflow.verbs.VERBS`.
    values
        JSON-ready options that determine the result, together with the parents.
    parents
        Names of the runs it needs, by their role: ``"store"``, or ``"store.NAME"`` of a domain,
        ``"tokenizer"``, ``"model"`` (the best of several), ``"choice"`` (of which the learning rate is
        taken), ``"generated"``.
    paths
        Where stores lie that no run makes; not part of the address.
    note
        For people: what the first that asked for it wanted it for.
    """

    verb: str
    values: Values
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def address(self) -> str:
        """Fingerprint of everything that determines the result."""
        parents = {role: list(names) for role, names in self.parents.items()}
        return fingerprint(
            {"format": ADDRESS_FORMAT, "verb": self.verb, "values": self.values, "parents": parents}
        )

    @property
    def name(self) -> str:
        """Name of its directory."""
        return f"{self.verb}-{self.address}"

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of all parents."""
        return tuple(name for names in self.parents.values() for name in names)

    def to_dict(self) -> Values:
        """Return JSON-ready values, for ``run.json``."""
        return {
            "verb": self.verb,
            "values": self.values,
            "parents": {role: list(names) for role, names in self.parents.items()},
            "paths": dict(self.paths),
            "note": self.note,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Run:
        """Return the run of `to_dict`."""
        parents = {role: tuple(names) for role, names in values["parents"].items()}
        return cls(values["verb"], values["values"], parents, values["paths"], values["note"])
