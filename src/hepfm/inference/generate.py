"""``hepfm generate``: from a model with a generator to a store of new rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import hepfm
from hepfm.core import log
from hepfm.core.config import Config
from hepfm.core.errors import ConfigError, IncompatibleError, ModelError
from hepfm.core.files import read_json
from hepfm.core.ragged import Array, Ragged
from hepfm.core.rng import numpy_generator, torch_generator
from hepfm.core.schema import Field, Schema
from hepfm.data.row_source import RowSource
from hepfm.data.store import open_rows
from hepfm.data.writer import StoreWriter
from hepfm.generators.base import GeneratedRows
from hepfm.generators.flow import Flow
from hepfm.generators.options import sampling_config
from hepfm.inference.request import Classes, GenerationRequest, from_classes, from_store
from hepfm.inference.row_builders import RowBuilder, row_builder
from hepfm.models.device import pick_device
from hepfm.models.directory import Model
from hepfm.models.folder import CONFIG, model_directory
from hepfm.networks.specs import GeneratorSpec

BLOCK = 1024
"""Rows whose random numbers are drawn together; fixed, so that they do not depend on the batch size."""


@dataclass(frozen=True)
class Settings:
    """How a model makes rows.

    Attributes
    ----------
    builder
        How rows are made of features.
    schema
        Of the store that is made.
    config
        Options of the generator.
    seed
        Of all draws.
    device
        Where the network runs; other kinds of device draw other numbers.
    """

    builder: RowBuilder
    schema: Schema
    config: Config
    seed: int
    device: str


def generate(
    model: str | Path,
    *,
    n: int | None = None,
    output: str | Path,
    classes: Classes = None,
    like: str | Path | RowSource | None = None,
    cells: str | None = None,
    seed: int = 0,
    device: str = "auto",
    **options: Any,
) -> Path:
    """Make jets or showers and write them to a store, in its split ``test``.

    The same seed gives the same rows, whatever the batch size (to rounding, on the same kind of device).
    Constituents of jets are massless: their energy follows from pt and eta. The jet axis lies at the eta of
    the context and at a uniform phi.

    Parameters
    ----------
    model
        Model directory with a generator: one trained with flow_matching or next_token, alone or in a sum.
    n
        Number of jets; None for as many as `like` has.
    output
        The store to make.
    classes
        Classes to make evenly, or their fractions by name; all evenly by default.
    like
        A store or table whose test rows give class and context, one for each: of jets kinematics and number
        of constituents, of showers the incident energy alone.
    cells
        Put each hit of a shower into a cell of its own: ``"dataset_2"``, ``"dataset_3"`` or the path of a
        binning XML file of CaloChallenge. Hits that share a cell go to the nearest layer where it is free
        (2501.05534), and a hit without a cell is left out. None leaves hits where they are.
    seed
        Of everything that is drawn.
    device
        ``"auto"`` (CUDA where there is one), ``"cpu"`` or ``"cuda"``.
    **options
        Options of the model's generator that need no new training; its own where None or not given. Of a
        flow ``steps`` and ``solver``, of an autoregressive generator ``temperature``, ``top_k`` and
        ``top_p``, of both ``batch_size``, rows at once, which changes speed and memory only.

    Returns
    -------
    Path
        The store.

    Raises
    ------
    IncompatibleError
        When the model has no generator, or does not fit `like`.
    ConfigError
        When an option, a class or `n` cannot be used.
    ModelError
        When kinematics or numbers of constituents would have to be drawn from networks never trained.
    """
    source = Model.load(model)
    spec = _generator_spec(source, model)
    request = _request(source, spec.label, n=n, classes=classes, like=like, seed=seed)
    builder = row_builder(source, cells=cells)
    settings = Settings(
        builder=builder,
        schema=builder.schema(spec.label.classes if spec.label and request.label_R is not None else ()),
        config=sampling_config(spec.generator, options, where="generate"),
        seed=seed,
        device=str(pick_device(device, option="--device")),
    )
    provenance = {
        "source": "generated",
        "model": _fingerprint(model_directory(model)),
        "hepfm_version": hepfm.__version__,
        "seed": seed,
        "generator": {"name": spec.generator.name, **settings.config.model_dump(mode="json")},
        "like": open_rows(like).fingerprint if like is not None else None,
        "cells": cells,
    }
    return _write(source, settings, request, Path(output), provenance)


def _generator_spec(model: Model, path: str | Path) -> GeneratorSpec:
    spec = model.network.generator_spec
    if spec is None:
        raise IncompatibleError(
            f"{path} has no generator; train one with objective=flow_matching or next_token, alone or in a "
            "weighted_sum"
        )
    return spec


def _write(
    model: Model,
    settings: Settings,
    request: GenerationRequest,
    output: Path,
    provenance: Mapping[str, Any],
) -> Path:
    """Make the rows block by block and write them to a store."""
    model.network.to(settings.device).eval()
    with (
        StoreWriter(output, settings.schema, provenance=provenance) as writer,
        log.progress("generating", request.num_rows) as advance,
    ):
        for start in range(0, request.num_rows, BLOCK):
            index = np.arange(start, min(start + BLOCK, request.num_rows))
            writer.write(_block(model, settings, request, index), split="test")
            advance(len(index))
    return writer.path


def _request(
    model: Model,
    label: Field | None,
    *,
    n: int | None,
    classes: Classes,
    like: str | Path | RowSource | None,
    seed: int,
) -> GenerationRequest:
    if n is not None and n < 1:
        raise ConfigError(f"the number of rows must be at least 1, got {n}")
    if like is not None:
        if classes is not None:
            raise ConfigError("--like brings the classes of its jets; leave out --classes")
        return from_store(model, label, open_rows(like), n=n)
    if n is None:
        raise ConfigError("say how many rows to make, or give a store with --like")
    _check_sampler(model)
    return from_classes(label, classes, n=n, seed=seed)


def _check_sampler(model: Model) -> None:
    generator = model.network.generator
    if model.context is not None and not isinstance(generator, Flow):
        raise ConfigError(
            f"this model is conditioned on {', '.join(model.context.names)} and cannot draw it; take it "
            "from the test rows of a store with --like STORE"
        )
    if not isinstance(generator, Flow) or generator.sampler.fitted:
        return
    fix = "train it with objective=flow_matching"
    if model.context is not None:
        fix = f"take them from the test rows of a store with --like STORE, or {fix}"
    raise ModelError(
        "this model's generator has never learned what kinematics and numbers of constituents jets have, as "
        f"one converted from another package has not; {fix}"
    )


def _fingerprint(folder: Path) -> str:
    return str(read_json(folder / CONFIG, ModelError)["fingerprint"])


def _block(
    model: Model, settings: Settings, request: GenerationRequest, index: npt.NDArray[np.int64]
) -> dict[str, Array | Ragged]:
    """Make the rows of one block; return their columns."""
    number = int(index[0]) // BLOCK
    generated = _make(model, settings, request, index, number)
    mask_BN = generated.mask_BN
    features_BNF = model.network.standardize.inverse_within(generated.x_BNF, mask_BN)
    values = features_BNF[mask_BN].double().cpu().numpy()
    features = {name: values[:, k] for k, name in enumerate(model.features.names)}
    rng = numpy_generator(settings.seed, "generate.phi", number)
    columns = settings.builder.columns(generated, features, mask_BN.sum(1).cpu().numpy(), rng)
    if request.label_R is not None and settings.schema.label is not None:
        columns[settings.schema.label] = request.label_R[index].astype(np.int16)
    return columns


def _make(
    model: Model, settings: Settings, request: GenerationRequest, index: npt.NDArray[np.int64], number: int
) -> GeneratedRows:
    network, device = model.network, settings.device
    spec = network.generator_spec
    assert spec is not None
    no_class = len(spec.label.classes) if spec.label else 0
    label_R = np.full(len(index), no_class) if request.label_R is None else request.label_R[index]
    context_BC = None
    if request.context_RC is not None:
        context_BC = torch.from_numpy(request.context_RC[index]).float().to(device)
    generator = torch_generator(settings.seed, "generate", number, device=torch.device(device).type)
    label_B = torch.from_numpy(label_R).long().to(device)
    return network.generate(label_B, context_BC, generator, options=settings.config)
