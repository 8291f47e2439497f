"""Write the pages of docs/reference from the registries, the typed configs and the built-in recipes.

python docs/scripts/reference_page.py

A test fails when the pages are not those of the source.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from options_table import PAPER, papers_linked, plain, table, value
from reference_recipes import recipes_page

from hepfm.analyses.anomaly import SearchConfig
from hepfm.analyses.reweight import ReweightConfig
from hepfm.analyses.unfold import UnfoldConfig
from hepfm.cli.listing import registries
from hepfm.core.registry import Entry, Registry
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureSet
from hepfm.metrics.definitions import DEFINITIONS
from hepfm.study.config import StudyConfig
from hepfm.train.joint_recipe import DomainConfig, JointRecipe
from hepfm.train.recipe import FinetuneRecipe, PretrainRecipe

FOLDER = Path(__file__).parents[1] / "reference"
MADE = "<!-- made by docs/scripts/reference_page.py -->\n"

PAGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "networks": (
        "Networks",
        (
            "What a network is made of. Sizes, sources and departures: [backbones](../backbones.md), "
            "[numbers](../numbers.md), [tokens](../tokens.md)."
        ),
        ("backbone", "embedding", "grouping", "head", "tokenizer", "generator"),
    ),
    "objectives": (
        "Objectives",
        (
            "What a network is trained to do. Equations: [objectives](../objectives.md), [masked "
            "modelling](../masked_modelling.md), [contrastive training](../contrastive.md), [joint "
            "embedding](../joint_embedding.md), [tokens](../tokens.md)."
        ),
        ("objective", "masked_hiding", "hidden_choice", "masked_target", "augmentation"),
    ),
    "training": (
        "Training",
        (
            "Recipes of pre-training and fine-tuning, and what they choose from. How it works: "
            "[training](../training.md)."
        ),
        ("optimizer", "schedule", "mode", "tracker"),
    ),
    "data": (
        "Data",
        (
            "What is read, how it becomes features, and what is written. How it works: [data](../data.md), "
            "[models of other packages](../models.md)."
        ),
        ("feature_set", "context_set", "target_set", "reader", "exporter", "converter"),
    ),
    "simulation": (
        "Simulation",
        (
            "Keys of a simulation recipe, and what it chooses from. How it works: "
            "[simulation](../simulation.md)."
        ),
        ("simulation", "labeller", "detector"),
    ),
    "tasks": (
        "Tasks",
        (
            "Downstream protocols. How results are measured: [evaluation](../evaluation.md), "
            "[protocols](../protocols.md); definitions: [metrics](metrics.md)."
        ),
        ("task", "anomaly_score"),
    ),
    "analyses": (
        "Analyses",
        (
            "Keys of recipes of analyses, and what learns density ratios. How it works: [unfolding and "
            "reweighting](../unfolding.md), [density ratios](../density_ratios.md), [searches for "
            "anomalies](../anomaly.md)."
        ),
        ("ratio_estimator", "anomaly_method"),
    ),
    "studies": (
        "Studies",
        "Keys of a study file, and the verbs it runs. How it works: [studies](../studies.md).",
        ("verb",),
    ),
}
"""Title, introduction and kinds of each page of components."""

TITLES = {
    "mode": "Modes of fine-tuning",
    "verb": "Verbs of a study",
    "hidden_choice": "Choices of what is hidden",
    "masked_hiding": "Ways to hide constituents",
}


def heading(kind: str) -> str:
    """Return the title of a kind.

    >>> heading("backbone")
    'Backbones'
    """
    return TITLES.get(kind, f"{kind.replace('_', ' ').capitalize()}s")


def link(registry: Registry) -> str:
    """Return a kind as a link to its section."""
    page = next(name for name, (_, _, kinds) in PAGES.items() if registry.kind in kinds)
    return f"[{registry.kind.replace('_', ' ')}]({page}.md#{registry.kind})"


def described(component: Any, entry: Entry) -> list[str]:
    """Return the summary and the docstring of a component, without its sections, and its sources."""
    text = (
        inspect.cleandoc(component.__doc__ or "")
        if not isinstance(component, FeatureSet | ContextSet)
        else ""
    )
    text = re.split(r"\n\n?\w+\n-{3,}\n", text)[0]
    summary = entry.summary[0].upper() + entry.summary[1:].rstrip(".") + "."
    module = sys.modules[component.__module__].__doc__ or ""
    options = getattr(getattr(component, "Config", None), "__doc__", "") or ""
    sources = sorted(set(PAPER.findall(" ".join([entry.summary, text, module, options]))))
    parts = [papers_linked(summary)]
    if text.strip() and text.rstrip(".") != summary.rstrip("."):
        parts.append(plain(text))
    if sources and not isinstance(component, FeatureSet | ContextSet):
        parts.append("Sources: " + ", ".join(papers_linked(source) for source in sources) + ".")
    return parts


def facts(component: Any) -> list[str]:
    """Return what a component declares besides its options."""
    lines = []
    for name, title in (("needs", "Needs"), ("supports", "Supports")):
        values = getattr(component, name, None)
        if isinstance(values, frozenset) and values:
            lines.append(f"{title}: " + ", ".join(f"`{one}`" for one in sorted(values)) + ".")
    if isinstance(getattr(component, "lets_through", None), str):
        lines.append(f"A view still reveals {component.lets_through.rstrip('.')}.")
    if isinstance(getattr(component, "version", None), int):
        lines.append(_task(component))
    if isinstance(getattr(component, "sizes", None), Mapping) and component.sizes:
        lines.append(_sizes(component))
    return lines


def _task(task: Any) -> str:
    parts = [f"version {task.version}"]
    if isinstance(getattr(task, "classes", None), tuple):
        parts.append("classes " + ", ".join(f"`{one}`" for one in task.classes))
    if isinstance(getattr(task, "primary", None), str):
        parts.append(f"headline metric `{task.primary}`")
    return "Protocol: " + "; ".join(parts) + "."


def _sizes(component: Any) -> str:
    """Return the options in which sizes differ, those of the defaults included."""
    sizes = {size: dict(component.Config(**options)) for size, options in component.sizes.items()}
    keys = list(dict.fromkeys(key for options in component.sizes.values() for key in options))
    lines = ["| size | " + " | ".join(f"`{key}`" for key in keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for size, options in sizes.items():
        lines.append(f"| `{size}` | " + " | ".join(value(options[key]) for key in keys) + " |")
    return "\n".join(lines)


def feature_sets(registry: Registry) -> str:
    """Return the sets of features or of context: their columns, and the fields that they are made of."""
    lines = ["| name | what | columns | fields that it needs | groups that data may lack |", "|---" * 5 + "|"]
    for name, entry in registry.entries().items():
        loaded = registry.load(name)
        needed = loaded.base if isinstance(loaded, FeatureSet) else loaded.columns
        groups = loaded.optional if isinstance(loaded, FeatureSet) else ()
        lacking = "; ".join(f"`{one.name}`: {_codes(one.columns)}" for one in groups)
        lines.append(
            f"| `{name}` | {entry.summary} | {_codes(loaded.names)} | {_codes(needed)} | {lacking} |"
        )
    return "\n".join(lines) + "\n"


def _codes(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def section(registry: Registry) -> str:
    """Return everything about the components of a kind."""
    parts = [f"## {heading(registry.kind)} {{#{registry.kind}}}"]
    if registry.kind in ("feature_set", "context_set"):
        return "\n\n".join([*parts, feature_sets(registry)])
    for name, entry in registry.entries().items():
        component = registry.load(name)
        parts.append(f"### `{name}` {{#{registry.kind}-{name}}}")
        parts += [*described(component, entry), *facts(component)]
        config = getattr(component, "Config", None)
        if hasattr(config, "model_fields"):
            parts.append(table(config, link).rstrip())
    return "\n\n".join(parts) + "\n"


RECIPES: dict[str, dict[str, Any]] = {
    "training": {
        "Recipe of pre-training": PretrainRecipe,
        "Recipe of joint pre-training": JointRecipe,
        "Domain of joint pre-training": DomainConfig,
        "Recipe of fine-tuning": FinetuneRecipe,
    },
    "studies": {"Study file": StudyConfig},
    "analyses": {
        "Recipe of unfolding": UnfoldConfig,
        "Recipe of reweighting": ReweightConfig,
        "Recipe of searches for anomalies": SearchConfig,
    },
}
"""Configs of whole files, by page."""


def component_page(name: str) -> str:
    """Return a page of components."""
    title, introduction, kinds = PAGES[name]
    known = registries()
    parts = [MADE, f"# {title}: options", introduction, _contents(known, kinds)]
    for heading_, config in RECIPES.get(name, {}).items():
        parts.append(f"## {heading_}\n\n{table(config, link)}")
    return "\n\n".join([*parts, *(section(known[kind]) for kind in kinds)])


def _contents(known: Mapping[str, Registry], kinds: tuple[str, ...]) -> str:
    lines = []
    for kind in kinds:
        anchor = kind if kind in ("feature_set", "context_set") else f"{kind}-{{}}"
        names = ", ".join(f"[`{one}`](#{anchor.format(one)})" for one in known[kind])
        lines.append(f"- **{heading(kind)}**: {names}")
    return "\n".join(lines)


def metrics_page() -> str:
    """Return every definition of a metric by its identifier."""
    lines = ["| identifier | title | definition |", "|---|---|---|"]
    for name, one in DEFINITIONS.items():
        text = papers_linked(one.text.replace("|", r"\|"))
        lines.append(f"| `{name}` | {one.title} | {text} |")
    introduction = (
        "Every number in a result carries the identifier of its definition; a definition that changes gets a "
        "new one. Intervals: [evaluation](../evaluation.md#two-uncertainties-never-combined); generated "
        "jets: [metrics of generation](../generation_metrics.md)."
    )
    return "\n\n".join([MADE, "# Metrics: definitions", introduction, "\n".join(lines) + "\n"])


def index_page() -> str:
    """Return the page that leads to the others."""
    known = registries()
    lines = ["| page | what is there |", "|---|---|"]
    for name, (title, _, kinds) in PAGES.items():
        what = "; ".join(f"{heading(kind).lower()} ({len(list(known[kind]))})" for kind in kinds)
        lines.append(f"| [{title}]({name}.md) | {what} |")
    lines.append(f"| [Metrics](metrics.md) | definitions ({len(DEFINITIONS)}) |")
    lines.append(
        "| [Recipes](recipes.md) | built-in recipes of simulation, labels, pre-training, fine-tuning and "
        "studies |"
    )
    introduction = (
        "These pages are made from the same tables that `hepfm list` and `hepfm show` print: the registries "
        "of components, the typed options with their bounds, and the recipes. `hepfm list KIND --json` gives "
        "the lists to scripts.\n\nA *component* is named in a recipe by its name, or by a mapping with its "
        "`name` and options; options that are left out have the defaults of these tables. `section.option` "
        "is an option of a section, written in a recipe as `section: {option: ...}` and on the command line "
        "as `section.option=...`. Sizes are laid over the defaults by `size: ...`."
    )
    return "\n\n".join([MADE, "# Reference", introduction, "\n".join(lines) + "\n"])


def pages() -> dict[str, str]:
    """Return the text of every page by the name of its file."""
    made: dict[str, Callable[[], str]] = {
        "index": index_page,
        "metrics": metrics_page,
        "recipes": lambda: MADE + "\n\n" + recipes_page(),
    }
    texts = {name: component_page(name) for name in PAGES} | {name: make() for name, make in made.items()}
    return {f"{name}.md": re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n" for name, text in texts.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
