"""Make ``jetnet_golden.npz``: what the package jetnet 0.2.5 says of a few random jets.

Run it with a Python that has jetnet and what it needs (numpy below 2, energyflow, wasserstein,
torch_geometric)::

    python tests/metrics/make_jetnet_golden.py

jetnet draws its batches from an unseeded generator; seeded ones take its place, which the tests use too.
Where torch_cluster cannot be built, its neighbour search is replaced by SciPy's (key ``neighbours``).
"""

import sys
import types
import warnings
from pathlib import Path

import numpy as np

SEED = 7
FILE = Path(__file__).with_name("jetnet_golden.npz")


def jets(seed, number, width):
    """Return random padded jets (eta_rel, phi_rel, pt_rel), hardest first, shape (number, 30, 3)."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 31, number)
    out = np.zeros((number, 30, 3))
    for jet, length in zip(out, lengths, strict=True):
        jet[:length, :2] = width * rng.normal(size=(length, 2))
        pt = np.sort(rng.exponential(1, length))[::-1]
        jet[:length, 2] = pt / pt.sum() * rng.uniform(0.9, 1.0)
    return out.astype(np.float32).astype(np.float64)


def weights(shapes):
    """Return reproducible weights for a network by name, with positive variances."""
    rng = np.random.default_rng(SEED)
    out = {}
    for name in sorted(shapes):
        values = rng.normal(size=shapes[name])
        if name.endswith("running_var"):
            values = np.abs(values) + 0.5
        elif len(shapes[name]) == 2:
            values = values / np.sqrt(shapes[name][1])
        out[name] = values.astype(np.float32) if "num_batches" not in name else np.int64(1)
    return out


def _stub_torch_cluster():
    import torch
    import torch_geometric.nn  # noqa: F401  it looks for the real torch_cluster when it is imported
    from scipy.spatial import cKDTree

    def knn_graph(x, k, batch):
        edges = []
        for jet in batch.unique().tolist():
            rows = np.flatnonzero((batch == jet).numpy())
            points = x[rows].detach().numpy().astype(np.float64)
            for i, near in enumerate(cKDTree(points).query(points, k + 1)[1]):
                others = [j for j in near.tolist() if j != i][:k]
                edges += [(rows[j], rows[i]) for j in others]
        return torch.tensor(np.array(edges).T)

    module = types.ModuleType("torch_cluster")
    module.knn_graph = knn_graph
    sys.modules["torch_cluster"] = module


def _particlenet(real):
    try:
        import torch_cluster  # noqa: F401

        neighbours = "torch_cluster"
    except ImportError:
        _stub_torch_cluster()
        neighbours = "scipy"
    import jetnet.evaluation.gen_metrics as metrics
    import torch
    from jetnet.datasets import JetNet
    from jetnet.evaluation.particlenet import _ParticleNet

    torch.manual_seed(0)
    network = _ParticleNet(30, 3).eval()
    own = {name: value for name, value in network.state_dict().items() if not name.startswith("edge_convs.")}
    made = weights({name: tuple(value.shape) for name, value in own.items()})
    state = {name: torch.as_tensor(value) for name, value in made.items()}
    state |= {
        name: state[name.replace("edge_convs.", "edge_nets.").replace(".nn.", ".")]
        for name in network.state_dict()
        if name.startswith("edge_convs.")
    }
    network.load_state_dict(state)
    scaled = torch.tensor(real[:20]).float()
    JetNet.fpnd_norm(scaled, inplace=True)
    with torch.no_grad():
        random = network(scaled, ret_activations=True).numpy()
    distance = metrics.fpnd(torch.tensor(real).float(), "g", device="cpu", use_tqdm=False)
    with torch.no_grad():
        published = metrics.fpnd_dict["jetnet"][30]["g"]["pnet"](scaled, ret_activations=True).numpy()
    return {
        "activations_random": random,
        "activations_published": published,
        "fpnd_g": distance,
        "neighbours": neighbours,
    }


def main():
    import jetnet.evaluation.gen_metrics as metrics
    from energyflow import EFPSet
    from jetnet.utils import efps, jet_features

    warnings.simplefilter("ignore")
    real, made = jets(1, 400, 0.1), jets(2, 300, 0.12)

    def seeded(function, *arrays, **options):
        metrics.rng = np.random.default_rng(SEED)
        return np.array(function(*arrays, **options))

    features = [metrics.get_fpd_kpd_jet_features(sample, efp_jobs=1) for sample in (real, made)]
    graphs = [sorted(graph) for graph in EFPSet(("d<=", 4), measure="hadr", beta=1, normed=None).graphs()]
    distances = metrics.emds(real[:12][:, :, [2, 0, 1]], made[:10][:, :, [2, 0, 1]])
    values = {
        "real": real.astype(np.float32),
        "made": made.astype(np.float32),
        "mass": jet_features(real)["mass"],
        "efps": features[0][:40],
        "graphs": repr(graphs),
        "w1m": seeded(metrics.w1m, real, made),
        "w1p": seeded(metrics.w1p, real, made),
        "w1efp": seeded(metrics.w1efp, real, made, efp_jobs=1),
        "efps_prime4": efps(real, efp_jobs=1)[:40],
        "fpd": np.array(metrics.fpd(*features)),
        "kpd": np.array(metrics.kpd(*features)),
        "emds": distances,
        "cov_mmd": seeded(metrics.cov_mmd, real, made, num_eval_samples=20, num_batches=3, use_tqdm=False),
    }
    np.savez_compressed(FILE, **values, **_particlenet(real))


if __name__ == "__main__":
    main()
