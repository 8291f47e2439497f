"""The network of a model before it learned anything: what representations are compared with."""

from __future__ import annotations

from dataclasses import replace

from hepfm.models.directory import Model
from hepfm.networks.build import build_network, seeded_init


def untrained(model: Model, *, seed: int = 0) -> Model:
    """Return a model of the same architecture with new random weights, and without heads and generator.

    Constants of the inputs, and a tokenizer, stay.
    """
    old = model.network
    with seeded_init(seed, "models.untrained"):
        network = build_network(
            model.backbone,
            model.features.without(model.absent),
            context=model.context,
            embedding=old.embedding_spec,
            grouping=old.grouping_spec,
            tokenizer=old.tokenizer_spec,
        )
    network.standardize.load_state_dict(old.standardize.state_dict())
    network.input_scale_F.copy_(old.input_scale_F)
    network.input_shift_F.copy_(old.input_shift_F)
    if network.tokenizer is not None and old.tokenizer is not None:
        network.tokenizer.load_state_dict(old.tokenizer.state_dict())
    return replace(model, network=network.eval())
