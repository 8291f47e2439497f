"""Model card: what a physicist must know before using a model, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hepfm.models.constants import constants_of

if TYPE_CHECKING:
    from hepfm.models.directory import Model

NOTES = "notes"
"""What the provenance calls further sections of the card: Markdown by title."""


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
        *_preprocessing(model.provenance.get("preprocessing", ())),
        "## Outputs",
        _outputs(model),
        "## Training data",
        _facts(model.provenance.get("data", {})),
        "## Training",
        _facts(_training(model.provenance)),
        "## Metrics",
        _facts(model.metrics),
        *_notes(model.provenance.get(NOTES, {})),
        "## Files",
        f"- SHA-256 of the weights: `{checksum}`\n- check with: `hepfm check` on this directory",
    ]
    return "\n\n".join(parts) + "\n"


def _notes(notes: Mapping[str, str]) -> list[str]:
    """Return what is known of a model beyond its training, e.g. from studies of it."""
    return [part for title, text in notes.items() for part in (f"## {title}", text)]


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
    if model.features.row_pt is not None:
        text += f" Four-momenta of a row are multiplied by {model.features.row_pt:g} GeV over its jet_pt."
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
        "The network reads `(x - centre) * scale` of each column, clipped on both sides to `clip`.",
        "",
        "| column | of | centre | scale | clip |",
        "|---|---|---|---|---|",
    ]
    limits = dict(zip(model.features.names, model.network.standardize.limit_F.tolist(), strict=True))
    for part, columns in constants_of(model.network).items():
        lines += [
            f"| {name} | {_READERS[part]} | {values['centre']:.5g} | {values['scale']:.5g} | "
            f"{_clip(limits[name] if part == 'features' else math.inf)} |"
            for name, values in columns.items()
        ]
    return "\n".join([*lines, *_expressions(model)])


def _clip(limit: float) -> str:
    return "none" if math.isinf(limit) else f"{limit:g}"


def _expressions(model: Model) -> list[str]:
    """Return how the columns are computed that are arithmetic with fields."""
    written = (model.features.written or {}).get("columns", ())
    lines = []
    for column in written:
        ends = [f"{column[end]:g}" if column[end] is not None else "..." for end in ("minimum", "maximum")]
        inside = f", between {ends[0]} and {ends[1]}" if ends != ["...", "..."] else ""
        if column["expression"] or inside:
            lines.append(f"- `{column['name']}` = `{column['expression'] or column['name']}`{inside}")
    return ["", *lines] if lines else []


_COLUMNS = {
    "name": "variable of the file",
    "feature": "feature here",
    "centre": "subtract",
    "scale": "multiply",
    "low": "clip from",
    "high": "to",
    "pad_value": "pad with",
    "pad_mode": "pad mode",
    "length": "constituents",
}


def _preprocessing(variables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a section with what the file of a converted model says of each variable; none without one."""
    if not variables:
        return []
    lines = [
        "Of the file with which the network was trained. `-`: no transformation. Padding is masked.",
        "",
        f"| {' | '.join(_COLUMNS.values())} |",
        f"|{'---|' * len(_COLUMNS)}",
    ]
    for variable in variables:
        plain = variable["centre"] is None
        cells = ["-" if plain and key in _CONSTANTS else _cell(variable[key]) for key in _COLUMNS]
        lines.append(f"| {' | '.join(cells)} |")
    return ["## Preprocessing in training", "\n".join(lines)]


_CONSTANTS = ("centre", "scale", "low", "high")


def _cell(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).replace("|", "\\|")


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
