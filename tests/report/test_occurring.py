"""Classes and codes that panels show."""

from __future__ import annotations

import numpy as np

from hepfm.core.schema import Field, Kind, Level
from hepfm.report.figures.bins import MOST_NAMES
from hepfm.report.figures.occurring import REST, occurring

MANY = tuple(f"c{k}" for k in range(40))
CLASSES = Field("kind", Level.OBJECT, Kind.CATEGORICAL, dtype="int8", classes=MANY)
CODE = Field("object_pdg", Level.OBJECT, Kind.COUNT, dtype="int32")


def names(field: Field, values: np.ndarray) -> list[str]:
    return [field.classes[number] for number in values]


def test_classes_that_occur_keep_their_names() -> None:
    values = np.array([3, 39, 3, 0])
    field, numbers = occurring(CLASSES, values, of_objects=False)
    assert field.classes == ("c0", "c3", "c39")
    assert names(field, numbers) == ["c3", "c39", "c3", "c0"]


def test_of_too_many_the_commonest_are_shown() -> None:
    values = np.append(np.arange(40), np.arange(17, 40))  # the first 17 are the rarest
    field, numbers = occurring(CLASSES, values, of_objects=True)
    assert field.classes == (*MANY[17:], REST)
    assert len(field.classes) == MOST_NAMES
    expected = [MANY[value] if value >= 17 else REST for value in values]
    assert names(field, numbers) == expected
    # Labels have no rest: which of many equal classes stood for themselves would be chance.
    field, numbers = occurring(CLASSES, values, of_objects=False)
    assert field is CLASSES
    np.testing.assert_array_equal(numbers, values)


def test_codes_are_classes_without_signs() -> None:
    field, numbers = occurring(CODE, np.array([-5, 5100039, 5, 24]), of_objects=True)
    assert (field.name, field.kind) == ("|object_pdg|", Kind.CATEGORICAL)
    assert names(field, numbers) == ["5", "5100039", "5", "24"]
    field, numbers = occurring(CODE, np.zeros(0, np.int32), of_objects=True)
    assert (field.kind, len(numbers)) == (Kind.CATEGORICAL, 0)
    other, values = occurring(Field("part_pt", Level.OBJECT), np.ones(3), of_objects=True)
    assert other.kind is Kind.CONTINUOUS
    assert values.tolist() == [1, 1, 1]
