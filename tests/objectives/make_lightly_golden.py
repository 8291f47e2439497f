"""Make ``lightly_golden.npz``: what lightly 1.6.0 says of a few random vectors, by NTXentLoss and VICRegLoss.

Run it with a Python that has torch and lightly; the loss functions need none of lightly's other
dependencies, and their modules are imported without the rest of the package::

    pip install --no-deps lightly==1.6.0
    python tests/objectives/make_lightly_golden.py
"""

import importlib.util
import sys
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

FILE = Path(__file__).with_name("lightly_golden.npz")


def bare_packages():
    """Let modules of lightly be found without running what its packages import."""
    root = Path(importlib.util.find_spec("lightly").submodule_search_locations[0])
    for name in ("lightly", "lightly.loss", "lightly.models", "lightly.models.modules", "lightly.utils"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    # Read by the memory bank, which is not used, and made of torchvision's.
    sys.modules["lightly.models.utils"] = sys.modules["lightly.models"].utils = types.ModuleType("utils")


def with_gradient(loss, first, second):
    first, second = (torch.from_numpy(x).requires_grad_() for x in (first, second))
    number = loss(first, second)
    number.backward()
    return number.detach().numpy(), first.grad.numpy()


def main():
    bare_packages()
    from lightly.loss.ntx_ent_loss import NTXentLoss
    from lightly.loss.vicreg_loss import VICRegLoss, covariance_loss, invariance_loss, variance_loss

    rng = np.random.default_rng(3)
    first = rng.normal(0.3, 0.8, (24, 12))
    second = first + rng.normal(0.0, 0.6, first.shape)
    out = {"first": first, "second": second, "lightly": np.array(version("lightly"))}
    for temperature in (0.1, 0.5):
        key = f"nt_xent_{temperature}"
        out[key], out[f"{key}_gradient"] = with_gradient(NTXentLoss(temperature), first, second)
    out["vicreg"], out["vicreg_gradient"] = with_gradient(VICRegLoss(), first, second)
    a, b = torch.from_numpy(first), torch.from_numpy(second)
    out["invariance"] = invariance_loss(a, b).numpy()
    out["variance"] = (0.5 * (variance_loss(a) + variance_loss(b))).numpy()
    out["covariance"] = (covariance_loss(a) + covariance_loss(b)).numpy()
    np.savez_compressed(FILE, **out)


if __name__ == "__main__":
    main()
