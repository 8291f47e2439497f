"""Make ``weaver_particlenet.npz``: small ParticleNets of weaver-core with their outputs and gradients.

Run in an environment with weaver-core 0.5.3 and torch, which this package does not need::

    python tests/backbones/make_particlenet_fixture.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

SEED = 19020857
ROWS, CONSTITUENTS, FEATURES, CLASSES = 6, 9, 5, 3
CONVOLUTIONS = [(4, (8, 8)), (5, (12, 10, 12)), (3, (12,))]
"""The last one has a shortcut without a layer: it does not change the size."""
FILE = Path(__file__).with_name("weaver_particlenet.npz")


def network(*, fusion: bool) -> Any:
    """Return a small ParticleNet without dropout with random parameters and buffers."""
    from weaver.nn.model.ParticleNet import ParticleNet

    torch.manual_seed(SEED)
    net = ParticleNet(
        FEATURES,
        CLASSES,
        conv_params=CONVOLUTIONS,
        fc_params=[(7, 0.0)],
        use_fusion=fusion,
        trim=False,
    )
    for name, value in [*net.named_parameters(), *net.named_buffers()]:
        if value.is_floating_point() and value.ndim <= 1:
            centre = 1.0 if name.endswith(("weight", "var")) else 0.0
            torch.nn.init.uniform_(value, centre - 0.3, centre + 0.3)
    return net


def jets(counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features (B, N, F), of which the first two are the points, and mask (B, N)."""
    mask = torch.arange(CONSTITUENTS)[None] < counts[:, None]
    return torch.randn(*mask.shape, FEATURES) * mask[..., None], mask


def run(net: Any, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the logits of weaver's network, whose arguments are channel-first."""
    features = x.transpose(1, 2).contiguous().requires_grad_()  # without it weaver switches gradients off
    output: torch.Tensor = net(features[:, :2].detach(), features, mask[:, None])
    return output


def main() -> None:
    """Write the fixture: padded jets, some of few constituents, in evaluation; jets of equal length in
    training."""
    arrays: dict[str, torch.Tensor] = {}
    for kind in ("plain", "fusion"):
        net = network(fusion=kind == "fusion")
        arrays |= {f"{kind}/state/{name}": value.clone() for name, value in net.state_dict().items()}
        torch.manual_seed(SEED + 1)
        for mode, counts in (
            ("eval", torch.tensor([1, 2, 4, 6, 9, 9])),
            ("train", torch.full((ROWS,), CONSTITUENTS)),
        ):
            x, mask = jets(counts)
            net.train(mode == "train").zero_grad()
            output = run(net, x, mask)
            direction = torch.randn_like(output)
            (output * direction).sum().backward()
            inputs = {"x": x, "mask": mask, "output": output, "direction": direction}
            arrays |= {f"{kind}/{mode}/{name}": value for name, value in inputs.items()}
            gradients = {name: value.grad for name, value in net.named_parameters()}
            arrays |= {f"{kind}/{mode}/grad/{name}": value for name, value in gradients.items()}
        arrays |= {
            f"{kind}/train/state/{name}": value
            for name, value in net.state_dict().items()
            if "running" in name
        }
    np.savez_compressed(FILE, **{name: value.detach().numpy() for name, value in arrays.items()})


if __name__ == "__main__":
    main()
