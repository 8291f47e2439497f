"""Registries: tables from a component's name to its class, imported only when needed."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hepfm.core.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Entry:
    """One row of a registry: the place of a component (``module:attribute``) and a one-line description."""

    target: str
    summary: str


class Registry:
    """A named table of components; third parties add rows by the entry-point group ``hepfm.<kind>``.

    Parameters
    ----------
    kind
        What the rows are, in the singular, e.g. ``"backbone"``.
    rows
        ``{name: (target, summary)}``; the target is ``"package.module:attribute"``.
    """

    def __init__(self, kind: str, rows: Mapping[str, tuple[str, str]]) -> None:
        self.kind = kind
        self._rows = {name: Entry(*row) for name, row in rows.items()}

    def entries(self) -> dict[str, Entry]:
        """Return all rows by name, the package's own first and never overwritten by a plug-in."""
        plugins = {
            point.name: Entry(point.value, f"from {point.dist.name if point.dist else 'a plug-in'}")
            for point in importlib.metadata.entry_points(group=f"hepfm.{self.kind}")
        }
        return {**plugins, **self._rows}

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._entry(name) is not None

    def _entry(self, name: str) -> Entry | None:
        # Own rows first: to look for plug-ins takes some 30 ms, and a recipe names a dozen components.
        return self._rows.get(name) or self.entries().get(name)

    def load(self, name: str) -> Any:
        """Import and return the component called `name`; raise `ConfigError` if there is none."""
        entry = self._entry(name)
        if entry is None:
            raise ConfigError(f"unknown {self.kind} {name!r}{did_you_mean(name, self.entries())}")
        module, _, attribute = entry.target.partition(":")
        return getattr(importlib.import_module(module), attribute)
