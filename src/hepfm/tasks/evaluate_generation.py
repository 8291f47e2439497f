"""Evaluate generated jets: every metric against real jets, and beside it what real jets reach themselves."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hepfm
from hepfm.core.config import validate
from hepfm.core.errors import ConfigError, DataError
from hepfm.core.files import read_json
from hepfm.core.log import progress
from hepfm.core.provenance import code_commit
from hepfm.data.manifest import MANIFEST
from hepfm.data.store import Store
from hepfm.tasks.generation import GenerationTask
from hepfm.tasks.result import (
    CodeInfo,
    DataInfo,
    MetricInfo,
    ModelInfo,
    ResultFile,
    TaskInfo,
    Training,
    result_folder,
)
from hepfm.tasks.samples import Samples, draw_samples, rows_by_class
from hepfm.tasks.scorer import training_facts
from hepfm.tasks.spectra import overlays, write_spectra


@dataclass(frozen=True)
class Origin:
    """Where generated jets come from, for the result file."""

    model: ModelInfo
    training: Training


def evaluate_generation(
    path: str | Path,
    task: GenerationTask,
    real: Store,
    *,
    output: Path,
    arm: str = "",
    device: str = "cpu",
    options: Mapping[str, Any] | None = None,
) -> ResultFile:
    """Measure generated jets, or what a model generates, and write ``results.json``.

    Parameters
    ----------
    path
        A store of generated jets, or a model directory with a generator: its jets are written beside the
        result, in a store named like it with ``-jets``.
    task
        The protocol.
    real
        Store of real jets; only its test split is read.
    output
        Result directory.
    arm
        What a comparison calls this way of training.
    device
        Where a model runs.
    options
        Of `hepfm.inference.generate.generate`; the model's own settings and seed 0 where not given.

    Raises
    ------
    ConfigError
        When options are given with a store, or belong to the protocol.
    """
    folder = Path(path)
    options = dict(options or {})
    _check_options(options, task)
    if (folder / MANIFEST).is_file():
        if options:
            raise ConfigError(f"{folder} is a store of rows that are made; leave out {', '.join(options)}")
        generated = Store.open(folder)
        origin = _of_store(generated, arm)
    elif (folder / "model.safetensors").is_file():
        origin = _of_model(folder, arm)
        beside = output.with_name(f"{output.name}-jets")
        generated = _generate(folder, task, real, output=beside, device=device, options=options)
    else:
        raise DataError(f"{folder} is neither a store of generated jets nor a model directory")
    samples = draw_samples(task, real, generated)
    result = measure_samples(samples, task, real, origin=origin)
    with result_folder(output, result) as folder:
        write_spectra(folder, overlays(task, samples))
    return result


def measure_samples(samples: Samples, task: GenerationTask, real: Store, *, origin: Origin) -> ResultFile:
    """Measure generated rows against real ones, `samples` of the store `real`."""
    metrics, floors, noise = _measure(task, samples)
    classes = tuple(name for name in samples.sizes if name)
    return ResultFile(
        task=TaskInfo(name=task.name, version=task.version, title=task.title, classes=classes),
        model=origin.model,
        training=origin.training,
        data=DataInfo(
            fingerprint=real.fingerprint,
            split=task.split,
            rows=sum(samples.sizes.values()),
            rows_per_class={name: size for name, size in samples.sizes.items() if name},
            weights=real.schema.weight,
        ),
        metrics=metrics,
        floors=floors,
        noise=noise,
        code=CodeInfo(hepfm=hepfm.__version__, commit=code_commit()),
    )


def _measure(task: GenerationTask, samples: Samples) -> tuple[tuple[MetricInfo, ...], ...]:
    """Return metrics, floors and noise: all classes together first, then each where there are several."""
    classes = [name for name in samples.sizes if name]
    groups = ["", *classes] if len(classes) != 1 else ["", *(classes if task.each_class else [])]
    metrics: list[MetricInfo] = []
    floors: list[MetricInfo] = []
    noise: list[MetricInfo] = []
    others = ((samples.generated, metrics), (samples.second, floors), (samples.noise, noise))
    with progress(f"metrics of {task.name}", len(others) * len(groups)) as advance:
        for group in groups:
            reference = _of_group(samples.reference, samples, group)
            for other, found in others:
                found += task.measure(reference, _of_group(other, samples, group), group=group)
                advance(1, group or "all classes")
    return tuple(metrics), tuple(floors), tuple(noise)


def _of_group(sample: Any, samples: Samples, group: str) -> Any:
    return sample.take(samples.rows(group)) if group else sample


def _of_store(store: Store, arm: str) -> Origin:
    facts = store.manifest.provenance if store.manifest.provenance.get("source") == "generated" else {}
    fingerprint = str(facts.get("model", store.fingerprint))
    training = Training(arm=arm or store.path.name)
    return Origin(ModelInfo(fingerprint=fingerprint, path=str(store.path)), training)


def _of_model(folder: Path, arm: str) -> Origin:
    from hepfm.models.directory import Model
    from hepfm.models.folder import CONFIG

    model = Model.load(folder)
    facts: dict[str, Any] = {
        **training_facts(model.provenance),
        "backbone": model.backbone.name,
        "arm": arm,
    }
    fingerprint = str(read_json(folder / CONFIG)["fingerprint"])
    training = validate(Training, facts, where=f"provenance of {folder}")
    return Origin(ModelInfo(fingerprint=fingerprint, path=str(folder)), training)


def _check_options(options: Mapping[str, Any], task: GenerationTask) -> None:
    fixed = [name for name in options if name in ("model", "n", "output", "classes", "like", "device")]
    if fixed:
        raise ConfigError(
            f"the task {task.name!r} says how many rows are made and of what; leave out {', '.join(fixed)}"
        )


def _generate(
    folder: Path,
    task: GenerationTask,
    real: Store,
    *,
    output: Path,
    device: str,
    options: Mapping[str, Any],
) -> Store:
    """Generate as many jets of each class of the real test rows as the largest half of them asks for."""
    from hepfm.inference.generate import generate
    from hepfm.train.distributed import pick_device

    if task.told and real.schema.weight:
        raise DataError(
            f"the task {task.name!r} gives the model the context of all real rows, not of rows drawn by "
            f"their weights {real.schema.weight!r}; measure without weights (--weights null)"
        )
    rows = rows_by_class(task, real)
    each = max(min((len(found) + 1) // 2, task.rows_per_class) for found in rows.values())
    classes = tuple(name for name in rows if name) or None
    if _was_generated(output):
        shutil.rmtree(output)  # the result beside it is replaced too
    made: dict[str, Any] = {**options, "output": output, "device": str(pick_device(device))}
    if task.told:
        return Store.open(generate(folder, n=each, like=real.path, **made))
    return Store.open(generate(folder, n=each * len(rows), classes=classes, **made))


def _was_generated(path: Path) -> bool:
    return (path / MANIFEST).is_file() and Store.open(path).manifest.provenance.get("source") == "generated"
