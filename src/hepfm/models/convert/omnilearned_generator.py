"""OmniLearned's generator head in this package's terms (2510.24066, public package 0.2.0)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hepfm.backbones.pet import PetConfig
from hepfm.core.errors import ModelError
from hepfm.data.feature_names import KINEMATICS
from hepfm.generators.flow import Flow, FlowConfig
from hepfm.models.convert.omnilearned_weights import BLOCK_NAMES, rename

State = Mapping[str, Tensor]

NOISE_CENTRE, NOISE_SPREAD = (0.0, 0.0, 1.11398, 1.43384), (0.270949, 0.27426, 1.30273, 1.33559)
"""Mean and spread of OmniLearned's noise in (deta, dphi, ln pt, ln E), which it does not standardise."""

_HEAD = (
    (r"^pid_embed\.0\.", "label.0."),
    (r"^pid_embed\.1\.fc1\.", "label.1."),
    (r"^pid_embed\.1\.fc2\.", "label.3."),
    (r"^out\.", "out.3."),
    (r"^fc\.0\.fc1\.", "out.0."),
    (r"^fc\.0\.fc2\.", "out.2."),
    (r"^in_blocks\.", "blocks."),
)
_TABLE = "pid_embed.0.weight"


@dataclass(frozen=True)
class OmniLearnedGenerator:
    """A generator head in this package's terms.

    Attributes
    ----------
    config
        Options of `Flow`.
    num_classes
        K; 0 for one that is not told the class.
    state
        State dict of `Flow` but for its sampler, to which nothing corresponds.
    """

    config: FlowConfig
    num_classes: int
    state: State

    def load(self, generator: Flow) -> None:
        """Set the weights of a generator; its sampler keeps its own.

        Raises
        ------
        ModelError
            When a name or a shape does not fit.
        """
        present = generator.state_dict()
        sampler = {name: value for name, value in present.items() if name.startswith("sampler.")}
        try:
            generator.load_state_dict({**sampler, **self.state}, strict=True)
        except RuntimeError as error:
            raise ModelError(f"this generator head is not of OmniLearned 0.2.0: {error}") from None


def why_left_out(body: State, head: State) -> str | None:
    """Return why a generator head cannot be converted; None if it can.

    Parameters
    ----------
    body, head
        State dicts of OmniLearned's body and of its generator head.
    """
    if not any(name.startswith("time_embed.") for name in body):
        return "its body knows no time, so the head labels constituents and generates none"
    given = {"pid_embed.": "particle types", "add_embed.": "impact parameters"}
    told = [what for prefix, what in given.items() if any(name.startswith(prefix) for name in body)]
    if told:
        return (
            f"it is given {' and '.join(told)} without noise and makes the kinematics to them, while "
            "generators here make all features"
        )
    features = len(head["out.weight"]) if "out.weight" in head else 0
    if features != len(KINEMATICS):
        return f"it makes {features} features; read are those of {', '.join(KINEMATICS)}"
    return None


@torch.no_grad()
def map_generator(head: State, config: PetConfig) -> OmniLearnedGenerator:
    """Map the head's names and shapes to ours; velocities become those of standardised features.

    With features (x - centre) / spread the noise is standard normal, and the velocity is the package's over
    the spread. A class that is not told, unknown to the package, gets the mean of the classes' vectors.

    Parameters
    ----------
    head
        State dict of a generator head that is not left out.
    config
        The body's options: both have the same number of heads, which shapes do not tell.
    """
    state = {rename(name, (*_HEAD, *BLOCK_NAMES)): value for name, value in head.items()}
    spread_F = torch.tensor(NOISE_SPREAD)
    for name, scale in (("out.3.weight", spread_F[:, None]), ("out.3.bias", spread_F)):
        if name in state:
            state[name] = state[name] / scale
    table = head.get(_TABLE)
    if table is not None:
        state["label.0.weight"] = torch.cat([table, table.mean(0, keepdim=True)])
    hidden = head.get("fc.0.fc1.bias")
    blocks = {match[1] for name in head if (match := re.match(r"in_blocks\.(\d+)\.", name))}
    if hidden is None or not blocks:
        raise ModelError(
            f"not a generator head of OmniLearned's PET2: expected in_blocks.0. and fc.0.fc1.bias; it has "
            f"{', '.join(sorted(head)[:5])}, ..."
        )
    return OmniLearnedGenerator(
        config=FlowConfig(
            num_blocks=len(blocks),
            num_heads=config.num_heads,
            feedforward_ratio=max(len(hidden) // config.width, 1),
        ),
        num_classes=0 if table is None else len(table),
        state=state,
    )
