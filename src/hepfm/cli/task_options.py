"""Options of ``hepfm evaluate`` that say what a task of any field measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from hepfm.cli.options import numbers_by_name

_META = "hepfm.task_options"


def _names(texts: Sequence[str]) -> list[str]:
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def _classes_of_field(text: str) -> list[str]:
    field, equals, names = text.partition("=")
    if not (field and equals and names):
        raise click.BadParameter(f"write FIELD=CLASS,..., e.g. jet_label=tau; got {text!r}")
    return [field.strip(), *(name.strip() for name in names.split(","))]


def _fractions(text: str) -> list[float]:
    return _numbers_of(text, like="numbers between 0 and 1, e.g. 0.5,0.3")


def _numbers_of(text: str, *, like: str = "numbers, e.g. 500,750,1000") -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"write {like}; got {text!r}") from None


def _value(text: str) -> Any:
    """Return what YAML makes of a text."""
    from hepfm.core.config import parse_override

    return parse_override(f"value={text}")["value"]


def _option(name: str, read: Callable[[Any], Any], **settings: Any) -> Callable[..., Any]:
    """Return a decorator that adds an option whose value is kept aside for `task_spec`."""

    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value not in (None, ()):
            context.meta.setdefault(_META, {})[name] = read(value)

    return click.option(f"--{name.replace('_', '-')}", callback=keep, expose_value=False, **settings)


_OPTIONS = (
    _option(
        "field",
        str,
        metavar="NAME",
        help="classification, regression, domain_shift: the field of the rows; the label of the store by "
        "default.",
    ),
    _option(
        "signal",
        _names,
        multiple=True,
        metavar="CLASS,...",
        help="classification, robustness, anomaly: signal classes; all that are not background by default.",
    ),
    _option(
        "background",
        _names,
        multiple=True,
        metavar="CLASS,...",
        help="The same: background classes. Rows of classes that are neither are left out.",
    ),
    _option(
        "efficiencies",
        _fractions,
        metavar="NUMBER,...",
        help="classification: signal efficiencies of the background rejections; 0.5,0.3 by default.",
    ),
    _option(
        "background_efficiencies",
        _fractions,
        metavar="NUMBER,...",
        help="classification, weak_supervision: background efficiencies of significance improvements, none "
        "and 0.01 by default; anomaly: those of signal efficiencies, 0.1,0.01,0.001 by default.",
    ),
    _option(
        "score",
        _value,
        metavar="NAME",
        help="anomaly: how distance is measured, see `hepfm list anomaly_score`; with options e.g. "
        "'{name: knn, neighbours: 10}'; knn by default.",
    ),
    _option("bank", int, type=int, metavar="ROWS", help="anomaly: most training rows in the bank; 20000."),
    _option(
        "reference",
        _classes_of_field,
        metavar="FIELD=CLASS,...",
        help="anomaly: the only training rows that fill the bank; all by default.",
    ),
    _option(
        "variation",
        str,
        metavar="FIELD",
        help="robustness: the field that says which simulation a row is of; jet_variation by default. "
        "domain_shift: the same, none by default.",
    ),
    _option(
        "nominal",
        str,
        metavar="CLASS",
        help="The same: the simulation that the others are compared with; nominal by default.",
    ),
    _option(
        "against",
        str,
        metavar="STORE",
        help="domain_shift: the store that is compared with this one or, with --variation, a class of it.",
    ),
    _option(
        "by_class",
        _value,
        metavar="BOOL",
        help="domain_shift: whether rows are compared class by class; true by default.",
    ),
    _option(
        "rows",
        int,
        type=int,
        metavar="ROWS",
        help="domain_shift: most rows of a class and domain; 5000 by default. similarity: most rows, 4000.",
    ),
    _option("other", str, metavar="MODEL", help="similarity: the model that MODEL is compared with."),
    _option(
        "variations",
        _names,
        multiple=True,
        metavar="CLASS,...",
        help="robustness: the simulations that are compared with it; all others by default.",
    ),
    _option(
        "floor",
        str,
        metavar="CLASS",
        help="robustness: the simulation that differs by chance alone; seed by default.",
    ),
    _option(
        "luminosity",
        float,
        type=float,
        metavar="1/FB",
        help="significance: integrated luminosity; 140 by default.",
    ),
    _option(
        "cross_sections",
        numbers_by_name,
        multiple=True,
        metavar="CLASS=FB,...",
        help="significance: cross sections after the selection; those of the simulation by default.",
    ),
    _option(
        "background_uncertainty",
        float,
        type=float,
        metavar="FRACTION",
        help="significance: relative uncertainty of the background; 0.1 by default.",
    ),
    _option(
        "least_background",
        int,
        type=int,
        metavar="ROWS",
        help="significance: least background rows in a bin; 10 by default.",
    ),
    _option(
        "draws", int, type=int, metavar="NUMBER", help="neutrinos: solutions of each event; 100 by default."
    ),
    _option(
        "segments",
        _value,
        metavar="TAGS",
        help="segmentation: roles of the objects of each decay; '{t_had: [[t_b, t_q], [tbar_b, tbar_q]]}' by "
        "default.",
    ),
    _option("masses", _numbers_of, metavar="GEV,...", help="mass_scan: the hypotheses."),
    _option(
        "parameter",
        str,
        metavar="FIELD",
        help="mass_scan: the field that holds the mass of the signal; event_resonance_mass by default.",
    ),
    _option(
        "only",
        _classes_of_field,
        metavar="FIELD=CLASS,...",
        help="classification, regression, domain_shift: the only rows that count.",
    ),
    _option(
        "groups",
        str,
        metavar="FIELD",
        help="regression: a field whose classes are measured by themselves too.",
    ),
    _option(
        "compare",
        str,
        type=click.Choice(["difference", "ratio", "log_ratio"]),
        help="regression: predicted less true, over true, or exp of the difference of logarithms.",
    ),
)


def task_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command; `task_spec` reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def task_spec(name: str) -> dict[str, Any]:
    """Return the task of this call: its name, and the options that were given for it."""
    return {"name": name, **click.get_current_context().meta.get(_META, {})}
