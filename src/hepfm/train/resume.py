"""``hepfm resume``: go on with a run that was stopped."""

from __future__ import annotations

from pathlib import Path

from hepfm.core.errors import TrainingError
from hepfm.core.files import output_path
from hepfm.core.guards import reading
from hepfm.train.distributed import first_process
from hepfm.train.finetune import Finetuning
from hepfm.train.joint_pretraining import JointPretraining
from hepfm.train.joint_recipe import read_either_recipe
from hepfm.train.pretrain import check_work
from hepfm.train.pretraining import Pretraining
from hepfm.train.recipe import read_finetune_recipe
from hepfm.train.run import RunDirectory, RunResult
from hepfm.train.tokenize import ReportWish

_ADDED = ("fingerprint", "verb", "store_fingerprint", "model", "model_sha256", "tokenizer_fingerprint")
"""Keys of a run's config that are not of its recipe."""

_MUST_STAY = {
    "store_fingerprint": "the store",
    "model_sha256": "the model",
    "tokenizer_fingerprint": "the tokenizer",
}


def resume(run: str | Path) -> RunResult:
    """Go on with a run at the exact next batch; a finished one only writes its model again.

    The run of `hepfm tokenize` gets its report as well.

    Raises
    ------
    TrainingError
        When `run` is not a run directory, was altered, failed before its first checkpoint, or its data or
        model are others now.
    """
    directory = RunDirectory.open(Path(run))
    output_path(directory.path)
    with reading(directory.path / "config.json", TrainingError):
        work = _work(directory)
    result = work.run(lambda: directory)
    wish = ReportWish.of(directory.path)
    if wish is not None and first_process():
        wish.fulfil(result)
    return result


def _work(directory: RunDirectory) -> Pretraining | JointPretraining | Finetuning:
    """Return the checked work of a run's config; refuse data and models that changed since."""
    config = directory.config()
    where = str(directory.path / "config.json")
    extra = {key: config.pop(key, None) for key in _ADDED}
    work: Pretraining | JointPretraining | Finetuning
    if extra["verb"] == "finetune":
        work = Finetuning.check(str(extra["model"]), read_finetune_recipe(config, where=where))
    else:
        work = check_work(read_either_recipe(config, where=where))
    for key, what in _MUST_STAY.items():
        if work.config().get(key) != extra[key]:
            raise TrainingError(
                f"{what} of {directory.path} is not the one it was trained on; start a new run"
            )
    return work
