"""Augmentations: what they conserve, how much they change, and that features and momenta stay one jet."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from builders import built, draws
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.errors import ConfigError, IncompatibleError
from hepfm.core.ragged import Ragged
from hepfm.core.rng import numpy_generator
from hepfm.data import feature_set
from hepfm.data.features import FeatureSet, four_momenta
from hepfm.nn.momenta import relative_to_visible
from hepfm.objectives.augmentations import AUGMENTATIONS

NAMES = list(AUGMENTATIONS)
MOVING = [name for name in NAMES if AUGMENTATIONS.load(name).moves]
LENGTHS = (30, 1, 0, 12, 7)
AXES = ((600.0, 1.1), (400.0, -0.7), (300.0, 0.2), (800.0, -1.9), (500.0, 0.05))
"""pt and eta of the jets: deta of the Particle Transformer has the sign of eta."""


def jets(seed: int = 0) -> dict[str, Any]:
    """Columns of jets of massive constituents."""
    rng = numpy_generator(seed, "test")
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    pt = np.concatenate([-np.sort(-rng.exponential(20, n) - 0.3) for n in LENGTHS])
    axis = np.repeat(np.array(AXES), LENGTHS, axis=0)
    eta, phi = axis[:, 1] + rng.normal(0, 0.2, len(pt)), rng.normal(3.0, 0.2, len(pt))
    energy = np.hypot(pt * np.cosh(eta), rng.uniform(0, 0.5, len(pt)))
    flat = {"pt": pt, "eta": eta, "phi": np.angle(np.exp(1j * phi)), "energy": energy}
    jet_pt, jet_eta = np.array(AXES).T
    return {
        "jet_pt": jet_pt,
        "jet_eta": jet_eta,
        "jet_phi": np.full(len(LENGTHS), 3.0),
        "jet_energy": jet_pt * np.cosh(jet_eta),
        **{f"part_{name}": Ragged(values, offsets) for name, values in flat.items()},
    }


def batch_of(columns: dict[str, Any], features: FeatureSet) -> Batch:
    lengths = columns["part_pt"].lengths
    mask = torch.arange(max(LENGTHS)) < torch.from_numpy(lengths)[:, None]
    values = torch.zeros(*mask.shape, len(features))
    momenta = torch.zeros(*mask.shape, 4)
    values[mask] = torch.from_numpy(features.compute(columns))
    momenta[mask] = torch.from_numpy(four_momenta(columns))
    values = relative_to_visible(values, mask, momenta, features.names)
    return Batch(values, mask, torch.arange(len(lengths)), momenta)


def augmented(name: str, features: str = "kin", *, step: int = 0, **options: Any) -> tuple[Batch, Batch]:
    """Jets, and what an augmentation makes of them."""
    batch = batch_of(jets(), feature_set(features))
    augmentation = built(AUGMENTATIONS, {"name": name, **options})
    names = feature_set(features).names
    changed = augmentation(batch, replace(draws(), step=step), "view", names)
    values = relative_to_visible(changed.features_BNF, changed.mask_BN, changed.p4_BN4, names)
    return batch, replace(changed, features_BNF=values)


def column(batch: Batch, name: str, features: str = "kin") -> Tensor:
    return batch.features_BNF[..., feature_set(features).names.index(name)]


def momenta(batch: Batch) -> Tensor:
    assert batch.p4_BN4 is not None
    return batch.p4_BN4.double()


def direction(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """pt, eta and phi of the momenta."""
    _, px, py, pz = momenta(batch).unbind(-1)
    pt = torch.hypot(px, py)
    return pt, torch.asinh(pz / pt.clamp(min=1e-9)), torch.atan2(py, px)


@pytest.mark.parametrize("features", ["kin", "pet"])
@pytest.mark.parametrize("name", NAMES)
def test_features_and_momenta_are_of_the_same_constituents(name: str, features: str) -> None:
    _, batch = augmented(name, features)
    mask, (pt, eta, phi) = batch.mask_BN, direction(batch)
    torch.testing.assert_close(
        column(batch, "log_pt", features).exp()[mask], pt[mask].float(), rtol=1e-4, atol=0
    )
    log_energy = column(batch, "log_energy", features)
    torch.testing.assert_close(
        log_energy[mask], momenta(batch)[..., 0].log()[mask].float(), rtol=0, atol=1e-4
    )
    for axis in (0, 3, 4):  # of one constituent there is no telling on which side deta counts
        real = mask[axis]
        sign = -1 if features == "kin" and AXES[axis][1] < 0 else 1
        deta = sign * column(batch, "deta", features)[axis, real]
        torch.testing.assert_close(
            (eta[axis, real] - eta[axis, 0]).float(), deta - deta[0], rtol=0, atol=2e-4
        )
        turn = (
            phi[axis, real]
            - phi[axis, 0]
            - (column(batch, "dphi", features)[axis, real] - column(batch, "dphi", features)[axis, 0])
        )
        assert (torch.remainder(turn + math.pi, 2 * math.pi) - math.pi).abs().max() < 2e-4
    if features == "kin":
        hypot = torch.hypot(column(batch, "deta"), column(batch, "dphi"))
        torch.testing.assert_close(column(batch, "delta_r")[mask], hypot[mask], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_padding_is_zero_and_empty_rows_stay_empty(name: str) -> None:
    before, batch = augmented(name)
    assert not batch.features_BNF[~batch.mask_BN].any()
    assert not momenta(batch)[~batch.mask_BN].any()
    assert batch.mask_BN[2].sum() == 0
    assert (batch.mask_BN.sum(1) >= before.mask_BN.sum(1).clamp(max=1)).all()
    assert batch.features_BNF.isfinite().all()
    pt = direction(batch)[0].masked_fill(~batch.mask_BN, 0)
    assert (pt.diff(dim=1) <= 1e-4).all(), "constituents are not in falling order of pt"


@pytest.mark.parametrize("name", NAMES)
def test_two_views_differ_and_a_view_is_its_draw(name: str) -> None:
    _, first = augmented(name)
    _, again = augmented(name)
    _, other = augmented(name, step=1)
    assert torch.equal(first.features_BNF, again.features_BNF)
    assert first.features_BNF.shape != other.features_BNF.shape or not torch.allclose(
        first.features_BNF, other.features_BNF
    )


def test_a_rotation_keeps_distances_from_the_axis_and_turns_every_row_by_one_angle() -> None:
    before, after = augmented("rotation")
    torch.testing.assert_close(column(after, "delta_r"), column(before, "delta_r"), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(column(after, "log_pt"), column(before, "log_pt"))
    turns = []
    for batch in (before, after):
        turns.append(torch.atan2(column(batch, "dphi"), column(batch, "deta")))
    turn = torch.remainder(turns[1] - turns[0], 2 * math.pi)[0, :30]
    assert turn.std() < 1e-3
    assert float(turn[0]) > 0.05
    _, small = augmented("rotation", largest=0.01)
    assert (column(small, "deta") - column(before, "deta")).abs().max() < 0.01


def test_a_translation_shifts_all_constituents_of_a_row_alike_and_not_farther_than_asked() -> None:
    before, near = augmented("translation", largest=0.3)
    _, far = augmented("translation")
    for name in ("deta", "dphi"):
        small, large = ((column(batch, name) - column(before, name))[0, :30] for batch in (near, far))
        extent = column(before, name)[0, :30].max() - column(before, name)[0, :30].min()
        assert small.std() < 1e-6
        assert 0 < small.abs().max() <= 0.3 * extent
        torch.testing.assert_close(small, 0.3 * large, rtol=1e-3, atol=1e-6)


def test_smearing_is_gaussian_of_a_width_that_falls_with_pt() -> None:
    pulls = []
    for step in range(40):
        before, after = augmented("smearing", "pet", step=step)
        pt = direction(before)[0][0, :30]
        for name in ("deta", "dphi"):
            pulls.append((column(after, name, "pet") - column(before, name, "pet"))[0, :30] * pt / 0.1)
    pull = torch.cat(pulls)
    assert float(pull.std()) == pytest.approx(1.0, abs=0.06)
    assert float(pull.mean()) == pytest.approx(0.0, abs=0.08)


def test_smearing_in_units_of_the_row_is_that_of_its_pt() -> None:
    before, relative = augmented("smearing", "pet", scale=1e-3, softest=1e-2, unit="row")
    total = float((direction(before)[0] * before.mask_BN)[0].sum())
    _, absolute = augmented("smearing", "pet", scale=1e-3 * total, softest=1e-2 * total)
    for name in ("deta", "dphi"):
        shift = column(relative, name, "pet")[0] - column(before, name, "pet")[0]
        assert shift.abs().max() > 1e-4
        torch.testing.assert_close(
            column(relative, name, "pet")[0], column(absolute, name, "pet")[0], rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize("fraction", [0.3, 1.0])
def test_splitting_conserves_the_momentum_of_every_row(fraction: float) -> None:
    before, after = augmented("splitting", fraction=fraction)
    torch.testing.assert_close(momenta(after).sum(1), momenta(before).sum(1), rtol=1e-6, atol=1e-4)
    added = (after.mask_BN.sum(1) - before.mask_BN.sum(1)).tolist()
    assert added == list(LENGTHS) if fraction == 1 else 0 < added[0] < 20
    # Both parts have the direction of the whole: no new ones appear.
    old = column(before, "deta")[0, :30]
    assert torch.isin(column(after, "deta")[0][after.mask_BN[0]], old).all()


def test_a_moved_constituent_keeps_pt_and_mass() -> None:
    for name in ("rotation", "translation", "smearing"):
        before, after = augmented(name)
        mask = before.mask_BN
        torch.testing.assert_close(
            direction(after)[0][mask], direction(before)[0][mask], rtol=1e-5, atol=1e-5
        )
        masses = []
        for batch in (before, after):
            p4 = momenta(batch)[mask]
            masses.append(p4[:, 0].square() - p4[:, 1:].square().sum(1))
        scale = momenta(before)[mask][:, 0].square()
        assert ((masses[1] - masses[0]) / scale).abs().max() < 1e-5


@pytest.mark.parametrize("name", MOVING)
def test_features_without_directions_are_refused(name: str) -> None:
    with pytest.raises(IncompatibleError, match=r"deta, dphi, log_pt.*\[cropping\]"):
        AUGMENTATIONS.load(name).check(("energy", "depth"))
    AUGMENTATIONS.load("cropping").check(("energy", "depth"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "cropping", "keep": [0.9, 0.5]}, "smallest fraction comes first"),
        ({"name": "rotation", "largest": 4}, "largest"),
        ({"name": "splitting", "fraction": 0}, "fraction"),
        ({"name": "splitting", "smallest": 0.5}, "smallest"),
        ("rotations", "rotation"),
    ],
)
def test_impossible_options_are_refused(spec: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(AUGMENTATIONS, spec)
