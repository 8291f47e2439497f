"""``hepfm tokenize``: train a tokenizer from a recipe, or take a trained one, and report what it loses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hepfm.core.errors import ConfigError
from hepfm.data.store import Store
from hepfm.inference.tokenize import tokenize_store
from hepfm.models.directory import Model
from hepfm.models.folder import CONFIG, model_directory
from hepfm.train import prepare
from hepfm.train.distributed import first_process
from hepfm.train.pretrain import check_pretrain

TOKENS = "tokens"
"""Folder of the report in a run directory."""


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
        if work.requirements.tokenizer is None:
            raise ConfigError(
                f"{prepare.recipe_name(source)}: its objective {work.recipe.objective.name!r} trains no "
                "tokenizer; use `hepfm pretrain`, or objective=tokenize"
            )
        store = store or work.recipe.data.store
        split = split or work.recipe.data.validation or "test"
        _check_report(store, split, classifier)
        result = work.run(lambda: prepare.start_run(Path(output), recipe=values, config=work.config()))
        if not first_process():
            return {}
        model, output = result.model_path, result.path / TOKENS
    elif overrides or smoke:
        raise ConfigError(f"{model} is a trained model; settings and --smoke are for a recipe")
    if store is None:
        raise ConfigError("say which jets to tokenize with --on STORE")
    return tokenize_store(
        model, store, output=output, split=split or "test", number=number, classifier=classifier
    )


def _check_report(store: str | Path, split: str, classifier: str | Path | None) -> None:
    """Refuse what the report cannot be made of, before a tokenizer is trained."""
    Store.open(store).split(split)
    if classifier is not None:
        Model.load(classifier)


def _model(source: prepare.Recipe) -> Path | None:
    if not isinstance(source, str | Path):
        return None
    return model_directory(source) if (Path(source) / CONFIG).exists() else None
