"""What a shell is told when a word of a command is to be completed: recipes, kinds, names, keys.

Switched on by ``eval "$(_HEPFM_COMPLETE=bash_source hepfm)"`` in ``~/.bashrc``, and with ``zsh_source`` or
``fish_source`` in other shells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from click import Context, Parameter
from click.shell_completion import CompletionItem

Complete = Callable[[Context, Parameter, str], list[CompletionItem]]


def _starting(names: Iterable[str], incomplete: str, *, files: bool = False) -> list[CompletionItem]:
    items = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return [*items, CompletionItem(incomplete, type="file")] if files else items


@dataclass(frozen=True)
class Names:
    """Completes names that can stand somewhere.

    Attributes
    ----------
    known
        Returns them.
    files
        Whether a file can stand there as well; otherwise nothing else can.
    """

    known: Callable[[], Iterable[str]]
    files: bool = False

    def __call__(self, _context: Context, _parameter: Parameter, incomplete: str) -> list[CompletionItem]:
        return _starting(self.known(), incomplete, files=self.files)


def complete_recipe(verb: str) -> Names:
    """Complete the built-in recipes of a verb, and files."""

    def known() -> Iterable[str]:
        from hepfm.core.config import builtin_recipes

        return builtin_recipes(verb)

    return Names(known, files=True)


def complete_overrides(verb: str) -> Complete:
    """Complete the keys that the recipe given before has, up to their ``=``."""

    def complete(context: Context, _parameter: Parameter, incomplete: str) -> list[CompletionItem]:
        from hepfm.core.config import load_recipe
        from hepfm.core.errors import HepfmError

        recipe = context.params.get("recipe") or context.params.get("source") or context.params.get("study")
        try:
            values = load_recipe(str(recipe), verb)
        except HepfmError:
            return []
        return _starting(sorted(_keys(values)), incomplete)

    return complete


def _keys(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{before}{key}.")
        else:
            yield f"{before}{key}="


def complete_component(kind: str) -> Names:
    """Complete the names of a kind of component."""

    def known() -> Iterable[str]:
        from hepfm.cli.listing import registries

        return registries()[kind]

    return Names(known)


def _datasets() -> Iterable[str]:
    from hepfm.data.public.catalogue import catalogue

    return catalogue()


complete_dataset = Names(_datasets)
"""Completes the names of public data sets."""


def complete_kind(_context: Context, _parameter: Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the kinds of `hepfm list`."""
    from hepfm.cli.listing import OTHERS, RECIPE_VERBS, registries

    return _starting([*dict.fromkeys((*registries(), *OTHERS, *RECIPE_VERBS))], incomplete)


def complete_name(context: Context, _parameter: Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete what `hepfm show` knows: kinds and names, those of a kind after it; and files."""
    from hepfm.cli.listing import RECIPE_VERBS, registries, singular
    from hepfm.core.config import builtin_recipes

    names: dict[str, Iterable[str]] = {kind: list(registry) for kind, registry in registries().items()}
    names |= {verb: list(builtin_recipes(verb)) for verb in RECIPE_VERBS}
    before = context.params.get("names") or ()
    if before and singular(str(before[0])) in names:
        return _starting(names[singular(str(before[0]))], incomplete)
    return _starting([*names, *(name for row in names.values() for name in row)], incomplete, files=True)
