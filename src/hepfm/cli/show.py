"""``hepfm show``: a recipe or component by name, or a store, model or run by its directory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from hepfm.cli.advice import after_training, command_line
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_name
from hepfm.cli.result import VerbResult


def _yaml(values: Any) -> list[str]:
    from ruamel.yaml import YAML

    text = io.StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.dump(values, text)
    return text.getvalue().splitlines()


def _recipes(name: str) -> Iterator[dict[str, Any]]:
    from hepfm.cli.listing import RECIPE_VERBS
    from hepfm.core.config import builtin_recipes, load_recipe

    for verb_name in RECIPE_VERBS:
        if name in builtin_recipes(verb_name):
            values = load_recipe(name, verb_name)
            following = command_line(verb_name, name, "--help")
            yield {"kind": f"{verb_name} recipe", "values": values, "next": following}


def _recipe_file(path: Path) -> dict[str, Any]:
    """Return a recipe of a file, laid over its base."""
    from hepfm.cli.listing import RECIPE_VERBS
    from hepfm.core.config import builtin_recipes, load_recipe, read_yaml

    values = read_yaml(path)
    of_base = [name for name in RECIPE_VERBS if values.get("base") in builtin_recipes(name)]
    of_sections = [name for name, sections in _sections().items() if sections & set(values)]
    verb_name = next(iter([*of_sections, *of_base]), "finetune")
    return {"kind": f"{verb_name} recipe", "values": load_recipe(path, verb_name)}


def _sections() -> dict[str, set[str]]:
    """Return what only the recipes of a verb have; those of a simulation the section of their kind."""
    from hepfm.simulate import SIMULATIONS

    return {
        "study": {"arms", "contrasts"},
        "simulate": {"kind", "classes", "pythia", *SIMULATIONS},
        "pretrain": {"backbone"},
    }


def _components(name: str) -> Iterator[dict[str, Any]]:
    from hepfm.cli.listing import registries

    for kind, registry in registries().items():
        if name in registry:
            component = registry.load(name)
            values: dict[str, Any] = {"summary": registry.entries()[name].summary}
            if hasattr(component, "Config"):
                fields = component.Config.model_json_schema().get("properties", {})
                values["options"] = {key: field.get("default", "required") for key, field in fields.items()}
            if hasattr(component, "lets_through"):
                values["lets_through"] = component.lets_through
            if getattr(component, "sizes", None):
                values["sizes"] = {size: dict(options) for size, options in component.sizes.items()}
            yield {"kind": kind, "values": values}


def _directory(path: Path) -> dict[str, Any]:
    from hepfm.core.errors import HepfmError
    from hepfm.core.files import read_json_object

    if (path / "manifest.json").exists():
        manifest = read_json_object(path / "manifest.json")
        values = {key: value for key, value in manifest.items() if key != "shards"}
        return {"kind": "store", "values": values, "next": command_line("data", "check", path)}
    if (path / "model.safetensors").exists():
        values = read_json_object(path / "config.json")
        return {"kind": "model", "values": values, "next": command_line("check", path)}
    if (path / "config.json").exists():
        values = read_json_object(path / "config.json")
        finished = any(path.glob("model/config.json")) or any(path.glob("models/*/config.json"))
        following = after_training(path) if finished else command_line("resume", path)
        return {"kind": "run", "values": values, "next": following}
    raise HepfmError(f"{path} is neither a store, a model nor a run")


@dataclass(frozen=True, kw_only=True)
class ShownEntry(VerbResult):
    """What a name stands for.

    Attributes
    ----------
    kind
        A kind of `hepfm list`, the recipe of a verb, or store, model or run.
    values
        The recipe laid over its base; summary, options with defaults and sizes of a component; the manifest
        of a store, the config of a model or a run.
    also
        Commands that show what else has the name.
    """

    kind: str
    values: dict[str, Any]
    also: list[str]


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="[KIND] NAME", shell_complete=complete_name)
@verb
def command(names: tuple[str, ...]) -> ShownEntry:
    """Show what NAME is: a recipe or its file, a component, or the directory of a store, model or run.

    KIND says which is meant where several have the name: a verb for its recipe, else a kind of `hepfm list`.
    """
    from hepfm.cli.listing import singular
    from hepfm.core.errors import ConfigError
    from hepfm.models.pretrained import is_of_package, pretrained

    *kinds, name = names
    if len(kinds) > 1:
        raise ConfigError(f"give one NAME, with or without its kind; got {' '.join(names)!r}")
    path = Path(name)
    if is_of_package(name) and not kinds:
        matches = [{**_directory(pretrained(name)), "next": command_line("check", name)}]
    elif path.is_dir() and not kinds:
        matches = [_directory(path)]
    elif path.suffix in (".yaml", ".yml") and not kinds:
        matches = [_recipe_file(path)]
    else:
        every = [*_recipes(name), *_components(name)]
        matches = [match for match in every if not kinds or _short(match["kind"]) == singular(kinds[0])]
    if not matches:
        _refuse(names, name)
    first, *others = matches
    lines = [f"# {first['kind']}: {name}", *_yaml(first["values"])]
    also = [f"hepfm show {_short(other['kind'])} {name}" for other in others]
    return ShownEntry(**first, also=also, lines=[*lines, *(f"# also: {line}" for line in also)])


def _short(kind: str) -> str:
    """Return how a kind is written on the command line: of a recipe its verb."""
    return kind.removesuffix(" recipe")


def _refuse(names: tuple[str, ...], name: str) -> NoReturn:
    from hepfm.cli.listing import RECIPE_VERBS, registries
    from hepfm.core.config import builtin_recipes
    from hepfm.core.errors import ConfigError, did_you_mean

    known = {kind: list(registry) for kind, registry in registries().items()}
    known |= {verb_name: list(builtin_recipes(verb_name)) for verb_name in RECIPE_VERBS}
    if len(names) > 1 and names[0] not in known:
        raise ConfigError(f"there is no kind {names[0]!r}{did_you_mean(names[0], known)}")
    choices = (
        known[names[0]] if len(names) > 1 else sorted({name for rows in known.values() for name in rows})
    )
    raise ConfigError(f"nothing is called {' '.join(names)!r}{did_you_mean(name, choices)}")
