"""Speed of tokens: jets tokenized a second, and jets generated token by token with and without a cache.

Networks are untrained, their codebooks started from the synthetic jets' own constituents (speed does not
depend on what is learned). Without the cache, for each token the whole row goes through the backbone again,
no longer than it is by then, and logits are made of its last constituent alone.

With ``--omnijet FOLDER``, a checkout of github.com/uhh-pd-ml/omnijet_alpha, that code runs in turn with both:
its ``BackboneModel`` with the same weights, in the loop of its ``generate_batch``, which makes the logits of
all constituents at every step. The packages it needs (awkward, vector) are among ours.

Rows with the cache grow 256 at once for each thread, as in ``hepfm generate``; the plain loops, whose speed
per row depends little on their number (64 and 128 were tried, within 8 %), are given fewer. Ratios are of
seconds per row.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import frame
import numpy as np
import torch
import torch.nn.functional as F
from synthetic import KINEMATICS, synthetic_store
from torch import nn

from hepfm import api
from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.data import feature_set
from hepfm.data.content import Content
from hepfm.data.loader import EvalLoader
from hepfm.data.store import Store
from hepfm.generators.autoregressive import draw
from hepfm.inference.encode import encode
from hepfm.models.directory import Model
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.network import Network
from hepfm.networks.specs import TokenizerSpec
from hepfm.objectives import OBJECTIVES
from hepfm.tokenizers import TOKENIZERS
from hepfm.train.learner import make_learner

FEATURES = feature_set("massless")
TOKENIZER_SPECS = {
    "conditional, 4 + 4 blocks of 128 (2403.05618)": {"name": "vqvae"},
    "unconditional, 3 + 3 layers of 128 (2403.05618)": {"name": "vqvae_mlp"},
    "conditional, 1 + 1 blocks of 32": {
        "name": "vqvae_transformer", "width": 32, "depth": 1, "num_heads": 2, "feedforward_ratio": 2,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """What is generated.

    Attributes
    ----------
    rows, cached_rows, command_rows
        Rows of the plain loops, of the loop with the cache, and of the whole command.
    length
        Tokens of a row.
    codes
        Size of the codebook.
    backbone
        Its name.
    """

    rows: int
    cached_rows: int
    command_rows: int = 1000
    length: int = 128
    codes: int = 8192
    backbone: str = "post_norm_transformer"


TOY, TOY_JETS = Sizes(rows=2, cached_rows=4, command_rows=3, length=4, codes=16), 20


def build(spec: dict[str, Any], backbone: str, store: Store, *, codes: int) -> Network:
    """Return a network with a tokenizer whose codes lie among the jets' constituents."""
    component = resolve_component(BACKBONES, backbone, where="benchmark")
    tokenizer = resolve_component(TOKENIZERS, {**spec, "codes": codes}, where="benchmark")
    with seeded_init(0, "benchmark"):
        network = build_network(
            component,
            FEATURES,
            tokenizer=TokenizerSpec(tokenizer, "features" if backbone == "none" else "codes"),
        )
        rows = np.arange(min(2000, store.num_rows))
        sample = EvalLoader(store, Content(FEATURES), rows=rows, batch_size=128)
        assert network.tokenizer is not None
        network.tokenizer.fit(
            (network.standardize(batch.features_BNF, batch.mask_BN), batch.mask_BN) for batch in sample
        )
        if backbone != "none":
            objective = resolve_component(OBJECTIVES, "next_token", where="benchmark")
            make_learner(objective, network, KINEMATICS)
    return network.eval()


def model_of(network: Network, backbone: str) -> Model:
    """Return the network as a model."""
    component = resolve_component(BACKBONES, backbone, where="benchmark")
    return Model(network, component, FEATURES, KINEMATICS, max_constituents=128)


def tokenizing(store: Store, specs: dict[str, dict[str, Any]], codes: int) -> dict[str, Any]:
    """Return jets a second of each tokenizer, the store read within the time."""
    jets, speeds = store.num_rows, {}
    for name, spec in specs.items():
        model = model_of(build(spec, "none", store, codes=codes), "none")
        encode(model, store, rows=np.arange(min(1000, jets)))
        timing = frame.timed(lambda model=model: encode(model, store, rows=np.arange(jets)))
        speeds[name] = {"jets": jets, "jets_per_second": jets / timing.wall}
    return speeds


@torch.no_grad()
def uncached(network: Network, rows: int, length: int, seed: int) -> None:
    """Run the plain loop for rows of `length` tokens."""
    generator: Any = network.generator
    uniform = torch.rand(rows, length, generator=torch.Generator().manual_seed(seed))
    start_BKD = generator.starts(torch.zeros(rows, dtype=torch.int64))[:, None]
    tokens = torch.zeros(rows, 0, dtype=torch.int64)
    for place in range(length):
        mask = torch.ones(tokens.shape, dtype=torch.bool)
        batch = network.physical(torch.zeros(*tokens.shape, len(FEATURES)), mask)
        features = network.features(batch, codes_BN=tokens, prefix_BKD=start_BKD, causal=True)
        logits = generator.linear(generator.before(features)[:, -1])
        logits[:, generator.vocabulary.stop] = -torch.inf
        tokens = torch.cat((tokens, draw(logits, uniform[:, place], generator.config)[:, None]), dim=1)


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
        public_block, block = f"GPT_blocks.{number}.", f"blocks.{number}."
        parts = own[f"{block}attention.in_proj.weight"].chunk(3)
        for part, weight in zip(("query", "key", "value"), parts, strict=True):
            named[f"{public_block}mha_block.{part}.weight"] = weight
        for ours, theirs in (
            ("attention.out_proj", "mha_block.proj"),
            ("attention_norm", "layernorm_1"),
            ("expand", "ff_block.net.0"),
            ("contract", "ff_block.net.2"),
            ("feedforward_norm", "layernorm_2"),
        ):
            for kind in ("weight", "bias"):
                named[f"{public_block}{theirs}.{kind}"] = own[f"{block}{ours}.{kind}"]
    missing = body.load_state_dict(named, strict=False)
    assert all(name.endswith("tril") for name in missing.missing_keys), missing
    assert not missing.unexpected_keys, missing
    head.weight.data[1:], head.bias.data[1:] = generator.linear.weight, generator.linear.bias
    return nn.Sequential(body, head).eval()


@torch.no_grad()
def public(model: nn.Module, rows: int, length: int, seed: int) -> None:
    """Run the public loop for rows of `length` tokens."""
    torch.manual_seed(seed)
    ids = torch.zeros(rows, 1, dtype=torch.int64)
    for _ in range(length):
        logits = model(ids)[:, -1, :]
        probabilities = F.softmax(logits[:, 1:], dim=-1)
        ids = torch.cat((ids, torch.multinomial(probabilities, num_samples=1) + 1), dim=1)


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


def loops(network: Network, peer: nn.Module | None, sizes: Sizes) -> dict[str, Any]:
    """Return one turn of each loop by name: seconds per row."""

    def cached(turn: int) -> float:
        labels = torch.zeros(sizes.cached_rows, dtype=torch.int64)
        random = torch.Generator().manual_seed(turn)
        return frame.timed(lambda: network.generate(labels, None, random)).wall / sizes.cached_rows

    def plain(turn: int) -> float:
        return frame.timed(lambda: uncached(network, sizes.rows, sizes.length, turn)).wall / sizes.rows

    cases = {"cached": cached, "uncached": plain}
    if peer is not None:
        cases["omnijet_alpha"] = lambda turn: (
            frame.timed(lambda: public(peer, sizes.rows, sizes.length, turn)).wall / sizes.rows
        )
    return cases


def generation(store: Store, sizes: Sizes, repeats: int, omnijet: Path | None) -> dict[str, Any]:
    """Return the times of whole rows with and without the cache, in turn, and of the whole command."""
    network = build({"name": "vqvae"}, sizes.backbone, store, codes=sizes.codes)
    generator: Any = network.generator
    generator.max_constituents = sizes.length
    with torch.no_grad():
        generator.linear.bias[generator.vocabulary.stop] = -100.0
    peer = public_model(omnijet, network) if omnijet else None
    samples = frame.take_turns(loops(network, peer, sizes), repeats=repeats, warmup=1)
    model = model_of(network, sizes.backbone)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.save(folder / "model")
        command = frame.timed(
            lambda: api.generate(folder / "model", n=sizes.command_rows, output=folder / "generated")
        )
    cached = statistics.median(samples["cached"])
    parameters = (*network.backbone.parameters(), *generator.parameters())
    return {
        "parameters": sum(parameter.numel() for parameter in parameters),
        "tokens_of_a_row": sizes.length,
        "rows": {"cached": sizes.cached_rows, "plain": sizes.rows, "command": sizes.command_rows},
        "seconds_per_row": {loop: frame.spread(times) for loop, times in samples.items()},
        "ratios": {loop: statistics.median(times) / cached for loop, times in samples.items()},
        "largest_difference_of_logits": None if peer is None else largest_difference(peer, network),
        "command_seconds": command.wall,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of tokenizing and of generation."""
    sizes = TOY if options.toy else Sizes(rows=options.rows, cached_rows=256 * options.threads)
    specs = dict(list(TOKENIZER_SPECS.items())[-1:]) if options.toy else TOKENIZER_SPECS
    with tempfile.TemporaryDirectory() as folder:
        store = synthetic_store(
            Path(folder) / "store", TOY_JETS if options.toy else options.jets, split="test"
        )
        return {
            "what": f"codebook of {sizes.codes}: hepfm.inference.encode, and hepfm generate token by token",
            "repeats": options.repeats,
            "tokenizing": tokenizing(store, specs, sizes.codes),
            "generation": generation(store, sizes, options.repeats, None if options.toy else options.omnijet),
            "peer": "OmniJet-alpha"
            if options.omnijet
            else "skipped: no checkout of it was named (--omnijet)",
        }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--jets", type=int, default=40_000)
    parser.add_argument("--rows", type=int, default=128, help="rows of the comparison with the uncached loop")
    parser.add_argument("--omnijet", type=Path, help="checkout of OmniJet-alpha's public code")


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    frame.main(__doc__, "tokens", measure, add_options=add_options, arguments=arguments)


if __name__ == "__main__":
    main()
