"""Assignment of objects to resonances: targets, losses, invariances and decoding, against brute force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
import torch
from event_rows import event_table
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.backbones.base import Features
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.draws import Draws
from hepfm.core.errors import ConfigError, HepfmError, IncompatibleError
from hepfm.core.ragged import Ragged
from hepfm.data import feature_set
from hepfm.data.content import Content
from hepfm.data.pool import RowPool
from hepfm.data.schemas.events import OBJECT_ROLES, OBJECT_TYPES, event_schema
from hepfm.heads.assignment import AssignmentHead, AssignmentHeadConfig
from hepfm.models.assignment import roles_of
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.assignment import Assignment
from hepfm.objectives.resonances import allowed, daughter_types, targets_of
from hepfm.physics.assign_roles import assign_roles
from hepfm.physics.consistent import Choices, best_consistent
from hepfm.physics.topology import Topology
from hepfm.train.learner import Learner, make_learner

TOPS: dict[str, tuple[str, ...]] = {"t": ("b", "q", "q"), "tbar": ("b", "q", "q")}
LEPTONIC: dict[str, tuple[str, ...]] = {"t": ("b", "l"), "tbar": ("b", "l")}
SCHEMA = event_schema(("ttbar", "Zjets"), truth=True)
TYPES = daughter_types(SCHEMA["object_type"])
JET, MET = OBJECT_TYPES.index("jet"), OBJECT_TYPES.index("met")
DRAWS = Draws(1, "test")


def role(name: str) -> int:
    return OBJECT_ROLES.index(name)


def batch_of(*events: list[str], types: list[int] | None = None) -> Batch:
    """Return events whose objects have roles, jets unless told otherwise."""
    length = max(len(event) for event in events)
    mask = torch.tensor([[k < len(event) for k in range(length)] for event in events])
    roles = torch.tensor([[role(name) for name in event] + [-1] * (length - len(event)) for event in events])
    kinds = torch.tensor([types or [JET] * length for _ in events])
    generator = torch.Generator().manual_seed(length)
    features = torch.randn(*mask.shape, len(feature_set("event")), generator=generator)
    return Batch(
        features_BNF=features * mask[..., None],
        mask_BN=mask,
        rows_B=torch.arange(len(events)),
        p4_BN4=torch.zeros(*mask.shape, 4),
        labels={"object_role": roles, "object_type": torch.where(mask, kinds, -1)},
    )


HADRONIC = batch_of(
    ["t_q", "tbar_b", "none", "t_b", "tbar_q", "t_q", "tbar_q"],
    ["t_b", "t_q", "t_q", "none", "none"],
    ["t_b", "t_q", "tbar_b", "tbar_q", "tbar_q", "t_q", "t_q"],
    ["none", "none"],
)
"""Two tops; one; one, the other with a quark too many; none."""


COMPLETE = batch_of(
    ["t_q", "tbar_b", "none", "t_b", "tbar_q", "t_q", "tbar_q"], ["t_b", "t_q", "t_q", "none", "none"]
)


def learner(backbone: str = "evenet", **options: Any) -> Learner:
    spec = {"name": "assignment", "resonances": TOPS, "alike": [["t", "tbar"]], **options}
    component = resolve_component(OBJECTIVES, spec, where="test")
    chosen = resolve_component(BACKBONES, {"name": backbone, "size": "xs", "dropout": 0.0}, where="test")
    with seeded_init(0, "test"):
        network = build_network(chosen, feature_set("event"))
        return make_learner(component, network, SCHEMA).eval()


def loss_of(trained: Learner, batch: Batch) -> Mapping[str, float]:
    with torch.no_grad():
        numbers: Mapping[str, float] = trained(trained.views(batch, DRAWS), DRAWS).detached().numbers()
    return numbers


def test_a_resonance_is_complete_when_each_daughter_is_there_once() -> None:
    topology = Topology.of(TOPS)
    roles = topology.roles(OBJECT_ROLES)
    labels, mask = HADRONIC.labels, HADRONIC.mask_BN
    complete = [
        targets_of(branch, roles, labels["object_role"], labels["object_type"], mask, TYPES).complete_BR[:, 0]
        for branch in topology.branches
    ]
    assert torch.stack(complete, dim=1).tolist() == [
        [True, True],
        [True, False],
        [False, True],
        [False, False],
    ]


def test_objects_of_another_type_are_no_daughters() -> None:
    roles = Topology.of(TOPS).roles(OBJECT_ROLES)
    for types, complete in (([JET] * 3, True), ([JET, JET, MET], False)):
        batch = batch_of(["t_b", "t_q", "t_q"], types=types)
        branch = Topology.of({"t": TOPS["t"]}).branches[0]
        labels = batch.labels
        target = targets_of(branch, roles, labels["object_role"], labels["object_type"], batch.mask_BN, TYPES)
        assert target.complete_BR.item() is complete
        may = allowed(branch, labels["object_type"], batch.mask_BN, TYPES)
        assert int(may.sum()) == (6 if complete else 0)


def brute_force_loss(trained: Learner, batch: Batch) -> dict[str, float]:
    """Return the loss by loops over resonances and choices."""
    network, config = trained.network, trained.objective.config
    assert isinstance(trained.objective, Assignment)
    topology = trained.objective.topology
    head = network.heads["object_role"]
    with torch.no_grad():
        parts = head.parts(network.features(batch), batch.mask_BN)
    total = count = detection = 0.0
    for row, mask in enumerate(batch.mask_BN):
        jets = [k for k in range(len(mask)) if mask[k] and batch.labels["object_type"][row, k] == JET]
        for branch, part in zip(topology.branches, parts, strict=True):
            logits = {
                choice: float(part.joint[row][choice]) for choice in permutations(jets, len(branch.daughters))
            }
            norm = np.logaddexp.reduce(list(logits.values())) if logits else 0.0
            found = 0
            for resonance in branch.resonances:
                places: dict[str, list[int]] = {
                    kind: [
                        k for k in jets if batch.labels["object_role"][row, k] == role(f"{resonance}_{kind}")
                    ]
                    for kind in branch.kinds
                }
                if any(len(places[kind]) != number for kind, number in branch.kinds.items()):
                    continue
                found += 1
                same = {
                    choice
                    for choice in logits
                    if all(
                        sorted(choice[k] for k, name in enumerate(branch.daughters) if name == kind)
                        == sorted(places[kind])
                        for kind in branch.kinds
                    )
                }
                log_p = np.logaddexp.reduce([logits[choice] for choice in same]) - norm
                total += -log_p * (1 - np.exp(log_p)) ** config.focal_gamma
                count += 1
            detection -= float(part.detection_BR[row].log_softmax(0)[found])
    rows = len(batch.mask_BN) * len(topology.branches)
    return {"assignment": total / count, "detection": detection / rows}


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("alike", [(), (("t", "tbar"),)])
def test_the_loss_is_that_of_brute_force(gamma: float, alike: Any) -> None:
    trained = learner(focal_gamma=gamma, alike=alike)
    numbers = loss_of(trained, HADRONIC)
    for name, expected in brute_force_loss(trained, HADRONIC).items():
        assert numbers[name] == pytest.approx(expected, rel=1e-4), name


def renamed(batch: Batch, names: Mapping[str, str]) -> Batch:
    roles = batch.labels["object_role"]
    changed = roles.clone()
    for first, second in names.items():
        changed[roles == role(first)] = role(second)
    return replace(batch, labels={**batch.labels, "object_role": changed})


SWAPPED = {f"{a}_{k}": f"{b}_{k}" for a, b in (("t", "tbar"), ("tbar", "t")) for k in ("b", "q")}


def test_names_of_resonances_that_are_alike_do_not_matter() -> None:
    swapped = renamed(HADRONIC, SWAPPED)
    alike, apart = learner(), learner(alike=())
    assert loss_of(alike, swapped) == pytest.approx(loss_of(alike, HADRONIC), rel=1e-6)
    assert loss_of(apart, swapped)["loss"] != pytest.approx(loss_of(apart, HADRONIC)["loss"], rel=1e-5)


def test_a_confusion_of_b_and_q_does_matter() -> None:
    first, second = batch_of(["t_b", "t_q", "t_q", "none"]), batch_of(["t_q", "t_b", "t_q", "none"])
    second = replace(second, features_BNF=first.features_BNF)
    trained = learner()
    assert loss_of(trained, first)["assignment"] != pytest.approx(
        loss_of(trained, second)["assignment"], rel=1e-4
    )


def test_the_order_of_objects_does_not_matter() -> None:
    trained = learner()
    order = torch.tensor([4, 2, 6, 0, 1, 5, 3])
    batch = batch_of(["t_q", "tbar_b", "none", "t_b", "tbar_q", "t_q", "tbar_q"])
    turned = replace(
        batch,
        features_BNF=batch.features_BNF[:, order],
        labels={name: values[:, order] for name, values in batch.labels.items()},
    )
    assert loss_of(trained, turned) == pytest.approx(loss_of(trained, batch), rel=1e-5)


def test_logits_are_the_same_for_interchangeable_daughters() -> None:
    trained = learner()
    head = trained.network.heads["object_role"]
    with torch.no_grad():
        (part,) = head.parts(trained.network.features(HADRONIC), HADRONIC.mask_BN)
    torch.testing.assert_close(part.joint, part.joint.transpose(2, 3))
    assert not torch.allclose(part.joint, part.joint.transpose(1, 2))
    flat = head(trained.network.features(HADRONIC), HADRONIC.mask_BN)
    assert flat.shape == (4, 3 + 7**3)


def choices(num_jets: int, degree: int) -> list[tuple[int, ...]]:
    return list(permutations(range(num_jets), degree))


def brute_force_assignment(scores: list[np.ndarray]) -> float:
    """Return the largest sum of scores of two tops without a shared object."""
    best = -np.inf
    for first, second in product(choices(len(scores[0]), 3), repeat=2):
        if not set(first) & set(second):
            best = max(best, scores[0][first] + scores[1][second])
    return best


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("alike", [(), (("t", "tbar"),)])
def test_the_best_consistent_assignment_is_that_of_brute_force(seed: int, alike: Any) -> None:
    rng = np.random.default_rng(seed)
    topology = Topology.of(TOPS, alike)
    roles = topology.roles(OBJECT_ROLES)
    joint = rng.normal(size=(len(topology.branches), 6, 6, 6)) * 3
    joint = joint + joint.transpose(0, 1, 3, 2)
    batch = batch_of(["none"] * 6)
    may = [
        allowed(branch, batch.labels["object_type"], batch.mask_BN, TYPES)[0].numpy()
        for branch in topology.branches
    ]
    found = assign_roles(topology, roles, may, list(joint))
    assert sorted(found) == sorted(role(f"{t}_{k}") for t in TOPS for k in TOPS[t])
    places = {name: np.flatnonzero(found == role(name)) for name in ("t_b", "t_q", "tbar_b", "tbar_q")}
    sums = [joint[0][places["t_b"][0], *places["t_q"]], joint[-1][places["tbar_b"][0], *places["tbar_q"]]]
    assert sum(sums) == pytest.approx(brute_force_assignment([joint[0], joint[-1]]))
    if alike:
        assert sums[0] >= sums[1]


def test_the_search_goes_beyond_the_first_candidates() -> None:
    # The best hundred candidates of both use object 0: only the last ones of the second go together.
    places = np.array([[0, k] for k in range(1, 60)] + [[60, 61]])
    scores = -0.01 * np.arange(60.0)
    first = Choices.of(places, scores)
    assert best_consistent([first, first]) in ([0, 59], [59, 0])
    assert best_consistent([first, first, first]).count(-1) == 1
    assert best_consistent([Choices.of(np.zeros((0, 2), np.int64), np.zeros(0))]) == [-1]


def test_too_few_objects_give_as_many_resonances_as_they_suffice_for() -> None:
    trained = learner()
    fields = {"role": SCHEMA["object_role"], "types": SCHEMA["object_type"]}

    def found(batch: Batch) -> list[list[int]]:
        head = trained.network.heads["object_role"]
        assert isinstance(head, AssignmentHead)
        with torch.no_grad():
            features = trained.network.features(batch)
            roles = roles_of(head, features, batch.mask_BN, batch.labels["object_type"], **fields)
        return [roles.row(k).tolist() for k in range(len(roles))]

    two, one, _, none = found(HADRONIC)
    assert sorted(two) == sorted([0, *(role(f"{t}_{k}") for t in TOPS for k in TOPS[t])])
    assert sorted(one) == sorted([0, 0, role("t_b"), role("t_q"), role("t_q")])
    assert none == [0, 0]


def test_a_lepton_is_looked_for_among_leptons() -> None:
    table = event_table(20, seed=1)
    content = Content(feature_set("event"), ("object_role", "object_type"))
    batch = RowPool(table, content, range(20)).batch(np.arange(20))
    trained = learner(resonances=LEPTONIC, alike=())
    head = trained.network.heads["object_role"]
    assert isinstance(head, AssignmentHead)
    with torch.no_grad():
        roles = roles_of(
            head,
            trained.network.features(batch),
            batch.mask_BN,
            batch.labels["object_type"],
            role=SCHEMA["object_role"],
            types=SCHEMA["object_type"],
        )
    types = batch.labels["object_type"][batch.mask_BN].numpy()
    for kind, measured in (("b", ("jet",)), ("l", ("electron", "muon"))):
        where = np.isin(roles.values, [role(f"{t}_{kind}") for t in LEPTONIC])
        assert where.any()
        assert set(types[where]) <= {OBJECT_TYPES.index(name) for name in measured}
    counts = np.array([[(roles.row(k) == role(f"{t}_l")).sum() for t in LEPTONIC] for k in range(0, 20, 2)])
    assert (counts == 1).all()  # of top quark pairs, which have a jet for each b


def test_it_learns_roles_that_features_tell() -> None:
    """With roles written into the features it finds all of them; with shuffled ones it does not."""
    accuracy = {}
    for shuffled in (False, True):
        trained = learner("transformer").train()
        batch = told(COMPLETE, shuffled=shuffled)
        optimizer = torch.optim.Adam(trained.parameters(), lr=3e-3)
        for _ in range(15):
            optimizer.zero_grad()
            trained(trained.views(batch, DRAWS), DRAWS).total.backward()
            optimizer.step()
        accuracy[shuffled] = loss_of(trained.eval(), told(COMPLETE, shuffled=False))["accuracy"]
    assert accuracy[False] == 1.0
    assert accuracy[True] < 1.0


def told(batch: Batch, *, shuffled: bool) -> Batch:
    roles = batch.labels["object_role"]
    code = torch.nn.functional.one_hot(roles.clamp(min=0), len(OBJECT_ROLES))[
        ..., : len(feature_set("event"))
    ]
    features = 3.0 * code * batch.mask_BN[..., None]
    if shuffled:
        features = features.roll(1, dims=1) * batch.mask_BN[..., None]
    return replace(batch, features_BNF=features.float())


def test_events_of_other_classes_do_not_count() -> None:
    labels = {**HADRONIC.labels, "event_label": torch.tensor([0, 1, 1, 1])}
    batch = replace(HADRONIC, labels=labels)
    only = learner(only=["event_label", "ttbar"])
    first = replace(
        batch_of(["t_q", "tbar_b", "none", "t_b", "tbar_q", "t_q", "tbar_q"]),
        features_BNF=batch.features_BNF[:1],
    )
    assert loss_of(only, batch) == pytest.approx(
        loss_of(only, replace(first, labels={**first.labels, "event_label": torch.tensor([0])})), rel=1e-5
    )


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown daughter": (
        {"resonances": {"t": ["b", "nu"]}, "alike": []},
        "daughter 'nu' of 't' is measured as no",
    ),
    "unknown resonance": ({"resonances": {"toponium": ["b", "q"]}, "alike": []}, "no object has the role"),
    "too many daughters": (
        {"resonances": {"h": ["b"] * 5}, "alike": []},
        "'h' has 5 daughters, expected 1 to 4",
    ),
    "no daughters": ({"resonances": {"h": []}, "alike": []}, "'h' has 0 daughters"),
    "no resonances": ({"resonances": {}, "alike": []}, "expected 1 to 4 of them, got 0"),
    "unlike": (
        {"resonances": {"t": ["b", "q"], "h": ["b", "b"]}, "alike": [["t", "h"]]},
        "decay differently",
    ),
    "not declared": (
        {"resonances": {"t": ["b", "q"]}, "alike": [["t", "tbar"]]},
        "alike: no resonance 'tbar'",
    ),
    "twice": ({"alike": [["t", "tbar"], ["t"]]}, "in two groups, or twice in one"),
    "no such label": ({"label": "object_parent"}, "these data have no 'object_parent'"),
    "no roles": ({"label": "object_pt"}, "'object_pt' is continuous of the object"),
    "no types": ({"types": "object_level"}, "'object_level' has the classes reconstructed, generator"),
    "another head": (
        {"head": {"name": "classify"}},
        "needs a head of assignments, and 'classify' is one of rows",
    ),
    "head declares": ({"head": {"alike": []}}, "declare alike once, not in its head"),
    "heads": ({"head": {"num_heads": 5}}, "width 32 is not a multiple of num_heads 5"),
    "no such class": ({"only": ["event_label", "tW"]}, "no class 'tW'"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_learned_is_refused(name: str) -> None:
    options, message = BAD[name]
    with pytest.raises(HepfmError, match=message):
        learner(**options)


def test_data_without_roles_are_refused() -> None:
    component = resolve_component(OBJECTIVES, {"name": "assignment", "resonances": TOPS}, where="test")
    with pytest.raises(IncompatibleError, match="have no 'object_role'; simulate events with truth"):
        component.cls.requirements(component.config, event_schema(("ttbar",)))


def test_generator_objects_are_not_assigned() -> None:
    component = resolve_component(OBJECTIVES, {"name": "assignment", "resonances": TOPS}, where="test")
    backbone = resolve_component(BACKBONES, {"name": "transformer", "size": "xs"}, where="test")
    network = build_network(backbone, feature_set("event_levels"))
    with pytest.raises(IncompatibleError, match="shows the generator's objects, whose roles are the answer"):
        make_learner(component, network, SCHEMA)


def test_topologies_say_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"choose from|did you mean"):
        Topology.of({"t": ("bb",)})
    assert Topology.of(TOPS).size == 6
    assert Topology.of({"z": ("l", "b", "l")}).branches[0].daughters == ("l", "l", "b")


def test_the_head_reads_real_objects_only() -> None:
    config = AssignmentHeadConfig(resonances=LEPTONIC, num_heads=2)
    head = AssignmentHead(config, width=8, num_outputs=1).eval()
    mask = torch.tensor([[True, True, False]])
    tokens = torch.randn(1, 3, 8)

    def logits(tokens: Tensor) -> Iterator[Tensor]:
        for part in head.parts(Features(tokens, tokens[:, 0]), mask):
            yield part.joint[:, :2, :2]
            yield part.detection_BR

    for plain, other in zip(logits(tokens), logits(tokens * mask[..., None]), strict=True):
        torch.testing.assert_close(plain, other)


def test_lists_of_roles_stand_at_their_places() -> None:
    from hepfm.models.places import at_their_places

    table = event_table(6, seed=2)
    features = feature_set("evenet")  # missing momentum is no object of it
    columns = table.read(["object_type", "object_level"], None)
    kinds, levels = columns["object_type"], columns["object_level"]
    assert isinstance(kinds, Ragged)
    assert isinstance(levels, Ragged)
    chosen = (levels.values == 0) & (kinds.values != MET)
    read = kinds.keep(chosen)
    placed = at_their_places(read.with_values(read.values + 1), features, table, None)
    for row in range(6):
        whole, said = kinds.row(row), placed.row(row)
        seen = (levels.row(row) == 0) & (whole != MET)
        expected = np.where(seen, whole + 1, 0)[: len(said)]
        assert (said == expected).all()
        assert len(said) == np.flatnonzero(seen)[-1] + 1
