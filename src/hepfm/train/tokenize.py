"""``hepfm tokenize``: train a tokenizer from a recipe, or take a trained one, and report what it loses."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hepfm.core.errors import ConfigError, TrainingError
from hepfm.core.files import read_json_object, write_json
from hepfm.core.guards import reading
from hepfm.core.interrupts import advising
from hepfm.data.store import Store
from hepfm.inference.tokenize import tokenize_store
from hepfm.models.directory import Model
from hepfm.models.folder import CONFIG, model_directory
from hepfm.train import prepare
from hepfm.train.distributed import first_process
from hepfm.train.joint_pretraining import JointPretraining
from hepfm.train.joint_recipe import DOMAINS
from hepfm.train.pretrain import check_pretrain
from hepfm.train.pretraining import Pretraining
from hepfm.train.run import RunDirectory, RunResult

TOKENS = "tokens"
"""Folder of the report in a run directory."""

WISH = "report.json"
"""What a report is to be made on, in the run directory of a tokenizer; `resume` makes it too."""


@dataclass(frozen=True)
class ReportWish:
    """What is to be reported at the end of a tokenizer's training; see `tokenize`."""

    store: str
    split: str
    number: int | None
    classifier: str | None

    @classmethod
    def of(cls, run: Path) -> ReportWish | None:
        """Return the wish of a run, None where there is none."""
        if not (run / WISH).exists():
            return None
        with reading(run / WISH, TrainingError):
            return cls(**read_json_object(run / WISH, TrainingError))

    def fulfil(self, result: RunResult) -> dict[str, Any]:
        """Make the report of a finished run, in its folder ``tokens``, and return it."""
        with advising(f"go on with `hepfm resume {shlex.quote(str(result.path))}`"):
            return tokenize_store(
                result.model_path,
                self.store,
                output=result.path / TOKENS,
                split=self.split,
                number=self.number,
                classifier=self.classifier,
            )


def tokenize(
    source: prepare.Recipe,
    *,
    output: str | Path,
    store: str | Path | None = None,
    split: str | None = None,
    number: int | None = None,
    classifier: str | Path | None = None,
    overrides: Sequence[str] = (),
    smoke: bool = False,
) -> dict[str, Any]:
    """Train a tokenizer from a recipe and report on it, or report on one that is trained.

    Parameters
    ----------
    source
        A recipe of pre-training whose objective is ``tokenize`` (name, file or values), or a model directory
        with a tokenizer.
    output
        For a recipe the run directory to make, which gets the model and the report in its folder ``tokens``;
        for a model the report's folder. See `hepfm.inference.tokenize.tokenize_store`.
    store
        The jets to report on; for a recipe its own store by default.
    split
        Which of them; for a recipe its validation split by default, for a model ``test``.
    number
        Most jets.
    classifier
        Model directory whose accuracy on decoded jets is compared with that on the original ones.
    overrides, smoke
        As in `hepfm.train.pretrain.pretrain`; for a recipe only.

    Returns
    -------
    dict
        The report; empty in all but the first of several processes under ``torchrun``, which writes it.

    Raises
    ------
    ConfigError
        With every mistake of the recipe, or when a model is given without a store.
    """
    model = _model(source)
    if model is None:
        work, values = check_pretrain(source, overrides=overrides, smoke=smoke)
        if isinstance(work, JointPretraining):
            raise ConfigError(
                f"{prepare.recipe_name(source)}: a recipe with {DOMAINS} trains no tokenizer; train one for "
                "each domain by a recipe of its own, and name it as domains.NAME.tokenizer.model"
            )
        wish = _report_wish(work, source, store=store, split=split, number=number, classifier=classifier)
        result = work.run(lambda: _start(Path(output), values, work.config(), wish))
        return wish.fulfil(result) if first_process() else {}
    if overrides or smoke:
        raise ConfigError(f"{model} is a trained model; settings and --smoke are for a recipe")
    if store is None:
        raise ConfigError("say which jets to tokenize with --on STORE")
    return tokenize_store(
        model, store, output=output, split=split or "test", number=number, classifier=classifier
    )


def _report_wish(
    work: Pretraining,
    source: prepare.Recipe,
    *,
    store: str | Path | None,
    split: str | None,
    number: int | None,
    classifier: str | Path | None,
) -> ReportWish:
    """Return what to report after a training; refuse what no report can be made of before it starts."""
    data = work.recipe.data
    if work.requirements.tokenizer is None:
        raise ConfigError(
            f"{prepare.recipe_name(source)}: its objective {work.recipe.objective.name!r} trains no "
            "tokenizer; use `hepfm pretrain`, or objective=tokenize"
        )
    path = Path(store or data.store).resolve()
    split = split or data.validation or "test"
    Store.open(path).split(split)
    if classifier is not None:
        Model.load(classifier)
    return ReportWish(str(path), split, number, _resolved(classifier))


def _start(
    path: Path, recipe: Mapping[str, Any], config: Mapping[str, Any], wish: ReportWish
) -> RunDirectory:
    run = prepare.start_run(path, recipe=recipe, config=config)
    if first_process():
        write_json(run.path / WISH, asdict(wish))
    return run


def _resolved(path: str | Path | None) -> str | None:
    return None if path is None else str(Path(path).resolve())


def _model(source: prepare.Recipe) -> Path | None:
    if not isinstance(source, str | Path):
        return None
    return model_directory(source) if (Path(source) / CONFIG).exists() else None
