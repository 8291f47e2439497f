"""Checkpoints of weaver-core with their files, and the jets and outputs of ``weaver_files.npz``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import torch
from weaver_texts import JETCLASS, PART_NETWORK, PARTICLENET_NETWORK, SOPHON

from hepfm.data.ingest import ingest
from hepfm.data.store import Store
from hepfm.models.convert import convert
from hepfm.models.directory import Model

FOLDER = Path(__file__).parent
TEXTS = {
    "sophon": (SOPHON, PART_NETWORK),
    "jetclass": (JETCLASS, PARTICLENET_NETWORK),
    "auto": ((FOLDER / "weaver.auto.yaml").read_text(), PARTICLENET_NETWORK),
}
"""Preprocessing and network file of each checkpoint of the fixture."""

State = dict[str, torch.Tensor]


@dataclass
class Files:
    """The files of one checkpoint in a folder, to be changed and converted."""

    folder: Path
    state: State
    data: str
    network: str

    def convert(self, **options: Any) -> Model:
        """Write the files, convert them, and return the model."""
        torch.save(self.state, self.folder / "network.pt")
        (self.folder / "data.yaml").write_text(self.data)
        (self.folder / "network.py").write_text(self.network)
        given = {"data": self.folder / "data.yaml", "network": self.folder / "network.py", **options}
        converted: Model = convert(
            "weaver", checkpoint=self.folder / "network.pt", output=self.folder / "model", **given
        )
        return converted

    def change(self, before: str, after: str) -> Files:
        """Change a text of the preprocessing file."""
        assert before in self.data
        self.data = self.data.replace(before, after)
        return self


def files(folder: Path, name: str) -> Files:
    """Return the files of a checkpoint of the fixture."""
    prefix = f"{name}/state/"
    with np.load(FOLDER / "weaver_files.npz") as arrays:
        state = {
            key.removeprefix(prefix): torch.from_numpy(arrays[key])
            for key in arrays.files
            if key.startswith(prefix)
        }
    return Files(folder, state, *TEXTS[name])


def outputs(name: str) -> torch.Tensor:
    """Return what weaver's network said of the jets of the fixture."""
    with np.load(FOLDER / "weaver_files.npz") as arrays:
        return torch.from_numpy(arrays[f"{name}/output"])


def jets(folder: Path) -> Store:
    """Return a store of the jets of the fixture, by way of a file of JetClass's layout."""
    with np.load(FOLDER / "weaver_files.npz") as arrays:
        lengths = arrays["lengths"]
        columns = {name.removeprefix("jets/"): arrays[name] for name in arrays.files if "jets/" in name}
    parts = {name: ak.unflatten(v, lengths) for name, v in columns.items() if name.startswith("part_")}
    ak.to_parquet(ak.Array({**columns, **parts}), folder / "jets.parquet")
    return Store.open(ingest("jetclass", [folder / "jets.parquet"], output=folder / "jets"))
