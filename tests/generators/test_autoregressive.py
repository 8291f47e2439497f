"""Sequences of codes, and rows drawn code by code."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from builders import draws, loss_of

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import DataError, IncompatibleError
from hepfm.data import feature_set
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.generators.autoregressive import Autoregressive, AutoregressiveConfig, draw
from hepfm.generators.base import GeneratorSizes
from hepfm.generators.vocabulary import Vocabulary
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.network import Network
from hepfm.networks.specs import TokenizerSpec
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.loss import added
from hepfm.objectives.next_token import CAUSAL
from hepfm.tokenizers import TOKENIZERS
from hepfm.train.learner import Learner, make_learner

FEATURES = feature_set("massless")
SCHEMA = jet_schema(JETCLASS_CLASSES)
CAUSAL_VQVAE = {
    "name": "vqvae_transformer", "codes": 16, "width": 16, "depth": 1, "num_heads": 2, "causal_decoder": True,
}  # fmt: skip


def objective(*, inputs: str = "codes", backbone: str = "post_norm_transformer", **options: Any) -> Learner:
    tokenizer = resolve_component(
        TOKENIZERS, CAUSAL_VQVAE if inputs == "decoded" else {"name": "kmeans", "codes": 16}, where="test"
    )
    component = resolve_component(
        OBJECTIVES, {"name": "next_token", "max_constituents": 40, **options}, where="test"
    )
    body = resolve_component(BACKBONES, {"name": backbone, "size": "xs"}, where="test")
    with seeded_init(0, "test"):
        network = build_network(body, FEATURES, tokenizer=TokenizerSpec(tokenizer, inputs))  # type: ignore[arg-type]
        batch = random_batch(FEATURES)
        network.tokenizer.fit([(network.standardize(batch.features_BNF, batch.mask_BN), batch.mask_BN)])  # type: ignore[union-attr]
        return make_learner(component, network, SCHEMA).eval()


def generator_of(learner: Learner) -> Autoregressive:
    assert isinstance(learner.network.generator, Autoregressive)
    return learner.network.generator


def halves(batch: Batch) -> list[Batch]:
    """Cut a batch into two of equally many rows."""
    found = []
    for rows in torch.arange(len(batch)).chunk(2):
        values = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
        cut = {name: value[rows] for name, value in values.items() if isinstance(value, torch.Tensor)}
        found.append(dataclasses.replace(batch, **cut))
    return found


def test_sequences_and_back() -> None:
    words = Vocabulary(10)
    assert len({words.stop, words.start, words.padding, *range(10)}) == 13
    codes = torch.tensor([[3, 4, 9], [0, -1, -1], [-1, -1, -1]])
    ids = words.sequence(codes)
    assert ids.tolist() == [[11, 3, 4, 9, 10], [11, 0, 10, 12, 12], [11, 10, 12, 12, 12]]
    assert torch.equal(words.codes(ids), codes)


@pytest.mark.parametrize(
    ("ids", "place"),
    [
        ([3, 4, 10, 12], 0),  # no start
        ([11, 11, 10, 12], 1),  # two starts
        ([11, 3, 12, 12], 2),  # no stop
        ([11, 3, 4, 5], 3),  # never ends
        ([11, 10, 3, 10], 2),  # a code after the stop
        ([11, 3, 10, 10], 3),  # two stops
        ([11, 3, 13, 12], 2),  # no such id
        ([11, -1, 10, 12], 1),
    ],
)
def test_an_illegal_order_of_ids_is_refused(ids: list[int], place: int) -> None:
    good = [11, 3, 10, 12]
    with pytest.raises(DataError, match=f"sequence 1 has the illegal id {ids[place]} at place {place}"):
        Vocabulary(10).codes(torch.tensor([good, ids]))


def reference(network: Network, uniform: torch.Tensor, most: int) -> list[list[int]]:
    """Rows by the uncached loop: the whole row again for each code."""
    generator = network.generator
    assert isinstance(generator, Autoregressive)
    made = []
    for row in range(len(uniform)):
        codes: list[int] = []
        while len(codes) < most:
            ids = torch.tensor([[*codes, 0]])[:, : len(codes)]
            x = network.decode(ids) if codes else torch.zeros(1, 0, 3)
            batch = network.physical(x, torch.ones(1, len(codes), dtype=torch.bool))
            start = generator.starts(torch.zeros(1, dtype=torch.int64))[:, None]
            features = network.features(batch, codes_BN=ids, prefix_BKD=start, causal=True)
            logits = generator.linear(generator.before(features)[:, -1]).float()
            if not codes:
                logits[:, generator.vocabulary.stop] = -torch.inf
            drawn = int(draw(logits, uniform[row : row + 1, len(codes)], generator.config))
            if drawn == generator.vocabulary.stop:
                break
            codes.append(drawn)
        made.append(codes)
    return made


@pytest.mark.parametrize(
    ("inputs", "backbone"),
    [("codes", "post_norm_transformer"), ("codes", "transformer"), ("decoded", "transformer")],
)
@pytest.mark.parametrize("batch_size", [3, 64])
def test_cached_rows_are_those_of_the_uncached_loop(inputs: str, backbone: str, batch_size: int) -> None:
    network = objective(inputs=inputs, backbone=backbone).network
    generator = network.generator
    assert isinstance(generator, Autoregressive)
    with torch.no_grad():
        generator.linear.bias[generator.vocabulary.stop] = 1.5  # rows of various lengths
        generator.config = AutoregressiveConfig(batch_size=batch_size)
        made = network.generate(torch.zeros(20, dtype=torch.int64), None, torch.Generator().manual_seed(4))
        uniform = torch.rand(20, 40, generator=torch.Generator().manual_seed(4))
        expected = reference(network, uniform, 40)
    lengths = made.mask_BN.sum(1).tolist()
    assert lengths == [len(codes) for codes in expected]
    assert min(lengths) >= 1
    assert len(set(lengths)) > 3
    for row, codes in enumerate(expected):
        decoded = network.decode(torch.tensor([codes]))[0]
        torch.testing.assert_close(made.x_BNF[row, : len(codes)], decoded, atol=1e-5, rtol=1e-5)
    assert not made.x_BNF[~made.mask_BN].any()


def test_a_row_that_never_stops_ends_at_the_most() -> None:
    network = objective().network
    with torch.no_grad():
        network.generator.linear.bias[-1] = -100.0  # type: ignore[union-attr,operator,index]
        made = network.generate(torch.zeros(5, dtype=torch.int64), None, torch.Generator().manual_seed(1))
    assert made.mask_BN.sum(1).tolist() == [40] * 5


def generator(**options: Any) -> Autoregressive:
    torch.manual_seed(0)
    return Autoregressive(
        AutoregressiveConfig(**options),
        GeneratorSizes(
            width=8, num_features=3, num_context=0, num_classes=0, num_codes=4, max_constituents=5
        ),
    )


def test_draws_follow_the_probabilities() -> None:
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.15, 0.25]]).log().expand(40_000, -1)
    drawn = draw(
        logits, torch.rand(40_000, generator=torch.Generator().manual_seed(0)), AutoregressiveConfig()
    )
    shares = torch.bincount(drawn, minlength=5) / 40_000
    torch.testing.assert_close(shares, logits[0].exp(), atol=0.01, rtol=0)


def test_top_k_top_p_and_temperature_narrow_the_draw() -> None:
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.15, 0.25]]).log().expand(2000, -1)
    uniform = torch.rand(2000, generator=torch.Generator().manual_seed(0))
    assert set(draw(logits, uniform, AutoregressiveConfig(top_k=2)).tolist()) == {2, 4}
    assert set(draw(logits, uniform, AutoregressiveConfig(top_p=0.5)).tolist()) == {2, 4}
    assert set(draw(logits, uniform, AutoregressiveConfig(top_p=0.6)).tolist()) == {1, 2, 4}
    assert set(draw(logits, uniform, AutoregressiveConfig(top_k=1)).tolist()) == {2}
    cold = draw(logits, uniform, AutoregressiveConfig(temperature=0.05))
    assert (cold == 2).float().mean() > 0.95


def test_the_largest_uniform_number_draws_an_id_of_probability_above_zero() -> None:
    logits = torch.tensor([[0.0, 0.0, -torch.inf, -torch.inf, -torch.inf]])
    assert draw(logits, torch.tensor([1.0]), AutoregressiveConfig()).tolist() == [1]
    assert draw(logits, torch.tensor([0.0]), AutoregressiveConfig()).tolist() == [0]


def test_a_network_without_codes_is_refused() -> None:
    sizes = GeneratorSizes(
        width=8, num_features=3, num_context=0, num_classes=0, num_codes=0, max_constituents=5
    )
    with pytest.raises(IncompatibleError, match="no tokenizer"):
        Autoregressive(AutoregressiveConfig(), sizes)


def test_the_loss_is_the_mean_cross_entropy_of_all_codes_and_stops() -> None:
    built = objective()
    batch = random_batch(FEATURES)
    view = built.views(batch, draws())[CAUSAL]
    with torch.no_grad():
        loss = loss_of(built, batch)
        codes = built.network.encode(batch)
        features = built.network.features(batch, prefix_BKD=view.prefix_BKD, causal=True)
        generating = generator_of(built)
        log_shares = generating.linear(generating.before(features)).log_softmax(-1)
    found = []
    for row, length in enumerate(batch.mask_BN.sum(1).tolist()):
        targets = [*codes[row, :length].tolist(), 16]
        found += [-log_shares[row, k, target] for k, target in enumerate(targets)]
    torch.testing.assert_close(loss.total, torch.stack(found).mean(), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        whole = added(loss_of(built, part) for part in halves(batch))
    torch.testing.assert_close(whole.total, loss.total, atol=1e-5, rtol=1e-5)


def test_no_constituent_sees_what_follows() -> None:
    built = objective(inputs="decoded", backbone="transformer")
    batch = random_batch(FEATURES)
    codes = built.network.encode(batch)
    changed = codes.clone()
    changed[:, 3:] = torch.where(codes[:, 3:] >= 0, (codes[:, 3:] + 1) % 16, -1)
    start = generator_of(built).starts(torch.zeros(len(batch), dtype=torch.int64))[:, None]
    with torch.no_grad():
        one, other = (
            generator_of(built).before(
                built.network.features(batch, codes_BN=ids, prefix_BKD=start, causal=True)
            )
            for ids in (codes, changed)
        )
    torch.testing.assert_close(one[:, :4], other[:, :4], atol=1e-5, rtol=1e-5)
    assert (one[:, 5] - other[:, 5]).abs().max() > 1e-4


def test_what_does_not_fit_is_refused() -> None:
    component = resolve_component(OBJECTIVES, "next_token", where="test")
    body = resolve_component(BACKBONES, {"name": "transformer", "size": "xs"}, where="test")
    conditional = resolve_component(TOKENIZERS, {**CAUSAL_VQVAE, "causal_decoder": False}, where="test")
    for codes, message in (
        (None, "no tokenizer"),
        (TokenizerSpec(conditional, "features"), "inputs to codes or decoded"),
        (TokenizerSpec(conditional, "decoded"), "causal_decoder=true"),
    ):
        network = build_network(body, FEATURES, tokenizer=codes)
        with pytest.raises(IncompatibleError, match=message):
            make_learner(component, network, SCHEMA)
    short = objective(max_constituents=3)
    with pytest.raises(DataError, match="up to 3"):
        loss_of(short, random_batch(FEATURES))
    particle_transformer = resolve_component(BACKBONES, "particle_transformer", where="test")
    with pytest.raises(IncompatibleError, match="cannot read tokens"):
        build_network(particle_transformer, FEATURES, tokenizer=TokenizerSpec(conditional, "codes"))
