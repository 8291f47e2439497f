"""What all networks of weaver-core have in common: how a state dict is read, and the layers of its end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hepfm.backbones.base import Backbone
from hepfm.core.config import Component
from hepfm.core.errors import ModelError
from hepfm.heads.base import Head
from hepfm.heads.classify import Classify, ClassifyConfig
from hepfm.heads.regress import Regress
from hepfm.models.convert.plain import load_plain

State = Mapping[str, Tensor]

_IGNORED = re.compile(r"num_batches_tracked$|^(\w+_)?trimmer\.")
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.|mod\.)+")


@dataclass(frozen=True)
class WeaverWeights:
    """A checkpoint in this package's terms.

    Attributes
    ----------
    component
        The backbone, whose options are read off the shapes and from the options of the network.
    classify
        Options of the head `hepfm.heads.classify.Classify`.
    num_features, num_outputs
        Sizes of input and output.
    backbone, head
        State dicts of the two.
    """

    component: Component
    classify: ClassifyConfig
    num_features: int
    num_outputs: int
    backbone: State
    head: State

    def build(self, feature_names: Sequence[str]) -> tuple[Backbone, Classify]:
        """Return backbone and classifier with the weights."""
        backbone: Backbone = self.component.cls(self.component.config, feature_names=feature_names)
        head = Classify(self.classify, width=backbone.width, num_outputs=self.num_outputs)
        self.load(backbone, head)
        return backbone, head

    def load(self, backbone: Backbone, head: Head, outputs: slice = slice(None)) -> None:
        """Set the weights of backbone and of a head of some outputs; every name and shape is checked."""
        head_state = {
            name: value[outputs] if name.startswith("linear.") else value for name, value in self.head.items()
        }
        if isinstance(head, Regress):
            head_state |= {
                "centre_K": torch.zeros_like(head.centre_K),
                "scale_K": torch.ones_like(head.scale_K),
            }
        for module, state in ((backbone, self.backbone), (head, head_state)):
            try:
                module.load_state_dict(dict(state), strict=True)
            except RuntimeError as error:
                raise ModelError(
                    f"these weights are not of weaver-core's {type(backbone).__name__} as it is read here: "
                    f"{error}"
                ) from None


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint file; a file that would need code to be run is refused."""
    state = load_plain(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(
            f"{path}: expected a state dict of names and tensors, as weaver's *_state.pt files are, "
            f"got {_describe(state)}"
        )
    return plain(state)


def plain(state: State) -> dict[str, Tensor]:
    """Return a state dict by the names of the network itself, without those of what it was wrapped in."""
    named = {_WRAPPERS.sub("", name): value for name, value in state.items()}
    return {name: value for name, value in named.items() if not _IGNORED.search(name)}


def take_head(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove the fully connected layers from a state dict, and return them as those of our head.

    They are ``fc.0.0``, ``fc.1.0`` ... and the last one ``fc.N``; after the public fine-tuning of ParticleNet
    the last is ``fc_out``.

    Raises
    ------
    ModelError
        When there are none, or the names are others.
    """
    found = {name: state.pop(name) for name in list(state) if name.startswith(("fc.", "fc_out."))}
    hidden: dict[str, Tensor] = {}
    last: dict[str, Tensor] = {}
    for name, value in found.items():
        if match := re.fullmatch(r"fc\.(\d+)\.0\.(weight|bias)", name):
            hidden[f"hidden.layers.{match[1]}.{match[2]}"] = value
        elif match := re.fullmatch(r"(?:fc\.\d+|fc_out)\.(weight|bias)", name):
            last[f"linear.{match[1]}"] = value
        else:
            raise ModelError(f"the layer {name} is no linear layer of a classifier, which alone is read")
    if sorted(last) != ["linear.bias", "linear.weight"]:
        raise ModelError(
            "the checkpoint has no last layer (fc), or not its offset; networks without outputs are not read"
        )
    if any(value.ndim != (2 if name.endswith("weight") else 1) for name, value in (hidden | last).items()):
        raise ModelError("the checkpoint labels constituents (for_segmentation), which is not read")
    return hidden | last


def classify_config(head: State, params: Sequence[Any]) -> ClassifyConfig:
    """Return the options of our head; `params` is weaver's ``fc_params``, which has the rates of dropout.

    Raises
    ------
    ModelError
        When sizes differ, or an activation is not ReLU.
    """
    hidden = tuple(len(head[f"hidden.layers.{k}.bias"]) for k in range(count(head, "hidden.layers")))
    entries = [tuple(entry) for entry in params]
    if entries and tuple(entry[0] for entry in entries) != hidden:
        raise ModelError(
            f"fc_params says hidden layers of {[entry[0] for entry in entries]}, the checkpoint has "
            f"{list(hidden)}; give the network file of this checkpoint"
        )
    others = [entry[2] for entry in entries if len(entry) > 2 and entry[2] != "relu"]
    if others:
        raise ModelError(f"fc_params: the activation {others[0]!r} is not read, only relu")
    rates = [float(entry[1]) for entry in entries]
    return ClassifyConfig(hidden=hidden, dropout=max(rates, default=0.0))


def layer_sizes(state: State, prefix: str) -> tuple[int, ...]:
    """Return the output sizes of the linear layers of a sequence, in its order."""
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.weight")
    sizes = {int(match[1]): state[name].shape for name in state if (match := pattern.fullmatch(name))}
    return tuple(shape[0] for _, shape in sorted(sizes.items()) if len(shape) > 1)


def count(state: State, prefix: str) -> int:
    """Return how many numbered parts of a list there are."""
    return len({match[1] for name in state if (match := re.match(rf"{prefix}\.(\d+)\.", name))})


def agree(options: Mapping[str, Any], seen: Mapping[str, Any]) -> None:
    """Raise `ModelError` where options of the network differ from what the checkpoint shows."""
    for name, value in seen.items():
        given = options.get(name)
        if given is not None and _tuples(given) != _tuples(value):
            raise ModelError(
                f"the network's options say {name}={given!r}, the checkpoint has {value!r}; give the network "
                "file, or the options, of this checkpoint"
            )


def _tuples(value: Any) -> Any:
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list | tuple) else value


def _describe(state: Any) -> str:
    if not isinstance(state, dict):
        return f"a {type(state).__name__}"
    return "a dict with " + ", ".join(
        f"{name}: {type(value).__name__}" for name, value in list(state.items())[:3]
    )
