"""What heads of hidden constituents say: the network is shown another view of the rows for them."""

from __future__ import annotations

from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.heads.momenta import Momenta
from hepfm.networks.network import Network
from hepfm.objectives.base import Output, apply
from hepfm.objectives.hidden_choice.levels import LEVEL
from hepfm.objectives.hidden_momenta import four_vectors, level_view

MOMENTUM = ("pt", "eta", "phi", "energy")
"""What is said of each hidden constituent (GeV, rad)."""


def hidden_momenta(network: Network, head: Momenta, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return `MOMENTUM` of constituents, float32 (B, N, 4), and which are of the level that is asked for.

    These stand in the order that they have in the row, which the network does not see; the numbers of the
    others mean nothing.
    """
    output, raw_BNK = _asked(network, head, batch)
    shown, placeholder = output.view.batch, output.view.placeholder
    assert placeholder is not None
    vectors_BN4 = four_vectors(network, head, raw_BNK, shown.features_BNF)
    return vectors_BN4.float(), placeholder.hidden_BN


def raw_outputs(network: Network, head: Momenta, batch: Batch) -> Tensor:
    """Return the head's outputs, (B, N, K); of rows as they are where the features tell no level."""
    if LEVEL in network.feature_set.present:
        return _asked(network, head, batch)[1]
    raw_BNK: Tensor = head(network.features(batch), batch.mask_BN)
    return raw_BNK


def _asked(network: Network, head: Momenta, batch: Batch) -> tuple[Output, Tensor]:
    output = apply(network, level_view(network, head, batch))
    raw_BNK: Tensor = head(output.features, output.view.batch.mask_BN)
    return output, raw_BNK
