"""The tokenizer of a model: its fingerprint, its values in a config, and how it gets into a new network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from hepfm.core.config import fingerprint, resolve_component
from hepfm.core.errors import ModelError
from hepfm.networks.network import Network
from hepfm.networks.specs import TokenizerSpec
from hepfm.tokenizers import TOKENIZERS


def tokenizer_fingerprint(network: Network) -> str:
    """Return a short hash of all that decides which constituent has which code.

    These are the tokenizer's options, its weights and its constants, the features in their order, and their
    standardisation.
    """
    if network.tokenizer is None or network.tokenizer_spec is None:
        raise ValueError("this network has no tokenizer")
    digest = hashlib.sha256()
    parts = {"tokenizer": network.tokenizer, "standardize": network.standardize}
    for part, module in parts.items():
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{part}.{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    spec = network.tokenizer_spec.tokenizer.spec()
    return fingerprint([spec, list(network.feature_names), digest.hexdigest()])


def codes_values(network: Network) -> dict[str, Any] | None:
    """Return the JSON-ready values of a network's tokenizer, for the model's config."""
    if network.tokenizer_spec is None:
        return None
    values = {"inputs": network.tokenizer_spec.inputs, "fingerprint": tokenizer_fingerprint(network)}
    return {"spec": network.tokenizer_spec.tokenizer.spec(), **values}


def read_codes(values: Mapping[str, Any] | None, *, where: str) -> TokenizerSpec | None:
    """Return the codes of a model's config."""
    if values is None:
        return None
    return TokenizerSpec(
        resolve_component(TOKENIZERS, values["spec"], where=f"{where}: tokenizer"), values["inputs"]
    )


def check_tokenizer(network: Network, values: Mapping[str, Any] | None, *, where: str) -> None:
    """Raise `ModelError` when the tokenizer is not the one that the rest of the model was trained with."""
    if values is not None and tokenizer_fingerprint(network) != values["fingerprint"]:
        raise ModelError(
            f"{where}: the tokenizer in it is not the one that the model was trained with (fingerprint "
            f"{tokenizer_fingerprint(network)}, expected {values['fingerprint']}); get a fresh copy"
        )


def adopt_tokenizer(network: Network, source: Network) -> None:
    """Give a network the weights of another's tokenizer and the standardisation that belongs to it."""
    assert network.tokenizer is not None
    assert source.tokenizer is not None
    network.tokenizer.load_state_dict(source.tokenizer.state_dict())
    network.standardize.load_state_dict(source.standardize.state_dict())
