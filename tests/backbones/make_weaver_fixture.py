"""Make ``weaver_particle_transformer.npz``: a small network of weaver-core with its outputs and gradients.

Run in an environment with weaver-core 0.5.3 and torch, which this package does not need::

    python tests/backbones/make_weaver_fixture.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

SEED = 20220203
ROWS, CONSTITUENTS, FEATURES, CLASSES = 8, 12, 5, 3
FILE = Path(__file__).with_name("weaver_particle_transformer.npz")


def network() -> Any:
    """Return a small Particle Transformer without dropout with random parameters and buffers."""
    from weaver.nn.model.ParticleTransformer import ParticleTransformer

    torch.manual_seed(SEED)
    rates = {"dropout": 0.0, "attn_dropout": 0.0, "activation_dropout": 0.0}
    net = ParticleTransformer(
        FEATURES,
        num_classes=CLASSES,
        use_pre_activation_pair=False,
        trim=False,
        embed_dims=(16, 32, 16),
        pair_embed_dims=(8, 8),
        num_heads=4,
        num_layers=2,
        num_cls_layers=2,
        block_params=rates,
    )
    for name, value in [*net.named_parameters(), *net.named_buffers()]:
        if value.is_floating_point() and value.ndim <= 1:
            centre = 1.0 if name.endswith(("weight", "var", "c_attn", "w_resid")) else 0.0
            torch.nn.init.uniform_(value, centre - 0.3, centre + 0.3)
    return net


def jets(counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return features (B, N, F), mask (B, N) and four-momenta (B, N, 4) in the order (E, px, py, pz)."""
    mask = torch.arange(CONSTITUENTS)[None] < counts[:, None]
    pt = torch.exp(1.5 + torch.randn(mask.shape))
    eta, phi = 0.4 * torch.randn(mask.shape), 0.4 * torch.randn(mask.shape)
    p4 = torch.stack((pt * eta.cosh() + 0.14, pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()), dim=-1)
    return torch.randn(*mask.shape, FEATURES) * mask[..., None], mask, p4 * mask[..., None]


def run(net: Any, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the logits of weaver's network, whose arguments are channel-first and (px, py, pz, E)."""
    x, mask, p4 = inputs
    output: torch.Tensor = net(x.transpose(1, 2), p4[..., [1, 2, 3, 0]].transpose(1, 2), mask[:, None])
    return output


def main() -> None:
    """Write the fixture: padded jets in evaluation, jets of equal length in training."""
    net = network()
    arrays = {f"state/{name}": value for name, value in net.state_dict().items()}
    arrays = {name: value.clone() for name, value in arrays.items()}
    for mode, counts in (
        ("eval", torch.randint(1, CONSTITUENTS + 1, (ROWS,))),
        ("train", torch.full((ROWS,), CONSTITUENTS)),
    ):
        inputs = jets(counts)
        net.train(mode == "train").zero_grad()
        output = run(net, inputs)
        direction = torch.randn_like(output)
        (output * direction).sum().backward()
        arrays.update(
            {f"{mode}/{name}": value for name, value in zip(("x", "mask", "p4"), inputs, strict=True)}
        )
        arrays.update({f"{mode}/output": output, f"{mode}/direction": direction})
        arrays.update({f"{mode}/grad/{name}": value.grad for name, value in net.named_parameters()})
    arrays.update(
        {f"train/state/{name}": value for name, value in net.state_dict().items() if "running" in name}
    )
    np.savez_compressed(FILE, **{name: value.detach().numpy() for name, value in arrays.items()})


if __name__ == "__main__":
    main()
