"""Schemas say what arrays mean and refuse what makes no sense."""

import pytest

from hepfm.core.errors import DataError
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema


def test_a_schema_survives_json():
    schema = jet_schema(JETCLASS_CLASSES)
    assert Schema.from_dict(schema.to_dict()) == schema
    assert schema.label_classes == JETCLASS_CLASSES
    assert schema.is_ragged("part_pt")
    assert not schema.is_ragged("jet_pt")


def test_events_hold_lists_of_objects():
    schema = Schema(
        (Field("met", Level.EVENT, unit="GeV"), Field("jet_pt", Level.OBJECT, unit="GeV")), Level.EVENT
    )
    assert schema.is_ragged("jet_pt")
    assert schema.names(Level.EVENT) == ("met",)
    assert schema.label_classes == ()


def test_mistakes_are_refused():
    with pytest.raises(DataError, match="named twice"):
        Schema((Field("a", Level.OBJECT), Field("a", Level.OBJECT)))
    with pytest.raises(DataError, match="has classes"):
        Field("a", Level.OBJECT, Kind.CATEGORICAL)
    with pytest.raises(DataError, match="did you mean 'jet_pt'"):
        jet_schema()["jet_ptt"]
    with pytest.raises(DataError, match="must be a field of the rows"):
        Schema((Field("hit", Level.HIT, Kind.CATEGORICAL, classes=("a",)),), Level.OBJECT, "hit")
    with pytest.raises(DataError, match="not a schema"):
        Schema.from_dict({"fields": [{"name": "a"}]})
