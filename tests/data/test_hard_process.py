"""The hard process of events from a generator's record: objects, types, roles."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hepfm.core.errors import DataError
from hepfm.data.hard_process import HardObjects, hard_process, initial_states, object_charges, object_types
from hepfm.data.schemas.events import INITIAL_STATES, OBJECT_ROLES, OBJECT_TYPES

Particle = tuple[int, int, bool, float]
"""Code, mother, whether it leaves the hard process, pt."""

PROTON: Particle = (2212, -1, False, 0)


def of(*particles: Particle, events: list[int] | None = None) -> HardObjects:
    pdg, mother, hard, pt = (np.array(column) for column in zip(*particles, strict=True))
    event = np.zeros(len(pdg), int) if events is None else np.array(events)
    return hard_process(pdg, mother, hard.astype(bool), event=event, pt=pt)


def named(found: HardObjects) -> list[tuple[int, str, str]]:
    return [
        (int(place), OBJECT_TYPES[kind], OBJECT_ROLES[role])
        for place, kind, role in zip(found.place, found.type, found.role, strict=True)
    ]


def test_top_pair_with_copies_gives_last_resonances_and_first_daughters() -> None:
    found = of(
        PROTON,
        (21, 0, False, 0),
        (6, 1, True, 100.0),  # 2, then the copy that decays
        (6, 2, False, 90.0),
        (24, 3, True, 50.0),  # 4, 5
        (24, 4, False, 55.0),
        (5, 3, True, 40.0),
        (5, 6, False, 30.0),  # after radiation
        (-11, 5, True, 20.0),
        (12, 5, True, 21.0),
        (-6, 1, True, 110.0),  # 10
        (-24, 10, True, 60.0),
        (3, 11, True, 25.0),
        (-4, 11, True, 26.0),
        (-5, 10, True, 27.0),
        (211, 7, False, 1.0),
    )
    assert named(found) == [
        (3, "top", "none"),
        (5, "w", "none"),
        (6, "bottom", "t_b"),
        (8, "electron", "t_l"),
        (9, "neutrino", "t_nu"),
        (10, "top", "none"),
        (11, "w", "none"),
        (12, "quark", "tbar_q"),
        (13, "quark", "tbar_q"),
        (14, "bottom", "tbar_b"),
    ]


def test_the_outermost_resonance_names_the_role() -> None:
    higgs = of((25, -1, True, 9.0), (24, 0, True, 5.0), (-24, 0, True, 4.0), (11, 2, True, 3.0))
    assert named(higgs)[-1] == (3, "electron", "h_l")
    # A b quark of the top's W is one of that W's quarks.
    charmed = of(
        (6, -1, True, 9.0), (24, 0, True, 5.0), (5, 0, True, 5.0), (4, 1, True, 2.0), (-5, 1, True, 2.0)
    )
    assert [role for _, _, role in named(charmed)[2:]] == ["t_b", "t_q", "t_q"]
    assert [role for _, _, role in named(of((24, -1, True, 9.0), (-5, 0, True, 2.0)))] == ["none", "w_b"]
    # X -> Z H: the Standard Model's resonances name the roles; X -> q q: X does; X -> t: t does.
    heavy = of((9900, -1, True, 9.0), (23, 0, True, 5.0), (13, 1, True, 3.0), (2, 0, True, 2.0))
    assert named(heavy) == [
        (0, "other", "none"),
        (1, "z", "none"),
        (2, "muon", "z_l"),
        (3, "quark", "x_q"),
    ]
    top = of((9900, -1, True, 9.0), (6, 0, True, 5.0), (5, 1, True, 3.0))
    assert named(top)[-1] == (2, "bottom", "t_b")


def test_second_w_is_the_softer_one_when_it_decays_and_a_third_has_no_role() -> None:
    # The first copy of W 0 is soft, the one that decays is the hardest of the event.
    found = of(
        (24, -1, True, 1.0),
        (24, 0, False, 90.0),
        (13, 1, True, 5.0),
        (-24, -1, True, 50.0),
        (1, 3, True, 5.0),
        (24, -1, True, 20.0),
        (15, 5, True, 5.0),
        (24, -1, True, 7.0),  # another event
        (22, 7, True, 5.0),
        (23, -1, True, 99.0),
        (16, 9, True, 5.0),
        events=[0] * 7 + [1] * 4,
    )
    roles = [role for _, _, role in named(found) if role != "none"]
    assert roles == ["w_l", "w2_q", "w_photon", "z_nu"]
    assert ("tau", "none") in {(kind, role) for _, kind, role in named(found)}


def test_particles_without_resonance_have_no_role_and_soft_ones_are_no_objects() -> None:
    found = of((21, -1, True, 9.0), (5, 0, False, 8.0), (24, 0, False, 8.0), (11, 2, False, 2.0))
    assert named(found) == [(0, "gluon", "none")]
    assert not len(
        hard_process(np.zeros(0), np.zeros(0), np.zeros(0), event=np.zeros(0), pt=np.zeros(0)).place
    )


@pytest.mark.parametrize(
    ("mothers", "events", "message"),
    [
        ([1, 0, -1], [4, 4, 4], "row 4: a particle .* is its own ancestor"),
        ([0, 0, 1], [4, 4, 4], "its own ancestor"),
        ([1, 2, 0], [4, 4, 4], "its own ancestor"),
        ([-1, 0, 9], [4, 4, 5], "row 5: particle 2 .* outside of its event"),
        ([-2, 0, 1], [4, 4, 4], "outside"),
        ([-1, 0, 0], [4, 4, 5], "row 5: particle 2 .* outside of its event"),
    ],
)
def test_records_that_cannot_be_are_refused(mothers: list[int], events: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        of(*((6, mother, True, 1.0) for mother in mothers), events=events)


@pytest.mark.parametrize(
    "decay",
    [
        (6, 24, 5),
        (24, -11, 12),
        (24, -15, 16),
        (24, 2, -1),
        (-24, 3, -4),
        (23, 13, -13),
        (25, 22, 22),
        (25, 24, -24),
    ],
)
def test_decays_conserve_charge(decay: tuple[int, ...]) -> None:
    mother, *daughters = object_charges(np.array(decay))
    assert mother == pytest.approx(sum(daughters))
    np.testing.assert_allclose(object_charges(-np.array(decay)), -object_charges(np.array(decay)))
    assert "other" not in {OBJECT_TYPES[kind] for kind in object_types(np.array(decay))}


def test_initial_states_do_not_depend_on_the_order() -> None:
    codes = np.array([21, 1, -1, 2, -3, 0, 22])
    first, second = (part.ravel() for part in np.meshgrid(codes, codes))
    np.testing.assert_array_equal(initial_states(first, second), initial_states(second, first))
    names = Counter(INITIAL_STATES[state] for state in initial_states(first, second))
    assert names == {"gg": 1, "qg": 8, "qqbar": 2, "qq": 14, "other": 24}
