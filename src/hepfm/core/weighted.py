"""Components with a weight: what a loss is the sum of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import core_schema

from hepfm.core.config import Component, ComponentOf
from hepfm.core.registry import Registry


@dataclass(frozen=True)
class Weighted:
    """A component and its weight."""

    component: Component
    weight: float

    def spec(self) -> dict[str, Any]:
        """Return the values that are read as this component and weight."""
        return {**self.component.spec(), "weight": self.weight}


@dataclass(frozen=True)
class WeightedOf:
    """Makes a field of a config a component with its ``weight``, 1 if not given; see `ComponentOf`.

    Attributes
    ----------
    registry
        The table of components.
    refused
        Names that cannot stand here, with the reason.
    """

    registry: Registry
    refused: Mapping[str, str] = field(default_factory=dict)

    def read(self, spec: Any) -> Weighted:
        """Return the component of a name, or of a mapping of options with ``name`` and ``weight``."""
        if isinstance(spec, Weighted):
            return spec
        options = {"name": spec} if isinstance(spec, str) else spec
        if not isinstance(options, Mapping) or "name" not in options:
            raise ValueError(
                f"expected the name of a {self.registry.kind}, or its options with its name and weight"
            )
        if options["name"] in self.refused:
            raise ValueError(self.refused[options["name"]])
        weight = options.get("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight > 0:
            raise ValueError(f"weight: expected a number above 0, got {weight!r}")
        plain = {key: value for key, value in options.items() if key != "weight"}
        return Weighted(ComponentOf(self.registry).read(plain), float(weight))

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(Weighted.spec)
        return core_schema.no_info_plain_validator_function(self.read, serialization=written)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"description": f"{self.registry.kind}: a name, or a mapping with name, weight and options"}
