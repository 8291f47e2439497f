"""Speed of codes: jets tokenized a second, and jets generated code by code with and without a cache.

Networks are untrained, their codes started from the jets' own constituents (speed does not depend on what is
learned). Jets are synthetic with JetClass's multiplicity (mean 39.4, standard deviation 15.1). Without the
cache, for each code the whole row goes through the backbone again, no longer than it is by then, and logits
are made of its last constituent alone.

With ``--omnijet FOLDER``, a checkout of github.com/uhh-pd-ml/omnijet_alpha, that code runs in turn with both:
its ``BackboneModel`` with the same weights, in the loop of its ``generate_batch``, which makes the logits of
all constituents at every step. The packages it needs (awkward, vector) are among ours.

Rows with the cache grow 256 at once for each thread, as in ``hepfm generate``; the plain loops, whose speed
per row depends little on their number (64 and 128 were tried, within 8 %), are given fewer. Ratios are of
seconds per row.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hepfm import api
from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.core.ragged import Ragged
from hepfm.core.rng import numpy_generator
from hepfm.data import feature_set
from hepfm.data.content import Content
from hepfm.data.loader import EvalLoader
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.inference.encode import encode
from hepfm.models.directory import Model
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.network import Codes, Network
from hepfm.objectives import OBJECTIVES
from hepfm.tokenizers import TOKENIZERS

RESULT = Path(__file__).parent / "results" / "tokens.json"
SCHEMA = jet_schema(JETCLASS_CLASSES, identity=False, tracks=False, substructure=False)
FEATURES = feature_set("massless")
TOKENIZER_SPECS = {
    "conditional, 4 + 4 blocks of 128 (2403.05618)": {"name": "vqvae", "size": "omnijet_alpha"},
    "unconditional, 3 + 3 layers of 128 (2403.05618)": {"name": "vqvae", "block": "mlp", "depth": 3},
    "conditional, 1 + 1 blocks of 32": {
        "name": "vqvae", "width": 32, "depth": 1, "num_heads": 2, "block": "transformer",
        "feedforward_ratio": 2,
    },
}  # fmt: skip


def save_store(path: Path, rows: int) -> Store:
    """Write synthetic jets: exponential momenta in a cone."""
    rng = numpy_generator(0, "benchmark.tokens")
    lengths = np.clip(rng.normal(39.4, 15.1, rows), 1, 128).astype(np.int64)
    n = int(lengths.sum())
    row = np.repeat(np.arange(rows), lengths)
    pt = rng.exponential(15.0, n) + 0.5
    pt = pt[np.lexsort((-pt, row))]
    eta, phi = rng.normal(0, 0.2, (2, n))
    lists = {"part_pt": pt, "part_eta": eta, "part_phi": phi, "part_energy": pt * np.cosh(eta)}
    total = np.bincount(row, pt)
    columns = {
        "jet_pt": total.astype(np.float32),
        "jet_eta": np.zeros(rows, np.float32),
        "jet_phi": np.zeros(rows, np.float32),
        "jet_energy": (1.05 * total).astype(np.float32),
        "jet_label": np.zeros(rows, np.int16),
    }
    ragged = {name: Ragged.from_lengths(values.astype(np.float32), lengths) for name, values in lists.items()}
    write_store(path, SCHEMA, [("test", {**columns, **ragged})], provenance={"source": "synthetic"})
    return Store.open(path)


def build(spec: dict[str, Any], backbone: str, store: Store) -> Network:
    """Return a network with a tokenizer whose codes lie among the jets' constituents."""
    component = resolve_component(BACKBONES, backbone, where="benchmark")
    tokenizer = resolve_component(TOKENIZERS, {**spec, "codes": 8192}, where="benchmark")
    with seeded_init(0, "benchmark"):
        network = build_network(
            component, FEATURES, codes=Codes(tokenizer, "features" if backbone == "none" else "codes")
        )
        sample = EvalLoader(store, Content(FEATURES), rows=np.arange(2000), batch_size=128)
        assert network.tokenizer is not None
        network.tokenizer.fit(
            (network.standardize(batch.features_BNF, batch.mask_BN), batch.mask_BN) for batch in sample
        )
        if backbone != "none":
            objective = resolve_component(OBJECTIVES, "next_token", where="benchmark")
            objective.cls(objective.config, network, SCHEMA)
    return network.eval()


def model_of(network: Network, backbone: str) -> Model:
    """Return the network as a model."""
    component = resolve_component(BACKBONES, backbone, where="benchmark")
    return Model(network, component, FEATURES, SCHEMA, max_constituents=128)


def tokenizing(store: Store, jets: int) -> dict[str, Any]:
    """Return jets a second of each tokenizer, the store read within the time."""
    found = {}
    for name, spec in TOKENIZER_SPECS.items():
        model = model_of(build(spec, "none", store), "none")
        encode(model, store, rows=np.arange(1000))
        start = time.perf_counter()
        encode(model, store, rows=np.arange(jets))
        found[name] = {"jets": jets, "jets_per_second": jets / (time.perf_counter() - start)}
    return found


@torch.no_grad()
def uncached(network: Network, rows: int, length: int, seed: int) -> float:
    """Return the seconds of the plain loop for rows of `length` codes."""
    generator: Any = network.generator
    uniform = torch.rand(rows, length, generator=torch.Generator().manual_seed(seed))
    start_BKD = generator.starts(torch.zeros(rows, dtype=torch.int64))[:, None]
    codes = torch.zeros(rows, 0, dtype=torch.int64)
    start = time.perf_counter()
    for place in range(length):
        mask = torch.ones(codes.shape, dtype=torch.bool)
        batch = network.physical(torch.zeros(*codes.shape, len(FEATURES)), mask)
        features = network.features(batch, codes_BN=codes, prefix_BKD=start_BKD, causal=True)
        logits = generator.linear(generator.before(features)[:, -1])
        logits[:, generator.vocabulary.stop] = -torch.inf
        codes = torch.cat((codes, generator.draw(logits, uniform[:, place])[:, None]), dim=1)
    return time.perf_counter() - start


def public_model(folder: Path, network: Network) -> nn.Module:
    """Return OmniJet-alpha's own backbone and head (2403.05618) with the weights of a network."""
    sys.path.insert(0, str(folder))
    from gabbro.models.gpt_model import BackboneModel  # type: ignore[import-not-found]

    own = dict(network.backbone.state_dict())
    generator: Any = network.generator
    codes, width = own["embedding.weight"].shape
    body = BackboneModel(
        embedding_dim=width, attention_dropout=0.0, vocab_size=codes + 2, max_sequence_len=129, n_heads=8,
        n_GPT_blocks=3, verbosity=False,
    )  # fmt: skip
    head = nn.Linear(width, codes + 2)
    unused = torch.zeros(1, width)
    named = {"embedding_table.weight": torch.cat((generator.start.weight, own["embedding.weight"], unused))}
    for number in range(3):
        one, other = f"GPT_blocks.{number}.", f"blocks.{number}."
        parts = own[f"{other}attention.in_proj.weight"].chunk(3)
        for part, weight in zip(("query", "key", "value"), parts, strict=True):
            named[f"{one}mha_block.{part}.weight"] = weight
        for ours, theirs in (
            ("attention.out_proj", "mha_block.proj"),
            ("attention_norm", "layernorm_1"),
            ("expand", "ff_block.net.0"),
            ("contract", "ff_block.net.2"),
            ("feedforward_norm", "layernorm_2"),
        ):
            for kind in ("weight", "bias"):
                named[f"{one}{theirs}.{kind}"] = own[f"{other}{ours}.{kind}"]
    missing = body.load_state_dict(named, strict=False)
    assert all(name.endswith("tril") for name in missing.missing_keys), missing
    assert not missing.unexpected_keys, missing
    head.weight.data[1:], head.bias.data[1:] = generator.linear.weight, generator.linear.bias
    return nn.Sequential(body, head).eval()


@torch.no_grad()
def public(model: nn.Module, rows: int, length: int, seed: int) -> float:
    """Return the seconds of the public loop for rows of `length` codes."""
    torch.manual_seed(seed)
    ids = torch.zeros(rows, 1, dtype=torch.int64)
    start = time.perf_counter()
    for _ in range(length):
        logits = model(ids)[:, -1, :]
        shares = F.softmax(logits[:, 1:], dim=-1)
        ids = torch.cat((ids, torch.multinomial(shares, num_samples=1) + 1), dim=1)
    return time.perf_counter() - start


@torch.no_grad()
def largest_difference(model: nn.Module, network: Network) -> float:
    """Return the largest difference of both models' logits of random codes."""
    generator: Any = network.generator
    codes = torch.randint(8192, (16, 100), generator=torch.Generator().manual_seed(0))
    start_BKD = generator.starts(torch.zeros(16, dtype=torch.int64))[:, None]
    batch = network.physical(
        torch.zeros(*codes.shape, len(FEATURES)), torch.ones(codes.shape, dtype=torch.bool)
    )
    features = network.features(batch, codes_BN=codes, prefix_BKD=start_BKD, causal=True)
    ours = generator.linear(generator.before(features))
    theirs = model(torch.cat((torch.zeros(16, 1, dtype=torch.int64), codes + 1), dim=1))[..., 1:]
    return float((ours - theirs).abs().max())


def generation(store: Store, rows: int, repeats: int, folder: Path, omnijet: Path | None) -> dict[str, Any]:
    """Return the times of rows of 128 codes with and without the cache, in turn, and of the whole command."""
    network = build({"name": "vqvae", "size": "omnijet_alpha"}, "post_norm_transformer", store)
    generator: Any = network.generator
    times: dict[str, list[float]] = {"cached": [], "uncached": []}
    with torch.no_grad():
        generator.linear.bias[generator.vocabulary.stop] = -100.0
        peer = public_model(omnijet, network) if omnijet else None
        many = 256 * torch.get_num_threads()
        labels = torch.zeros(many, dtype=torch.int64)
        network.generate(labels, None, torch.Generator().manual_seed(repeats))
        for repeat in range(repeats):
            start = time.perf_counter()
            made = network.generate(labels, None, torch.Generator().manual_seed(repeat))
            times["cached"].append((time.perf_counter() - start) / many)
            assert int(made.mask_BN.sum()) == 128 * many
            times["uncached"].append(uncached(network, rows, 128, seed=repeat) / rows)
            if peer is not None:
                times.setdefault("omnijet_alpha", []).append(public(peer, rows, 128, seed=repeat) / rows)
    model = model_of(network, "post_norm_transformer")
    weights = sum(weight.numel() for weight in network.backbone.parameters())
    weights += sum(weight.numel() for weight in generator.parameters())
    model.save(folder / "model")
    start = time.perf_counter()
    api.generate(folder / "model", n=1000, output=folder / "made")
    command = time.perf_counter() - start
    cached = statistics.median(times["cached"])
    return {
        "weights": weights,
        "rows_of_128": {"cached": many, "plain": rows},
        "seconds_per_row": times,
        "ratios": {name: statistics.median(found) / cached for name, found in times.items()},
        "largest_difference_of_logits": None if peer is None else largest_difference(peer, network),
        "thousand_jets_of_128_seconds": command,
    }


def main() -> None:
    """Run the measurement and write it down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jets", type=int, default=40_000)
    parser.add_argument("--rows", type=int, default=128, help="rows of the comparison with the uncached loop")
    parser.add_argument("--repeats", type=int, default=3, help="times that both loops run, in turn")
    parser.add_argument("--omnijet", type=Path, help="checkout of OmniJet-alpha's public code")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        store = save_store(Path(folder) / "store", arguments.jets)
        found = {
            "what": "codes of 8192: hepfm.inference.encode, and hepfm generate code by code",
            "tokenizing": tokenizing(store, arguments.jets),
            "generation": generation(
                store, arguments.rows, arguments.repeats, Path(folder), arguments.omnijet
            ),
            "threads": arguments.threads,
            "load_average_at_end": os.getloadavg()[0],
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "cores": os.cpu_count(),
        }
    arguments.output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
