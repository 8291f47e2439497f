"""Converters: another package's checkpoint into a model directory. One file each, one row here."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hepfm.core.errors import ConfigError, HepfmError, ModelError
from hepfm.core.guards import words
from hepfm.core.registry import Registry

CONVERTERS = Registry(
    "converter",
    {
        "weaver": (
            "hepfm.models.convert.weaver.convert:convert_weaver",
            "Particle Transformers (JetClass, Sophon) and ParticleNets, with weaver's own preprocessing file",
        ),
        "omnilearned": (
            "hepfm.models.convert.omnilearned:convert_omnilearned",
            "Point Edge Transformer checkpoints of omnilearned: body, classifier, generator of kinematics",
        ),
        "evenet": (
            "hepfm.models.convert.evenet:convert_evenet",
            "EveNet checkpoints of evenet-core: body, embedding of globals, classification head",
        ),
        "omnijet_alpha": (
            "hepfm.models.convert.omnijet_alpha:convert_omnijet_alpha",
            "OmniJet-alpha's VQ-VAE, or its backbone with the next-token head behind a converted VQ-VAE",
        ),
    },
)


def convert(
    package: str,
    *,
    checkpoint: str | Path,
    output: str | Path,
    classes: Sequence[str] = (),
    tokenizer: str | Path | None = None,
    data: str | Path | None = None,
    network: str | Path | None = None,
    options: Sequence[str] = (),
    branches: Sequence[str] = (),
) -> Any:
    """Write another package's checkpoint as a model directory, and return the `Model`.

    Parameters
    ----------
    package
        Name of the converter, e.g. ``"weaver"``.
    checkpoint
        The file to read. It is never executed.
    output
        The model directory to write.
    classes
        Class names in the order of the checkpoint's outputs; the converter's own when left out.
    tokenizer
        Model directory of the tokenizer whose codes the network reads, for ``"omnijet_alpha"``.
    data, network, options, branches
        Preprocessing file, network file, options of the network and meanings of branches, for ``"weaver"``;
        see `hepfm.models.convert.weaver.convert.convert_weaver`; numbers of heads for ``"evenet"``.

    Raises
    ------
    ConfigError
        When an option is given that the converter does not know.
    """
    converter = CONVERTERS.load(package)
    every = {
        "classes": tuple(classes) or None,
        "tokenizer": tokenizer,
        "data": data,
        "network": network,
        "options": tuple(options) or None,
        "branches": tuple(branches) or None,
    }
    given = {name: value for name, value in every.items() if value is not None}
    unknown = sorted(set(given) - set(inspect.signature(converter).parameters))
    if unknown:
        raise ConfigError(f"the converter of {package} takes no {', '.join(unknown)}; leave it out")
    try:
        return converter(checkpoint, output=output, **given)
    except HepfmError:
        raise
    except Exception as error:  # tensors of a damaged or foreign file can be anything
        raise ModelError(f"cannot read {checkpoint} as a checkpoint of {package}: {words(error)}") from error
