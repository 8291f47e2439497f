"""Make ``weaver_files.npz``: jets, and what weaver-core makes of them from its files to the outputs.

Its own preprocessing of the files of weaver_texts.py, then small networks of random weights in the layout of
published checkpoints (``mod.``). Also the file of measured constants that it writes, ``weaver.auto.yaml``.
Run in an environment with weaver-core 0.5.3 and torch, which this package does not need::

    python tests/models/make_weaver_files_fixture.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import torch
from weaver.nn.model.ParticleNet import ParticleNet
from weaver.nn.model.ParticleTransformer import ParticleTransformer
from weaver.utils.data.config import DataConfig
from weaver.utils.data.preprocess import AutoStandardizer, _build_new_variables
from weaver.utils.dataset import _finalize_inputs
from weaver_texts import AUTO, FLAGS, JETCLASS, PART_OPTIONS, PARTICLENET_OPTIONS, SOPHON

FOLDER = Path(__file__).parent
LENGTHS = np.array([1, 2, 4, 7, 8, 11])
"""The files read 8 constituents: one jet has fewer than its neighbours, one more than are read."""


def jets() -> dict[str, np.ndarray]:
    """Return branches of jets by JetClass's names, the constituents of all jets one after the other."""
    rng = np.random.default_rng(20220203)
    total, rows = int(LENGTHS.sum()), len(LENGTHS)
    row = np.repeat(np.arange(rows), LENGTHS)
    pt = np.exp(rng.uniform(0, 5, total))
    pt = pt[np.lexsort((-pt, row))]
    jet_eta, jet_phi = np.array([0.5, -0.8, 1.2, -1.7, 0.1, -0.2]), np.array([0.3, 3.1, -3.1, 1.0, -2.0, 2.5])
    eta = jet_eta[row] + rng.normal(0, 0.3, total)
    dphi = rng.normal(0, 0.3, total)
    phi = jet_phi[row] + dphi
    charge = rng.integers(-1, 2, total)
    pid = np.where(charge == 0, rng.integers(1, 3, total), rng.choice([0, 3, 4], total))
    parts = {
        "part_px": pt * np.cos(phi),
        "part_py": pt * np.sin(phi),
        "part_pz": pt * np.sinh(eta),
        "part_energy": np.hypot(pt * np.cosh(eta), 5.0),
        "part_deta": (eta - jet_eta[row]) * np.sign(jet_eta[row]),
        "part_dphi": dphi,
        "part_charge": charge,
        **{f"part_is{name}": pid == number for number, name in enumerate(FLAGS)},
        **{f"part_{name}val": rng.normal(0, 2, total) * (charge != 0) for name in ("d0", "dz")},
        **{f"part_{name}err": rng.uniform(0, 1.5, total) * (charge != 0) for name in ("d0", "dz")},
    }
    sums = {name: np.bincount(row, parts[f"part_{name}"]) for name in ("px", "py", "energy")}
    whole = {
        "jet_pt": np.hypot(sums["px"], sums["py"]),
        "jet_eta": jet_eta,
        "jet_phi": jet_phi,
        "jet_energy": sums["energy"],
        "jet_sdmass": rng.uniform(20, 200, rows),
        **{f"jet_tau{n}": rng.uniform(0, 1, rows) for n in (1, 2, 3, 4)},
    }
    return {name: np.asarray(values, np.float32) for name, values in {**parts, **whole}.items()}


def table(branches: dict[str, np.ndarray]) -> Any:
    """Return the jets as weaver reads them."""
    return ak.Array(
        {
            name: ak.unflatten(values, LENGTHS) if name.startswith("part_") else values
            for name, values in branches.items()
        }
    )


def config(text: str) -> DataConfig:
    """Read a preprocessing file; labels are not needed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.yaml"
        path.write_text(text)
        return DataConfig.load(str(path), load_observers=False, load_reweight_info=False)


def inputs(found: DataConfig, rows: Any) -> dict[str, torch.Tensor]:
    """Return what weaver hands to the network."""
    found.label_names = ()
    functions = {name: text for name, text in found.var_funcs.items() if name.startswith("part_")}
    made = _finalize_inputs(_build_new_variables(rows, functions), found)
    return {name[1:]: torch.from_numpy(np.asarray(values)) for name, values in made.items()}


def randomized(network: Any) -> Any:
    """Give parameters and buffers random values."""
    for name, value in [*network.named_parameters(), *network.named_buffers()]:
        if value.is_floating_point() and value.ndim <= 1:
            centre = 1.0 if name.endswith(("weight", "var", "c_attn", "w_resid")) else 0.0
            torch.nn.init.uniform_(value, centre - 0.3, centre + 0.3)
    return network.eval()


def auto() -> DataConfig:
    """Return the file with constants that weaver measured, and write it."""
    found = config(AUTO)
    maker = AutoStandardizer([], found)
    rows = _build_new_variables(table(jets()), dict(found.var_funcs))
    found = maker._data_config
    found.preprocess_params = maker.make_preprocess_params(rows)
    found.options["preprocess"]["params"] = found.preprocess_params
    found.dump(str(FOLDER / "weaver.auto.yaml"))
    return config((FOLDER / "weaver.auto.yaml").read_text())


def particlenet(x: dict[str, torch.Tensor], outputs: int) -> tuple[Any, torch.Tensor]:
    """Return a ParticleNet and its outputs."""
    net = randomized(
        ParticleNet(x["pf_features"].shape[1], outputs, **{**PARTICLENET_OPTIONS, "fc_params": [(5, 0.0)]})
    )
    return net, net(x["pf_points"], x["pf_features"], x["pf_mask"].bool())


@torch.no_grad()
def main() -> None:
    """Write the fixture."""
    torch.manual_seed(20220203)
    branches = jets()
    results: dict[str, Any] = {f"jets/{name}": values for name, values in branches.items()}
    results["lengths"] = LENGTHS
    networks = {}
    x = inputs(config(SOPHON), table(branches))
    sophon = randomized(ParticleTransformer(17, num_classes=188, **{**PART_OPTIONS, "trim": False}))
    mask = x["pf_mask"].bool()
    networks["sophon"] = (sophon, sophon(x["pf_features"], v=x["pf_vectors"], mask=mask))
    networks["jetclass"] = particlenet(inputs(config(JETCLASS), table(branches)), 3)
    networks["auto"] = particlenet(inputs(auto(), table(branches)), 1)
    for name, (network, output) in networks.items():
        results[f"{name}/output"] = output.numpy()
        results |= {f"{name}/state/mod.{key}": value.numpy() for key, value in network.state_dict().items()}
    np.savez_compressed(FOLDER / "weaver_files.npz", **results)


if __name__ == "__main__":
    main()
