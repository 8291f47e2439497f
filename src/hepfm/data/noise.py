"""Rows of pure noise in the units of some real rows: what a generator gives before it has learned anything.

Each feature of a constituent is drawn by itself from a Gaussian with the mean and the spread that it has in
the real rows, as a flow draws it in its standardised features. Multiplicities, axes and incident energies are
those of real rows, and rows are made of the features by the same way back that generators use.
"""

from __future__ import annotations

import numpy as np

from hepfm.core.ragged import Array, Columns, Ragged, largest, lists
from hepfm.data.feature_sets import MASSLESS
from hepfm.data.features import FeatureSet
from hepfm.data.shower_features import CALO

_LARGEST_SPREADS = 5.0
"""Draws are cut here, as standardised features of networks are."""


def noise_jets(
    real: Columns, like: Columns, *, max_constituents: int, rng: np.random.Generator
) -> dict[str, Array | Ragged]:
    """Return jets of noise of massless constituents.

    Parameters
    ----------
    real
        Jets whose constituents give mean and spread of deta, dphi and ln(pt/GeV): the columns of
        `hepfm.data.feature_sets.MASSLESS`.
    like
        Jets that give multiplicity and axis, one for each jet of noise.
    max_constituents
        Of a jet with more, the hardest ones count.
    rng
        Of the draws.
    """
    order, lengths = largest(lists(real, "part_pt"), max_constituents)
    constituents = {
        name: Ragged.from_lengths(lists(real, name).values[order], lengths)
        for name in MASSLESS.base
        if name.startswith("part_")
    }
    rows = {name: np.asarray(real[name]) for name in MASSLESS.base if not name.startswith("part_")}
    wanted = np.minimum(lists(like, "part_pt").lengths, max_constituents)
    values = _draw(MASSLESS, {**rows, **constituents}, int(wanted.sum()), rng)
    jet_eta, jet_phi = (np.asarray(like[name], np.float64) for name in ("jet_eta", "jet_phi"))
    return MASSLESS.invert(values, lengths=wanted, row_fields={"jet_eta": jet_eta, "jet_phi": jet_phi})


def noise_showers(real: Columns, like: Columns, *, rng: np.random.Generator) -> dict[str, Array | Ragged]:
    """Return showers of noise: hits as those of `real`, numbers of hits and incident energies of `like`."""
    lengths = lists(like, "hit_energy").lengths
    values = _draw(CALO, real, int(lengths.sum()), rng)
    incident = {"incident_energy": np.asarray(like["incident_energy"])}
    return CALO.invert(values, lengths=lengths, row_fields=incident)


def _draw(features: FeatureSet, real: Columns, number: int, rng: np.random.Generator) -> dict[str, Array]:
    measured = features.compute(real).astype(np.float64)
    centre, spread = measured.mean(axis=0), measured.std(axis=0)
    drawn = np.clip(rng.standard_normal((number, len(features))), -_LARGEST_SPREADS, _LARGEST_SPREADS)
    return features.named(centre + spread * drawn)
