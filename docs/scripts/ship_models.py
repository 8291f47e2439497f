"""Put pre-trained models of studies into the package, with what the studies measured of them on their cards.

python docs/scripts/ship_models.py FOLDER [NAME ...]

FOLDER holds the folder of each study under the study's name; docs/scripts/shipped_models.yaml says which
pre-training each model is. Models whose study is not there, or has no report, are left as they are. Weights
are rounded to float16; the model that is measured on test rows is the rounded one. Writes
src/hepfm/pretrained/NAME and the table in docs/models.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from study_page import DOCS, METRICS, PRIMARY, markdown, put, read

from hepfm import api
from hepfm.core.config import read_yaml
from hepfm.core.files import read_json
from hepfm.metrics.mean_interval import mean_interval
from hepfm.models.card import NOTES
from hepfm.models.directory import Model
from hepfm.models.pretrained import SUMMARY, pretrained_models
from hepfm.study.config import SCRATCH
from hepfm.study.plan import Plan
from hepfm.study.study import prepare
from hepfm.workflow.folder import Workspace
from hepfm.workflow.verbs.base import store_path

PACKAGE = DOCS.parent / "src" / "hepfm" / "pretrained"
LIMITS = (
    "Simulated and parametrised data only: never trained or tested on real ones. A small network, trained on "
    "two processor cores; larger ones are better. One pre-training: the intervals below do not contain its "
    "spread. Measure the shift on your own data before use."
)


def efficiency(study: Path, arm: str) -> str:
    """Return the metric of each task and number of labels, pre-trained and from scratch, with 68 %
    intervals over trainings."""
    found: dict[tuple[str, int], dict[str, list[float]]] = {}
    for row in read(study / "results.csv"):
        if row["metric"] == PRIMARY.get(row["task"], "auc") and row["value"] and row["arm"] in (arm, SCRATCH):
            cell = found.setdefault((row["task"], int(row["budget"])), {})
            cell.setdefault(row["arm"], []).append(float(row["value"]))
    lines = []
    for (task, budget), values in sorted(found.items()):
        metric = METRICS[PRIMARY.get(task, "auc")]
        cells = [_interval(values.get(name, ())) for name in (arm, SCRATCH)]
        lines.append([f"{task}: {metric}", f"{budget:,}", str(len(values.get(arm, ()))), *cells])
    return markdown(["fine-tuned", "labels", "trainings", "pre-trained", "from scratch"], lines)


def _interval(values: Sequence[float]) -> str:
    numbers = np.array(values)
    if len(numbers) < 2:
        return "not run"
    low, high = mean_interval(numbers, level=0.68)
    return f"{numbers.mean():.4f} ({low:.4f} to {high:.4f})"


def pretraining(plan: Plan, arm: str) -> str:
    """Return the name of the run that pre-trained an arm; a study of a shipped model has one."""
    (name,) = {trial.pretrain for trial in plan.trials if trial.cell.arm == arm}
    assert name is not None
    return name


def measured(path: Path, store: Path, test: Mapping[str, str]) -> dict[str, float]:
    """Return the metrics of a model on the test rows of a store."""
    with TemporaryDirectory() as folder:
        api.evaluate(path, on=test["task"], store=store, output=Path(folder) / "result")
        metrics = read_json(Path(folder) / "result" / "results.json")["metrics"]
    return {name: metrics[name]["value"] for name in ("accuracy", "auc") if name in metrics}


def ship(folder: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Write one model of the package."""
    study = folder / entry["study"]
    plan = prepare(read_json(study / "study.json"))
    workspace, run = Workspace(study), pretraining(plan, entry["arm"])
    facts = workspace.run(run).facts()
    assert facts is not None, f"{run} is not done"
    model = Model.load(workspace.run(run).path / "run" / "model")
    cost = f"{facts['seconds'] / 3600:.1f} core hours of one processor; commit {facts['commit']}"
    notes = {
        "Label efficiency": efficiency(study, entry["arm"]),
        "Cost": f"Pre-training took {cost}.",
        "Limits": LIMITS,
    }
    target = PACKAGE / name
    model.provenance = {**model.provenance, SUMMARY: entry["summary"], NOTES: notes}
    model.save(target, half=True)
    if "test" in entry:
        store = store_path(workspace, plan.runs[run])
        model = Model.load(target)
        model.metrics = {
            **model.metrics,
            **{f"test_{key}": value for key, value in measured(target, store, entry["test"]).items()},
        }
        model.save(target, half=True)
    size = sum(path.stat().st_size for path in target.iterdir())
    print(f"{name}: {size / 1e6:.2f} MB, {cost}")


def table() -> str:
    """Return the models of the package as a table."""
    rows = []
    for name, path in pretrained_models().items():
        model = Model.load(path)
        size = sum(file.stat().st_size for file in path.iterdir())
        weights = sum(parameter.numel() for parameter in model.network.parameters())
        summary = read_json(path / "provenance.json")[SUMMARY]
        accuracy = model.metrics.get("test_accuracy")
        rows.append(
            [
                f"`hepfm:{name}`",
                summary,
                f"{weights:,}",
                f"{size / 1e6:.2f} MB",
                "-" if accuracy is None else f"{accuracy:.3f}",
            ]
        )
    return markdown(["model", "what it is", "parameters", "on disk", "ten-class accuracy"], rows)


def main(folder: Path, names: Sequence[str]) -> None:
    """Ship the models whose studies are there."""
    entries = read_yaml(DOCS / "scripts" / "shipped_models.yaml")
    for name in names or entries:
        if (folder / entries[name]["study"] / "results.csv").exists():
            ship(folder, name, entries[name])
        else:
            print(f"{name}: no report of {entries[name]['study']}")
    page = DOCS / "models.md"
    page.write_text(put(page.read_text(encoding="utf-8"), "package", table()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
