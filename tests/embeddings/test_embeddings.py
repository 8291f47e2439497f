"""Numbers as vectors: every backbone with every embedding, and what fields that do not exist do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import built
from event_rows import event_columns, event_table
from torch import Tensor, nn

from hepfm.backbones import BACKBONES
from hepfm.backbones.base import Backbone
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, IncompatibleError
from hepfm.data import feature_set
from hepfm.data.content import Content
from hepfm.data.features import FeatureSet
from hepfm.data.pool import RowPool
from hepfm.data.schemas.events import OBJECT_TYPES
from hepfm.embeddings import EMBEDDINGS
from hepfm.embeddings.base import InputEmbedding, with_flags
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.network import Network
from hepfm.networks.specs import TokenizerSpec
from hepfm.nn.presence import Presence
from hepfm.testing.backbones import FEATURE_NAMES, LAWS, BackboneCase
from hepfm.tokenizers import TOKENIZERS

OWN = tuple(name for name in EMBEDDINGS if name != "ordinary")
REPLACING = tuple(name for name in BACKBONES if "embedding" in BACKBONES.load(name).supports)
SUMMARISING: dict[str, dict[str, Any]] = {"post_norm_transformer": {"num_registers": 2, "causal": False}}
PAIRS = [
    *((name, "numbers") for name in REPLACING),
    ("transformer", "number_tokens"),
    ("pet", "number_tokens"),
]


class Told(nn.Module):
    """An embedding that is told that all features exist."""

    def __init__(self, embedding: InputEmbedding) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        vectors: Tensor = self.embedding(with_flags(x, torch.ones_like(x, dtype=torch.bool)))
        return vectors


@dataclass(frozen=True)
class EmbeddedCase(BackboneCase):
    """A backbone with another embedding, for the laws of backbones."""

    embedding: str = "numbers"

    def build(self, *, dropout: float = 0.0, **options: Any) -> Backbone:
        backbone = super().build(dropout=dropout, **options)
        spec = {"name": self.embedding, **({"dropout": dropout} if self.embedding == "number_tokens" else {})}
        sizes = {"width": backbone.width, "num_features": len(FEATURE_NAMES)}
        backbone.replace_embedding(Told(built(EMBEDDINGS, spec, **sizes)))
        return backbone.double()


def test_backbones_that_cannot_be_given_one() -> None:
    """The one without weights, and the one whose first layers see neighbours before anything is embedded."""
    assert set(BACKBONES) - set(REPLACING) == {"none", "evenet"}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize(("name", "embedding"), PAIRS)
def test_the_laws_of_backbones_hold(name: str, embedding: str, law: Callable[[BackboneCase], None]) -> None:
    law(EmbeddedCase(name, SUMMARISING.get(name, {}), embedding=embedding))


@pytest.mark.parametrize("embedding", OWN)
def test_a_number_that_does_not_exist_is_not_a_zero(embedding: str) -> None:
    module = built(EMBEDDINGS, embedding, width=8, num_features=4).double()
    x = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    all_of_it = torch.ones(5, 4, dtype=torch.bool)
    some = all_of_it.clone()
    some[:, 2] = False
    zero, other = x.clone(), x.clone()
    zero[:, 2], other[:, 2] = 0.0, 7.0
    lacking = module(with_flags(x, some))
    assert torch.equal(lacking, module(with_flags(other, some)))  # its value is not read
    assert not torch.allclose(lacking, module(with_flags(zero, all_of_it)))
    assert not module(with_flags(x, torch.zeros_like(some))).any()  # padding


def test_the_vector_is_the_sum_of_values_times_vectors() -> None:
    module = built(EMBEDDINGS, "numbers", width=8, num_features=3)
    x, present = torch.tensor([[2.0, -1.0, 5.0]]), torch.tensor([[True, False, True]])
    vectors, offsets = module.vectors_FD, module.offsets_FD
    expected = 2.0 * vectors[0] + offsets[0] + 5.0 * vectors[2] + offsets[2]
    torch.testing.assert_close(module(with_flags(x, present))[0], expected)


def test_tokens_see_no_other_constituent_and_no_missing_number() -> None:
    """The vector of a constituent with some numbers is that of a network of these fields alone."""
    module = built(EMBEDDINGS, "number_tokens", width=8, num_features=4).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    present = torch.ones(3, 4, dtype=torch.bool)
    present[1, [0, 3]] = False
    together = module(with_flags(x, present))
    torch.testing.assert_close(together[1:2], module(with_flags(x[1:2], present[1:2])))
    few = built(EMBEDDINGS, "number_tokens", width=8, num_features=2).double()
    few.load_state_dict(
        {name: w[1:3] if name.endswith("_FD") else w for name, w in module.state_dict().items()}
    )
    torch.testing.assert_close(
        together[1], few(with_flags(x[1, 1:3], torch.ones(2, dtype=torch.bool))[None])[0]
    )


def network(
    backbone: str = "transformer",
    embedding: Any = "numbers",
    features: FeatureSet | None = None,
    **options: Any,
) -> Network:
    spec = {"name": backbone, "size": next(iter(BACKBONES.load(backbone).sizes))}
    with seeded_init(0, "test"):
        return build_network(
            resolve_component(BACKBONES, spec, where="test"),
            features or feature_set("event"),
            embedding=resolve_component(EMBEDDINGS, embedding, where="test"),
            **options,
        ).eval()


def events(features: FeatureSet | None = None) -> Batch:
    content = Content(features or feature_set("event"), (), None, 32)
    pool = RowPool(event_table(12), content, range(12))
    return pool.batch(torch.arange(12).numpy())


@pytest.mark.parametrize("name", ["event", "event_levels"])
def test_events_declare_which_objects_have_which_numbers(name: str) -> None:
    features, batch = feature_set(name), events(feature_set(name))
    presence = Presence(features.names, exist=features.existence, groups=features.all_groups)
    present = presence(batch.features_BNF, batch.mask_BN)
    place = {feature: number for number, feature in enumerate(features.names)}

    def of(kind: str) -> Tensor:
        chosen: Tensor = batch.features_BNF[..., place[f"is_{kind}"]] == 1
        return chosen

    generated = of("generator") if name == "event_levels" else torch.zeros_like(batch.mask_BN)
    assert torch.equal(present[..., place["log_pt"]], batch.mask_BN)
    assert torch.equal(present[..., place["b_tag"]], of("jet"))
    assert torch.equal(present[..., place["eta"]], batch.mask_BN & ~of("met"))
    assert not present[..., place["charge"]][of("jet") | of("met") | of("photon")].any()
    assert present[..., place["charge"]][of("electron") | of("muon")].all()
    if name == "event_levels":
        assert torch.equal(present[..., place["particle_sign"]], generated)
        assert present[..., place["charge"]][of("bottom")].all()
        assert not present[..., place["charge"]][of("neutrino")].any()


def test_networks_do_not_read_what_an_object_lacks() -> None:
    batch, place = events(), feature_set("event").names.index
    met = batch.features_BNF[..., place("is_met")] == 1
    changed = batch.features_BNF.clone()
    changed[..., place("eta")][met] = 3.0
    other = replace(batch, features_BNF=changed)
    numbers, ordinary = network(), network(embedding="ordinary")
    assert torch.equal(numbers.features(batch).tokens_BND, numbers.features(other).tokens_BND)
    assert not torch.equal(ordinary.features(batch).tokens_BND, ordinary.features(other).tokens_BND)


def test_groups_that_are_withheld_are_left_out_in_training_and_after() -> None:
    """A group dropped in training, one that the data lack, and one of a set without it are the same."""
    features = feature_set("event")
    batch = events()
    without = events(features.without(["b_tag"]))
    assert without.absent == {"b_tag"}
    told = network()
    as_lacking = told.features(without).tokens_BND
    assert not torch.equal(as_lacking, told.features(replace(without, absent=frozenset())).tokens_BND)
    fixed = network(features=features.without(["b_tag"]))
    torch.testing.assert_close(fixed.features(batch).tokens_BND, as_lacking)
    told.feature_dropout.train()
    told.feature_dropout.rate = 1.0 - 1e-9
    dropped = told.features(batch).tokens_BND
    both = replace(events(features.without(["b_tag", "charge"])), absent=frozenset({"b_tag", "charge"}))
    torch.testing.assert_close(dropped, told.features(both).tokens_BND)


def test_numbers_beyond_the_range_are_clipped_as_in_xval() -> None:
    numbers, batch = network(), events()
    place = feature_set("event").names.index("log_pt")
    far, farther = batch.features_BNF.clone(), batch.features_BNF.clone()
    far[..., place], farther[..., place] = 1e3, 1e6
    one, two = (numbers.features(replace(batch, features_BNF=x)).tokens_BND for x in (far, farther))
    assert torch.equal(one, two)
    captured: list[Tensor] = []
    embedding = numbers.backbone.embedding
    assert isinstance(embedding, nn.Module)
    embedding.register_forward_pre_hook(lambda _, inputs: captured.append(inputs[0]))
    numbers.features(replace(batch, features_BNF=farther))
    assert float(captured[0].abs().max()) == 5.0


@pytest.mark.parametrize("embedding", OWN)
@pytest.mark.parametrize("backbone", REPLACING)
def test_networks_of_jets_learn_through_it(backbone: str, embedding: str) -> None:
    features = feature_set("petfull")
    net = network(backbone, embedding, features).train()
    out = net.features(random_batch(features, rows=6))
    pooled = out.tokens_BND.sum(1) if out.pooled_BD is None else out.pooled_BD
    torch.autograd.backward(pooled.square().sum())
    module = net.backbone.embedding
    assert isinstance(module, nn.Module)
    silent = [
        name for name, weight in module.named_parameters() if weight.grad is None or not weight.grad.any()
    ]
    assert not silent


def test_models_keep_their_embedding(tmp_path: Path) -> None:
    from hepfm.api import finetune, pretrain
    from hepfm.data.schemas.events import event_schema
    from hepfm.data.writer import write_store
    from hepfm.models.directory import Model

    schema = event_schema(("ttbar", "Zjets"), truth=True)
    shards = [("train", event_columns(80)), ("val", event_columns(20, seed=1))]
    write_store(tmp_path / "events", schema, shards, provenance={})
    short = {"steps": 3, "batch_size": 16, "device": "cpu"}
    recipe = {
        "data": {"store": str(tmp_path / "events"), "features": "event", "max_constituents": 16},
        "backbone": {"name": "event_graph", "size": "xs"},
        "embedding": {"name": "number_tokens", "depth": 1},
        "objective": "supervised",
        "train": short,
    }
    run = pretrain(recipe, output=tmp_path / "run")
    model = Model.load(run.path)
    assert model.network.embedding_spec is not None
    assert model.network.embedding_spec.name == "number_tokens"
    tuned = {
        "data": {"store": str(tmp_path / "events"), "withhold": ["b_tag"]},
        "early_stopping": None,
        "train": short,
    }
    lacking = Model.load(finetune(run.path, tuned, output=tmp_path / "tuned").path)
    assert lacking.network.embedding_spec == model.network.embedding_spec
    assert lacking.network.feature_set.absent == {"b_tag"}


@pytest.mark.parametrize("embedding", OWN)
def test_what_cannot_be_given_one_is_refused(embedding: str) -> None:
    none, transformer = (resolve_component(BACKBONES, spec, where="test") for spec in ("none", "transformer"))
    given = resolve_component(EMBEDDINGS, embedding, where="test")
    with pytest.raises(IncompatibleError, match="backbone 'none' cannot be given the embedding"):
        build_network(none, feature_set("kin"), embedding=given)
    codes = TokenizerSpec(
        resolve_component(TOKENIZERS, {"name": "kmeans", "codes": 16}, where="test"), "codes"
    )
    with pytest.raises(IncompatibleError, match="this network reads codes of its tokenizer"):
        build_network(transformer, feature_set("kin"), embedding=given, tokenizer=codes)


def test_an_equivariant_network_of_invariant_scalars_alone_is_given_none() -> None:
    pytest.importorskip("lgatr", reason="the extra 'lgatr' is not installed")
    case = BackboneCase("lgatr_slim", {"scalars": "invariant"})
    with pytest.raises(IncompatibleError, match="scalars=invariant cannot be given an embedding"):
        case.build().replace_embedding(nn.Identity())


def test_bad_options() -> None:
    with pytest.raises(ConfigError, match="unknown embedding 'nubers'; did you mean 'numbers'"):
        resolve_component(EMBEDDINGS, "nubers", where="test")
    with pytest.raises(ConfigError, match="unknown key 'mode'"):
        resolve_component(EMBEDDINGS, {"name": "numbers", "mode": "sum"}, where="test")
    with pytest.raises(IncompatibleError, match="width 10 is not a multiple of num_heads 4"):
        built(EMBEDDINGS, "number_tokens", width=10, num_features=3)


def test_the_types_of_objects_are_those_of_the_schema() -> None:
    """A feature set that declares fields by types which do not exist would declare nothing."""
    for name in ("event", "event_levels"):
        features = feature_set(name)
        for feature, flags in features.existence.items():
            assert feature in features.names
            assert set(flags) <= set(features.names)
            assert all(flag.removeprefix("is_") in (*OBJECT_TYPES, "generator") for flag in flags)
