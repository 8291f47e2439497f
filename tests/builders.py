"""What tests of several folders make alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.draws import Draws
from hepfm.core.ragged import Array, Ragged
from hepfm.core.registry import Registry
from hepfm.core.rng import numpy_generator
from hepfm.data.schemas.jets import JETCLASS_CLASSES, PID_CLASSES
from hepfm.objectives.loss import Loss
from hepfm.train.learner import Learner


def draws(seed: int = 1) -> Draws:
    """Return the random numbers of a step."""
    return Draws(seed, "test")


def loss_of(learner: Learner, batch: Batch, *, seed: int = 1) -> Loss:
    """Show the network the views of a batch and return the loss."""
    loss: Loss = learner(learner.views(batch, draws(seed)), draws(seed))
    return loss


def number(loss: Loss, name: str) -> float:
    """Return a term of a loss."""
    return float(loss.terms[name].number().detach())


def built(registry: Registry, spec: str | Mapping[str, Any], *, seed: int = 1, **arguments: Any) -> Any:
    """Return a component of a registry; the seed fixes its start, and what is drawn after it."""
    component = resolve_component(registry, spec, where="test")
    torch.manual_seed(seed)
    return component.cls(component.config, **arguments)


def generator(seed: int = 0) -> torch.Generator:
    """Return a source of random numbers."""
    return torch.Generator().manual_seed(seed)


def mask_of(counts: Sequence[int]) -> Tensor:
    """Return the mask, (B, N), of rows of these numbers of constituents, padded to the longest."""
    return torch.arange(max(*counts, 1))[None] < torch.tensor(counts)[:, None]


def make_jets(num_jets: int, *, seed: int = 0, lengths: Array | None = None) -> dict[str, Array | Ragged]:
    """Return random but consistent jets of the ten JetClass classes; heavier classes are wider."""
    rng = numpy_generator(seed, "test.jets")
    label = rng.integers(0, len(JETCLASS_CLASSES), num_jets).astype(np.int16)
    counts = rng.poisson(8 + 3 * label) if lengths is None else np.asarray(lengths)
    n = int(counts.sum())
    row = np.repeat(np.arange(num_jets), counts)
    jet_pt, jet_eta = rng.uniform(500, 1000, num_jets), rng.uniform(-2, 2, num_jets)
    jet_phi = rng.uniform(-np.pi, np.pi, num_jets)
    pt = rng.exponential(1, n) + 1e-3
    pt *= (jet_pt / np.maximum(np.bincount(row, pt, minlength=num_jets), 1e-9))[row]
    pt = pt[np.lexsort((-pt, row))]
    spread = (0.05 + 0.02 * label)[row]
    eta = jet_eta[row] + spread * rng.normal(size=n)
    phi = np.angle(np.exp(1j * (jet_phi[row] + spread * rng.normal(size=n))))
    pid = rng.integers(0, len(PID_CLASSES), n)
    charged = np.isin(pid, [0, 3, 4])
    error = rng.uniform(0.01, 0.3, n) * charged
    energy = pt * np.cosh(eta)
    lists = {
        "part_pt": pt,
        "part_eta": eta,
        "part_phi": phi,
        "part_energy": energy,
        "part_charge": rng.choice([-1, 1], n) * charged,
        "part_pid": pid,
        "part_d0": rng.normal(size=n) * error,
        "part_d0_error": error,
        "part_dz": rng.normal(size=n) * error,
        "part_dz_error": error,
    }
    rows = {
        "jet_pt": jet_pt,
        "jet_eta": jet_eta,
        "jet_phi": jet_phi,
        "jet_energy": np.maximum(np.bincount(row, energy, minlength=num_jets), jet_pt * np.cosh(jet_eta)),
        "jet_softdrop_mass": rng.uniform(0, 200, num_jets),
        **{f"jet_tau{k}": rng.uniform(0, 1 / k, num_jets) for k in (1, 2, 3, 4)},
    }
    columns: dict[str, Array | Ragged] = {name: values.astype(np.float32) for name, values in rows.items()}
    columns["jet_label"] = label
    for name, values in lists.items():
        dtype = np.int8 if name == "part_pid" else np.float32
        columns[name] = Ragged.from_lengths(values.astype(dtype), counts)
    columns["part_pt"] = _falling(columns["part_pt"])
    return columns


def _falling(column: Array | Ragged) -> Ragged:
    """Rounding to float32 keeps falling order; assert it, so that no test rests on unsorted jets."""
    assert isinstance(column, Ragged)
    rises = np.diff(column.values) > 0
    inner = column.offsets[1:-1]
    rises[inner[(inner > 0) & (inner < len(column.values))] - 1] = False
    assert not rises.any()
    return column
