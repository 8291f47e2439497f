"""Groupings: subjets are those of FastJet, patches those of a plain loop; short rows; models with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hepfm import api
from hepfm.backbones import BACKBONES
from hepfm.backbones.base import Placeholder
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import DataError, IncompatibleError
from hepfm.data import clustering, feature_set
from hepfm.data.clustering import Clustering, Subjets, cluster
from hepfm.data.content import Content
from hepfm.data.loader import EvalLoader
from hepfm.data.store import Store
from hepfm.groupings import GROUPINGS
from hepfm.groupings.patches import farthest_points
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.network import Network
from hepfm.nn.pooling import summary

FEATURES = feature_set("pet")
TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}


def build(grouping: Any, backbone: Any = TINY) -> Network:
    with seeded_init(0, "test"):
        return build_network(
            resolve_component(BACKBONES, backbone, where="test"),
            FEATURES,
            grouping=resolve_component(GROUPINGS, grouping, where="test"),
        ).eval()


def batch_for(network: Network, rows: int = 16) -> Batch:
    return random_batch(FEATURES, rows=rows, clusterings=network.clusterings)


def numbered(jets: Any, n: int) -> list[int]:
    """Number FastJet's own jets of one event by falling pt."""
    out = [-1] * n
    for number, jet in enumerate(sorted(jets, key=lambda jet: -jet.pt())):
        for particle in jet.constituents():
            out[particle.user_index()] = number
    return out


def test_subjets_are_those_of_fastjet_event_by_event() -> None:
    import fastjet

    batch = random_batch(FEATURES, rows=12, seed=3)
    assert batch.p4_BN4 is not None
    mask, p4 = batch.mask_BN.numpy(), batch.p4_BN4.double().numpy()
    ways = [Clustering("cambridge_aachen", 0.2), *(Clustering("kt", n) for n in (1, 4, 16))]
    found = cluster(p4[mask], mask.sum(1), ways)
    expected: list[list[int]] = [[] for _ in ways]
    for row, real in zip(p4, mask, strict=True):
        particles = [fastjet.PseudoJet(*p[1:], p[0]) for p in row[real].tolist()]
        for index, particle in enumerate(particles):
            particle.set_user_index(index)
        small = fastjet.ClusterSequence(particles, fastjet.JetDefinition(fastjet.cambridge_algorithm, 0.2))
        kt = fastjet.ClusterSequence(particles, fastjet.JetDefinition(fastjet.kt_algorithm, 1.0))
        expected[0] += numbered(small.inclusive_jets(), len(particles))
        for way, number in enumerate((1, 4, 16), start=1):
            jets = kt.exclusive_jets_up_to(number)
            expected[way] += numbered(jets, len(particles))
    np.testing.assert_array_equal(found, expected)


def test_a_row_is_clustered_once_and_cut_rows_as_they_are_shown(
    jet_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjets = Subjets([Clustering("cambridge_aachen", 0.2)])
    content = Content(FEATURES, max_constituents=10, subjets=subjets)
    calls = []
    monkeypatch.setattr(clustering, "cluster", lambda *a: calls.append(len(a[1])) or cluster(*a))

    def read(rows: range) -> list[Batch]:
        return list(EvalLoader(jet_store, content, rows=rows, batch_size=8))

    read(range(20))
    assert sum(calls) == 20
    batch = read(range(4, 24))[0]
    assert sum(calls) == 24
    assert batch.p4_BN4 is not None
    mask = batch.mask_BN.numpy()
    expected = cluster(batch.p4_BN4.double().numpy()[mask], mask.sum(1), subjets.clusterings)[0]
    found = batch.subjets["cambridge_aachen_0.2"]
    assert found[batch.mask_BN].tolist() == expected.tolist()
    assert (found[~batch.mask_BN] == -1).all()


def test_more_constituents_than_a_byte_can_number_are_refused() -> None:
    content = Content(FEATURES, max_constituents=300, subjets=Subjets([Clustering("kt", 2)]))
    from hepfm.data.schemas.jets import jet_schema

    with pytest.raises(DataError, match=r"lower data\.max_constituents from 300"):
        content.check(jet_schema())


def test_limits_keep_the_hardest_subjets_and_constituents() -> None:
    network = build({"name": "subjets", "max_groups": 2, "max_members": 3})
    number = torch.tensor([[0, 1, 0, 0, 2, 0, 1], [0, -1, -1, -1, -1, -1, -1]])
    batch = Batch(
        features_BNF=torch.arange(56.0).view(2, 7, 4) * (number >= 0)[..., None],
        mask_BN=number >= 0,
        rows_B=torch.arange(2),
        subjets={"cambridge_aachen_0.2": number},
    )
    groups = network.groups(batch)
    assert groups is not None
    assert groups.constituent_T.tolist() == [0, 1, 2, 3, 6, 7]
    assert groups.group_T.tolist() == [0, 1, 0, 0, 1, 2]
    assert groups.mask_BG.tolist() == [[True, True], [True, False]]
    torch.testing.assert_close(groups.centre_BG2[0, 1], batch.features_BNF[0, [1, 6], :2].mean(0))


def test_farthest_points_are_those_of_a_plain_loop_and_never_the_same_twice() -> None:
    points = torch.randn(5, 9, 2, generator=torch.Generator().manual_seed(1))
    points[4] = 0.0  # all at one place
    lengths = torch.tensor([9, 6, 3, 1, 5])
    mask = torch.arange(9) < lengths[:, None]
    found = farthest_points(points, mask, 4)
    for row, length in enumerate(lengths.tolist()):
        chosen = [0]
        while len(chosen) < min(4, length):
            distance = torch.cdist(points[row, :length], points[row, chosen]).amin(1)
            distance[chosen] = -1.0
            chosen.append(int(distance.argmax()))
        assert found[row, : len(chosen)].tolist() == chosen
        assert len(set(chosen)) == len(chosen)


def test_a_patch_holds_the_nearest_constituents_and_a_short_row_has_few_patches() -> None:
    network = build({"name": "patches", "max_groups": 6, "members": 4})
    batch = batch_for(network)
    groups = network.groups(batch)
    assert groups is not None
    assert groups.mask_BG.sum(1).tolist() == batch.mask_BN.sum(1).clamp(max=6).tolist()
    number = batch.mask_BN.shape[1]
    for group in groups.mask_BG.flatten().nonzero()[:, 0].tolist():
        members = groups.constituent_T[groups.group_T == group]
        row = group // 6
        assert (members // number == row).all()
        distance = (batch.features_BNF[row, :, :2] - groups.centre_BG2.flatten(0, 1)[group]).norm(dim=-1)
        distance = distance[batch.mask_BN[row]]
        nearest = distance.sort().values[:4]
        torch.testing.assert_close(distance[members % number].sort().values, nearest)


@pytest.mark.parametrize("grouping", ["subjets", "patches"])
@pytest.mark.parametrize("backbone", ["transformer", "particle_transformer", "pet"])
def test_padding_changes_nothing_and_momenta_are_those_of_the_members(grouping: str, backbone: str) -> None:
    network = build(grouping, {"name": backbone, **({} if backbone == "pet" else {"size": "xs"})})
    batch = batch_for(network, rows=6)
    longer = replace(
        batch,
        features_BNF=F.pad(batch.features_BNF, (0, 0, 0, 5)),
        p4_BN4=F.pad(batch.p4_BN4, (0, 0, 0, 5)),  # type: ignore[arg-type]
        mask_BN=F.pad(batch.mask_BN, (0, 5)),
        subjets={name: F.pad(number, (0, 5), value=-1) for name, number in batch.subjets.items()},
    )
    outputs = [network.features(each) for each in (batch, longer)]
    vectors = [summary(out.tokens_BND, out.pooled_BD, out.token_mask(batch.mask_BN)) for out in outputs]
    torch.testing.assert_close(vectors[0], vectors[1], rtol=1e-4, atol=1e-5)
    groups = network.groups(batch)
    assert groups is not None
    assert batch.p4_BN4 is not None
    if grouping == "subjets":  # none of these rows has so many that some are left out
        torch.testing.assert_close(groups.sums(batch.p4_BN4).sum(1), batch.p4_BN4.sum(1))


def test_a_row_without_constituents_gives_finite_numbers_and_gradients() -> None:
    for grouping in ("subjets", "patches"):
        network = build(grouping)
        batch = Batch(
            torch.zeros(2, 3, 4),
            torch.zeros(2, 3, dtype=torch.bool),
            torch.arange(2),
            subjets={"cambridge_aachen_0.2": torch.full((2, 3), -1)},
        )
        features = network.features(batch)
        features.tokens_BND.sum().backward()
        assert features.tokens_BND.isfinite().all()
        assert not features.token_mask(batch.mask_BN).any()


@pytest.mark.parametrize("grouping", ["subjets", "patches"])
def test_fine_tuning_and_prediction_have_the_tokens_of_pretraining(
    grouping: str, jet_store: Store, tmp_path: Path
) -> None:
    train = {"steps": 2, "batch_size": 16, "accumulate": 1, "device": "cpu", "validate_every": 2}
    recipe = {
        "data": {"store": str(jet_store.path), "features": "kin"},
        "backbone": TINY,
        "grouping": {"name": grouping, "max_groups": 3},
        "train": {**train, "validation_rows": 16},
    }
    api.pretrain(recipe, output=tmp_path / "pretrained")
    fine = {"data": {"store": str(jet_store.path), "budget": 60}, "train": train, "head": "keep"}
    api.finetune(tmp_path / "pretrained", fine, output=tmp_path / "tuned")
    model = api.Model.load(tmp_path / "tuned")
    assert model.network.grouping_spec is not None
    assert model.network.grouping_spec.config.max_groups == 3  # type: ignore[attr-defined]
    api.check(tmp_path / "tuned")
    batch = next(iter(EvalLoader(jet_store, model.content(jet_store), rows=range(8), batch_size=8)))
    features = model.network.features(batch)
    assert features.tokens_BND.shape[1] <= 3


def test_what_does_not_fit_is_refused_with_what_does(jet_store: Store, tmp_path: Path) -> None:
    recipe = {
        "data": {"store": str(jet_store.path), "features": "kin"},
        "backbone": TINY,
        "grouping": "subjets",
        "objective": "lejepa",
        "train": {"steps": 1},
    }
    with pytest.raises(IncompatibleError, match="groupings that fit it: particles, patches"):
        api.pretrain(recipe, output=tmp_path / "run")


def test_groups_take_no_placeholder_and_have_no_order() -> None:
    network = build("patches")
    batch = batch_for(network, rows=2)
    hidden = Placeholder(batch.mask_BN, torch.zeros(16), torch.zeros_like(batch.mask_BN, dtype=torch.int64))
    for option in ({"causal": True}, {"placeholder": hidden}):
        with pytest.raises(ValueError, match="use grouping=particles"):
            network.features(batch, **option)  # type: ignore[arg-type]
