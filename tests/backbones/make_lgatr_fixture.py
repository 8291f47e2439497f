"""Make ``lgatr_1_4.npz``: small networks of package ``lgatr`` 1.4.0 with weights and outputs.

Run in an environment with that version and torch, which this package does not need::

    python tests/backbones/make_lgatr_fixture.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

SEED = 240514806
WIDTH, VECTORS, HEADS, BLOCKS = 8, 4, 2, 2
COUNTS = torch.tensor([2, 5, 7])
FILE = Path(__file__).with_name("lgatr_1_4.npz")


def networks() -> dict[str, Any]:
    """Return a small network of each kind."""
    from lgatr import LGATr, LGATrSlim
    from lgatr.layers import MLPConfig, SelfAttentionConfig

    torch.manual_seed(SEED)
    full = LGATr(
        num_blocks=BLOCKS,
        in_mv_channels=1,
        out_mv_channels=WIDTH,
        hidden_mv_channels=VECTORS,
        in_s_channels=WIDTH,
        out_s_channels=None,
        hidden_s_channels=WIDTH,
        attention=SelfAttentionConfig(num_heads=HEADS, increase_hidden_channels=2, head_scale=True),
        mlp=MLPConfig(increase_hidden_channels=2),
    )
    slim = LGATrSlim(
        num_blocks=BLOCKS,
        in_v_channels=1,
        out_v_channels=2,
        hidden_v_channels=VECTORS,
        in_s_channels=WIDTH,
        out_s_channels=WIDTH,
        hidden_s_channels=WIDTH,
        num_heads=HEADS,
        mlp_ratio=4,
    )
    return {"lgatr": full, "lgatr_slim": slim}


@torch.no_grad()
def main() -> None:
    """Write weights, inputs and outputs, in single precision."""
    arrays: dict[str, torch.Tensor] = {}
    torch.manual_seed(SEED + 1)
    mask = torch.arange(int(COUNTS.max()))[None] < COUNTS[:, None]
    momenta = torch.randn(*mask.shape, 3)
    energy = (momenta.square().sum(-1, keepdim=True) + 0.1).sqrt()
    vectors = torch.cat((energy, momenta), dim=-1)
    scalars = torch.randn(*mask.shape, WIDTH)
    arrays |= {"mask": mask, "vectors": vectors, "scalars": scalars}
    for name, net in networks().items():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # biases begin as zeros
        arrays |= {f"{name}/state/{key}": value for key, value in net.state_dict().items()}
        inputs = vectors if name == "lgatr_slim" else torch.nn.functional.pad(vectors, (1, 11))
        outputs = net(inputs[:, :, None], scalars, attn_mask=mask[:, None, None])
        arrays |= {
            f"{name}/output/{place}": value for place, value in enumerate(outputs) if value is not None
        }
    np.savez_compressed(FILE, **{name: value.numpy() for name, value in arrays.items()})


if __name__ == "__main__":
    main()
