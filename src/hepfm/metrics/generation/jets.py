"""The input of every metric of generation: a sample of jets as ragged constituents, checked once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged, gather_index, largest
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.physics.kinematics import four_momentum, pseudorapidity, wrap_phi

FIELDS = ("jet_pt", "jet_eta", "jet_phi", "part_pt", "part_eta", "part_phi", "part_energy")
"""Fields of a store that a sample and its noise need."""

_CHUNK = 2_000_000
"""Constituent pairs of a block of padded jets: 16 MB of float64 a matrix."""


@dataclass(frozen=True)
class JetSample:
    """J jets with n constituents in all, laid end to end; within a jet pT falls.

    Attributes
    ----------
    relative
        (eta_rel, phi_rel, pt_rel), shape (n, 3): eta - eta_jet, phi - phi_jet in (-pi, pi], pT / pT_jet;
        what the jet is, `jet_sample` and `jetnet_sample` say.
    p4
        (E, px, py, pz) in GeV, shape (n, 4).
    offsets
        Jet j owns the constituents ``offsets[j]:offsets[j + 1]``, int64, shape (J + 1,).

    Raises
    ------
    DataError
        When there is no jet, a jet without constituents, a shape that does not fit, or a value that is NaN or
        infinite, or a negative pT.
    """

    relative: FloatArray
    p4: FloatArray
    offsets: IntArray

    def __post_init__(self) -> None:
        if len(self.offsets) < 2:
            raise DataError("a sample without jets: nothing to measure; take a store or split that has rows")
        n = int(self.offsets[-1])
        if self.relative.shape != (n, 3) or self.p4.shape != (n, 4):
            raise DataError(
                f"constituents have shapes {self.relative.shape} and {self.p4.shape}, "
                f"expected ({n}, 3) and ({n}, 4)"
            )
        empty = np.flatnonzero(np.diff(self.offsets) == 0)
        if len(empty):
            raise DataError(
                f"{len(empty)} jets have no constituents, the first is jet {empty[0]}; drop them first"
            )
        good = np.isfinite(self.relative).all(axis=1) & np.isfinite(self.p4).all(axis=1)
        self._refuse(np.asarray(~good), "constituents that are NaN or infinite")
        self._refuse(np.asarray(self.relative[:, 2] < 0), "constituents of negative pT")

    def _refuse(self, bad: npt.NDArray[np.bool_], what: str) -> None:
        if bad.any():
            first = int(np.searchsorted(self.offsets, np.flatnonzero(bad)[0], side="right")) - 1
            raise DataError(
                f"{int(bad.sum())} {what}, the first in jet {first} of the sample; mend or drop those jets"
            )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> IntArray:
        """Number of constituents of each jet, shape (J,)."""
        return np.diff(self.offsets)

    def take(self, rows: IntArray) -> JetSample:
        """Return the given jets in the given order."""
        index, offsets = gather_index(self.offsets[rows], self.lengths[rows])
        return JetSample(self.relative[index], self.p4[index], offsets)

    def first(self, number: int) -> JetSample:
        """Return the jets with only their `number` hardest constituents."""
        lengths = np.minimum(self.lengths, number)
        index, offsets = gather_index(self.offsets[:-1], lengths)
        return JetSample(self.relative[index], self.p4[index], offsets)

    def sum(self, values: npt.NDArray[np.floating]) -> FloatArray:
        """Add values of constituents, shape (n, ...), jet by jet: shape (J, ...)."""
        total: FloatArray = np.add.reduceat(values.astype(np.float64, copy=False), self.offsets[:-1], axis=0)
        return total

    def padded(self, number: int) -> FloatArray:
        """Return relative coordinates of the hardest constituents, zero-padded, shape (J, number, 3)."""
        cut = self.first(number)
        out = np.zeros((len(self), number, 3))
        out[np.repeat(np.arange(len(self)), cut.lengths), _place(cut)] = cut.relative
        return out

    def blocks(self) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield (jets, padded relative coordinates) of jets of similar length, a bounded block each."""
        order = np.argsort(self.lengths, kind="stable")
        start = 0
        while start < len(order):
            stop = start + 1
            while stop < len(order) and (stop + 1 - start) * self.lengths[order[stop]] ** 2 <= _CHUNK:
                stop += 1
            jets = order[start:stop]
            yield jets, self.take(jets).padded(int(self.lengths[jets[-1]]))
            start = stop


def join(samples: list[JetSample]) -> JetSample:
    """Lay samples end to end."""
    lengths = np.concatenate([sample.lengths for sample in samples])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return JetSample(
        np.concatenate([sample.relative for sample in samples]),
        np.concatenate([sample.p4 for sample in samples]),
        offsets,
    )


def jet_sample(columns: Columns, *, max_constituents: int) -> JetSample:
    """Build a sample from a store's columns, keeping the hardest constituents of each jet.

    The jet that coordinates refer to is the sum of the constituents that are kept, whatever the store says.
    A clustered jet has more of them (the 30 hardest carry 0.97 of its pT near 1 TeV), a generated one has no
    others: with the store's own jets even a perfect generator would be distinguished from real ones, by
    the sum of pt_rel alone.

    Parameters
    ----------
    columns
        What ``Store.read(FIELDS, rows)`` returns; those of constituents are used.
    max_constituents
        Constituents kept, by falling pT: 30 and 150 in JetNet30 and JetNet150.

    Raises
    ------
    DataError
        When the constituents of a jet have no pT together, or `JetSample` refuses them.
    """
    pt = _ragged(columns, "part_pt")
    order, lengths = largest(pt, max_constituents)
    kept = Ragged.from_lengths(order, lengths)
    part = {
        name: _ragged(columns, f"part_{name}").values[order].astype(np.float64)
        for name in ("pt", "eta", "phi", "energy")
    }
    row = kept.row_index()
    p4 = four_momentum(part["pt"], part["eta"], part["phi"], part["energy"]).astype(np.float64)
    _, px, py, pz = (np.bincount(row, one, minlength=len(pt)).astype(np.float64) for one in p4.T)
    jet_pt = np.hypot(px, py)
    if (jet_pt[row] == 0).any():
        raise DataError(
            "jets whose constituents have no pT together: relative coordinates do not exist; drop them"
        )
    deta = part["eta"] - pseudorapidity(px, py, pz)[row]
    dphi = wrap_phi(part["phi"] - np.arctan2(py, px)[row])
    with np.errstate(invalid="ignore"):  # infinite momenta: `JetSample` names the jet
        relative = np.stack([deta, dphi, part["pt"] / jet_pt[row]], axis=1)
    return JetSample(relative, p4, kept.offsets)


def jetnet_sample(particles: Array, jet_pt: Array, *, jet_eta: Array | None = None) -> JetSample:
    """Build a sample from JetNet's arrays: massless constituents about an axis at phi 0.

    Parameters
    ----------
    particles
        (eta_rel, phi_rel, pt_rel), zero where padded, shape (J, N, 3).
    jet_pt
        GeV, shape (J,).
    jet_eta
        Shape (J,); 0 when not given.
    """
    real = (particles != 0).any(axis=2)
    row = np.nonzero(real)[0]
    relative = particles[real].astype(np.float64)
    order = np.lexsort((-relative[:, 2], row))
    relative = relative[order]
    eta = relative[:, 0] + (0.0 if jet_eta is None else np.asarray(jet_eta, np.float64)[row])
    pt = relative[:, 2] * np.asarray(jet_pt, np.float64)[row]
    p4 = four_momentum(pt, eta, relative[:, 1], pt * np.cosh(eta)).astype(np.float64)
    offsets = np.concatenate([[0], np.cumsum(real.sum(axis=1))]).astype(np.int64)
    return JetSample(relative, p4, offsets)


def _place(sample: JetSample) -> IntArray:
    """Return the place of each constituent within its jet."""
    return np.arange(sample.offsets[-1]) - np.repeat(sample.offsets[:-1], sample.lengths)


def _ragged(columns: Columns, name: str) -> Ragged:
    column = columns[name]
    if not isinstance(column, Ragged):
        raise DataError(f"{name} is not a list of constituents")
    return column
