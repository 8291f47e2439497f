"""The teacher: how far it moves in each step, what it copies, and that it ends a run that went wrong."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hepfm.core.errors import DivergedError
from hepfm.objectives.teacher import Teacher, TeacherConfig


def pair(**options: object) -> tuple[Teacher, nn.Sequential]:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    return Teacher(TeacherConfig.model_validate(options), network), network


def test_the_cosine_reaches_one_in_the_last_step_and_a_constant_stays() -> None:
    cosine, constant = TeacherConfig(momentum=0.9), TeacherConfig(momentum=0.9, schedule="constant")
    momenta = [cosine.at(step, 11) for step in range(1, 12)]
    assert momenta[0] == pytest.approx(0.9)
    assert momenta[5] == pytest.approx(0.95)
    assert momenta[-1] == 1.0
    assert momenta == sorted(momenta)
    assert {constant.at(step, 11) for step in range(1, 12)} == {0.9}
    assert cosine.at(1, 1) == pytest.approx(0.9)


def test_parameters_are_averaged_and_buffers_copied() -> None:
    teacher, network = pair(momentum=0.75, schedule="constant")
    before = teacher[0].state_dict()["0.weight"].clone()
    with torch.no_grad():
        network[0].weight.add_(1.0)
    network[1].running_mean.fill_(3.0)
    teacher.follow(network, step=1, num_steps=9)
    torch.testing.assert_close(teacher[0].state_dict()["0.weight"], before + 0.25)
    assert torch.equal(teacher[0].state_dict()["1.running_mean"], torch.full((2,), 3.0))


def test_it_starts_from_weights_that_were_loaded_after_it_was_made() -> None:
    teacher, network = pair()
    with torch.no_grad():
        network[0].weight.add_(1.0)
    teacher.start(network)
    assert torch.equal(teacher[0].state_dict()["0.weight"], network[0].weight)


def test_it_is_frozen_and_always_in_evaluation_mode() -> None:
    teacher, _ = pair()
    nn.ModuleList([teacher]).train()
    assert not any(module.training for module in teacher.modules())
    assert not any(weight.requires_grad for weight in teacher.parameters())


@pytest.mark.parametrize(("whose", "message"), [("network", "trained network"), ("teacher", "the teacher")])
def test_weights_that_are_not_finite_end_the_run(whose: str, message: str) -> None:
    teacher, network = pair()
    broken = network if whose == "network" else teacher[0]
    with torch.no_grad():
        next(broken.parameters()).fill_(math.nan)
    with pytest.raises(DivergedError, match=f"{message} are not finite after step 4"):
        teacher.follow(network, step=4, num_steps=9)
