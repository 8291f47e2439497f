"""Calls of the command line, and one small file, store, model, run and result of everything that it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hepfm.cli.main import group
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store

Call = Callable[..., Result]

RECIPE = """
data: {{store: "{store}", features: kin}}
backbone: {{name: transformer, width: 16, depth: 1, num_heads: 2}}
train: {{steps: 4, batch_size: 16, accumulate: 1, validate_every: 2, checkpoint_every: 2, device: cpu}}
"""


def call_hepfm(*arguments: object) -> Result:
    """Call a verb; an error that is not told in words stays in `exception`."""
    return CliRunner().invoke(group, [str(one) for one in arguments])


@pytest.fixture(scope="session")
def call() -> Call:
    """The function `call_hepfm`."""
    return call_hepfm


@pytest.fixture(scope="session")
def few_jets(jet_columns: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of 40 train, 10 val and 20 test jets of ten classes; do not write into it."""
    path = tmp_path_factory.mktemp("few") / "jets"
    parts = []
    for split, number in (("train", 40), ("val", 10), ("test", 20)):
        columns = jet_columns(number, seed=number)
        columns["jet_label"] = np.arange(number, dtype=np.int16) % len(JETCLASS_CLASSES)
        parts.append((split, columns))
    write_store(path, jet_schema(JETCLASS_CLASSES), parts, provenance={"source": "test"})
    return Store.open(path)


@pytest.fixture(scope="session")
def small_recipe(few_jets: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe of pre-training on `few_jets`."""
    path = tmp_path_factory.mktemp("recipes") / "small.yaml"
    path.write_text(RECIPE.format(store=few_jets.path))
    return path


@pytest.fixture(scope="session")
def small_run(small_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of `small_recipe`; do not write into it."""
    path = tmp_path_factory.mktemp("runs") / "run"
    done = call_hepfm("pretrain", small_recipe, "-o", path)
    assert done.exit_code == 0, done.output
    return path
