"""weaver-core's preprocessing file: which variables a network reads, and what is done to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepfm.core.config import read_yaml
from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.core.files import sha256
from hepfm.core.guards import reading

_DEFAULTS: dict[str, Any] = {"center": None, "scale": 1, "min": -5, "max": 5, "pad_value": 0}
"""What weaver-core 0.5.3 takes where a variable says nothing, in the order of its list."""

_AUTO = "auto"


@dataclass(frozen=True)
class Variable:
    """One input variable: clipped ``(x - centre) * scale``, or x as it is where there is no centre.

    Attributes
    ----------
    name
        A branch, or one of the new variables of the file.
    centre
        None for no transformation and no clip.
    scale, low, high
        Factor, and the clip of the result.
    pad_value, pad_mode, length
        What stands behind the constituents, and the number of slots.
    """

    name: str
    centre: float | None
    scale: float
    low: float
    high: float
    pad_value: float
    pad_mode: str
    length: int


@dataclass(frozen=True)
class DataConfig:
    """A preprocessing file.

    Attributes
    ----------
    path, sha256
        The file.
    new_variables
        Expression by name.
    inputs
        Variables by input, ``pf_features`` and so on.
    classes
        Labels of the classes, one each; None where the file has one label that is a number.
    targets
        Expression by name of labels that are numbers.
    selection
        Which rows the network was trained on; None for all.
    """

    path: Path
    sha256: str
    new_variables: Mapping[str, str]
    inputs: Mapping[str, tuple[Variable, ...]]
    classes: tuple[str, ...] | None
    targets: Mapping[str, str]
    selection: str | None

    @classmethod
    def read(cls, path: str | Path) -> DataConfig:
        """Read a file.

        Raises
        ------
        ConfigError
            When it is no such file; the message names the entry.
        """
        path = Path(path)
        with reading(path, ConfigError, what="a preprocessing file of weaver-core"):
            values = read_yaml(path)
            classes, targets = _labels(values)
            selection = values.get("selection")
            return cls(
                path=path,
                sha256=sha256(path),
                new_variables=_expressions(values),
                inputs=_inputs(values),
                classes=classes,
                targets=targets,
                selection=None if selection is None else " ".join(str(selection).split()),
            )

    def input(self, ending: str) -> tuple[Variable, ...]:
        """Return the variables of the input whose name ends in `ending`, e.g. ``"_features"``.

        Raises
        ------
        ConfigError
            When there is none, or more than one.
        """
        found = [name for name in self.inputs if name.endswith(ending)]
        if len(found) > 1:
            raise ConfigError(
                f"{self.path}: inputs: {' and '.join(found)}: networks of several sets of constituents are "
                "not read"
            )
        if not found:
            raise ConfigError(
                f"{self.path}: inputs: there is no pf{ending}, which this network reads; it has "
                f"{', '.join(self.inputs)}"
            )
        variables = self.inputs[found[0]]
        for variable in variables:
            if variable.centre is not None and not isinstance(variable.centre, float):
                raise ConfigError(
                    f"{self.path}: {found[0]}: {variable.name}: its centre is measured ({_AUTO}) and not "
                    "written here; give the *.auto.yaml file that weaver wrote beside this one in training"
                )
        return variables

    @property
    def length(self) -> int:
        """Number of constituents that the network reads.

        Raises
        ------
        ConfigError
            When inputs differ in it.
        """
        lengths = {name: variables[0].length for name, variables in self.inputs.items()}
        if len(set(lengths.values())) > 1:
            raise ConfigError(f"{self.path}: inputs: the lengths differ: {lengths}; they must be equal")
        return next(iter(lengths.values()))


def _section(values: Mapping[str, Any], name: str, kind: type, *, needed: bool) -> Any:
    value = values.get(name)
    if value is None and not needed:
        return kind()
    if not isinstance(value, kind):
        what = "missing" if value is None else f"{value!r:.60}"
        raise ConfigError(f"{name}: expected {'keys and values' if kind is dict else 'a list'}, got {what}")
    return value


def _expressions(values: Mapping[str, Any]) -> dict[str, str]:
    found = _section(values, "new_variables", dict, needed=False)
    return {str(name): str(text).strip() for name, text in found.items()}


def _labels(values: Mapping[str, Any]) -> tuple[tuple[str, ...] | None, dict[str, str]]:
    labels = _section(values, "labels", dict, needed=True)
    kind = labels.get("type")
    if kind == "simple":
        return tuple(str(name) for name in _section(labels, "value", list, needed=True)), {}
    if kind == "custom":
        targets = _section(labels, "value", dict, needed=True)
        return None, {str(name): str(text) for name, text in targets.items()}
    raise ConfigError(f"labels: type: expected simple or custom, got {kind!r}")


def _inputs(values: Mapping[str, Any]) -> dict[str, tuple[Variable, ...]]:
    preprocess = _section(values, "preprocess", dict, needed=False)
    auto = str(preprocess.get("method", "manual")).lower().startswith(_AUTO)
    params = preprocess.get("params")
    inputs = _section(values, "inputs", dict, needed=True)
    if not inputs:
        raise ConfigError("inputs: there are none")
    return {str(name): _input(str(name), entry, params, auto) for name, entry in inputs.items()}


def _input(name: str, entry: Any, params: Any, auto: bool) -> tuple[Variable, ...]:
    where = f"inputs: {name}"
    if not isinstance(entry, dict) or not isinstance(entry.get("vars"), list) or not entry["vars"]:
        raise ConfigError(f"{where}: expected keys 'length' and 'vars' with a list of variables")
    common = {"length": entry.get("length"), "pad_mode": entry.get("pad_mode") or "constant"}
    variables = []
    for item in entry["vars"]:
        listed = item if isinstance(item, list) else [item]
        if not listed or not isinstance(listed[0], str) or len(listed) > 1 + len(_DEFAULTS):
            raise ConfigError(f"{where}: expected [variable, centre, scale, ...], got {item!r}")
        if params is None:
            own = dict(zip(_DEFAULTS, listed[1:], strict=False))
            own = {"center": _AUTO if auto else None, **own}
        else:
            own = _measured(listed[0], params)
        variables.append(_variable(f"{where}: {listed[0]}", listed[0], {**_DEFAULTS, **common, **own}))
    return tuple(variables)


def _measured(name: str, params: Any) -> Any:
    if not isinstance(params, dict):
        raise ConfigError(f"preprocess: params: expected keys and values, got {params!r:.60}")
    if not isinstance(params.get(name), dict):
        raise ConfigError(f"preprocess: params: nothing is said of {name!r}{did_you_mean(name, params)}")
    return params[name]


def _variable(where: str, name: str, values: Mapping[str, Any]) -> Variable:
    centre = values["center"]
    length = values["length"]
    if type(length) is not int or length < 1:
        raise ConfigError(f"{where}: length: expected the number of constituents, got {length!r}")
    number = {key: _number(f"{where}: {key}", values[key]) for key in ("scale", "min", "max", "pad_value")}
    if number["scale"] == 0 or number["min"] >= number["max"]:
        raise ConfigError(
            f"{where}: scale {number['scale']}, clip from {number['min']} to {number['max']}: nothing is left"
        )
    return Variable(
        name=name,
        centre=centre if centre in (None, _AUTO) else _number(f"{where}: centre", centre),
        scale=number["scale"],
        low=number["min"],
        high=number["max"],
        pad_value=number["pad_value"],
        pad_mode=str(values["pad_mode"]).lower(),
        length=length,
    )


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{where}: expected a number, got {value!r}")
    return float(value)
