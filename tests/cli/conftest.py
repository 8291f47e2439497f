"""Calls of the command line, and one small file, store, model, run and result of everything that it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
def few_jets(jet_columns: Callable[..., object], tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of 32 train, 8 val and 8 test jets; do not write into it."""
    path = tmp_path_factory.mktemp("few") / "jets"
    parts = [(split, jet_columns(n, seed=n)) for split, n in (("train", 32), ("val", 8), ("test", 9))]
    write_store(path, jet_schema(JETCLASS_CLASSES), parts, provenance={"source": "test"})  # type: ignore[arg-type]
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
