"""Model card: what a physicist must know before using a model, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hepfm.models.constants import constants_of

if TYPE_CHECKING:
    from hepfm.models.directory import Model


def render_card(model: Model, *, checksum: str) -> str:
    """Return the card of a model.

    Parameters
    ----------
    model
        The model.
    checksum
        SHA-256 of the weights.
    """
    parts = [
        f"# {model.backbone.name}, {_count(model)} parameters",
        "## Intended use",
        _intended(model),
        "## Inputs",
        _inputs(model),
        "## Standardisation",
        _standardisation(model),
        "## Outputs",
        _outputs(model),
        "## Training data",
        _facts(model.provenance.get("data", {})),
        "## Training",
        _facts(_training(model.provenance)),
        "## Metrics",
        _facts(model.metrics),
        "## Files",
        f"- SHA-256 of the weights: `{checksum}`\n- check with: `hepfm check` on this directory",
    ]
    return "\n\n".join(parts) + "\n"


def _count(model: Model) -> str:
    return f"{sum(parameter.numel() for parameter in model.network.parameters()):,}"


def _intended(model: Model) -> str:
    return (
        "For research on data like those named below. Scores are probabilities under the class mixture of "
        "the training data, not calibrated for another one; on other simulations or real data measure the "
        "domain shift first."
    )


def _inputs(model: Model) -> str:
    text = (
        f"Feature set `{model.features.name}`, computed from the fields below; of a row with more than "
        f"{model.max_constituents} constituents the leading ones in transverse momentum are read."
    )
    lines = [
        text,
        "",
        "| field | unit | meaning |",
        "|---|---|---|",
    ]
    fields = [model.schema[name] for name in model.features.columns if name in model.schema]
    return "\n".join(
        [*lines, *(f"| {field.name} | {field.unit} | {field.description} |" for field in fields)]
    )


_READERS = {
    "features": "constituent",
    "backbone": "constituent, as the backbone reads it: with the constants of its own training",
    "context": "whole row",
    "generator": "whole row, as the generator draws it",
}


def _standardisation(model: Model) -> str:
    lines = [
        "The network reads `(x - centre) * scale` of each column.",
        "",
        "| column | of | centre | scale |",
        "|---|---|---|---|",
    ]
    for part, columns in constants_of(model.network).items():
        lines += [
            f"| {name} | {_READERS[part]} | {values['centre']:.5g} | {values['scale']:.5g} |"
            for name, values in columns.items()
        ]
    return "\n".join(lines)


def _outputs(model: Model) -> str:
    if not model.outputs:
        return "- the row's summary vector (no heads)"
    lines = []
    for name, output in model.outputs.items():
        meaning = (
            f"probabilities of {', '.join(output.field.classes)}"
            if output.field.classes
            else output.field.unit
        )
        lines.append(f"- `{name}`: {meaning}")
    return "\n".join(lines)


def _training(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the facts of the training, or of the conversion of what was trained elsewhere."""
    facts: Mapping[str, Any] = provenance.get("converted_from") or provenance.get("training", {})
    return facts


def _facts(values: Mapping[str, Any]) -> str:
    return (
        "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in values.items())
        or "- not recorded"
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
