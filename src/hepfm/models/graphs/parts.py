"""The parts of a model that a file can compute, and why others cannot be exported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hepfm.core.errors import ConfigError, ModelError, did_you_mean
from hepfm.generators.autoregressive import Autoregressive, AutoregressiveConfig
from hepfm.generators.flow import Flow, FlowConfig
from hepfm.generators.options import sampling_config
from hepfm.models.directory import Model
from hepfm.models.graphs import autoregressive, codes, heads
from hepfm.models.graphs.flow import FlowGraph
from hepfm.models.graphs.graph import Graph

PARTS = ("heads", "embed", "encode", "decode", "generate", "generate_like")
"""What a file can compute."""


def build_part(
    model: Model, part: str | None, *, path: str | Path, options: Mapping[str, Any]
) -> tuple[str, Graph]:
    """Return the name and the graph of a part of a model.

    Parameters
    ----------
    model
        The model.
    part
        One of `PARTS`; None for ``heads``, or ``generate`` where there are no heads.
    path
        Of the model, for messages.
    options
        Options of the generator.

    Raises
    ------
    ModelError
        When the model does not have the part, or it cannot be exported.
    ConfigError
        When there is no such part or option.
    """
    if part is not None and part not in PARTS:
        raise ConfigError(f"no part {part!r} of a model{did_you_mean(part, PARTS)}")
    name = part or _default(model, path)
    if options and not name.startswith("generate"):
        raise ConfigError(f"{', '.join(options)}: options of a generator, and part {name!r} has none")
    _check(model, name, path)
    if name in ("heads", "embed"):
        return name, (heads.heads if name == "heads" else heads.embed)(model)
    if name in ("encode", "decode"):
        return name, (codes.encode if name == "encode" else codes.decode)(model)
    return name, _generator(model, name, path, options)


def _default(model: Model, path: str | Path) -> str:
    if model.outputs:
        return "heads"
    if model.network.generator_spec is not None:
        return "generate"
    why = f"{path} has no head to export"
    if not model.backbone.cls.encodes:
        raise ModelError(f"{why}, it is a tokenizer alone: choose --part encode or --part decode")
    raise ModelError(
        f"{why}; fine-tune it first with `hepfm finetune {path} RECIPE`, or choose --part embed for its "
        "summary vector"
    )


def _check(model: Model, part: str, path: str | Path) -> None:
    network = model.network
    if part in ("encode", "decode"):
        if network.tokenizer is None:
            raise ModelError(f"{path} has no tokenizer, so that there is no part {part!r}")
        return
    if part in ("generate", "generate_like") and network.generator is None:
        raise ModelError(
            f"{path} has no generator, so that there is no part {part!r}; train one with objective="
            "flow_matching or next_token, alone or in a weighted_sum"
        )
    if part == "heads" and not model.outputs:
        raise ModelError(f"{path} has no head; fine-tune it first with `hepfm finetune {path} RECIPE`")
    if part == "embed" and not model.backbone.cls.encodes:
        raise ModelError(
            f"{path} is a tokenizer alone and embeds nothing; choose --part encode or --part decode"
        )
    lists = [name for name, spec in model.outputs.items() if spec.head.cls.level != "row"]
    if part == "heads" and lists:
        raise ModelError(
            f"{path} cannot be exported: {', '.join(lists)} are predicted for constituents, which exported "
            "files do not hold yet; use `hepfm predict`"
        )
    if network.grouping is not None:
        raise ModelError(
            f"{path} cannot be exported: its tokens are groups of constituents, which exported files "
            "do not hold yet; use `hepfm predict`"
        )


def _generator(model: Model, part: str, path: str | Path, options: Mapping[str, Any]) -> Graph:
    generator, spec = model.network.generator, model.network.generator_spec
    assert spec is not None
    config = sampling_config(spec.generator, options, where="export")
    if isinstance(generator, Flow) and isinstance(config, FlowConfig):
        if part == "generate" and not generator.sampler.fitted:
            raise ModelError(
                f"{path} has never learned what kinematics and numbers of constituents jets have; choose "
                "--part generate_like, which is given them"
            )
        return FlowGraph(model, generator, config, given=part == "generate_like").build()
    if isinstance(generator, Autoregressive) and isinstance(config, AutoregressiveConfig):
        if part == "generate_like":
            raise ModelError(
                f"{path} makes rows token by token; choose --part generate, which is given the context of a "
                "model that has one"
            )
        return autoregressive.generate(model, generator, config)
    raise ModelError(
        f"{path} cannot be exported: files hold no generator {spec.generator.name!r}; use `hepfm generate`"
    )
