"""Weights of version 1.4 of package ``lgatr`` for its version 2.0."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_GATES = ".linear.weight_v"
"""Ends the names of the layers of L-GATr-slim that make vectors and the two factors of their gates."""


def weights_of_version_1_4(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a network of version 1.4.0 under the names, and with the meaning, of 2.0.0.

    For ``backbone.net.load_state_dict`` of a backbone `lgatr` or `lgatr_slim` of the same sizes, with
    ``qkv_bias=True`` and otherwise the defaults. Two things differ in L-GATr-slim: version 2.0 stores no
    metric, and halves the inner products that gate vectors, so that one of their factors is doubled here.
    What no weights make up for: version 2.0 approximates the GELU of scalars by a tanh.

    Parameters
    ----------
    state
        The state dict of a ``lgatr.LGATr`` or ``lgatr.LGATrSlim``.
    """
    weights = {name: value for name, value in state.items() if not name.endswith(".metric")}
    return {name: _doubled(value) if name.endswith(_GATES) else value for name, value in weights.items()}


def _doubled(weight: Tensor) -> Tensor:
    """Return a layer of vectors, first factors and second factors, with its first factors doubled."""
    weight = weight.clone()
    third = len(weight) // 3
    weight[third : 2 * third] *= 2
    return weight
