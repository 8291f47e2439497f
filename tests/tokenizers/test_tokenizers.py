"""Laws that hold for every tokenizer of the registry, and what each promises besides."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from builders import built, generator
from torch import Tensor

from hepfm.core.config import load_recipe
from hepfm.core.errors import ConfigError, DataError
from hepfm.nn.dropout import Dropout
from hepfm.tokenizers import TOKENIZERS
from hepfm.tokenizers.base import PADDING, Tokenizer
from hepfm.tokenizers.codebook import CodeSearch
from hepfm.tokenizers.quantizer import CosineQuantizer, Quantizer, QuantizerConfig

NAMES = ("deta", "dphi", "log_pt")
SMALL = {"width": 16, "depth": 2, "num_heads": 2}
SPECS: dict[str, dict[str, Any]] = {
    "conditional": {"name": "vqvae", "codes": 32, **SMALL},
    "cosine": {"name": "vqvae_cosine", "codes": 32, "affine_lr": 0.0, **SMALL},
    "alternating": {"name": "vqvae_transformer", "codes": 32, "alternating": 0.5, **SMALL},
    "unconditional": {"name": "vqvae_mlp", "codes": 32, "width": 16, "depth": 2},
    "causal": {
        "name": "vqvae_transformer",
        "codes": 32,
        "layer_scale": 1.0,
        "causal_decoder": True,
        **SMALL,
    },
    "fsq": {"name": "fsq", "levels": (4, 3, 2), **SMALL},
    "kmeans": {"name": "kmeans", "codes": 32},
    "binned": {"name": "binned", "bins": (4, 4, 3)},
}


def build(spec: dict[str, Any], *, seed: int = 1) -> Tokenizer:
    tokenizer: Tokenizer = built(TOKENIZERS, spec, seed=seed, feature_names=NAMES)
    return tokenizer


def rows(*, seed: int = 0, number: int = 40) -> tuple[Tensor, Tensor]:
    """Rows of 0 to 9 constituents."""
    mask = torch.arange(9) < (torch.arange(number) % 10)[:, None]
    return torch.randn(number, 9, 3, generator=generator(seed)) * mask[..., None], mask


@pytest.fixture(params=list(SPECS))
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    built = build(SPECS[request.param])
    built.fit([rows()])
    return built.eval()


def test_every_registered_tokenizer_is_tried() -> None:
    assert {spec["name"] for spec in SPECS.values()} == set(TOKENIZERS)


def test_codes_are_integers_and_padding_has_none(tokenizer: Tokenizer) -> None:
    x, mask = rows()
    ids = tokenizer.encode(x, mask)
    assert ids.dtype == torch.int64
    assert (ids[~mask] == PADDING).all()
    assert ids[mask].min() >= 0
    assert ids[mask].max() < tokenizer.num_codes
    decoded = tokenizer.decode(ids)
    assert decoded.shape == x.shape
    assert decoded.dtype == torch.float32
    assert not decoded[~mask].any()


def test_padding_changes_neither_codes_nor_losses_nor_the_codebook(tokenizer: Tokenizer) -> None:
    x, mask = rows()
    junk = torch.cat((x, torch.full((len(x), 4, 3), 7.0)), dim=1)
    longer = torch.cat((mask, torch.zeros(len(x), 4, dtype=torch.bool)), dim=1)
    ids = tokenizer.encode(x, mask)
    assert torch.equal(tokenizer.encode(junk, longer)[:, :9], ids)
    found, padded = tokenizer.reconstruct(x, mask), tokenizer.reconstruct(junk, longer)
    torch.testing.assert_close(padded.x_BNF[:, :9], found.x_BNF, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(padded.quantization_BN[:, :9], found.quantization_BN, atol=1e-5, rtol=1e-5)
    assert not padded.x_BNF[:, 9:].any()
    assert not padded.quantization_BN[:, 9:].any()
    trained = []
    for inputs in ((x, mask), (junk, longer)):
        own = copy.deepcopy(tokenizer).train()
        for module in own.modules():
            if isinstance(module, Dropout):
                module.eval()  # its draws depend on the shape
        own.reconstruct(*inputs)
        trained.append(own)
        if hasattr(own, "quantizer"):
            assert sum(len(part) for part in own.quantizer.last) == int(mask.sum())
    for name, value in trained[0].state_dict().items():
        torch.testing.assert_close(trained[1].state_dict()[name], value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("real", [0, 1])
def test_rows_without_constituents_are_finite(tokenizer: Tokenizer, real: int) -> None:
    x, mask = torch.zeros(2, 3, 3), torch.zeros(2, 3, dtype=torch.bool)
    mask[0, :real] = True
    ids = tokenizer.encode(x, mask)
    assert (ids[~mask] == PADDING).all()
    assert not tokenizer.decode(ids)[~mask].any()
    tokenizer.train()
    found = tokenizer.reconstruct(x, mask)
    assert torch.isfinite(found.x_BNF).all()
    tokenizer.after_step()
    assert all(torch.isfinite(value).all() for value in tokenizer.state_dict().values())


def test_a_causal_tokenizer_decodes_growing_rows_as_whole_ones(tokenizer: Tokenizer) -> None:
    with torch.no_grad():  # a new NormFormer block does not mix constituents
        for parameter in tokenizer.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    ids = torch.arange(27).view(3, 9) % tokenizer.num_codes
    whole = tokenizer.decode(ids)
    changed = ids.clone()
    changed[:, 5:] = 0
    same_so_far = torch.allclose(tokenizer.decode(changed)[:, :5], whole[:, :5], atol=1e-5)
    assert same_so_far == tokenizer.causal
    if not tokenizer.causal:
        with pytest.raises(ValueError, match="causal"):
            tokenizer.start_decoder(3, 9)
        return
    with torch.no_grad():
        decoding = tokenizer.start_decoder(3, 9)
        steps = [decoding.step(ids[:, place]) for place in range(4)]
        decoding.keep(torch.tensor([0, 2]))
        later = [decoding.step(ids[[0, 2], place]) for place in range(4, 9)]
    torch.testing.assert_close(torch.stack(steps, 1), whole[:, :4], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.stack(later, 1), whole[[0, 2], 4:], atol=1e-5, rtol=1e-5)


def test_a_frozen_tokenizer_stays_bit_for_bit_as_it_is(tokenizer: Tokenizer) -> None:
    before = {name: value.clone() for name, value in tokenizer.state_dict().items()}
    tokenizer.freeze()
    parent = torch.nn.Sequential(tokenizer).train()
    x, mask = rows(seed=3)
    for _ in range(12):
        ids = tokenizer.encode(x, mask)
        tokenizer.reconstruct(x, mask)
        tokenizer.after_step()
    assert parent.training
    assert not tokenizer.training
    assert torch.equal(ids, tokenizer.encode(x, mask)), "no dropout"
    assert all(torch.equal(before[name], value) for name, value in tokenizer.state_dict().items())
    assert not any(parameter.requires_grad for parameter in tokenizer.parameters())


def test_a_second_fit_changes_nothing(tokenizer: Tokenizer) -> None:
    before = {name: value.clone() for name, value in tokenizer.state_dict().items()}
    tokenizer.fit([rows(seed=5)])
    assert all(torch.equal(before[name], value) for name, value in tokenizer.state_dict().items())


@pytest.mark.parametrize("name", ["conditional", "cosine", "alternating", "unconditional", "causal", "fsq"])
def test_training_lowers_the_error_of_other_constituents(name: str) -> None:
    tokenizer = build(SPECS[name])
    tokenizer.fit([rows()])
    held_x, held_mask = rows(seed=9)

    def error() -> float:
        tokenizer.eval()
        with torch.no_grad():
            decoded = tokenizer.decode(tokenizer.encode(held_x, held_mask))
        return float((decoded - held_x)[held_mask].square().mean())

    before = error()
    optimizer = torch.optim.Adam(tokenizer.parameters(), lr=3e-3)
    for step in range(150):
        tokenizer.train()
        x, mask = rows(seed=10 + step, number=100)
        found = tokenizer.reconstruct(x, mask)
        loss = (found.x_BNF - x)[mask].square().mean() + found.quantization_BN[mask].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        tokenizer.after_step()
    assert error() < 0.6 * before
    assert error() < 0.6, "one number for all constituents would give 1"


def published_tokenizer(recipe: str) -> dict[str, Any]:
    spec: dict[str, Any] = load_recipe(recipe, "pretrain")["objective"]["tokenizer"]
    return spec


def test_the_tokenizers_of_omnijet_alpha_have_their_published_numbers_of_weights() -> None:
    def count(tokenizer: Tokenizer) -> int:
        return sum(parameter.numel() for parameter in tokenizer.parameters())

    assert count(build(published_tokenizer("omnijet_alpha_tokenizer"))) == 833_551
    assert count(build({"name": "vqvae", "codes": 512})) == 802_831
    assert count(build(published_tokenizer("omnijet_alpha_tau_tokenizer"))) == 928_783
    mlp = build({"name": "vqvae_mlp", "codes": 512, "affine_lr": 0.0})
    assert count(mlp) == 68_103 + 512 * 4


def test_the_tree_and_all_distances_find_the_same_codes() -> None:
    draw = generator()
    codes, points = torch.randn(600, 4, generator=draw), torch.randn(5000, 4, generator=draw)
    by_hand = torch.cdist(points.double(), codes.double()).argmin(-1)
    assert torch.equal(CodeSearch().nearest(points, codes), by_hand)
    few = codes[:100]
    assert torch.equal(
        CodeSearch().nearest(points, few), torch.cdist(points.double(), few.double()).argmin(-1)
    )


def test_a_search_that_keeps_its_tree_sees_codes_that_move() -> None:
    draw = generator()
    codes, points = torch.randn(600, 4, generator=draw), torch.randn(500, 4, generator=draw)
    search = CodeSearch()
    before = search.nearest(points, codes)
    again = copy.deepcopy(search)
    codes[before[0]] += 100.0
    after = torch.cdist(points.double(), codes.double()).argmin(-1)
    assert after[0] != before[0]
    assert torch.equal(search.nearest(points, codes), after)
    assert torch.equal(again.nearest(points, codes), after)


def test_a_search_in_blocks_is_that_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, points = torch.randn(64, 4), torch.randn(500, 4)
    whole = CodeSearch().nearest(points, codes)
    monkeypatch.setattr("hepfm.tokenizers.codebook._BLOCK", 64 * 7)
    assert torch.equal(CodeSearch().nearest(points, codes), whole)


def test_gradients_flow_straight_through_and_to_the_codes() -> None:
    config = QuantizerConfig(codes=5, dim=2, affine_lr=0.0, synchronised=1.0, kmeans_start=False)
    quantizer = Quantizer(config)
    z = torch.randn(7, 2, requires_grad=True)
    found = quantizer(z)
    torch.testing.assert_close(found.z_TK, quantizer.codes_CK[found.ids_T])
    found.z_TK.sum().backward()
    assert torch.equal(z.grad, torch.ones_like(z))
    used = torch.bincount(found.ids_T, minlength=5).float()
    torch.testing.assert_close(quantizer.codes_CK.grad, used[:, None].expand(5, 2))


def test_the_fractions_of_the_quantization_loss() -> None:
    quantizer = Quantizer(
        QuantizerConfig(codes=3, dim=2, affine_lr=0.0, codebook_fraction=0.9, synchronised=0.0)
    )
    z = torch.randn(4, 2, requires_grad=True)
    found = quantizer(z)
    found.loss_T.sum().backward()
    towards = z.detach() - quantizer.codes_CK.detach()[found.ids_T]
    torch.testing.assert_close(found.loss_T, towards.square().mean(-1))
    torch.testing.assert_close(z.grad, 0.1 * towards)
    expected = torch.zeros(3, 2).index_add_(0, found.ids_T, -0.9 * towards)
    torch.testing.assert_close(quantizer.codes_CK.grad, expected)


def test_codes_unused_for_long_come_back_on_vectors_of_the_batch() -> None:
    config = QuantizerConfig(codes=4, dim=2, replace_after=3, kmeans_start=False)
    quantizer = Quantizer(config).train()
    with torch.no_grad():
        quantizer.codes_CK[:] = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0], [50.0, 50.0]])
        quantizer.scale_K.fill_(0.1)
    z = 0.1 * torch.randn(32, 2)
    for _ in range(3):
        for part in z.split(16):  # one step may see its batch in parts
            quantizer(part)
        quantizer.after_step()
    assert quantizer.codebook().abs().max() > 40
    quantizer(z)
    quantizer.after_step()
    assert quantizer.codebook().abs().max() < 1
    assert torch.equal(quantizer.unused_C, torch.ones(4, dtype=torch.int64))
    quantizer.eval()
    quantizer(z)
    assert quantizer.last == []


def test_cosine_codes_do_not_see_lengths() -> None:
    quantizer = CosineQuantizer(QuantizerConfig(codes=16, dim=3, kmeans_start=False))
    z = torch.randn(50, 3)
    assert torch.equal(quantizer.assign(z), quantizer.assign(5 * z))
    torch.testing.assert_close(quantizer.codebook().norm(dim=-1), torch.ones(16))


def test_finite_scalars_take_all_their_levels_and_come_back() -> None:
    fsq = build({"name": "fsq", "levels": (4, 3, 2), **SMALL})
    ids = torch.arange(fsq.num_codes)
    vectors = fsq.lookup(ids)  # type: ignore[operator]
    assert len(vectors.unique(dim=0)) == 24
    z = torch.randn(20_000, 3) * 3
    assert len(fsq.assign(z).unique()) == 24  # type: ignore[operator]
    found = fsq.quantize(z)  # type: ignore[operator]
    torch.testing.assert_close(fsq.lookup(found.ids_T), found.z_TK)  # type: ignore[operator]


def test_bins_cover_the_asked_share_and_take_in_what_lies_outside() -> None:
    binned = build({"name": "binned", "bins": (10, 10, 10), "coverage": 0.9})
    x, mask = rows(number=4000)
    binned.fit([(x, mask)])
    low = torch.quantile(x[mask][:, 0], 0.05)
    assert float(binned.low_F[0]) == pytest.approx(float(low), abs=0.02)
    far = torch.full((1, 1, 3), 100.0)
    back = binned.decode(binned.encode(far, torch.ones(1, 1, dtype=torch.bool)))
    assert (back < binned.high_F).all()
    assert (back > binned.high_F - (binned.high_F - binned.low_F) / 10).all()


@pytest.mark.parametrize("name", ["conditional", "kmeans"])
def test_a_codebook_larger_than_the_data_is_refused(name: str) -> None:
    x, mask = rows()
    codes = int(mask.sum()) + 1
    with pytest.raises(DataError, match=f"codebook larger than the data: tokenizer.codes={codes}"):
        build({**SPECS[name], "codes": codes}).fit([(x, mask)])


def test_bad_options() -> None:
    for spec, message in (
        ({"name": "vqvae", "codes": 70_000}, "65536"),
        ({"name": "vqvae", "width": 10, "num_heads": 4}, "multiple of num_heads"),
        ({"name": "fsq", "levels": (64, 64, 64)}, "above 65536"),
        ({"name": "binned", "bins": (100, 100, 100)}, "above 65536"),
        ({"name": "binned", "bins": (4, 4)}, "one number for each"),
    ):
        with pytest.raises(ConfigError, match=message):
            build(spec)


@pytest.mark.parametrize("name", ["kmeans", "binned"])
def test_an_unfitted_tokenizer_says_so(name: str) -> None:
    with pytest.raises(ValueError, match="fit"):
        build(SPECS[name]).encode(*rows())


def test_perplexity() -> None:
    from hepfm.objectives.tokenize import perplexity

    assert float(perplexity(torch.tensor([0, 1, 2, 3]), 8).number()) == pytest.approx(4.0)
    assert float(perplexity(torch.tensor([2, 2]), 8).number()) == pytest.approx(1.0)
    shares = (0.5, 0.25, 0.25)
    entropy = -sum(share * math.log(share) for share in shares)
    assert float(perplexity(torch.tensor([0, 0, 1, 2]), 3).number()) == pytest.approx(math.exp(entropy))
