"""What a network of weaver-core reads, as a feature set: each variable is compared with what is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import ConfigError, HepfmError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.rng import numpy_generator
from hepfm.data import feature_set
from hepfm.data.feature_names import PARTICLE_TRANSFORMER_KINEMATICS
from hepfm.data.features import FeatureSet
from hepfm.data.maps.expression import Expression
from hepfm.data.schemas.jets import PID_CLASSES
from hepfm.data.written_features import FIELDS, KNOWN, SOURCES, WrittenColumn, from_written
from hepfm.models.convert.weaver.data_config import DataConfig, Variable
from hepfm.models.convert.weaver.expressions import Translator
from hepfm.nn.standardize import LIMIT

_SETS = ("kin", "kinpid", "full")
_UNBOUNDED = PARTICLE_TRANSFORMER_KINEMATICS
"""Known features that reach beyond a clip at 5, so that the clip matters."""

_MOMENTA = ("part_pt * cos(part_phi)", "part_pt * sin(part_phi)", "part_pt * sinh(part_eta)", "part_energy")
_JETS = 200
_TOLERANCE = 1e-4

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Inputs:
    """What a network reads.

    Attributes
    ----------
    features
        A set of the registry where it is one, else a written one.
    points
        Features that are the coordinates ``pf_points``; None where they were not asked for.
    sources
        Variable of the file by feature, for the card.
    """

    features: FeatureSet
    points: tuple[str, ...] | None
    sources: Mapping[str, Variable]


def read_inputs(config: DataConfig, branches: Mapping[str, str], *, momenta: bool, points: bool) -> Inputs:
    """Return what a preprocessing file says that a network reads.

    Parameters
    ----------
    config
        The file.
    branches
        Meanings of branches; see `Translator`.
    momenta, points
        Whether the network reads ``pf_vectors``, and ``pf_points``.

    Raises
    ------
    ConfigError
        When something cannot be expressed in fields of a store; the message names the variable.
    """
    translator = Translator(config.new_variables, branches)
    _check_mask(config, translator)
    sources: dict[str, Variable] = {}
    columns = []
    for variable in config.input("_features"):
        column = _column(variable, translator, config, taken=sources)
        sources[column.name] = variable
        columns.append(column)
    row_pt = _row_pt(config, translator) if momenta else None
    written = {
        "name": f"weaver:{config.path.name.split('.')[0]}",
        "columns": [column.model_dump() for column in columns],
        "row_pt": row_pt,
    }
    registered = _registered(columns) if row_pt is None else None
    return Inputs(
        features=registered or from_written(written, where=str(config.path)),
        points=_points(config, translator, sources) if points else None,
        sources=sources,
    )


# -- one variable


def _column(
    variable: Variable, translator: Translator, config: DataConfig, *, taken: Mapping[str, Variable]
) -> WrittenColumn:
    text = translator.text(variable.name)
    values = _evaluate(variable.name, text, config)
    low, high, limit = _clips(variable)
    known = _known_as(values, taken)
    if known is None and (low is not None or high is not None):
        known = _known_as(np.clip(values, low, high), taken)
        low, high = (None, None) if known else (low, high)
    name = known or _free(variable.name, taken)
    return WrittenColumn(
        name=name,
        expression=None if known else text,
        minimum=low,
        maximum=high,
        centre=variable.centre or 0.0,
        scale=1.0 if variable.centre is None else variable.scale,
        limit=limit,
    )


def _clips(variable: Variable) -> tuple[float | None, float | None, float | None]:
    """Return the range of physical values, and the clip after the standardisation; None for none."""
    if variable.centre is None:
        return None, None, None
    if variable.low == -variable.high:
        return None, None, variable.high
    ends = (variable.centre + end / variable.scale for end in (variable.low, variable.high))
    low, high = sorted(ends)
    return low, high, None


def _known_as(values: Values, taken: Mapping[str, Variable]) -> str | None:
    """Return the known feature that has these values; None without one, or if it is taken already."""
    for name, known in _known().items():
        if name not in taken and _same(values, known):
            return name
    return None


def _free(name: str, taken: Mapping[str, Variable]) -> str:
    """Return the variable's name as that of a feature; known names keep their meaning."""
    while name in KNOWN or name in taken:
        name += "_"
    return name


def _evaluate(name: str, text: str, config: DataConfig) -> Values:
    try:
        values = Expression(text, FIELDS, entrywise=True).flat(_flat())
        values = np.broadcast_to(values.astype(np.float64), _flat()["part_pt"].shape)
    except (HepfmError, ValueError, TypeError) as error:
        raise ConfigError(f"{config.path}: variable {name!r}: {error}") from None
    if np.isnan(values).all():
        raise ConfigError(f"{config.path}: variable {name!r} has no value: {text}")
    return values


def _same(values: Values, others: Values) -> bool:
    return np.allclose(values, others, rtol=_TOLERANCE, atol=_TOLERANCE)


# -- all of them


def _registered(columns: Sequence[WrittenColumn]) -> FeatureSet | None:
    """Return the set of the registry that is the same; None without one."""
    for features in map(feature_set, _SETS):
        if features.names == tuple(column.name for column in columns) and all(
            _as_registered(column, centre, scale)
            for column, centre, scale in zip(columns, features.centre, features.scale, strict=True)
        ):
            return features
    return None


def _as_registered(column: WrittenColumn, centre: float, scale: float) -> bool:
    plain = column.expression is None and column.minimum is None and column.maximum is None
    limits = (LIMIT,) if column.name in _UNBOUNDED else (LIMIT, None)
    return plain and column.limit in limits and (column.centre, column.scale) == (centre, scale)


def _check_mask(config: DataConfig, translator: Translator) -> None:
    for name, variables in config.inputs.items():
        if name.endswith("_mask"):
            values = _evaluate(variables[0].name, translator.text(variables[0].name), config)
            if not (values == 1).all():
                raise ConfigError(
                    f"{config.path}: {name}: {variables[0].name!r} is not 1 for each constituent; masks of "
                    "real ones are not read: leave those out of the data"
                )


def _untransformed(config: DataConfig, ending: str, translator: Translator) -> list[tuple[str, Values]]:
    variables = config.input(ending)
    for variable in variables:
        if variable.centre is not None:
            raise ConfigError(
                f"{config.path}: pf{ending}: {variable.name} is standardised (centre {variable.centre:g}, "
                f"scale {variable.scale:g}); only those without transformation, [{variable.name}, null], are "
                "read"
            )
    return [(each.name, _evaluate(each.name, translator.text(each.name), config)) for each in variables]


def _points(config: DataConfig, translator: Translator, sources: Mapping[str, Variable]) -> tuple[str, ...]:
    """Return the features that are the coordinates of the constituents."""
    columns = {
        name: _evaluate(variable.name, translator.text(variable.name), config)
        for name, variable in sources.items()
    }
    points = []
    for name, values in _untransformed(config, "_points", translator):
        same = next((column for column, other in columns.items() if _same(values, other)), None)
        if same is None:
            raise ConfigError(
                f"{config.path}: pf_points: {name} is not among the features, where this ParticleNet "
                f"looks for it ({', '.join(sources)})"
            )
        points.append(same)
    return tuple(points)


def _row_pt(config: DataConfig, translator: Translator) -> float | None:
    """Return the transverse momentum to which ``pf_vectors`` are scaled; None for none."""
    vectors = _untransformed(config, "_vectors", translator)
    flat = _flat()
    expected = [Expression(text, FIELDS, entrywise=True).flat(flat) for text in _MOMENTA]
    if len(vectors) == len(expected):
        ratios = np.stack([values / true for (_, values), true in zip(vectors, expected, strict=True)])
        if _same(ratios, np.ones_like(ratios)):
            return None
        scaled = ratios * flat["jet_pt"]
        row_pt = float(np.median(scaled))
        if row_pt > 0 and np.allclose(scaled, row_pt, rtol=_TOLERANCE):
            return float(f"{row_pt:.6g}")
    names = ", ".join(name for name, _ in vectors)
    raise ConfigError(
        f"{config.path}: pf_vectors: {names} are not px, py, pz and energy of the constituents, nor these "
        "scaled to one transverse momentum of the jet; other momenta are not read"
    )


# -- jets on which variables are compared


@cache
def _jets() -> Columns:
    """Return random jets with nothing in common but their axis: every field has values of its own."""
    rng = numpy_generator(0, "convert.weaver")
    lengths = rng.integers(1, 9, _JETS)
    total = int(lengths.sum())
    rows = {
        "jet_pt": np.exp(rng.uniform(3, 8, _JETS)),
        "jet_eta": rng.uniform(-2.5, 2.5, _JETS),
        "jet_phi": rng.uniform(-np.pi, np.pi, _JETS),
        "jet_softdrop_mass": rng.exponential(80, _JETS),
        **{f"jet_tau{n}": rng.uniform(0.01, 1, _JETS) for n in (1, 2, 3, 4)},
    }
    rows["jet_energy"] = rows["jet_pt"] * np.cosh(rows["jet_eta"]) * rng.uniform(1.0, 1.5, _JETS)
    axis_eta, axis_phi = (np.repeat(rows[name], lengths) for name in ("jet_eta", "jet_phi"))
    parts = {
        "part_pt": np.exp(rng.uniform(-3, 7, total)),
        "part_eta": axis_eta + rng.normal(0, 0.4, total),
        "part_phi": axis_phi + rng.normal(0, 0.4, total),
        "part_charge": rng.integers(-1, 2, total).astype(float),
        "part_pid": rng.integers(0, len(PID_CLASSES), total),
        **{f"part_{name}": rng.normal(0, 1.5, total) for name in ("d0", "dz")},
        **{f"part_{name}_error": rng.uniform(0, 2, total) for name in ("d0", "dz")},
    }
    parts["part_phi"] -= 2 * np.pi * np.rint(parts["part_phi"] / (2 * np.pi))
    parts["part_energy"] = parts["part_pt"] * np.cosh(parts["part_eta"]) * rng.uniform(1, 1.5, total)
    return {**rows, **{name: Ragged.from_lengths(values, lengths) for name, values in parts.items()}}


@cache
def _flat() -> dict[str, Array]:
    jets = _jets()
    parts = jets["part_pt"]
    assert isinstance(parts, Ragged)
    return {
        name: column.values if isinstance(column, Ragged) else np.repeat(column, parts.lengths)
        for name, column in jets.items()
    }


@cache
def _known() -> dict[str, Values]:
    """Return the values of known features."""
    found: dict[str, Values] = {}
    for names, _, fill in SOURCES.values():
        rows = np.empty((len(names), len(_flat()["part_pt"])))
        fill(_jets(), rows)
        found |= dict(zip(names, rows, strict=True))
    return found
