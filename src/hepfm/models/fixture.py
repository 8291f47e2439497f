"""Fixture: a few inputs and the outputs they must give, kept in every model directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.errors import ModelError
from hepfm.core.ragged import Array
from hepfm.core.rng import numpy_generator
from hepfm.data.clustering import Clustering, cluster
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureSet
from hepfm.heads.momenta import Momenta
from hepfm.models.hidden import raw_outputs
from hepfm.models.weights import load_tensors, save_tensors
from hepfm.networks.network import Network
from hepfm.nn.pooling import summary

ROWS = 16
"""Rows of a fixture."""

_SUBJETS = "subjets."
"""Before the name of a clustering among the inputs."""

TOLERANCE = 1e-4
"""Largest difference of an output over the largest output of its kind; other processors round otherwise."""

EMBEDDING = "embedding"
"""Name of the row's summary vector among outputs."""

DECODED = "decoded"
"""Name of the features that a tokenizer makes of the constituents' codes among outputs, (B, N, F)."""


@torch.no_grad()
def forward(network: Network, batch: Batch) -> dict[str, Tensor]:
    """Return the raw output of every head, (B, K), and the summary vector as ``"embedding"``, (B, D).

    A network with a tokenizer also gives what is decoded of the constituents' codes, (B, N, F).
    """
    features = network.features(batch)
    mask_BN = features.token_mask(batch.mask_BN)
    outputs = {
        name: (
            raw_outputs(network, head, batch) if isinstance(head, Momenta) else head(features, mask_BN)
        ).float()
        for name, head in network.heads.items()
    }
    if network.tokenizer is not None:
        outputs[DECODED] = network.tokenizer.decode(network.encode(batch)).float()
    outputs[EMBEDDING] = summary(features.tokens_BND, features.pooled_BD, mask_BN).float()
    return outputs


def random_batch(
    features: FeatureSet,
    *,
    context: ContextSet | None = None,
    rows: int = ROWS,
    seed: int = 0,
    lengths: Array | None = None,
    clusterings: Sequence[Clustering] = (),
) -> Batch:
    """Return rows of random constituents: features near their centres, four-momenta of light particles.

    For models that have no data at hand, e.g. converted ones. Where `lengths` does not say how many
    constituents each row has, there are `rows` of them, and the second has one constituent. `clusterings` are
    those of its subjets.
    """
    rng = numpy_generator(seed, "fixture")
    if lengths is None:
        lengths = rng.integers(2, 40, rows)
        lengths[1:2] = 1
    rows = len(lengths)
    mask = np.arange(lengths.max()) < lengths[:, None]
    noise = rng.normal(size=(*mask.shape, len(features)))
    values = np.asarray(features.centre) + noise / np.asarray(features.scale)
    pt = rng.exponential(20.0, mask.shape) + 0.5
    eta, phi = rng.normal(0, 0.3, (2, *mask.shape))
    momenta = np.stack([pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)
    return Batch(
        features_BNF=torch.from_numpy((values * mask[..., None]).astype(np.float32)),
        mask_BN=torch.from_numpy(mask),
        rows_B=torch.arange(rows),
        p4_BN4=torch.from_numpy((momenta * mask[..., None]).astype(np.float32)),
        context_BC=_random_context(context, lengths, rng),
        subjets=_subjets(momenta, mask, lengths, clusterings) if clusterings else {},
    )


def _subjets(
    momenta: Array, mask: Array, lengths: Array, clusterings: Sequence[Clustering]
) -> dict[str, Tensor]:
    numbers = np.full((len(clusterings), *mask.shape), -1)
    numbers[:, mask] = cluster(momenta[mask], lengths, clusterings)
    return {
        clustering.name: torch.from_numpy(number)
        for clustering, number in zip(clusterings, numbers, strict=True)
    }


def _random_context(
    context: ContextSet | None, lengths: Array, rng: np.random.Generator
) -> torch.Tensor | None:
    """Random numbers near 1, and the true number of constituents as the last."""
    if context is None:
        return None
    values = rng.normal(1.0, 0.3, (len(lengths), len(context)))
    values[:, -1] = lengths
    return torch.from_numpy(values.astype(np.float32))


def save_fixture(path: Path, network: Network, batch: Batch) -> None:
    """Write a batch and the network's outputs of it."""
    inputs: dict[str, Tensor | None] = {
        "features": batch.features_BNF,
        "mask": batch.mask_BN,
        "rows": batch.rows_B,
        "p4": batch.p4_BN4,
        "context": batch.context_BC,
        **{f"{_SUBJETS}{name}": number for name, number in batch.subjets.items()},
    }
    tensors = {f"input.{name}": tensor for name, tensor in inputs.items() if tensor is not None}
    outputs = {f"output.{name}": tensor for name, tensor in forward(network, batch).items()}
    save_tensors(path, {**tensors, **outputs})


def load_fixture(path: Path) -> tuple[Batch, dict[str, Tensor]]:
    """Read a batch and the outputs it must give."""
    tensors = load_tensors(path)
    try:
        batch = Batch(
            features_BNF=tensors["input.features"],
            mask_BN=tensors["input.mask"],
            rows_B=tensors["input.rows"],
            p4_BN4=tensors.get("input.p4"),
            context_BC=tensors.get("input.context"),
            subjets={
                key.removeprefix(f"input.{_SUBJETS}"): value
                for key, value in tensors.items()
                if key.startswith(f"input.{_SUBJETS}")
            },
        )
    except KeyError as error:
        raise ModelError(f"{path} is not a fixture: {error} is missing") from None
    expected = {
        key.removeprefix("output."): value for key, value in tensors.items() if key.startswith("output.")
    }
    return batch, expected


def largest_differences(outputs: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the largest difference of each kind of output, relative to its largest expected value."""
    if outputs.keys() != expected.keys():
        raise ModelError(f"the fixture has outputs {sorted(expected)}, the network {sorted(outputs)}")
    return {
        name: float((outputs[name] - value).abs().max() / value.abs().max().clamp(min=1e-6))
        for name, value in expected.items()
    }
