"""Speed of weaver-core's loader on JetClass files; run by bench_loader.py with weaver-core installed.

Usage: ``python weaver_loader.py FILE.parquet BATCH_SIZE``. Inputs are the 17 features, the four-momenta and
the mask of the Particle Transformer's public configuration, padded to 128. The file is fetched whole.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from weaver.utils.dataset import SimpleIterDataset

NEW_VARIABLES = {
    "part_mask": "ak.ones_like(part_energy)",
    "part_pt": "np.hypot(part_px, part_py)",
    "part_pt_log": "np.log(part_pt)",
    "part_e_log": "np.log(part_energy)",
    "part_logptrel": "np.log(part_pt/jet_pt)",
    "part_logerel": "np.log(part_energy/jet_energy)",
    "part_deltaR": "np.hypot(part_deta, part_dphi)",
    "part_d0": "np.tanh(part_d0val)",
    "part_dz": "np.tanh(part_dzval)",
}
SCALED = {
    "part_pt_log": [1.7, 0.7],
    "part_e_log": [2.0, 0.7],
    "part_logptrel": [-4.7, 0.7],
    "part_logerel": [-4.7, 0.7],
    "part_deltaR": [0.2, 4.0],
    "part_d0err": [0, 1, 0, 1],
    "part_dzerr": [0, 1, 0, 1],
}
FLAGS = [f"part_is{name}" for name in ("ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon")]
FEATURES = [
    *list(SCALED)[:5],
    "part_charge",
    *FLAGS,
    *("part_d0", "part_d0err", "part_dz", "part_dzerr", "part_deta", "part_dphi"),
]
LABELS = [
    f"label_{name}" for name in ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl")
]
WARM_UP, MEASURED = 195, 390
"""Batches: once and twice the 100,000 jets of the file."""


def configuration() -> dict[str, object]:
    """Return the data configuration; JSON is YAML."""

    def group(names: list[str], mode: str) -> dict[str, object]:
        variables = [[name, *SCALED.get(name, [None])] for name in names]
        return {"length": 128, "pad_mode": mode, "vars": variables}

    return {
        "new_variables": NEW_VARIABLES,
        "preprocess": {"method": "manual"},
        "inputs": {
            "pf_features": group(FEATURES, "wrap"),
            "pf_vectors": group(["part_px", "part_py", "part_pz", "part_energy"], "wrap"),
            "pf_mask": group(["part_mask"], "constant"),
        },
        "labels": {"type": "simple", "value": LABELS},
    }


def measure(config: Path, file: str, batch_size: int, workers: int) -> tuple[float, float]:
    """Return jets per second of wall time and of this process's time."""
    data = SimpleIterDataset(
        {"_": [file]},
        str(config),
        batch_size=batch_size,
        for_training=True,
        load_range_and_fraction=((0, 1), 1, 1),
        fetch_step=1,
        async_load=workers > 0,
        infinity_mode=True,
        name="train",
    )
    batches = iter(DataLoader(data, batch_size=batch_size, drop_last=True, num_workers=workers))
    for _ in itertools.islice(batches, WARM_UP):
        pass
    wall, cpu = time.perf_counter(), time.process_time()
    jets = sum(len(next(iter(batch[1].values()))) for batch in itertools.islice(batches, MEASURED))
    return jets / (time.perf_counter() - wall), jets / (time.process_time() - cpu)


def main() -> None:
    """Measure in this process on one core, then with one worker process on any; print JSON."""
    file, batch_size = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "jetclass.yaml"
        config.write_text(json.dumps(configuration()))
        one_worker, _ = measure(config, file, batch_size, 1)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        wall, cpu = measure(config, file, batch_size, 0)
    version = importlib.metadata.version("weaver-core")
    values = {
        "version": version,
        "jets_per_s": wall,
        "jets_per_cpu_s": cpu,
        "one_worker_jets_per_s": one_worker,
    }
    print(json.dumps(values))


if __name__ == "__main__":
    main()
