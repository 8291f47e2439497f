"""A first draft of a map, guessed from the names and shapes of a file's columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hepfm.core.errors import DataError
from hepfm.data.remote import DataFile
from hepfm.data.tables.base import FileTable
from hepfm.data.tables.open import open_table

_ROWS = 200
_FAMILY = re.compile(r"^(.*?)(\d+)$")

_CASE = re.IGNORECASE
_QUANTITIES = {
    "pt": r"pt|ptval|transverse_?momentum",
    "eta": r"eta|pseudorapidity",
    "phi": r"phi|azimuth",
    "deta": r"deta|eta_?rel|rel_?eta",
    "dphi": r"dphi|phi_?rel|rel_?phi",
    "energy": r"e|en|energy",
    "px": r"px",
    "py": r"py",
    "pz": r"pz",
    "mass": r"m|mass",
    "charge": r"q|charge",
    "pid": r"pdg_?id|pid|particle_?id",
    "d0": r"d0(val)?|dxy",
    "d0_error": r"d0_?(err|error|sigma)|dxy_?(err|error)",
    "dz": r"dz(val)?|z0(val)?",
    "dz_error": r"(dz|z0)_?(err|error|sigma)",
}
_ENDING = re.compile(
    rf"^(|.*[^a-zA-Z0-9]|.*(?-i:[a-z](?=[A-Z])))({'|'.join(_QUANTITIES.values())})[_*]*$", _CASE
)
"""What a name begins with, up to a separator or a capital letter, and the quantity that it ends with."""
_GENERATED = re.compile(r"(n|aux_?|.*gen|.*truth|.*true|.*mc)", _CASE)
"""Beginnings that are no reconstructed object: counters and the generator's record."""
_LABELS = re.compile(r"(^|_)(label|target|class|truth|is_?signal)", re.IGNORECASE)
_FLAGS = re.compile(r"(is|label)_?\w+", re.IGNORECASE)
_WEIGHTS = re.compile(r".*weight", re.IGNORECASE)
_GROUPS = re.compile(r"^(event|event_?number|evt)$", re.IGNORECASE)
_HUGE_PT = 5_000.0
"""GeV: jets whose median is larger are taken to be in MeV."""


def suggest(path: DataFile, *, tree: str | None = None) -> str:
    """Return a map as YAML, with each guess marked as one.

    Parameters
    ----------
    path
        A ROOT, Parquet, HDF5 or NumPy file.
    tree
        Tree or table of it, where there are several.

    Raises
    ------
    DataError
        When it holds no columns of numbers.
    """
    with open_table(path, tree) as table:
        columns = dict(_readable(table))
    if not columns:
        raise DataError(f"{path} has no columns of numbers")
    draft = _Draft(columns)
    lines = [
        f"# A map of {path.name}. What is marked as a guess comes from names alone: check each line.",
        f"title: {path.stem}",
        *([f"tree: {tree}"] if tree else []),
        *draft.fields(),
        *draft.label(),
        *draft.roles(),
        *draft.rest(),
    ]
    return "\n".join(lines) + "\n"


def _readable(table: FileTable) -> Iterator[tuple[str, Any]]:
    """Yield columns of numbers with their first rows; numbered columns as one list, called ``name*``."""
    families: dict[str, list[str]] = {}
    for name in table.names:
        match = _FAMILY.match(name)
        families.setdefault(match[1] if match else name, []).append(name)
    for stem, names in families.items():
        # Three columns may be subjettinesses; numbered constituents are more.
        chosen = [names[0]] if len(names) > 8 else names
        for name in chosen:
            try:
                array = next(iter(table.chunks([name], _ROWS)), {}).get(name)
            except DataError:
                continue
            if array is not None and array.ndim > 0 and _numeric(array):
                yield (f"{stem}*" if len(names) > 8 else name), array


def _numeric(array: Any) -> bool:
    return "string" not in str(array.type) and "{" not in str(array.type)


class _Draft:
    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = columns
        self.used: set[str] = set()
        self.nested = max(array.ndim for array in columns.values()) > 2 and not any(
            "var" not in str(array.type) for array in columns.values() if array.ndim > 2
        )

    def _depth(self, name: str) -> int:
        return 2 if name.endswith("*") else int(self.columns[name].ndim)

    def _found(self, depth: int, words: Sequence[str]) -> dict[str, str]:
        """Return columns by quantity, of those that begin alike: the momentum of one collection."""
        groups: dict[str, dict[str, str]] = {}
        for name in self.columns:
            match = _ENDING.match(name)
            if match and self._depth(name) == depth:
                quantity = next(
                    key for key, pattern in _QUANTITIES.items() if re.fullmatch(pattern, match[2], _CASE)
                )
                groups.setdefault(match[1], {}).setdefault(quantity, name)
        whole = {
            prefix: found
            for prefix, found in groups.items()
            if {"pt", "px"} & set(found) and not _GENERATED.match(prefix)
        }

        def fitness(prefix: str) -> tuple[bool, int, int]:
            return any(word in prefix.lower() for word in words), len(whole[prefix]), -len(prefix)

        return whole[max(whole, key=fitness)] if whole else {}

    def fields(self) -> Iterator[str]:
        """Yield the lines of the fields."""
        inner, outer = (3, 2) if self.nested else (2, 1)
        jet = self._found(outer, ("jet", "fj", "ak8", "ak4"))
        part = self._found(inner, ("part", "pf", "cand", "const", "track", "trk"))
        if self.nested:
            first = jet.get("pt") or next(name for name in self.columns if self._depth(name) == outer)
            yield f"unfold: {first}  # guess: rows are the entries of these lists"
        yield "fields:"
        for prefix, found in (("jet", jet), ("part", part)):
            unit = self._unit(found)
            for field, text, energy in _momentum(prefix, found):
                marked = f"{{take: {_quoted(text)}, unit: {unit}}}" if energy else _quoted(text)
                yield f"  {field}: {marked}  # guess"
            self.used.update(found.values())
        for quantity in ("charge", "d0", "d0_error", "dz", "dz_error"):
            if quantity in part:
                yield f"  part_{quantity}: {_quoted(_name(part[quantity]))}  # guess"
        if "pid" in part:
            yield f"  part_pid: {{take: {_quoted(_name(part['pid']))}, codes: pdg}}  # guess"
        if not {"pt", "px"} & set(jet):
            yield "jet: sum  # guess: the file has no momentum of the jet"

    def _unit(self, found: dict[str, str]) -> str:
        import awkward as ak

        name = found.get("pt") or found.get("px") or found.get("energy")
        if name is None:
            return "GeV"
        values = np.abs(np.asarray(ak.flatten(self.columns[name], axis=None), np.float64))
        values = values[np.isfinite(values) & (values > 0)]
        return "MeV" if len(values) and np.quantile(values, 0.9) > _HUGE_PT else "GeV"

    def label(self) -> Iterator[str]:
        """Yield the lines of the label."""
        numbers = [name for name in self.columns if self._depth(name) == 1]
        flat = [name for name in numbers if _LABELS.search(name)]
        flags = [name for name in numbers if _FLAGS.fullmatch(name) and self._is_flag(name)]
        self.used.update(flags if len(flags) > 1 else flat)
        if len(flags) > 1:
            yield "label:  # guess"
            yield "  flags:"
            yield from (f"    {_quoted(name.split('_', 1)[-1])}: {_quoted(_name(name))}" for name in flags)
        elif flat:
            codes = sorted({int(value) for value in np.asarray(self.columns[flat[0]])[:_ROWS]})
            yield "label:  # guess; give the classes their names"
            yield f"  take: {_quoted(_name(flat[0]))}"
            yield f"  codes: {{{', '.join(f'{code}: class_{code}' for code in codes)}}}"
        else:
            yield '# label: {files: {"signal_*": signal, "background_*": background}}'

    def _is_flag(self, name: str) -> bool:
        return bool(np.isin(np.asarray(self.columns[name]), (0, 1)).all())

    def roles(self) -> Iterator[str]:
        """Yield the lines of weight and group."""
        for role, pattern in (("weight", _WEIGHTS), ("group", _GROUPS)):
            names = [name for name in self.columns if self._depth(name) == 1 and pattern.search(name)]
            if names:
                self.used.add(names[0])
                yield f"{role}: {_quoted(_name(names[0]))}  # guess"

    def rest(self) -> Iterator[str]:
        """Yield what is not used, as a comment."""
        names = [name for name in self.columns if name not in self.used and self._depth(name) == 1]
        # ROOT counts the entries of a list in a branch of their own.
        names = [name for name in names if name[:1] != "n" or name[1:] not in self.columns]
        if names:
            yield "# Not used above, one number a row:"
            yield f"# observers: [{', '.join(_quoted(name) for name in names)}]"
        lists = [name for name in self.columns if name not in self.used and self._depth(name) > 1]
        if lists:
            yield f"# Not used above, lists: {', '.join(lists)}"


def _momentum(prefix: str, found: dict[str, str]) -> Iterator[tuple[str, str, bool]]:
    """Yield fields of a momentum with their expressions, and whether they are energies."""
    own = {key: _name(name) for key, name in found.items()}
    if {"px", "py", "pz"} <= set(own):
        px, py, pz = own["px"], own["py"], own["pz"]
        own = {**own, "pt": f"pt({px}, {py})", "eta": f"eta({px}, {py}, {pz})", "phi": f"phi({px}, {py})"}
    for key in ("eta", "phi"):
        if key not in own and f"d{key}" in own:
            own[key] = f"jet_{key} + {own[f'd{key}']}"
    if "energy" not in own and {"pt", "eta", "mass"} <= set(own):
        own["energy"] = f"energy({own['pt']}, {own['eta']}, {own['mass']})"
    for key in ("pt", "eta", "phi", "energy"):
        if key in own:
            yield f"{prefix}_{key}", own[key], key in ("pt", "energy")


def _name(name: str) -> str:
    """Return a name as it stands in an expression."""
    return name if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name) else f"`{name}`"


def _quoted(text: str) -> str:
    """Return a text as YAML."""
    return text if re.fullmatch(r"[A-Za-z_][\w.]*", text) else '"' + text.replace('"', '\\"') + '"'
