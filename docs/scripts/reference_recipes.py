"""The page of built-in recipes: what each is for, and what it chooses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from options_table import PAPER, papers_linked

from hepfm.cli.listing import RECIPE_VERBS
from hepfm.core.config import builtin_recipes, load_recipe

_WORDS = {
    "simulate": "Simulation",
    "label": "Label sets",
    "pretrain": "Pre-training",
    "finetune": "Fine-tuning",
    "study": "Studies",
    "anomaly": "Searches for anomalies",
    "reweight": "Reweighting",
    "unfold": "Unfolding",
}
_HEADS = {
    "simulate": ("kind", "classes"),
    "label": ("labels of",),
    "pretrain": ("backbone", "objective", "features", "steps x batch"),
    "finetune": ("mode", "labels", "steps x batch"),
    "study": ("arms", "tasks"),
    "anomaly": ("methods", "features"),
    "reweight": ("estimator", "observables"),
    "unfold": ("estimator", "observables"),
}


def recipes_page() -> str:
    """Return the page."""
    parts = [
        "# Recipes: built in",
        (
            "`hepfm show NAME` prints a recipe with every key. `hepfm tokenize` takes those of pre-training "
            "whose objective is `tokenize`. Recipes that end in `_cpu` are small versions for two cores; "
            "none reproduces a published number."
        ),
    ]
    for verb in RECIPE_VERBS:
        head = ["recipe", "what", *_HEADS[verb], "papers"]
        lines = [_line(head), "|---" * len(head) + "|"]
        lines += [_line(_cells(verb, name, path)) for name, path in builtin_recipes(verb).items()]
        parts.append(f"## {_WORDS[verb]} {{#{verb}}}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _cells(verb: str, name: str, path: Path) -> list[str]:
    values = load_recipe(name, verb)
    what = str(values.get("description", ""))
    chosen = _CHOSEN[verb](values)
    sources = sorted(set(PAPER.findall(path.read_text(encoding="utf-8"))))
    return [f"`{name}`", what, *chosen, ", ".join(papers_linked(source) for source in sources)]


def named(spec: Any) -> str:
    """Return a component of a recipe by its name, and its size where it has one.

    >>> named({"name": "pet", "size": "s"}), named("none")
    ('`pet` s', '`none`')
    """
    if not isinstance(spec, Mapping):
        return f"`{spec}`"
    terms = [
        f"`{one.get('name')}`" if isinstance(one, Mapping) else f"`{one}`" for one in spec.get("terms", ())
    ]
    inside = f" of {' and '.join(terms)}" if terms else ""
    return f"`{spec.get('name', '')}`{' ' + str(spec['size']) if 'size' in spec else ''}{inside}"


def _length(values: Mapping[str, Any]) -> str:
    train = values.get("train", {})
    return f"{train.get('steps', ''):,} x {train.get('batch_size', 512):,}" if "steps" in train else ""


def _simulation(values: Mapping[str, Any]) -> list[str]:
    return [f"`{values.get('kind', '')}`", ", ".join(f"`{one}`" for one in values.get("classes", {}))]


def _pretrain(values: Mapping[str, Any]) -> list[str]:
    data = values.get("data", {})
    objective = values.get("objective", "supervised")
    return [named(values["backbone"]), named(objective), f"`{data.get('features', 'full')}`", _length(values)]


def _finetune(values: Mapping[str, Any]) -> list[str]:
    data = values.get("data", {})
    return [named(values.get("mode", "full")), str(data.get("budget") or "all"), _length(values)]


def _study(values: Mapping[str, Any]) -> list[str]:
    arms = ", ".join(f"`{one}`" for one in values.get("arms", {}))
    return [arms, ", ".join(f"`{one}`" for one in values.get("downstream", {}))]


def _label(values: Mapping[str, Any]) -> list[str]:
    return [", ".join(f"`{one}`" for one in values.get("particles", {}))]


def _ratio(values: Mapping[str, Any]) -> list[str]:
    observables = ", ".join(f"`{one}`" for one in values.get("observables", {}))
    return [named(values.get("estimator", "perceptron")), observables]


def _anomaly(values: Mapping[str, Any]) -> list[str]:
    return [", ".join(f"`{one}`" for one in values.get(key, ())) for key in ("methods", "features")]


_CHOSEN = {
    "simulate": _simulation,
    "label": _label,
    "pretrain": _pretrain,
    "finetune": _finetune,
    "study": _study,
    "anomaly": _anomaly,
    "reweight": _ratio,
    "unfold": _ratio,
}
