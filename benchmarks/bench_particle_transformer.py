"""Particle Transformer, forward and backward, against weaver-core 0.5.3; see compare_networks.py.

    python benchmarks/bench_particle_transformer.py --peer-python WEAVER_ENV/bin/python

The peer's environment needs weaver-core and torch only. Published configuration, dropout as in training.
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from compare_networks import Batch, Comparison, Jets, Network, save, saved_weights

NAMES = tuple(f"feature_{number}" for number in range(17))
CLASSES = 10


def draw(lengths: torch.Tensor, slots: int, generator: torch.Generator) -> Batch:
    """Return features (B, N, F), mask (B, N), four-momenta (E, px, py, pz) and labels."""
    shape = (len(lengths), slots)
    mask = torch.arange(slots)[None] < lengths[:, None]
    pt, eta, phi = (torch.randn(shape, generator=generator) for _ in range(3))
    pt, eta, phi = torch.exp(1.5 + 1.2 * pt), 0.3 * eta, 0.3 * phi
    p4 = torch.stack((pt * eta.cosh(), pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()), dim=-1)
    x = torch.randn(*shape, len(NAMES), generator=generator)
    labels = torch.randint(0, CLASSES, (len(lengths),), generator=generator)
    return x * mask[..., None], mask, p4 * mask[..., None], labels


def ours(size: str) -> tuple[torch.nn.Module, Network]:
    """Return this package's network with a classification head."""
    from hepfm.backbones.particle_transformer import ParticleTransformer, ParticleTransformerConfig
    from hepfm.heads.classify import Classify, ClassifyConfig

    config = ParticleTransformerConfig(**ParticleTransformer.sizes[size])
    backbone = ParticleTransformer(config, feature_names=NAMES)
    head = Classify(ClassifyConfig(), width=backbone.width, num_outputs=CLASSES)
    both = torch.nn.ModuleList((backbone, head))
    return both, lambda batch: head(backbone(*batch[:3]), batch[1])


def weavers(*, dense: bool) -> tuple[torch.nn.Module, Network]:
    """Return weaver-core's published configuration; its random cut of long jets is off."""
    logging.disable(logging.CRITICAL)
    from weaver.nn.model.ParticleTransformer import ParticleTransformer

    network = ParticleTransformer(
        len(NAMES),
        num_classes=CLASSES,
        use_pre_activation_pair=False,
        trim=False,
        pair_embed_sparse_eval=(False, False) if dense else None,
    )

    def run(batch: Batch) -> torch.Tensor:
        x, mask, p4, _ = batch
        logits: torch.Tensor = network(
            x.transpose(1, 2).contiguous(), p4[..., [1, 2, 3, 0]].transpose(1, 2).contiguous(), mask[:, None]
        )
        return logits

    return network, run


def build(side: str, size: str) -> tuple[torch.nn.Module, Network]:
    """Return the network of a side."""
    return ours(size) if side == "hepfm" else weavers(dense=side == "weaver-dense")


@torch.no_grad()
def write_logits(module: torch.nn.Module, network: Network, path: Path) -> None:
    """Write weights and logits in evaluation mode, after the statistics of other jets."""
    for part in module.train().modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            part.momentum = None  # the plain mean over the batches
    for batch in COMPARISON.batches("grouped", 1):
        network(batch)
    module.eval()
    save(module, torch.cat([network(batch) for batch in COMPARISON.batches("grouped", 0)]), path)


@torch.no_grad()
def our_logits(path: Path) -> torch.Tensor:
    """Return this package's logits with weaver's weights."""
    from hepfm.models.convert.weaver.particle_transformer import map_weights

    weights = map_weights(saved_weights(path), {"use_pre_activation_pair": False})
    backbone, head = weights.build([f"f{k}" for k in range(weights.num_features)])
    backbone.eval()
    return torch.cat([head(backbone(*batch[:3]), batch[1]) for batch in COMPARISON.batches("grouped", 0)])


COMPARISON = Comparison(
    script=__file__,
    name="particle_transformer",
    what="Particle Transformer, published configuration, forward + backward, float32, training mode",
    peer="weaver-core",
    jets=Jets(total=512, batch=64, padded=128, mean=39, shortest=2),
    toy_jets=Jets(total=8, batch=4, padded=2, mean=10, shortest=2),
    draw=draw,
    build=build,
    cases={
        "hepfm, 8 length-grouped batches": ("hepfm", "grouped"),
        "weaver, 8 length-sorted sub-batches": ("weaver", "grouped"),
        "weaver, padded to 128 (its default, pairs of real particles)": ("weaver", "padded"),
        "weaver, padded to 128, dense pairs (its choice under torch.compile)": ("weaver-dense", "padded"),
    },
    sizes=("s",),
    toy_size="xs",
    write_logits=write_logits,
    our_logits=our_logits,
)

if __name__ == "__main__":
    COMPARISON.main(__doc__)
