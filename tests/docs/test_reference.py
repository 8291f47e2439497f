"""The pages made from the registries are those of the source, and every option says what it means."""

import sys
from pathlib import Path

import pytest

from hepfm.cli.listing import registries

SCRIPTS = Path(__file__).parents[2] / "docs" / "scripts"
sys.path.insert(0, str(SCRIPTS))

import options_table  # noqa: E402
import reference_page  # noqa: E402

PAGES = reference_page.pages()


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_those_of_the_source(name):
    written = (reference_page.FOLDER / name).read_text(encoding="utf-8")
    assert written == PAGES[name], "python docs/scripts/reference_page.py"


def test_no_other_pages_are_there():
    assert {path.name for path in reference_page.FOLDER.iterdir()} == set(PAGES)


def test_every_kind_of_component_is_on_one_page():
    kinds = [kind for _, _, kinds in reference_page.PAGES.values() for kind in kinds]
    assert sorted(kinds) == sorted(registries())


def configs():
    """Yield every config of the pages with a name for messages."""
    for kind, registry in registries().items():
        for name in registry:
            config = getattr(registry.load(name), "Config", None)
            if hasattr(config, "model_fields"):
                yield f"{kind} {name}", config
    for of_page in reference_page.RECIPES.values():
        yield from of_page.items()


def test_every_option_has_a_meaning():
    silent = [
        f"{owner}: {option}"
        for owner, config in configs()
        for option, _, _, meaning in options_table.rows(config, reference_page.link)
        if not meaning
    ]
    assert not silent, silent


class Base(options_table.Config):
    """Options of the base.

    Attributes
    ----------
    first, second
        Two numbers; ``None``
        for none.
    """

    first: int = options_table.pydantic.Field(1, ge=1, lt=9)
    second: float | None = None


class Derived(Base):
    """Options with a section.

    Attributes
    ----------
    second
        The other; see `hepfm.core.config.Config`.
    part
        A section.
    """

    part: Base = Base(first=3)


def test_tables_of_options():
    rows = options_table.table(Derived, lambda registry: registry.kind).splitlines()[2:]
    assert rows == [
        "| `first` | whole number ≥ 1, < 9 | `1` | Two numbers; `null` for none. |",
        "| `second` | number, or null | `null` | The other; see `Config`. |",
        "| `part` | section |  | A section. |",
        "| `part.first` | whole number ≥ 1, < 9 | `3` | Two numbers; `null` for none. |",
        "| `part.second` | number, or null | `null` | Two numbers; `null` for none. |",
    ]
