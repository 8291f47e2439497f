"""Make ``evenet.npz``: a small EveNet with its outputs, in single and double precision.

Run in an environment with evenet-core 0.3.0 (its network needs numpy 1.26, torch, opt_einsum, rich and tqdm
only), which this package does not need::

    python tests/backbones/make_evenet_fixture.py
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

SEED = 20260117
CLASSES, FEATURES, GLOBALS, SLOTS = 4, 7, 10, 12
FILE = Path(__file__).with_name("evenet.npz")
SIZES = {
    "toy": {"width": 16, "depth": 2, "heads": 4, "encoder_heads": 2, "local": 3, "dropout": 0.1},
    "20M": {"width": 256, "depth": 16, "heads": 16, "encoder_heads": 8, "local": 10, "dropout": 0.1},
    "100M": {"width": 512, "depth": 20, "heads": 32, "encoder_heads": 16, "local": 10, "dropout": 0.1},
}
"""Published sizes (public configuration), and a small one of the same form."""


class EveNet(nn.Module):
    """Body, embedding of globals and classification head, put together as in the package's network."""

    def __init__(self, width: int, depth: int, heads: int, encoder_heads: int, local: int, dropout: float):
        from evenet.network.body.embedding import GlobalVectorEmbedding, PETBody
        from evenet.network.body.normalizer import Normalizer
        from evenet.network.body.object_encoder import ObjectEncoder
        from evenet.network.heads.classification.classification_head import ClassificationHead

        super().__init__()
        self.PET = PETBody(
            num_feat=FEATURES,
            num_keep=0,
            feature_drop=dropout,
            projection_dim=width,
            local=True,
            K=3,
            num_local=local,
            num_layers=depth,
            num_heads=heads,
            drop_probability=dropout,
            talking_head=False,
            layer_scale=True,
            layer_scale_init=1e-5,
            dropout=dropout,
            mode="all",
        )
        self.ObjectEncoder = ObjectEncoder(
            input_dim=width,
            hidden_dim=width,
            output_dim=width,
            position_embedding_dim=32,
            num_heads=encoder_heads,
            transformer_dim_scale=2.0,
            num_linear_layers=2,
            num_encoder_layers=2,
            dropout=dropout,
            skip_connection=True,
            encoder_skip_connection=True,
        )
        self.GlobalEmbedding = GlobalVectorEmbedding(
            linear_block_type="GRU",
            input_dim=GLOBALS,
            hidden_dim_scale=2.0,
            initial_embedding_dim=16,
            final_embedding_dim=width,
            normalization_type="LayerNorm",
            activation_type="GELU",
            dropout=dropout,
            skip_connection=True,
            num_embedding_layers=8,
        )
        self.Classification = ClassificationHead(
            class_label={"signal": None},
            event_num_classes={"signal": CLASSES},
            num_attention_heads=encoder_heads,
            num_layers=1,
            input_dim=width,
            hidden_dim=width,
            dropout=dropout,
            skip_connection=True,
        )
        phi = torch.arange(FEATURES) == 3
        measured = torch.arange(FEATURES) < 4
        self.sequential_normalizer = Normalizer(
            mean=torch.where(phi, 0.05, 1.3),
            std=torch.where(phi, 1.83, 0.7),
            norm_mask=measured,
            inv_cdf_index=[3],
        )
        self.global_normalizer = Normalizer(
            mean=torch.linspace(-1, 2, GLOBALS),
            std=torch.linspace(0.5, 2, GLOBALS),
            norm_mask=torch.ones(GLOBALS) > 0,
        )

    def forward(self, x: torch.Tensor, mask: torch.Tensor, conditions: torch.Tensor):
        """Return objects, event token and logits of clean events."""
        real, there = mask[..., None], torch.ones(len(x), 1, 1, dtype=torch.bool)
        x = self.sequential_normalizer(x, real)
        known = self.GlobalEmbedding(self.global_normalizer(conditions[:, None], there), there)
        body = self.PET(
            x, x[..., [2, 3]], real, torch.zeros(len(x), dtype=x.dtype), None, torch.zeros_like(real).to(x)
        )
        objects, _, event = self.ObjectEncoder(body, real, known, there)
        return objects, event, self.Classification(objects, real, event)["classification/signal"]


def randomised(network: nn.Module) -> nn.Module:
    """Return the network with random numbers in what starts as constants, in evaluation mode."""
    for name, value in [*network.named_parameters(), *network.named_buffers()]:
        if "normalizer" in name or not value.is_floating_point():
            continue
        if "gamma" in name:
            value.data.uniform_(0.3, 1.0)
        elif name.endswith("running_var"):
            value.data.uniform_(0.5, 2.0)
        elif "local_embed_layer" in name and value.ndim == 2:
            value.data.mul_(3.0)  # or little would be left of the neighbours after a few layers
        elif value.ndim <= 1:
            value.data.add_(torch.empty_like(value).uniform_(-0.3, 0.3))
    return network.eval()


def events() -> dict[str, torch.Tensor]:
    """Return inputs, zero in padding; four objects and more, of which the package's neighbours are real."""
    counts = torch.tensor([12, 4, 7, 9, 5, 10])
    mask = torch.arange(SLOTS)[None] < counts[:, None]
    shape = mask.shape
    energy, pt, eta = 4 + torch.rand(shape), 3 + torch.rand(shape), 1.5 * torch.randn(shape)
    phi = math.pi * (2 * torch.rand(shape) - 1)
    flags = (torch.rand(shape) < 0.3).float(), (torch.rand(shape) < 0.4).float()
    charge = torch.randint(-1, 2, shape).float()
    x = torch.stack((energy, pt, eta, phi, *flags, charge), dim=-1) * mask[..., None]
    return {"x": x, "mask": mask, "conditions": torch.randn(len(counts), GLOBALS)}


@torch.no_grad()
def main() -> None:
    """Write numbers of parameters of the published sizes; weights, inputs and outputs of the small one."""
    torch.manual_seed(SEED)
    network, given = randomised(EveNet(**SIZES["toy"])), events()
    arrays = {f"state/{name}": value.clone() for name, value in network.state_dict().items()}
    arrays |= {f"input/{name}": value for name, value in given.items()}
    names = ("objects", "event", "logits")
    arrays |= {f"single/{name}": value for name, value in zip(names, network(*given.values()), strict=True)}
    double = [value.double() if value.is_floating_point() else value for value in given.values()]
    network = network.double()
    network.PET.time_embedding.freq = network.PET.time_embedding.freq.double()
    arrays |= {f"double/{name}": value for name, value in zip(names, network(*double), strict=True)}
    for size in ("20M", "100M"):
        parts = EveNet(**SIZES[size]).named_children()
        for name, part in parts:
            count = sum(value.numel() for value in part.parameters())
            if count:
                arrays[f"count/{size}/{name}"] = torch.tensor(count)
    np.savez_compressed(FILE, **{name: value.numpy() for name, value in arrays.items()})


if __name__ == "__main__":
    main()
