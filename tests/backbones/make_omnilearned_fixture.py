"""Make ``omnilearned_pet.npz``: small networks of OmniLearned with outputs, in single and double precision.

Run in an environment with omnilearned 0.2.0 and torch, which this package does not need::

    python tests/backbones/make_omnilearned_fixture.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

SEED = 20251024
ROWS, CONSTITUENTS, CLASSES, CONTEXT = 6, 24, 3, 4
FILE = Path(__file__).with_name("omnilearned_pet.npz")


def network() -> Any:
    """Return a small PET2 with all its inputs, with random parameters."""
    from omnilearned.network import PET2

    torch.manual_seed(SEED)
    net = PET2(
        4,
        use_int=True,
        local_int=True,
        conditional=True,
        cond_dim=CONTEXT,
        pid=True,
        add_info=True,
        mode="pretrain",
        num_classes=CLASSES,
        base_dim=16,
        num_transformers=2,
        num_transformers_head=2,
        num_heads=4,
        K=10,
        num_coord=2,
    )
    return randomised(net)


def randomised(net: Any) -> Any:
    """Return the network with random numbers in what starts as constants."""
    for _, value in net.named_parameters():
        if value.ndim <= 1:
            torch.nn.init.uniform_(value, 0.3, 1.0) if value.numel() == 1 else value.data.add_(
                torch.empty_like(value).uniform_(-0.3, 0.3)
            )
    return net.eval()


GENERATORS = {
    "generator": {"mode": "generator", "num_classes": CLASSES},
    "pretrain": {"mode": "pretrain", "num_classes": CLASSES},
    "unlabelled": {"mode": "generator", "num_classes": 1},
}
"""Networks that generate; one of a single class is told none."""


def generating(name: str) -> Any:
    """Return a small PET2 with a generator head, without types and impact parameters."""
    from omnilearned.network import PET2

    torch.manual_seed(SEED + 1)
    net = PET2(
        4,
        **GENERATORS[name],
        use_int=True,
        local_int=True,
        conditional=True,
        cond_dim=CONTEXT,
        base_dim=8,
        num_transformers=1,
        num_transformers_head=2,
        num_heads=2,
        K=10,
        num_coord=2,
    )
    return randomised(net)


def velocities(given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights and velocities; "generator" has the weights of "pretrain", which are stored once."""
    nets = {name: generating(name) for name in GENERATORS}
    for part in ("body", "generator"):
        getattr(nets["generator"], part).load_state_dict(getattr(nets["pretrain"], part).state_dict())
    found = {}
    for name, net in nets.items():
        body = net.body(given["x"], given["cond"], None, None, given["time"])
        found[f"{name}/velocity"] = net.generator(body, given["label"])
        parts = {"body": net.body, "generator_head": net.generator, "classifier_head": net.classifier}
        for part, module in parts.items():
            if module is not None and name != "generator":
                found |= {f"{name}/{part}/{key}": value.clone() for key, value in module.state_dict().items()}
    return {f"flow/{key}": value for key, value in found.items()}


def jets(counts: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return OmniLearned's inputs, which are zero in padding, and the mask."""
    mask = torch.arange(CONSTITUENTS)[None] < counts[:, None]
    log_pt = 1.5 + torch.randn(mask.shape)
    deta, dphi = 0.3 * torch.randn(mask.shape), 0.3 * torch.randn(mask.shape)
    log_energy = log_pt + deta.cosh().log() + 0.01
    x = torch.stack((deta, dphi, log_pt, log_energy), dim=-1) * mask[..., None]
    return {
        "x": x,
        "mask": mask,
        "pid": torch.tensor([0, 1, 2, 4, 5, 6, 7, 8])[torch.randint(0, 8, mask.shape)] * mask,
        "add": torch.rand(*mask.shape, 4) * mask[..., None],
        "cond": torch.randn(len(counts), CONTEXT),
        "time": torch.rand(len(counts)) * 0.8 + 0.1,
    }


def outputs(net: Any, given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return body and class logits of noised rows, with a time, and of clean ones."""
    found = {}
    for mode, time in (("noised", given["time"]), ("clean", torch.zeros_like(given["time"]))):
        body = net.body(given["x"], given["cond"], given["pid"], given["add"], time)
        found |= {f"{mode}/body": body, f"{mode}/logits": net.classifier(body)}
    return found


@torch.no_grad()
def main() -> None:
    """Write weights, inputs and outputs; 11 constituents and more, as the package needs them."""
    net = network()
    given = jets(torch.tensor([24, 11, 17, 12, 20, 15]))
    arrays = {f"body/{name}": value.clone() for name, value in net.body.state_dict().items()}
    arrays |= {f"classifier/{name}": value.clone() for name, value in net.classifier.state_dict().items()}
    arrays |= {f"input/{name}": value for name, value in given.items()}
    arrays |= {f"single/{name}": value for name, value in outputs(net, given).items()}
    double = {name: value.double() if value.is_floating_point() else value for name, value in given.items()}
    # Its attention masks are always in single precision, which torch's attention then takes for double.
    with mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
        arrays |= {f"double/{name}": value for name, value in outputs(net.double(), double).items()}
    given["label"] = torch.arange(len(given["time"])) % CLASSES
    arrays["input/label"] = given["label"]
    arrays |= velocities(given)
    np.savez_compressed(FILE, **{name: value.numpy() for name, value in arrays.items()})


if __name__ == "__main__":
    main()
