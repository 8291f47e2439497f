"""The ParticleNet whose activations FPND compares (R. Kansal et al., 2106.11535), in plain torch.

Edge convolutions over the 16 nearest neighbours, first in (eta, phi), then in all features, averaged over
neighbours, each followed by a concatenation with its input; then a mean over all constituents, padding
included, and one linear layer. The weights are those of the package jetnet, which is looked for, not
imported.
"""

from __future__ import annotations

import functools
import importlib.metadata
from pathlib import Path

import torch
from torch import Tensor, nn

from hepfm.core.errors import MissingExtraError

CONSTITUENTS = 30
ACTIVATIONS = 256
_NEIGHBOURS = 16
_WIDTHS = (64, 128, 256)
_FOLDER = "jetnet/evaluation/fpnd_resources/jetnet/30_particles"


class _EdgeNet(nn.Module):
    """Three linear layers with batch normalisation over edges (x_i, x_j - x_i), then the mean over j."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inner in (2 * size, width, width):
            layers += [nn.Linear(inner, width), nn.BatchNorm1d(width), nn.ReLU()]
        self.model = nn.Sequential(*layers)

    def forward(self, x_BNF: Tensor, neighbours_BNK: Tensor) -> Tensor:
        """Return (B, N, width). The first layer, linear in x_i and x_j, runs before they are paired."""
        batch, number, size = x_BNF.shape
        first = self.model[0]
        assert isinstance(first, nn.Linear)
        centre = x_BNF @ (first.weight[:, :size] - first.weight[:, size:]).T + first.bias
        other = x_BNF @ first.weight[:, size:].T
        index = neighbours_BNK.reshape(batch, -1, 1).expand(-1, -1, other.shape[-1])
        edges = other.gather(1, index).view(batch, number, -1, other.shape[-1]) + centre[:, :, None]
        out: Tensor = self.model[1:](edges.flatten(0, 2))
        return out.view(batch, number, -1, out.shape[-1]).mean(dim=2)


class FpndNetwork(nn.Module):
    """JetNet's ParticleNet of 30 constituents; parameter names are those of the package's file."""

    def __init__(self) -> None:
        super().__init__()
        size, nets = 3, []
        for width in _WIDTHS:
            nets.append(_EdgeNet(size, width))
            size += width
        self.edge_nets = nn.ModuleList(nets)
        self.fc1 = nn.Sequential(nn.Linear(size, ACTIVATIONS))
        self.fc2 = nn.Linear(ACTIVATIONS, 5)

    def forward(self, x_BN3: Tensor) -> Tensor:
        """Return the activations before the last layer, shape (B, 256), of scaled (eta, phi, pt)."""
        x_BNF = x_BN3
        for number, net in enumerate(self.edge_nets):
            x_BNF = torch.cat(
                [net(x_BNF, _neighbours(x_BNF[..., :2] if number == 0 else x_BNF)), x_BNF], dim=-1
            )
        activations: Tensor = self.fc1(x_BNF.mean(dim=1))
        return activations


def _neighbours(x_BNF: Tensor) -> Tensor:
    """Return the indices of the nearest other constituents, shape (B, N, K); equal ones count as others."""
    squared = ((x_BNF[:, :, None] - x_BNF[:, None]) ** 2).sum(dim=-1)
    squared.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    return squared.topk(_NEIGHBOURS, dim=-1, largest=False).indices


@functools.cache
def resources() -> Path:
    """Return the folder of the installed package jetnet that holds weights and statistics.

    Raises
    ------
    MissingExtraError
        When the package is not installed; its code is not needed, and its dependencies are not either.
    """
    try:
        files = importlib.metadata.files("jetnet") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if str(file) == f"{_FOLDER}/pnet_state_dict.pt":
            return Path(str(file.locate())).parent
    raise MissingExtraError(
        "FPND needs the ParticleNet weights that the package jetnet carries; install it without what it "
        "depends on: pip install --no-deps jetnet==0.2.5"
    )


@functools.cache
def load_particlenet() -> FpndNetwork:
    """Return the network with the weights of the package jetnet."""
    weights = torch.load(resources() / "pnet_state_dict.pt", map_location="cpu", weights_only=True)
    network = FpndNetwork()
    load_weights(network, weights)
    return network


def load_weights(network: FpndNetwork, weights: dict[str, Tensor]) -> None:
    """Load weights by the package's names; its edge networks are in the file twice, as ``edge_convs`` too."""
    weights_of_network = {
        name: value for name, value in weights.items() if not name.startswith("edge_convs.")
    }
    network.load_state_dict(weights_of_network)
    network.eval()
