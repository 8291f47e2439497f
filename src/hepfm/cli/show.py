"""``hepfm show``: a recipe or component by name, or a store, model or run by its directory."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import click

from hepfm.cli.common import verb


def _yaml(values: Any) -> list[str]:
    from ruamel.yaml import YAML

    text = io.StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.dump(values, text)
    return text.getvalue().splitlines()


def _recipe(name: str) -> dict[str, Any] | None:
    from hepfm.cli.listing import RECIPE_VERBS
    from hepfm.core.config import builtin_recipes, load_recipe

    for verb_name in RECIPE_VERBS:
        if name in builtin_recipes(verb_name):
            values = load_recipe(name, verb_name)
            return {
                "kind": f"{verb_name} recipe",
                "values": values,
                "next": f"hepfm {verb_name} {name} --help",
            }
    return None


def _component(name: str) -> dict[str, Any] | None:
    from hepfm.cli.listing import registries

    for kind, registry in registries().items():
        if name in registry:
            component = registry.load(name)
            values: dict[str, Any] = {"summary": registry.entries()[name].summary}
            if hasattr(component, "Config"):
                fields = component.Config.model_json_schema().get("properties", {})
                values["options"] = {key: field.get("default", "required") for key, field in fields.items()}
            if getattr(component, "sizes", None):
                values["sizes"] = {size: dict(options) for size, options in component.sizes.items()}
            return {"kind": kind, "values": values}
    return None


def _directory(path: Path) -> dict[str, Any]:
    from hepfm.core.errors import HepfmError
    from hepfm.core.files import read_json

    if (path / "manifest.json").exists():
        manifest = read_json(path / "manifest.json")
        values = {key: value for key, value in manifest.items() if key != "shards"}
        return {"kind": "store", "values": values, "next": f"hepfm data check {path}"}
    if (path / "model.safetensors").exists():
        return {"kind": "model", "values": read_json(path / "config.json"), "next": f"hepfm check {path}"}
    if (path / "config.json").exists():
        return {"kind": "run", "values": read_json(path / "config.json"), "next": f"hepfm resume {path}"}
    raise HepfmError(f"{path} is neither a store, a model nor a run")


@click.command()
@click.argument("name")
@verb
def command(name: str) -> dict[str, Any]:
    """Show what NAME is: a built-in recipe, a component, or the directory of a store, model or run."""
    path = Path(name)
    found = _directory(path) if path.is_dir() else _recipe(name) or _component(name)
    if found is None:
        from hepfm.cli.listing import RECIPE_VERBS, registries
        from hepfm.core.config import builtin_recipes
        from hepfm.core.errors import ConfigError, did_you_mean

        known = [one for registry in registries().values() for one in registry]
        known += [one for verb_name in RECIPE_VERBS for one in builtin_recipes(verb_name)]
        raise ConfigError(f"nothing is called {name!r}{did_you_mean(name, known)}")
    return {**found, "lines": [f"# {found['kind']}: {name}", *_yaml(found["values"])]}
