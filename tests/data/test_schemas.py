"""The built-in schemas say what every field is, in which unit and type."""

from __future__ import annotations

import numpy as np
import pytest

from hepfm.core.schema import Kind, Schema
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.schemas.showers import shower_schema
from hepfm.data.schemas.taus import TAU_FIELDS

SCHEMAS = {
    "jets": jet_schema(JETCLASS_CLASSES),
    "taus": jet_schema(("QCD", "tau"), extra=TAU_FIELDS),
    "showers": shower_schema(),
}
GEV = ("pt", "energy", "mass")
MM = ("d0", "dz", "x", "y", "z")


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_is_described_and_has_the_unit_of_its_name(name: str) -> None:
    schema: Schema = SCHEMAS[name]
    for field in schema:
        assert field.description or field.name == schema.label, field.name  # classes describe the label
        word = field.name.split("_")[-1]
        if field.kind is Kind.CATEGORICAL:
            assert np.dtype(field.dtype).kind == "i", field.name
            assert field.unit == "1", field.name
        elif word in GEV:
            assert field.unit == "GeV", field.name
        elif word in MM or field.name.endswith(("d0_error", "dz_error")):
            assert field.unit == "mm", field.name
        elif word == "phi":
            assert (field.kind, field.unit) == (Kind.ANGLE, "rad"), field.name
