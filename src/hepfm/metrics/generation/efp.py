"""Energy flow polynomials of a jet: sums over constituents of products of pT and distances.

P. Komiske, E. Metodiev, J. Thaler, 1712.07124, equation 1.4: each node of a multigraph is a constituent with
its pT, each edge (i, j) a distance theta_ij = sqrt(deta^2 + dphi^2). Here the 36 graphs of up to four edges:
21 connected ones (the single node among them) and 15 products of them. Written as products of the matrices
theta^k with vectors, so that no sum costs more than one matrix product.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement

import numpy as np

from hepfm.metrics.generation.jets import JetSample
from hepfm.metrics.predictions import FloatArray

Edges = tuple[tuple[int, int], ...]

CONNECTED: Mapping[str, Edges] = {
    "node": (),
    "line": ((0, 1),),
    "line2": ((0, 1), (0, 1)),
    "path3": ((0, 1), (1, 2)),
    "line3": ((0, 1), (0, 1), (0, 1)),
    "path3_21": ((0, 1), (0, 1), (1, 2)),
    "triangle": ((0, 1), (1, 2), (0, 2)),
    "path4": ((0, 1), (1, 2), (2, 3)),
    "star4": ((0, 1), (0, 2), (0, 3)),
    "line4": ((0, 1), (0, 1), (0, 1), (0, 1)),
    "path3_31": ((0, 1), (0, 1), (0, 1), (1, 2)),
    "path3_22": ((0, 1), (0, 1), (1, 2), (1, 2)),
    "triangle_211": ((0, 1), (0, 1), (1, 2), (0, 2)),
    "star4_211": ((0, 1), (0, 1), (0, 2), (0, 3)),
    "path4_211": ((0, 1), (0, 1), (1, 2), (2, 3)),
    "path4_121": ((0, 1), (1, 2), (1, 2), (2, 3)),
    "paw": ((0, 1), (1, 2), (0, 2), (0, 3)),
    "square": ((0, 1), (1, 2), (2, 3), (0, 3)),
    "star5": ((0, 1), (0, 2), (0, 3), (0, 4)),
    "path5": ((0, 1), (1, 2), (2, 3), (3, 4)),
    "fork": ((0, 1), (0, 2), (0, 3), (3, 4)),
}
"""The connected graphs with up to four edges, by name; repeated edges are repeated factors."""

FOUR_NODES = ("star4_211", "path4_211", "path4_121", "paw", "square")
"""Connected graphs of four nodes and four edges: those of W1EFP."""


def _products() -> tuple[tuple[str, ...], ...]:
    """Return the graphs of one to four edges in all, as names of their connected parts."""
    parts = [name for name in CONNECTED if name != "node"]
    return tuple(
        names
        for count in (1, 2, 3, 4)
        for names in combinations_with_replacement(parts, count)
        if sum(len(CONNECTED[name]) for name in names) <= 4
    )


GRAPHS: tuple[tuple[str, ...], ...] = (("node",), *_products())
"""All 36 graphs of at most four edges, each as the names of its connected parts."""


def connected_efps(jets: JetSample) -> dict[str, FloatArray]:
    """Return the connected polynomials of every jet, each of shape (J,), with pT relative to the jet's."""
    out = {name: np.zeros(len(jets)) for name in CONNECTED}
    for rows, padded in jets.blocks():
        for name, values in _connected(padded).items():
            out[name][rows] = values
    return out


def efps(connected: Mapping[str, FloatArray]) -> FloatArray:
    """Return all 36 polynomials in the order of `GRAPHS`, shape (J, 36), from the connected ones."""
    columns = [np.prod([connected[name] for name in names], axis=0) for names in GRAPHS]
    return np.stack(columns, axis=1)


def _connected(particles_BN3: FloatArray) -> dict[str, FloatArray]:
    """Return the connected polynomials of padded jets; a padded constituent has pT 0 and adds nothing."""
    z = particles_BN3[..., 2]
    angles = particles_BN3[..., :2]
    theta2 = ((angles[:, :, None] - angles[:, None, :]) ** 2).sum(axis=-1)
    theta = np.sqrt(theta2)
    v1, v2 = _times(theta, z), _times(theta2, z)
    v3, v4 = _times(theta2 * theta, z), _times(theta2 * theta2, z)
    paths = (theta * z[:, None, :]) @ theta  # sum over k of theta_ik z_k theta_kj
    u1 = _times(theta, z * v1)
    corner = _times(theta * paths, z)
    sums = {
        "node": np.ones_like(z),
        "line": v1,
        "line2": v2,
        "path3": v1**2,
        "line3": v3,
        "path3_21": v1 * v2,
        "triangle": corner,
        "path4": v1 * u1,
        "star4": v1**3,
        "line4": v4,
        "path3_31": v1 * v3,
        "path3_22": v2**2,
        "triangle_211": _times(theta2 * paths, z),
        "star4_211": v1**2 * v2,
        "path4_211": v2 * u1,
        "path4_121": v1 * _times(theta2, z * v1),
        "paw": v1 * corner,
        "square": _times(paths**2, z),
        "star5": v1**4,
        "path5": u1**2,
        "fork": v1**2 * u1,
    }
    return {name: (z * values).sum(axis=1) for name, values in sums.items()}


def _times(matrix_BNN: FloatArray, vector_BN: FloatArray) -> FloatArray:
    """Return the product of each jet's matrix and vector, shape (B, N)."""
    product: FloatArray = (matrix_BNN @ vector_BN[..., None])[..., 0]
    return product
