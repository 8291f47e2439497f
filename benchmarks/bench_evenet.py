"""EveNet's body and classification head, forward and backward, against evenet-core 0.3.0.

    python benchmarks/bench_evenet.py --peer-python EVENET_ENV/bin/python

The peer's environment needs evenet-core, torch, numpy 1.26, opt_einsum, rich and tqdm only. See
compare_networks.py. Rows are events here: their objects are the jets of that module's words. The peer pads
every event to 18 objects, as its converter does.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import torch
from compare_networks import Batch, Comparison, Jets, Network, save, saved_weights

CLASSES, FEATURES, GLOBALS, SLOTS = 4, 7, 10, 18
OURS = {"toy": {"width": 16, "depth": 2, "num_heads": 4, "encoder_heads": 2, "local_depth": 3}, "20M": {}}


def draw(lengths: torch.Tensor, slots: int, generator: torch.Generator) -> Batch:
    """Return objects (B, N, 7) as evenet-core's converter writes them, mask, globals (B, 10) and labels."""
    mask = torch.arange(slots)[None] < lengths[:, None]

    def uniform() -> torch.Tensor:
        return torch.rand(mask.shape, generator=generator)

    phi = math.pi * (2 * uniform() - 1)
    flags = [(uniform() < 0.3).float() for _ in range(2)]
    x = torch.stack(
        (4 + uniform(), 3 + uniform(), 3 * uniform() - 1.5, phi, *flags, uniform().round()), dim=-1
    )
    conditions = torch.randn(len(lengths), GLOBALS, generator=generator)
    labels = torch.randint(0, CLASSES, (len(lengths),), generator=generator)
    return x * mask[..., None], mask, conditions, labels


def ours(size: str) -> tuple[torch.nn.Module, Network]:
    """Return this package's network: body, embedding of globals and classification head."""
    from hepfm.backbones.evenet import EveNet, EveNetConfig
    from hepfm.data import feature_set
    from hepfm.heads.event_token import EventToken, EventTokenConfig

    options: dict[str, Any] = {**OURS[size], "standardised_neighbours": True, "normal_scores": ("phi",)}
    config = EveNetConfig(**options)
    backbone = EveNet(config, feature_names=feature_set("evenet").names)
    head = EventToken(
        EventTokenConfig(num_heads=config.encoder_heads), width=config.width, num_outputs=CLASSES
    )
    context = backbone.context_network(GLOBALS)
    centre, scale = constants()

    def run(batch: Batch) -> torch.Tensor:
        x, mask, conditions = batch[:3]
        x = (x - centre) * scale * mask[..., None]
        # Constants of the globals are 0 and 1 on both sides.
        features = backbone(x, mask, prefix_BKD=context(conditions)[:, None])
        logits: torch.Tensor = head(features, mask)
        return logits

    return torch.nn.ModuleList((backbone, context, head)), run


def constants() -> tuple[torch.Tensor, torch.Tensor]:
    """Return centre and scale of the inputs; of phi they are those of a uniform azimuth."""
    scale = torch.ones(FEATURES)
    scale[3] = math.sqrt(3) / math.pi
    return torch.zeros(FEATURES), scale


def evenets(size: str) -> tuple[torch.nn.Module, Network]:
    """Return evenet-core's network, put together as the package does, on events padded to 18 objects."""
    file = Path(__file__).parents[1] / "tests" / "backbones" / "make_evenet_fixture.py"
    spec = importlib.util.spec_from_file_location("make_evenet_fixture", file)
    assert spec is not None
    assert spec.loader is not None
    fixture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fixture)
    network = fixture.EveNet(**fixture.SIZES[size])
    centre, scale = constants()
    network.sequential_normalizer.mean, network.sequential_normalizer.std = centre, 1 / scale
    network.global_normalizer.mean, network.global_normalizer.std = torch.zeros(GLOBALS), torch.ones(GLOBALS)

    def run(batch: Batch) -> torch.Tensor:
        x, mask, conditions = batch[:3]
        missing = SLOTS - mask.shape[1]
        x, mask = (torch.nn.functional.pad(v, (*(0, 0) * (v.ndim - 2), 0, missing)) for v in (x, mask))
        logits: torch.Tensor = network(x, mask, conditions)[-1]
        return logits

    return network, run


def build(side: str, size: str) -> tuple[torch.nn.Module, Network]:
    """Return the network of a side."""
    return ours(size) if side == "hepfm" else evenets(size)


@torch.no_grad()
def write_logits(module: torch.nn.Module, network: Network, path: Path) -> None:
    """Write weights and logits in evaluation mode."""
    module.eval()
    save(module, torch.cat([network(batch) for batch in COMPARISON.batches("grouped", 0)]), path)


@torch.no_grad()
def our_logits(path: Path) -> torch.Tensor:
    """Return this package's logits with evenet-core's weights."""
    from hepfm.backbones.evenet import EveNet
    from hepfm.data import feature_set
    from hepfm.heads.event_token import EventToken
    from hepfm.models.convert.evenet_weights import map_evenet

    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in saved_weights(path).items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = value
    names = feature_set("evenet").names
    width = parts["PET"]["feature_embedding.2.weight"].shape[0]
    weights = map_evenet(parts, names, heads=(4, 2) if width == OURS["toy"]["width"] else None)
    backbone = EveNet(weights.config, feature_names=names).eval()
    head = EventToken(weights.head_config, width=width, num_outputs=CLASSES).eval()
    context = backbone.context_network(GLOBALS).eval()
    weights.load(backbone, context, head)
    centre, scale = constants()
    found = []
    for x, mask, conditions, _ in COMPARISON.batches("grouped", 0):
        x = (x - centre) * scale * mask[..., None]
        found.append(head(backbone(x, mask, prefix_BKD=context(conditions)[:, None]), mask))
    return torch.cat(found)


COMPARISON = Comparison(
    script=__file__,
    name="evenet",
    what="EveNet's body, embedding of globals and classification head, forward + backward, float32",
    peer="evenet-core",
    jets=Jets(total=512, batch=256, padded=512, mean=9, spread=3, shortest=4, slots=SLOTS),
    toy_jets=Jets(total=8, batch=4, padded=2, mean=9, spread=3, shortest=4, slots=SLOTS),
    draw=draw,
    build=build,
    cases={
        "hepfm, 2 length-grouped batches": ("hepfm", "grouped"),
        "evenet-core, the same batches padded to 18": ("evenet-core", "grouped"),
    },
    sizes=("20M",),
    toy_size="toy",
    write_logits=write_logits,
    our_logits=our_logits,
)

if __name__ == "__main__":
    COMPARISON.main(__doc__)
