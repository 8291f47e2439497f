"""Feature sets and context of events."""

from __future__ import annotations

import numpy as np
import pytest
from event_rows import event_columns, event_table

from hepfm.core.ragged import Ragged, lists
from hepfm.data import context_set, feature_set
from hepfm.data.content import Content
from hepfm.data.event_features import OBJECT_MOMENTA, is_reconstructed
from hepfm.data.pool import RowPool
from hepfm.data.schemas.events import OBJECT_TYPES


@pytest.fixture(scope="module")
def table():  # type: ignore[no-untyped-def]
    return event_table(40, seed=3)


def test_no_generator_object_is_shown_to_a_network_of_reconstructed_ones(table) -> None:  # type: ignore[no-untyped-def]
    columns = event_columns(40, seed=3)
    pool = RowPool(table, Content(feature_set("event"), ("event_label", "object_role")), range(40))
    batch = pool.batch(np.arange(40))
    level = lists(columns, "object_level")
    seen = level.keep(level.values == 0).lengths
    assert (batch.mask_BN.sum(1).numpy() == seen).all()
    assert (seen < level.lengths).all()
    # Nothing changes when the generator objects do.
    other = dict(columns)
    pt = lists(other, "object_pt")
    other["object_pt"] = pt.with_values(
        np.where(is_reconstructed(columns), pt.values, 1e4).astype(np.float32)
    )
    changed = RowPool(
        type(table).from_dict(other, table.schema),
        Content(feature_set("event"), context=context_set("event")),
        range(40),
    ).batch(np.arange(40))
    plain = RowPool(table, Content(feature_set("event"), context=context_set("event")), range(40)).batch(
        np.arange(40)
    )
    assert (changed.features_BNF == plain.features_BNF).all()
    assert (changed.context_BC == plain.context_BC).all()


def test_labels_of_objects_follow_the_chosen_ones(table) -> None:  # type: ignore[no-untyped-def]
    batch = RowPool(table, Content(feature_set("event"), ("object_type",)), range(40)).batch(np.arange(40))
    names = feature_set("event").names
    for number, name in enumerate(OBJECT_TYPES[:6]):
        flag = batch.features_BNF[..., names.index(f"is_{name}")] == 1
        assert (flag == (batch.labels["object_type"] == number)).all()


def test_levels_have_final_particles_and_no_resonances(table) -> None:  # type: ignore[no-untyped-def]
    batch = RowPool(table, Content(feature_set("event_levels"), ("object_type",)), range(40)).batch(
        np.arange(40)
    )
    names = feature_set("event_levels").names
    generator = batch.features_BNF[..., names.index("is_generator")] == 1
    assert generator.sum(1).tolist() == [6, 2] * 20
    kinds = set(batch.labels["object_type"][generator].tolist())
    assert not kinds & {OBJECT_TYPES.index(name) for name in ("top", "z", "jet", "met")}
    sign = batch.features_BNF[..., names.index("particle_sign")]
    assert (sign[generator].abs() == 1).all()
    assert (sign[~generator] == 0).all()


def test_context_of_an_event() -> None:
    three_four = {
        "object_pt": [30.0, 40.0, 50.0, 10.0],
        "object_eta": [0.0, 0.0, 0.0, 0.0],
        "object_phi": [0.0, np.pi / 2, 3.0, 1.0],
        "object_energy": [30.0, 40.0, 50.0, 10.0],
        "object_type": [0, 0, 5, 2],
        "object_level": [0, 0, 0, 0],
        "object_b_tag": [1.0, 0.0, 0.0, 0.0],
    }
    columns = {name: Ragged.from_lists([values], np.float64) for name, values in three_four.items()}
    for name in ("object_type", "object_level"):
        columns[name] = columns[name].with_values(columns[name].values.astype(np.int8))
    context = context_set("event")
    values = dict(zip(context.names, context.compute(columns, np.array([4]))[0], strict=True))
    assert values["log_met"] == pytest.approx(np.log1p(50), rel=1e-6)
    assert values["cos_met_phi"] == pytest.approx(np.cos(3), rel=1e-6)
    assert values["log_ht"] == pytest.approx(np.log1p(70), rel=1e-6)
    assert values["log_lepton_ht"] == pytest.approx(np.log1p(10), rel=1e-6)
    assert [values[f"num_{what}"] for what in ("leptons", "b_jets", "jets")] == [1, 1, 2]
    px, py = 30 + 10 * np.cos(1), 40 + 10 * np.sin(1)
    assert values["log_mass"] == pytest.approx(np.log1p(np.sqrt(80**2 - px**2 - py**2)), rel=1e-6)
    assert values["log_lepton_mass"] == pytest.approx(0, abs=1e-5)


def test_context_of_shown_objects_tells_their_mass_alone(table) -> None:  # type: ignore[no-untyped-def]
    context = context_set("event")
    batch = RowPool(table, Content(feature_set("event"), context=context), range(40)).batch(np.arange(40))
    assert batch.p4_BN4 is not None
    # Of all objects without the missing momentum, the visible context gives the mass that was computed.
    met = batch.features_BNF[..., feature_set("event").names.index("is_met")] == 1
    assert context.visible is not None
    shown = context.visible(batch.p4_BN4 * ~met[..., None], batch.mask_BN & ~met)
    mass = context.names.index("log_mass")
    # Momenta in single precision do not resolve masses far below the energies.
    np.testing.assert_allclose(shown[:, mass], batch.context_BC[:, mass], rtol=1e-4, atol=0.01)
    assert (shown[:, [k for k in range(len(context)) if k != mass]] == 0).all()


def test_sets_without_charge_or_b_tag(table) -> None:  # type: ignore[no-untyped-def]
    features = feature_set("event").without(["charge", "b_tag"])
    assert set(features.columns) == {*OBJECT_MOMENTA, "object_type", "object_level"}
    values = features.compute(features.choose(event_columns(5)))
    assert (values[:, [features.names.index(name) for name in ("charge", "b_tag")]] == 0).all()
