"""The branches of a TTree, or the fields of an RNTuple, of a ROOT file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from hepfm.core.errors import DataError, missing_extra
from hepfm.data.remote import readable
from hepfm.data.tables.base import FileTable, chosen

_KINDS = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")


class RootTable(FileTable):
    """A tree of a ROOT file; `name` says which where there are several."""

    def _open(self, name: str | None) -> None:
        try:
            import uproot
        except ImportError:
            raise missing_extra("uproot", "io") from None
        # Without its cache of arrays memory stays flat: no entry is read twice.
        file = self.opened.enter_context(uproot.open(readable(self.path), array_cache=None))
        kinds = file.classnames(recursive=True)
        trees = dict.fromkeys(key.split(";")[0] for key, kind in kinds.items() if kind in _KINDS)
        self._tree: Any = file[chosen(self.path, list(trees), name, what="tree")]
        self._branches = dict(_branches(self._tree))
        self.names = tuple(self._branches)

    def _num_rows(self, names: list[str]) -> int:
        return int(self._tree.num_entries)

    def _chunks(self, names: list[str], rows: int) -> Iterator[dict[str, Any]]:
        total = self._num_rows(names)
        for start in range(0, total, rows):
            stop = min(start + rows, total)
            yield {name: self._array(name, start, stop) for name in names}

    def _array(self, name: str, start: int, stop: int) -> Any:
        import awkward as ak

        array = self._branches[name].array(entry_start=start, entry_stop=stop)
        if len(array) != stop - start:
            raise DataError(f"{self.path}: branch {name!r} ends at entry {start + len(array)}")
        # uproot takes the ends of lists as the file has them; awkward's compiled loops would follow them.
        if not ak.is_valid(array):
            raise DataError(
                f"{self.path}: branch {name!r} has lists that end outside of it; the file is damaged"
            )
        return array


def _branches(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield the branches that hold values, by their last names where these are unique."""
    if not hasattr(tree, "branches"):
        yield from ((name, tree[name]) for name in tree.keys())  # noqa: SIM118 (a field is no key)
        return
    found = [(path, branch) for path, branch in tree.iteritems(full_paths=True) if not branch.branches]
    short = [path.split("/")[-1] for path, _ in found]
    counts = Counter(short)
    for name, (path, branch) in zip(short, found, strict=True):
        yield name if counts[name] == 1 else path, branch
