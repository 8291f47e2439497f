"""Point Edge Transformer, forward and backward, against omnilearned 0.2.0; see compare_networks.py.

    python benchmarks/bench_pet.py --peer-python OMNILEARNED_ENV/bin/python

The peer's environment needs omnilearned and torch only. Sizes micro and small with pair bias, pair features
of neighbours and the classifier head.
"""

from __future__ import annotations

from pathlib import Path

import torch
from compare_networks import Batch, Comparison, Jets, Network, save, saved_weights

CLASSES = 10
SIZES = {"toy": (1, 1, 2, 16), "micro": (3, 2, 4, 32), "small": (8, 2, 8, 128)}
"""Blocks of the trunk, of the head and of the neighbours, attention heads, width."""


def draw(lengths: torch.Tensor, slots: int, generator: torch.Generator) -> Batch:
    """Return features (B, N, 4) in physical units, mask (B, N) and labels."""
    shape = (len(lengths), slots)
    mask = torch.arange(slots)[None] < lengths[:, None]
    log_pt, deta, dphi = (torch.randn(shape, generator=generator) for _ in range(3))
    log_pt, deta, dphi = 1.5 + 1.2 * log_pt, 0.3 * deta, 0.3 * dphi
    x = torch.stack((deta, dphi, log_pt, log_pt + deta.cosh().log()), dim=-1)
    labels = torch.randint(0, CLASSES, (len(lengths),), generator=generator)
    return x * mask[..., None], mask, labels


def ours(size: str) -> tuple[torch.nn.Module, Network]:
    """Return this package's network with the classifier head."""
    from hepfm.backbones.pet import KINEMATICS, Pet, PetConfig
    from hepfm.heads.class_attention import ClassAttention, ClassAttentionConfig

    depth, head_depth, heads, width = SIZES[size]
    config = PetConfig(width=width, depth=depth, local_depth=head_depth, num_heads=heads)
    backbone = Pet(config, feature_names=KINEMATICS)
    options = ClassAttentionConfig(num_blocks=head_depth, num_heads=heads)
    head = ClassAttention(options, width=width, num_outputs=CLASSES)
    both = torch.nn.ModuleList((backbone, head))
    return both, lambda batch: head(backbone(*batch[:2]), batch[1])


def omnilearneds(size: str) -> tuple[torch.nn.Module, Network]:
    """Return the package's network in its classifier mode, without the part that its head does not use."""
    from omnilearned.network import PET2

    depth, head_depth, heads, width = SIZES[size]
    network = PET2(
        4,
        use_int=True,
        local_int=True,
        mode="classifier",
        num_classes=CLASSES,
        base_dim=width,
        num_transformers=depth,
        num_transformers_head=head_depth,
        num_heads=heads,
        K=10,
        num_coord=2,
    )

    def run(batch: Batch) -> torch.Tensor:
        logits: torch.Tensor = network.classifier(network.body(batch[0]))
        return logits

    return network, run


def build(side: str, size: str) -> tuple[torch.nn.Module, Network]:
    """Return the network of a side."""
    return ours(size) if side == "hepfm" else omnilearneds(size)


@torch.no_grad()
def write_logits(module: torch.nn.Module, network: Network, path: Path) -> None:
    """Write weights and logits in evaluation mode."""
    module.eval()
    save(module, torch.cat([network(batch) for batch in COMPARISON.batches("grouped", 0)]), path)


@torch.no_grad()
def our_logits(path: Path) -> torch.Tensor:
    """Return this package's logits with omnilearned's weights."""
    from hepfm.models.convert.omnilearned_weights import map_omnilearned

    parts: dict[str, dict[str, torch.Tensor]] = {"body": {}, "classifier": {}}
    for name, value in saved_weights(path).items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    backbone, head = map_omnilearned(parts["body"], parts["classifier"]).build()
    assert head is not None
    return torch.cat([head(backbone(*batch[:2]), batch[1]) for batch in COMPARISON.batches("grouped", 0)])


COMPARISON = Comparison(
    script=__file__,
    name="pet",
    what="Point Edge Transformer with classifier head and pair bias, forward + backward, float32",
    peer="omnilearned",
    jets=Jets(
        total=256, batch=64, padded=32, mean=40, shortest=11
    ),  # the peer needs more than 10 constituents
    toy_jets=Jets(total=8, batch=4, padded=2, mean=14, shortest=11),
    draw=draw,
    build=build,
    cases={
        "hepfm, 4 length-grouped batches": ("hepfm", "grouped"),
        "omnilearned, 4 length-sorted sub-batches": ("omnilearned", "grouped"),
        "omnilearned, padded to 128 (its default pads to the data set's longest, 150)": (
            "omnilearned",
            "padded",
        ),
    },
    sizes=("micro", "small"),
    toy_size="toy",
    write_logits=write_logits,
    our_logits=our_logits,
)

if __name__ == "__main__":
    COMPARISON.main(__doc__)
